//! All the ways to a Service: from pods, nodes and the outside, by each kind of address, to endpoints wherever they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use host::Netns;
use serde_json::{Value, json};
use system_tests::service::{
    Protocol, all_answer, and, ask, ask_all, at_node_port, list, ports, route, server, service,
    service_of_slices, slices, wait_for, with,
};
use system_tests::{Api, Lab, possible};

/// What every server serves.
const SERVED: [u16; 2] = [8080, 9090];

fn up(arguments: &[&str], pods: &[Value]) -> (Lab, Api) {
    let lab = Lab::up(&[&["--nodes", "2"], arguments].concat());
    let api = Api::new(&lab);
    lab.apply(&list(pods));
    lab.wait_for_pods(pods.len().try_into().unwrap());
    (lab, api)
}

/// A pod on its node's network.
fn on_host(name: &str, node: u16) -> Value {
    with(server(name, node, &SERVED), "spec", &json!({"hostNetwork": true}))
}

#[test]
fn pods_and_nodes_reach_a_clusterip_wherever_its_endpoints_are() {
    if !possible() {
        return;
    }
    let pods = [server("client", 1, &SERVED), server("near", 1, &SERVED), server("far", 2, &SERVED)];
    let hosts = [on_host("host", 2), on_host("home", 1)];
    let (lab, api) = up(&[], &[pods.as_slice(), &hosts].concat());
    // By number and by name, which two endpoints have for different numbers.
    let several =
        json!({"ports": ports(&[(80, 8080.into()), (443, 9090.into()), (53, "1".into()), (54, "2".into())])});
    let names = ["near", "far", "host", "home"];
    lab.apply(&list(&names.map(|name| service(name, &several))));
    let client = lab.node(1).port("client");
    let places: [(&str, Netns, [IpAddr; 2]); 3] = [
        ("the pod", client.open(), client.addresses()),
        ("its node", lab.node(1).netns.clone(), lab.node(1).gateway()),
        ("the other node", lab.node(2).netns.clone(), lab.node(2).gateway()),
    ];
    for name in names {
        let to = api.cluster_ips(name);
        for (what, netns, address) in &places {
            wait_for(&lab, netns, &to, 54, name);
            let mut seen = BTreeSet::new();
            for port in [80, 443, 53, 54] {
                seen.extend(all_answer(netns, &to, port, &[name]));
            }
            // Pods' servers see who it is. What goes on to a node is the sending node's own by then, as all that leaves
            // the cluster's pods.
            if name == "near" || name == "far" {
                assert_eq!(seen, (*address).into(), "of {what} at {name}");
            }
        }
    }

    // A pod that has other numbers for the names, beside one.
    let mut odd = with(server("odd", 2, &[9090, 8080]), "metadata", &json!({"labels": {"app": "near"}}));
    odd["metadata"]["name"] = "odd".into();
    lab.apply(&odd);
    lab.wait_for_pods(6);
    let to = api.cluster_ips("near");
    lab.until("the odd one to be an endpoint", || ask_all(&client.open(), &to, 53).who().contains("odd"));
    for port in [80, 443, 53, 54] {
        all_answer(&client.open(), &to, port, &["near", "odd"]);
    }
}

#[test]
fn everybody_reaches_a_node_port_at_every_node() {
    if !possible() {
        return;
    }
    let pods = [server("client", 1, &SERVED), server("near", 1, &SERVED), server("far", 2, &SERVED)];
    let (lab, _) = up(&[], &[pods.as_slice(), &[on_host("host", 2)]].concat());
    let services = [("near", 31_001), ("far", 31_002), ("host", 31_003)];
    lab.apply(&list(&services.map(|(name, port)| service(name, &at_node_port(port)))));
    let client = lab.node(1).port("client");
    let outside = lab.outside();
    let nodes = [lab.node(1), lab.node(2)];
    for (name, port) in services {
        for node in &nodes {
            wait_for(&lab, &outside, &node.addresses(), port, name);
            let seen = all_answer(&outside, &node.addresses(), port, &[name]);
            if name == "near" || name == "far" {
                assert_eq!(seen, node.masquerade().into(), "of the outside at {name} by {}", node.name);
            }
            for netns in [client.open(), nodes[0].netns.clone()] {
                all_answer(&netns, &node.addresses(), port, &[name]);
            }
        }
        // A pod's own node does not hide it.
        if name == "near" || name == "far" {
            let seen = all_answer(&client.open(), &nodes[0].addresses(), port, &[name]);
            assert_eq!(seen, client.addresses().into(), "of the pod at {name}");
        }
    }
    // What is no node port is the node's own.
    all_answer(&client.open(), &nodes[0].addresses(), 7, &["node-1"]);
    all_answer(&outside, &nodes[0].addresses(), 7, &["node-1"]);
    all_answer(&outside, &nodes[0].addresses(), 31_900, &["refused"]);
}

