//! Ports of pods, that come and go.

use std::time::Duration;

use apiserver::{Fault, Gvr, Requests, Verb};
use serde_json::json;

use crate::node::Node;

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_stamped_when_its_flows_are_in_the_switch_and_forgotten_when_it_goes() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let before = node.flows();
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;
    let with = node.flows();
    assert_eq!(with.len(), before.len() + 13);
    assert!(with.iter().any(|flow| flow.contains("nw_dst=10.0.1.2 ")), "{with:#?}");
    node.vsctl(&["del-port", "k-vswitch0", &port]);
    node.until("the port's flows are gone", async || node.flows() == before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_port_on_another_bridge_has_no_flows_on_ours() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let before = node.flows();
    let (moved, stays) = (node.add_pod("moved", 2).await, node.add_pod("stays", 3).await);
    node.until("both are stamped", async || node.is_programmed(&moved) && node.is_programmed(&stays)).await;
    let ids = node.vsctl(&["get", "interface", &moved, "external_ids"]);
    let ids = format!("external_ids={}", ids.trim());
    let set = ["--", "set", "interface", &moved, &ids];
    node.vsctl(&[&["del-port", "k-vswitch0", &moved, "--", "add-port", "br-phy", &moved], &set[..]].concat());
    node.until("its flows are gone", async || node.flows().len() == before.len() + 13).await;
    assert!(!node.flows().iter().any(|flow| flow.contains("nw_dst=10.0.1.2 ")), "{:#?}", node.flows());
    node.vsctl(&[&["del-port", "br-phy", &moved, "--", "add-port", "k-vswitch0", &moved], &set[..]].concat());
    node.until("they are back", async || node.flows().iter().any(|flow| flow.contains("nw_dst=10.0.1.2 ")))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_whose_veth_pair_is_gone_are_removed() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let (stays, goes) = (node.add_pod("stays", 2).await, node.add_pod("goes", 3).await);
    node.until("both are stamped", async || node.is_programmed(&stays) && node.is_programmed(&goes)).await;
    node.exec(&["ip", "link", "del", &goes]);
    // Ten seconds of grace, looked at every five.
    tokio::time::sleep(Duration::from_secs(5)).await;
    node.until("the abandoned port is removed", async || {
        !node.vsctl(&["list-ports", "k-vswitch0"]).contains(&goes)
    })
    .await;
    assert!(node.vsctl(&["list-ports", "k-vswitch0"]).contains(&stays));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_starts_with_policies_that_the_watch_has_not_told_yet() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let watches = Requests::all().verb(Verb::Watch).resource("networkpolicies");
    node.api.faults().inject_always(watches, Fault::Delay(Duration::from_secs(3600)));
    node.api.faults().drop_watches(Some(Gvr::new("networking.k8s.io", "v1", "networkpolicies")));
    node.create_policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})).await;
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;
    let flows = node.flows();
    for table in [datapath::Table::Egress, datapath::Table::Ingress] {
        let prefix = format!("table={}, priority=100,", table.number());
        assert!(flows.iter().any(|flow| flow.contains(&prefix)), "not isolated: {flows:#?}");
    }
}
