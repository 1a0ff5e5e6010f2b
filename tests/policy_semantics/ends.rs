//! Pods at their ends: those that are about to go, and those that have completed.

use serde_json::{Value, json};
use system_tests::real::simulated;
use system_tests::stage::{Stage, labels, name};
use system_tests::{IMAGE, Ping, possible};

use crate::{Failures, NAMESPACES, alone, app, cast, from, ingress};

/// `ping` does not wait for its last answer longer than twice what the others took, which may be too short on a busy machine.
const LATE: u32 = 1;

/// Line 13: only guests may talk to `blog/page`, and `blog/cron` is one.
fn guests_only(stage: &mut Stage, failures: &mut Failures) {
    let guest = json!([{"podSelector": {"matchLabels": {"app": "guest"}}}]);
    stage.policies(&[("blog/web", app("web", from(guest))), ("open/none", ingress(json!([])))]);
    stage.relabel("blog/cron", &labels(&[("app", "guest")]));
    failures.step(
        stage,
        "13: before the ends",
        &[("blog/cron > blog/page TCP/80", true), ("open/hut > blog/page TCP/80", false)],
    );
}

/// Blue teams may talk to `shop/web`.
fn blue_teams() -> (&'static str, Value) {
    let blue = json!([{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]);
    ("shop/web", app("web", from(blue)))
}

#[test]
fn a_pod_that_is_about_to_end_is_still_itself() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let mut cast = cast();
    for pod in &mut cast {
        // Its containers do not end before all of this is over.
        pod.lingers = if pod.name == "blog/page" { 25 } else { 0 };
    }
    let mut stage = Stage::up(2, &NAMESPACES, &cast);
    let mut failures = Failures::default();
    guests_only(&mut stage, &mut failures);

    // It keeps its policies: its node cannot take it away, the plugin being out of order.
    let (leaving, friend, stranger) =
        (stage.port("blog/page"), stage.port("blog/cron").open(), stage.port("shop/web").open());
    let plugin = stage.lab.folder().join("nodes/node-2/cni/bin/k-vswitch-cni");
    let aside = plugin.with_extension("aside");
    std::fs::rename(&plugin, &aside).unwrap();
    stage.api.delete_pod("blog", "page", false);
    std::thread::sleep(std::time::Duration::from_secs(1));
    for address in leaving.addresses() {
        let (_, lost) = Ping::start(&friend, address, 20).finish();
        let (sent, denied) = Ping::start(&stranger, address, 20).finish();
        let right = lost <= LATE && sent == denied;
        let what = format!("13: a terminating pod at {address}: friend lost {lost}, stranger {denied}");
        failures.note(if right { Ok(()) } else { Err(what) });
    }
    // And is still who it was for others.
    stage.policies(&[blue_teams()]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (_, lost) = Ping::start(&leaving.open(), stage.port("shop/web").ipv4, 20).finish();
    failures.note(if lost <= LATE {
        Ok(())
    } else {
        Err(format!("13: {lost} pings of a terminating peer lost"))
    });
    std::fs::rename(&aside, &plugin).unwrap();
    stage.leave(&["blog/page"]);
    stage.enter(&[cast.into_iter().find(|pod| pod.name == "blog/page").unwrap()]);
    failures.step(&stage, "13: the pod is back", &[("blog/page > shop/web TCP/80", true)]);
    failures.none(&stage);
}

#[test]
fn a_pod_that_has_completed_is_nobody() {
    if !possible() || !simulated("its kubelet writes a pod's status, and takes one away that has completed") {
        return;
    }
    let _alone = alone();
    let mut stage = Stage::up(2, &NAMESPACES, &cast());
    let mut failures = Failures::default();
    guests_only(&mut stage, &mut failures);

    // A pod that has completed, and whose addresses another one has now.
    let ghost = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "ghost", "namespace": "blog", "labels": {"app": "guest"}},
        "spec": {"nodeName": "nowhere", "containers": [{"name": "c", "image": IMAGE}]}});
    stage.lab.apply(&ghost);
    let held: Vec<Value> =
        stage.cluster.pods[&name("open/hut")].addresses.iter().map(|ip| json!({"ip": ip})).collect();
    stage.api.set_pod_status(
        "blog",
        "ghost",
        &json!({"phase": "Succeeded", "podIP": held[0]["ip"], "podIPs": held}),
    );
    std::thread::sleep(std::time::Duration::from_millis(500));
    failures.step(
        &stage,
        "13: the addresses of a completed pod are another's",
        &[("open/hut > blog/page TCP/80", false)],
    );
    stage.api.delete_pod("blog", "ghost", true);

    // A running pod completes: what selects it lets its address in no longer. Its sandbox goes on, in a lab.
    stage.policies(&[blue_teams()]);
    failures.step(&stage, "13: before it completes", &[("blog/cron > shop/web TCP/80", true)]);
    let done = stage.port("blog/cron");
    stage.api.set_pod_status("blog", "cron", &json!({"phase": "Succeeded"}));
    let to = stage.port("shop/web");
    let begin = std::time::Instant::now();
    let silent = || {
        let (sent, lost) = Ping::start(&done.open(), to.ipv6, 10).finish();
        sent == lost
    };
    while !silent() && begin.elapsed().as_secs() < 10 {}
    failures.note(if silent() { Ok(()) } else { Err("13: a completed pod is still a peer".to_owned()) });
    failures.none(&stage);
}