#[test]
fn everybody_reaches_addresses_of_load_balancers_and_other_external_ones() {
    if !possible() {
        return;
    }
    let pods = [server("client", 1, &SERVED), server("near", 1, &SERVED), server("far", 2, &SERVED)];
    let (lab, api) = up(&[], &pods);
    let [external, balanced] = [["198.51.100.7", "2001:db8:51::7"], ["198.51.100.8", "2001:db8:51::8"]]
        .map(|addresses| addresses.map(|address| address.parse::<IpAddr>().unwrap()));
    let outside = lab.outside();
    let client = lab.node(1).port("client");
    route(&lab, &external, &lab.node(1));
    route(&lab, &balanced, &lab.node(2));
    // Without node ports there is nothing at the node for them to share.
    let balancer = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false});
    lab.apply(&list(&[
        service("near", &json!({"externalIPs": external})),
        service("far", &balancer),
        service("client", &json!({"externalIPs": external, "ports": ports(&[(81, 9090.into())])})),
    ]));
    api.set_load_balancer("far", &balanced);
    let at = [("near", external, 80, 1), ("client", external, 81, 1), ("far", balanced, 80, 2)];
    for (name, to, port, node) in at {
        wait_for(&lab, &outside, &to, port, name);
        let seen = all_answer(&outside, &to, port, &[name]);
        assert_eq!(seen, lab.node(node).masquerade().into(), "of the outside at {name}");
        wait_for(&lab, &client.open(), &to, port, name);
        let seen = all_answer(&client.open(), &to, port, &[name]);
        let hidden = if name == "client" { lab.node(1).masquerade() } else { client.addresses() };
        assert_eq!(seen, hidden.into(), "of the pod at {name}");
        for node in [lab.node(1), lab.node(2)] {
            wait_for(&lab, &node.netns, &to, port, name);
            all_answer(&node.netns, &to, port, &[name]);
        }
    }
    // The load balancer takes its address away: packets go where they would without Services.
    api.set_load_balancer("far", &[]);
    lab.until("the address to lead nowhere", || {
        !ask_all(&client.open(), &balanced, 80).who().contains("far")
    });
    all_answer(&client.open(), &external, 80, &["near"]);
}

#[test]
fn a_pod_reaches_itself_and_endpoints_may_be_outside_of_the_cluster() {
    if !possible() {
        return;
    }
    let pods = [server("client", 1, &SERVED), server("self", 1, &SERVED)];
    let (lab, api) = up(&[], &pods);
    let outside: [IpAddr; 2] = ["203.0.113.1", "2001:db8:203::1"].map(|text| text.parse().unwrap());
    let node = lab.node(2);
    lab.apply(&list(&[
        service("self", &at_node_port(31_001)),
        service_of_slices("world", &at_node_port(31_002)),
        slices("world", "world", 80, &[(outside, json!({}))]),
        // The other node's echo service.
        service_of_slices("echo", &json!({})),
        slices("echo", "echo", 7, &[(node.addresses(), json!({}))]),
    ]));
    let (client, itself) = (lab.node(1).port("client"), lab.node(1).port("self"));
    let hairpin = api.cluster_ips("self");
    wait_for(&lab, &itself.open(), &hairpin, 80, "self");
    let seen = all_answer(&itself.open(), &hairpin, 80, &["self"]);
    assert_eq!(seen, lab.node(1).masquerade().into());
    let seen = all_answer(&client.open(), &hairpin, 80, &["self"]);
    assert_eq!(seen, client.addresses().into(), "nobody else is hidden");
    for to in [lab.node(1).addresses(), node.addresses()] {
        wait_for(&lab, &itself.open(), &to, 31_001, "self");
    }

    for (name, who) in [("world", "outside"), ("echo", "node-2")] {
        let to = api.cluster_ips(name);
        for from in [client.open(), lab.node(1).netns.clone(), node.netns.clone()] {
            wait_for(&lab, &from, &to, 80, who);
            all_answer(&from, &to, 80, &[who]);
        }
    }
    // From the outside, back to the outside.
    for node in [lab.node(1), node] {
        wait_for(&lab, &lab.outside(), &node.addresses(), 31_002, "outside");
    }
}

