//! The daemon's binary on a node with a real switch and the embedded API.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod node;

use std::time::Duration;

use apiserver::{Fault, Gvr, Requests, Verb};
use kube::api::DeleteParams;
use node::{NODE, Node};
use serde_json::json;

macro_rules! node {
    () => {
        match Node::start().await {
            Some(node) => node,
            None => return,
        }
    };
}

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
    assert!(options.starts_with("vxlan\n") && options.contains("local_ip=\"172.30.0.11\""), "{options}");
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
async fn a_restart_with_nothing_changed_sends_nothing() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.configure(2, json!({})).await;
    node.ready(&[]).await;
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;
    let before = node.flows();
    node.kill_daemon();
    let killed = std::time::Instant::now();
    assert_eq!(node.flows(), before, "a killed daemon takes nothing with it");
    node.ready(&[]).await;
    let lived = killed.elapsed().as_secs_f64();
    assert_eq!(node.metric("kvswitchd_flow_changes_total"), Some(0.0));
    assert_eq!(node.flows(), before);
    let ages = node.ofctl(&["dump-flows"], &[]);
    let youngest = ages
        .lines()
        .filter_map(|line| line.split("duration=").nth(1)?.split('s').next()?.parse::<f64>().ok())
        .fold(f64::MAX, f64::min);
    assert!(youngest >= lived, "a flow is younger than the first daemon's end: {ages}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_came_while_the_daemon_was_down_is_programmed_when_it_is_up() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&[]).await;
    let gone = node.add_pod("gone", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&gone)).await;
    node.kill_daemon();
    node.vsctl(&["del-port", "k-vswitch0", &gone]);
    let come = node.add_pod("come", 3).await;
    node.ready(&[]).await;
    node.until("the new port is stamped", async || node.is_programmed(&come)).await;
    let flows = node.flows();
    assert!(flows.iter().any(|flow| flow.contains("10.0.1.3")));
    assert!(!flows.iter().any(|flow| flow.contains("10.0.1.2 ")), "{flows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_repairs_what_somebody_else_changed() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.ready(&["--audit-interval", "1"]).await;
    let before = node.flows();
    node.ofctl(&["--strict", "del-flows"], &["table=200,priority=100"]);
    node.ofctl(&["add-flow"], &["table=0,priority=9,actions=NORMAL"]);
    assert_ne!(node.flows(), before);
    node.until("the flows are as before", async || node.flows() == before).await;
    assert!(node.metric("kvswitchd_flow_repairs_total").unwrap() >= 2.0);
    // The host's side too.
    node.exec(&["nft", "delete", "table", "inet", "k-vswitch"]);
    node.exec(&["ip", "address", "del", "10.0.1.1/32", "dev", "k-vswitch0"]);
    node.until("address and rules are back", async || {
        let rules = node.exec(&["nft", "list", "ruleset"]);
        rules.contains("table inet k-vswitch")
            && node.addresses("k-vswitch0").contains(&"10.0.1.1".parse().unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_switch_is_programmed_anew() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.configure(2, json!({})).await;
    node.ready(&[]).await;
    let port = node.add_pod("web", 2).await;
    node.until("the port is stamped", async || node.is_programmed(&port)).await;
    let before = node.flows();
    node.kill_vswitchd();
    node.until("readiness says that the switch is gone", async || {
        node.get("/readyz").is_some_and(|(status, text)| status == 503 && text.contains("[-] switch"))
    })
    .await;
    node.start_vswitchd();
    node.until("ready again", async || node.get("/readyz").is_some_and(|(status, _)| status == 200)).await;
    // Port by port, as ovs-vswitchd opens them.
    node.until("the flows are as before", async || node.flows() == before).await;
    assert!(
        node.addresses("k-vswitch0").contains(&"10.0.1.1".parse().unwrap()),
        "the host's side is back as well"
    );
    node.restart_ovsdb();
    let another = node.add_pod("after", 3).await;
    node.until("a restarted database is followed", async || node.is_programmed(&another)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_everything_stays_even_through_a_restart() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.configure(2, json!({})).await;
    node.ready(&[]).await;
    let before = node.flows();
    node.create_pod("web").await;
    node.knows_pods().await;
    node.api.faults().set_available(false);
    let port = node.add_port("web", 2);
    node.until("pods still come", async || node.is_programmed(&port)).await;
    let with = node.flows();
    assert!(with.len() > before.len());
    node.kill_daemon();
    node.start_daemon(&[]);
    node.until("it waits for the API", async || {
        node.get("/readyz").is_some_and(|(status, text)| status == 503 && text.contains("Kubernetes API"))
    })
    .await;
    assert_eq!(node.flows(), with, "what it does not know yet it does not touch");
    node.api.faults().set_available(true);
    node.until("ready again", async || node.get("/readyz").is_some_and(|(status, _)| status == 200)).await;
    assert_eq!(node.flows(), with);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_does_not_run_is_named() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.kill_ovsdb();
    node.start_daemon(&[]);
    node.until("the log names the socket and the program", async || {
        let log = node.log();
        log.contains("db.sock") && log.contains("ovsdb-server")
    })
    .await;
    assert_eq!(node.get("/readyz").map(|(status, _)| status), Some(503));
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
async fn a_daemon_without_privileges_says_which_one_it_needs() {
    let mut node = node!();
    node.configure(1, json!({})).await;
    node.start_daemon_by(&["setpriv", "--bounding-set=-all"], &[]);
    node.until("the missing capability is said", async || {
        node.ready_condition().await.is_some_and(|(ready, why)| !ready && why.contains("CAP_NET_ADMIN"))
    })
    .await;
    assert!(!node.path("cni/net.d/10-k-vswitch.conflist").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_without_the_module_is_told_from_one_that_has_it() {
    let mut node = node!();
    if host::kernel::has_openvswitch().unwrap() {
        println!("SKIPPED: this kernel has the openvswitch module");
        return;
    }
    node.start_daemon(&["--datapath", "system"]);
    let status = node.daemon.take().unwrap().wait().unwrap();
    assert!(!status.success());
    let log = node.log();
    assert!(log.contains("no openvswitch module") && log.contains("--datapath auto"), "{log}");
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
