//! What the daemon tells of Services, on a node with a real switch and the embedded API.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod node;

use apiserver::Gvr;
use node::Node;
use serde_json::{Value, json};

fn page(node: &Node, page: &str) -> Value {
    let (status, body) = node.get(page).unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn service(node: &Node, name: &str, spec: &Value) {
    let object = json!({"apiVersion": "v1", "kind": "Service", "spec": spec,
        "metadata": {"name": name, "namespace": "default"}});
    node.api.handle().store_unchecked(Gvr::new("", "v1", "services"), "default", &object).unwrap();
}

/// Endpoints of a Service at these addresses of node-1.
fn slice(node: &Node, service: &str, addresses: &[&str]) {
    let endpoint = |address: &&str| {
        json!({"addresses": [address], "nodeName": node::NODE, "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": format!("pod-{address}"), "namespace": "default"}})
    };
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-1"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "", "protocol": "TCP", "port": 8080}],
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
    });
    let resource = Gvr::new("discovery.k8s.io", "v1", "endpointslices");
    node.api.handle().store_unchecked(resource, "default", &object).unwrap();
}

fn cluster_ip(address: &str) -> Value {
    json!({"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]})
}

/// Connections that the first port's first set has sent to its endpoints.
fn sent(node: &Node, name: &str) -> (Value, Vec<u64>) {
    let shown = page(node, &format!("/services/default/{name}"));
    let endpoints = shown["service"]["ports"][0]["sets"][0]["endpoints"].as_array().unwrap();
    let counts = endpoints.iter().map(|one| one["connections"].as_u64().unwrap()).collect();
    (shown, counts)
}

/// First packets of so many connections from the node itself to a Service.
fn knock(node: &Node, address: &str, times: usize) {
    let script =
        format!("for i in $(seq {times}); do timeout 0.2 bash -c ': > /dev/tcp/{address}/80'; done; true");
    node.exec(&["bash", "-c", &script]);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_listed_and_shown_with_the_connections_that_the_switch_counted() {
    let Some(mut node) = Node::start().await else { return };
    node.configure(1, json!({})).await;
    service(&node, "many", &cluster_ip("10.96.0.20"));
    slice(&node, "many", &["10.0.1.2", "10.0.1.3", "10.0.1.4"]);
    service(&node, "one", &cluster_ip("10.96.0.21"));
    slice(&node, "one", &["10.0.1.2"]);
    let mut affine = cluster_ip("10.96.0.22");
    affine["sessionAffinity"] = json!("ClientIP");
    service(&node, "affine", &affine);
    slice(&node, "affine", &["10.0.1.2", "10.0.1.3"]);
    service(&node, "none", &cluster_ip("10.96.0.23"));
    service(&node, "thief", &cluster_ip("10.96.0.20"));
    service(&node, "headless", &json!({"clusterIP": "None", "ports": [{"port": 80}]}));
    node.ready(&[]).await;
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;

    let list = page(&node, "/services");
    assert_eq!((&list["node"], &list["proxy"]), (&json!("node-1"), &json!(true)));
    let line = |name: &str| {
        let lines = list["services"].as_array().unwrap();
        lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("no {name}: {list}")).clone()
    };
    let many = line("many");
    assert_eq!(many["addresses"], json!(["10.96.0.20"]));
    assert_eq!(many["endpoints"], json!({"total": 3, "ready": 3, "terminating": 0}));
    assert_eq!(many["ports"], json!([{"protocol": "TCP", "port": 80, "node_port": null}]));
    assert_eq!(
        (&line("none")["endpoints"]["total"], &line("headless")["skipped"]),
        (&json!(0), &json!("headless"))
    );
    // Services come in no particular order: one of the two has the address.
    let [of_many, of_thief] = ["many", "thief"].map(|name| line(name)["problems"].as_u64().unwrap());
    assert_eq!(of_many + of_thief, 1, "{list}");
    assert_eq!(list["problems"].as_array().unwrap().len(), 1);
    let holder = if of_many == 0 { "many" } else { "thief" };
    let other = if of_many == 0 { "thief" } else { "many" };
    let taken = page(&node, &format!("/services/default/{other}"));
    let expected = json!({"state": "taken", "namespace": "default", "name": holder});
    assert_eq!(taken["service"]["ports"][0]["frontends"][0]["leads"], expected, "{taken}");
    assert_eq!(taken["service"]["problems"].as_array().unwrap().len(), 1);
    for (name, value) in [("services", 5.0), ("service_endpoint_sets", 4.0), ("service_problems", 1.0)] {
        assert_eq!(node.metric(&format!("kvswitchd_{name}")), Some(value), "{name}");
    }
    assert_eq!(page(&node, "/policies")["services"], 5);

    // Nobody answers for the endpoints, so that each connection is one packet to the Service.
    for (name, address) in [("many", "10.96.0.20"), ("one", "10.96.0.21"), ("affine", "10.96.0.22")] {
        if name == other {
            continue;
        }
        knock(&node, address, 8);
        // The switch counts from time to time, and not everything at the same.
        node.until("the connections are counted", async || {
            let (shown, counts) = sent(&node, name);
            let port = &shown["service"]["ports"][0];
            let sum = counts.iter().sum::<u64>();
            let alike = [&port["sets"][0]["connections"], &port["frontends"][0]["connections"]];
            sum >= 8 && alike.iter().all(|count| **count == sum)
        })
        .await;
        let (shown, counts) = sent(&node, name);
        assert_eq!(shown["counters"]["state"], "read");
        let port = &shown["service"]["ports"][0];
        assert_eq!(port["endpoints"][0]["target"], json!({"kind": "Pod", "name": "pod-10.0.1.2"}));
        let reached = counts.iter().filter(|count| **count > 0).count();
        assert!(if name == "affine" { reached == 1 } else { reached >= 1 }, "{name}: {counts:?}");
    }
    let none = page(&node, "/services/default/none");
    assert_eq!(none["service"]["ports"][0]["sets"][0]["outcome"], "refused");
    let absent = page(&node, "/services/default/absent");
    assert_eq!((&absent["proxy"], &absent["service"]), (&json!(true), &Value::Null));

    node.kill_vswitchd();
    node.until("the daemon notices", async || {
        page(&node, "/services/default/one")["counters"]["state"] == "unavailable"
    })
    .await;
    let without = page(&node, "/services/default/one");
    assert_eq!(without["service"]["ports"][0]["sets"][0]["connections"], Value::Null);
    assert_eq!(without["service"]["ports"][0]["sets"][0]["outcome"], "endpoints");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_proxy_says_so() {
    let Some(mut node) = Node::start().await else { return };
    node.configure(1, json!({})).await;
    service(&node, "one", &cluster_ip("10.96.0.21"));
    node.ready(&["--service-proxy", "off"]).await;
    let list = page(&node, "/services");
    assert_eq!((&list["proxy"], &list["services"]), (&json!(false), &json!([])));
    let shown = page(&node, "/services/default/one");
    assert_eq!((&shown["proxy"], &shown["service"]), (&json!(false), &Value::Null));
    assert_eq!(page(&node, "/policies")["services"], Value::Null);
}
