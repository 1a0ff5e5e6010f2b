//! What stops, is missing, or was changed by somebody else.

use serde_json::json;

use crate::node::Node;

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
