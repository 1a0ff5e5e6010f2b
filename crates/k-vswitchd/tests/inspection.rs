//! What the daemon tells of policies, on a node with a real switch and the embedded API.
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

fn inspection(node: &Node) -> Value {
    let (status, body) = node.get("/policies").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_policy_isolates_and_is_told_and_leaves_the_node_ready() {
    let Some(mut node) = Node::start().await else { return };
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;
    let before = inspection(&node);
    assert_eq!(before["node"], "node-1");
    assert_eq!(before["counters"]["state"], "read", "{before}");
    assert!(before["tracks_sctp"].is_boolean(), "{before}");
    let pod = &before["pods"][0];
    assert_eq!((&pod["name"], &pod["port"], &pod["state"]), (&json!("web"), &json!(port), &json!("known")));
    assert_eq!(pod["addresses"], json!(["10.0.1.2", "fd00:0:0:1::2"]));
    assert_eq!((&pod["ingress"]["isolated"], &pod["egress"]["isolated"]), (&json!(false), &json!(false)));

    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "odd", "namespace": "default"},
        "spec": {"podSelector": {}, "ingress": [
            {"ports": [{"port": 80, "endPort": 70}]}, {"ports": [{"port": 81}]}]},
    });
    let resource = Gvr::new("networking.k8s.io", "v1", "networkpolicies");
    node.api.handle().store_unchecked(resource, "default", &policy).unwrap();
    node.until("the pod is isolated", async || inspection(&node)["pods"][0]["ingress"]["isolated"] == true)
        .await;
    let after = inspection(&node);
    let pod = &after["pods"][0];
    assert_eq!((&pod["ingress"]["dropped"], &pod["egress"]["isolated"]), (&json!(0), &json!(false)));
    let (reference, policy) = (&pod["ingress"]["policies"][0], &after["policies"][0]);
    assert_eq!((&reference["name"], &reference["id"]), (&json!("odd"), &policy["id"]));
    assert_eq!(policy["rules"], json!([{"number": 2, "packets": 0}]), "the wrong rule allows nothing");
    assert_eq!(after["invalid"][0]["problems"][0]["path"], "spec.ingress[0].ports[0].endPort", "{after}");
    for (name, value) in [("policies", 1.0), ("policy_problems", 1.0), ("identities", 2.0)] {
        assert_eq!(node.metric(&format!("kvswitchd_{name}")), Some(value), "{name}");
    }
    assert_eq!(node.get("/readyz").unwrap().0, 200);
    assert!(node.ready_condition().await.unwrap().0);

    node.kill_vswitchd();
    node.until("the daemon notices", async || inspection(&node)["counters"]["state"] == "unavailable").await;
    let without = inspection(&node);
    assert!(without["counters"]["why"].as_str().unwrap().contains("ovs-vswitchd"), "{without}");
    assert_eq!(without["pods"][0]["ingress"]["dropped"], Value::Null);
    assert_eq!(without["policies"][0]["rules"], json!([{"number": 2, "packets": null}]));
}