#[test]
fn a_host_port_leads_to_the_pod_of_its_node() {
    if !possible() {
        return;
    }
    let mut near = server("near", 1, &SERVED);
    let ports = near["spec"]["containers"][0]["ports"].as_array_mut().unwrap();
    for port in ports {
        if port["containerPort"] == 8080 {
            port["hostPort"] = 18_080.into();
        }
    }
    let (lab, api) = up(&[], &[server("client", 1, &SERVED), server("other", 2, &SERVED), near]);
    let (client, other) = (lab.node(1).port("client"), lab.node(2).port("other"));
    let (to, outside) = (lab.node(1).addresses(), lab.outside());
    wait_for(&lab, &outside, &to, 18_080, "near");
    let seen = all_answer(&outside, &to, 18_080, &["near"]);
    assert_eq!(seen, outside_addresses().into(), "clients outside keep their address");
    for from in [client.open(), other.open(), lab.node(1).netns.clone(), lab.node(2).netns.clone()] {
        wait_for(&lab, &from, &to, 18_080, "near");
        all_answer(&from, &to, 18_080, &["near"]);
    }
    // The other node has no such pod.
    all_answer(&outside, &lab.node(2).addresses(), 18_080, &["refused"]);
    api.delete_pod("default", "near", true);
    lab.until("the port to go with the pod", || ask_all(&outside, &to, 18_080).all("refused"));
}

/// Addresses of the namespace outside, as those see it to whom it speaks.
fn outside_addresses() -> [IpAddr; 2] {
    ["172.30.0.254", "fd00:30::fe"].map(|text| text.parse().unwrap())
}

#[test]
fn what_has_no_clusterip_is_nothing_to_the_bridge_and_sctp_is_as_the_datapath_can() {
    if !possible() {
        return;
    }
    let (lab, api) = up(&[], &[server("client", 1, &SERVED), server("near", 1, &SERVED)]);
    let client = lab.node(1).port("client").open();
    let marker = service("near", &json!({}));
    let appears = || {
        lab.apply(&marker);
        wait_for(&lab, &client, &api.cluster_ips("near"), 80, "near");
    };
    let before = lab.node(1).flows();
    lab.apply(&list(&[
        service("headless", &json!({"clusterIP": "None", "selector": {"app": "near"}})),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias", "namespace": "default"},
            "spec": {"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 80}]}}),
    ]));
    // What comes after them is there: so would they be.
    appears();
    lab.delete(&marker);
    lab.until("the flows to be as before", || lab.node(1).flows() == before);

    let sctp = json!({"ports": [{"name": "a", "protocol": "SCTP", "port": 80, "targetPort": 8080},
        {"name": "b", "protocol": "TCP", "port": 80, "targetPort": 8080}]});
    lab.apply(&service("sctp", &and(sctp, &json!({"selector": {"app": "near"}}))));
    let status: Value = serde_json::from_str(&lab.inspect(&["status", "-o", "json"])).unwrap();
    let wanted = match status[0]["tracks_sctp"].as_bool().unwrap() {
        true => "connected",
        false => "refused",
    };
    let so = || {
        let arguments = ["probe", "--from", "default/client", "--to", "sctp.default", "--probe", "SCTP/80"];
        let results = lab.json(&arguments);
        let results = results.as_array().unwrap();
        results.len() == 2 && results.iter().all(|result| result["result"] == wanted)
    };
    let to = api.cluster_ips("sctp");
    lab.until(&format!("associations to be {wanted}"), so);
    for address in to {
        assert_eq!(ask(&client, Protocol::Tcp, SocketAddr::new(address, 80)).who(), "near");
    }
    assert!(so());
}
