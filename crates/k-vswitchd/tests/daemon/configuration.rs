//! What VSwitchConfigs say, of the node and of others.

use kube::api::DeleteParams;
use serde_json::json;

use crate::node::{NODE, Node};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_set_up_from_its_configuration() {
    let mut node = node!();
    node.start_daemon(&[]);
    node.until("the daemon says what it waits for", async || {
        node.get("/readyz")
            .is_some_and(|(status, text)| status == 503 && text.contains("VSwitchConfig node-1"))
    })
    .await;
    assert_eq!(node.get("/healthz").map(|(status, _)| status), Some(200));
    assert!(
        !node.path("cni/net.d/10-k-vswitch.conflist").exists(),
        "no configuration before there is a network"
    );

    node.configure(1, json!({})).await;
    node.until("ready", async || node.get("/readyz").is_some_and(|(status, _)| status == 200)).await;
    assert_eq!(
        node.vsctl(&["get", "bridge", "k-vswitch0", "fail_mode", "datapath_type"]),
        "secure\nnetdev\n"
    );
    let facts = node.vsctl(&["get", "bridge", "k-vswitch0", "external_ids"]);
    assert!(
        facts.contains("kvs-pod-cidr-ipv4=\"10.0.1.0/24\"") && facts.contains("kvs-mtu=\"1450\""),
        "{facts}"
    );
    let options = node.vsctl(&["get", "interface", "kvs-vxlan", "type", "options"]);
    assert_eq!(
        options, "vxlan\n{key=flow, remote_ip=flow}\n",
        "the bridge has no other address to send from first"
    );
    let addresses: Vec<String> = node.addresses("k-vswitch0").iter().map(ToString::to_string).collect();
    assert!(
        addresses.contains(&"10.0.1.1".into()) && addresses.contains(&"fd00:0:0:1::1".into()),
        "{addresses:?}"
    );
    assert_eq!(node.exec(&["cat", "/proc/sys/net/ipv4/ip_forward"]), "1\n");
    assert!(
        node.exec(&["ip", "route"])
            .contains("10.0.0.0/16 dev k-vswitch0 proto static scope link src 10.0.1.1")
    );
    let rules = node.exec(&["nft", "list", "table", "inet", "k-vswitch"]);
    assert!(
        rules.contains("ip saddr 10.0.1.0/24 ip daddr != 10.0.0.0/16") && rules.contains("masquerade"),
        "{rules}"
    );
    assert_eq!(std::fs::read(node.path("cni/bin/k-vswitch-cni")).unwrap(), b"the plugin");
    assert!(node.path("cni/net.d/10-k-vswitch.conflist").exists());
    node.until("the status says so", async || node.ready_condition().await.is_some_and(|(ready, _)| ready))
        .await;
    let status = node.configs().get(NODE).await.unwrap().status.unwrap();
    assert_eq!((status.mtu, status.datapath.as_deref()), (Some(1450), Some("netdev")));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_nodes_come_change_and_go() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let alone = node.flows();
    node.configure(2, json!({})).await;
    node.until("node-2 is routed to", async || node.flows().len() == alone.len() + 5).await;
    let has = |node: &Node, text: &str| node.flows().iter().any(|flow| flow.contains(text));
    assert!(has(&node, "set_field:172.30.0.12->tun_dst"));
    node.configure(2, json!({"overlayIP": "172.30.0.22"})).await;
    node.until("its address is followed", async || has(&node, "set_field:172.30.0.22->tun_dst")).await;
    assert!(!has(&node, "172.30.0.12"));
    node.configure(2, json!({"podCIDR": "10.0.7.0/24"})).await;
    node.until("its pod CIDR is followed", async || has(&node, "nw_dst=10.0.7.0/24")).await;
    assert!(!has(&node, "10.0.2.0/24"));
    node.configure(2, json!({"overlayIP": "fd00:30::12"})).await;
    node.until("an address that no tunnel reaches is said", async || {
        node.ready_condition()
            .await
            .is_some_and(|(ready, why)| !ready && why.contains("node node-2: overlay"))
    })
    .await;
    assert_eq!(node.flows(), alone);
    node.configure(2, json!({"overlayIP": "172.30.0.12"})).await;
    node.until("it is reached again", async || has(&node, "set_field:172.30.0.12->tun_dst")).await;
    node.configs().delete("node-2", &DeleteParams::default()).await.unwrap();
    node.until("it is forgotten", async || node.flows() == alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_a_nodes_own_changes_without_a_restart() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;
    node.exec(&["ip", "address", "add", "172.30.0.21/24", "dev", "br-phy"]);
    let change = json!({
        "clusterCIDR": "10.0.0.0/15,fd00::/47", "podCIDR": "10.1.9.0/24,fd00:0:1:9::/64",
        "serviceCIDR": "10.97.0.0/16", "overlayIP": "172.30.0.21",
    });
    node.configure(1, change).await;
    node.until("the plugins' facts follow", async || {
        let facts = node.vsctl(&["get", "bridge", "k-vswitch0", "external_ids"]);
        facts.contains("kvs-pod-cidr-ipv4=\"10.1.9.0/24\"")
            && facts.contains("kvs-gateway-ipv6=\"fd00:0:1:9::1\"")
    })
    .await;
    node.until("the bridge's addresses follow", async || {
        let addresses = node.addresses("k-vswitch0");
        let has = |address: &str| addresses.contains(&address.parse().unwrap());
        has("10.1.9.1") && has("fd00:0:1:9::1") && !has("10.0.1.1") && !has("fd00:0:0:1::1")
    })
    .await;
    node.until("routes, rules and the tunnel follow", async || {
        let routes = node.exec(&["ip", "route", "show", "dev", "k-vswitch0"]);
        let rules = node.exec(&["nft", "list", "table", "inet", "k-vswitch"]);
        let options = node.vsctl(&["get", "interface", "kvs-vxlan", "options"]);
        routes.contains("10.0.0.0/15")
            && !routes.contains("10.0.0.0/16")
            && rules.contains("10.1.9.0/24")
            && !rules.contains("10.0.1.0/24")
            && options.contains("172.30.0.21")
    })
    .await;
    node.until("flows follow", async || {
        let flows = node.flows();
        let has = |text: &str| flows.iter().any(|flow| flow.contains(text));
        has("nw_dst=10.1.9.0/24") && !has("nw_dst=10.0.1.0/24") && has("nw_dst=10.0.1.2 ")
    })
    .await;
    node.until("the condition says so", async || {
        node.ready_condition().await.is_some_and(|(ready, _)| ready)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_changes_without_a_restart() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.configure(2, json!({})).await;
    node.ready(&[]).await;
    node.configure(1, json!({"overlayType": "gre"})).await;
    node.until("the tunnel is GRE, with GRE's MTU", async || {
        let ports = node.vsctl(&["list-ports", "k-vswitch0"]);
        let facts = node.vsctl(&["get", "bridge", "k-vswitch0", "external_ids:kvs-mtu"]);
        ports.contains("kvs-gre") && !ports.contains("kvs-vxlan") && facts.contains("1458")
    })
    .await;
    node.until("flows use it", async || {
        let number = node.vsctl(&["get", "interface", "kvs-gre", "ofport"]);
        // Empty brackets until ovs-vswitchd has opened it.
        let Ok(number) = number.trim().parse::<u32>() else { return false };
        node.flows().iter().any(|flow| flow.contains(&format!("set_field:{number:#x}->reg1")))
    })
    .await;
    // An MTU of the operator's wins.
    node.configure(1, json!({"mtu": 1400})).await;
    node.until("the operator's MTU is taken", async || {
        node.vsctl(&["get", "bridge", "k-vswitch0", "external_ids:kvs-mtu"]).contains("1400")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_said_and_changes_nothing_else() {
    let mut node = node!();
    node.start_daemon(&[]);
    // An overlay address that the node has not.
    node.configure(1, json!({"overlayIP": "172.30.0.99"})).await;
    node.until("the missing address is said", async || {
        node.ready_condition().await.is_some_and(|(ready, why)| !ready && why.contains("172.30.0.99"))
    })
    .await;
    node.configure(1, json!({"overlayIP": "172.30.0.11"})).await;
    node.until("ready", async || node.get("/readyz").is_some_and(|(status, _)| status == 200)).await;
    let before = node.flows();
    // This node's own, taken back by the controller: what is in force stays.
    let rejected = json!({"status": {"conditions": [{
        "type": "Accepted", "status": "False", "reason": "PodCIDROverlap", "message": "overlaps node-9",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    let configs = node.configs();
    let patch = kube::api::Patch::Merge(&rejected);
    configs.patch_status(NODE, &kube::api::PatchParams::default(), &patch).await.unwrap();
    node.until("the rejection is said", async || {
        node.ready_condition().await.is_some_and(|(ready, why)| !ready && why.contains("overlaps node-9"))
    })
    .await;
    assert_eq!(node.flows(), before);
    // Another node's that goes wrong: what was in force for it stays, and everybody else is followed.
    node.configure(3, json!({})).await;
    node.until("node-3 is routed to", async || node.flows().len() == before.len() + 5).await;
    node.configure(3, json!({"podCIDR": null})).await;
    node.configure(2, json!({})).await;
    node.until("node-2 is routed to as well", async || node.flows().len() == before.len() + 10).await;
    // Until somebody else has its addresses.
    node.configure(4, json!({"podCIDR": "10.0.3.0/24"})).await;
    node.until("the new holder is routed to", async || {
        let flows = node.flows();
        flows.iter().any(|f| f.contains("172.30.0.14->tun_dst"))
            && !flows.iter().any(|f| f.contains("172.30.0.13"))
    })
    .await;
}
