//! Labs come up, live side by side, go without a trace, and survive the death of their supervisor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout, unreachable_pub)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::Lab;

/// A pod that serves a port in each protocol.
fn pod(name: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  containers:\n  \
         - name: c\n    image: i\n    ports:\n    - {{containerPort: 80}}\n    \
         - {{containerPort: 81, protocol: UDP}}\n    - {{containerPort: 82, protocol: SCTP}}\n{more}---\n"
    )
}

fn kill(pid: &Value) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_lab_comes_up_and_goes_without_a_trace() {
    if !support::possible() {
        return;
    }
    let lab = Lab::named();
    let said = lab.bring_up(&["--nodes", "1"]);
    assert!(said.contains("is ready in") && said.contains("export KUBECONFIG="), "{said}");
    assert!(lab.fails(&["up"]).contains("is up already"));

    let status = lab.json(&["status"]);
    assert_eq!((&status["stage"], &status["pods"]), (&json!("ready"), &json!(0)));
    assert_eq!(status["nodes"][0]["addresses"], json!(["172.30.0.11", "fd00:30::11"]));
    let programs = status["nodes"][0]["programs"].as_array().unwrap();
    assert!(programs.iter().all(|program| program["state"] == "running"), "{programs:?}");
    let listed = lab.json(&["list"]);
    let mine = listed.as_array().unwrap().iter().find(|listed| listed["name"] == lab.name).unwrap();
    assert_eq!(mine["stage"], "ready");

    lab.apply(&pod("a", ""));
    lab.wait_for_pods(1);
    assert_eq!(lab.namespaces().len(), 5, "wire, control plane, outside, node, pod");
    assert_eq!(lab.json(&["down"]), json!({"name": lab.name, "down": true, "was_there": true}));
    lab.assert_gone();
    assert_eq!(lab.json(&["down"])["was_there"], false, "a second time is no error");
    assert!(lab.fails(&["status"]).contains("there is no lab"));
}

#[test]
fn two_labs_live_side_by_side() {
    if !support::possible() {
        return;
    }
    let (one, two) = (Lab::up(&["--nodes", "1"]), Lab::up(&["--nodes", "1"]));
    one.apply(&pod("a", ""));
    two.apply(&(pod("a", "") + &pod("b", "")));
    one.wait_for_pods(1);
    two.wait_for_pods(2);
    one.all_connected(&["matrix", "--probe", "TCP/80"], 2);
    two.all_connected(&["matrix", "--probe", "TCP/80"], 8);
    one.ok(&["down"]);
    one.assert_gone();
    two.all_connected(&["matrix", "--probe", "TCP/80"], 8);
}

#[test]
fn a_lab_whose_supervisor_died_is_removed_by_the_next_up() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "1"]);
    lab.apply(&pod("a", ""));
    lab.wait_for_pods(1);
    kill(&lab.json(&["status"])["supervisor"]);
    lab.wait("the supervisor's death", || lab.json(&["list"]).to_string().contains(r#""stage":"dead""#));
    assert!(lab.fails(&["status"]).contains("died"));
    let orphans = lab.processes();
    assert!(!orphans.is_empty(), "its programs live on");

    let said = lab.bring_up(&["--nodes", "1"]);
    assert!(said.contains("removed what an earlier lab left"), "{said}");
    assert_eq!(lab.namespaces().len(), 4, "the pod's is gone");
    let programs = lab.processes();
    assert_eq!(programs.len(), 5, "as many as one node needs: {programs:?}");
    lab.ok(&["down"]);
    lab.assert_gone();
}

#[test]
fn programs_are_stopped_started_and_kept_running() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "1"]);
    let program = |index: usize| lab.json(&["status"])["nodes"][0]["programs"][index].clone();
    let agent = program(0);
    assert_eq!(agent["program"], "agent");

    lab.ok(&["restart", "node-1", "agent"]);
    assert_eq!(program(0)["state"], "running");
    assert_ne!(program(0)["pid"], agent["pid"]);
    kill(&program(0)["pid"]);
    lab.wait("the agent to be started again", || program(0)["restarts"] == 1);

    lab.ok(&["stop", "node-1", "agent"]);
    assert_eq!(program(0)["state"], "stopped");
    lab.wait("the node to be unready", || lab.json(&["status"])["nodes"][0]["ready"] == false);
    lab.apply(&pod("late", ""));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(lab.json(&["status"])["pods"], 0, "no pod runs on a node without its daemon");
    lab.ok(&["start", "node-1", "agent"]);
    lab.wait_for_pods(1);

    lab.ok(&["restart", "node-1", "ovs"]);
    lab.all_connected(&["probe", "--from", "node:node-1", "--to", "outside", "--probe", "TCP/80"], 2);
    kill(&program(2)["pid"]);
    lab.wait("ovs-vswitchd to be started again", || program(2)["restarts"] == 1);
    lab.wait("the node to be back on the network", || {
        let probed = lab.results(&["probe", "--from", "node:node-1", "--to", "outside", "--probe", "ICMP"]);
        probed.iter().all(|result| result["result"] == "connected")
    });

    let controller = lab.json(&["status"])["controller"]["pid"].clone();
    lab.ok(&["restart", "controller"]);
    assert_ne!(lab.json(&["status"])["controller"]["pid"], controller);
    assert!(lab.ok(&["logs", "controller"]).contains("k-vswitch-controller started"));
    assert!(!lab.ok(&["logs", "node-1", "agent"]).is_empty());
    assert!(lab.fails(&["restart", "node-7", "agent"]).contains("this lab has node-1"));
    assert!(lab.fails(&["restart", "node-1"]).contains("which program"));
}

#[test]
fn commands_are_executed_in_pods_and_nodes() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "1"]);
    lab.apply(&pod("a", ""));
    lab.wait_for_pods(1);
    let addresses = lab.ok(&["exec", "a", "--", "ip", "-brief", "address"]);
    assert!(addresses.contains("10.244.1."), "{addresses}");
    assert_eq!(lab.run(&["exec", "a", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    let bridges = lab.ok(&["node-exec", "node-1", "--", "ovs-vsctl", "list-br"]);
    assert!(bridges.lines().any(|bridge| bridge == "k-vswitch0"), "{bridges}");
    let version = lab.ok(&["node-exec", "node-1", "--", "ovs-appctl", "version"]);
    assert!(version.starts_with("ovs-vswitchd"), "{version}");
    assert!(lab.fails(&["exec", "b", "--", "true"]).contains("no pod default/b"));
    assert!(lab.fails(&["exec", "-n", "x", "a", "--", "true"]).contains("no pod x/a"));
    assert!(lab.fails(&["node-exec", "b", "--", "true"]).contains("no node b"));
    assert!(lab.fails(&["exec", "a", "--", "no-such-program"]).contains("no-such-program"));
}

#[test]
fn manifests_are_applied_reported_and_deleted() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "1"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1.yaml"), pod("a", "") + &pod("b", "")).unwrap();
    std::fs::write(
        folder.path().join("2.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {x: '1', y: '2'}\n",
    )
    .unwrap();
    let path = folder.path().to_str().unwrap();
    let apply = |lab: &Lab| lab.ok(&["apply", "-f", path]);
    assert_eq!(apply(&lab), "pod/a created\npod/b created\nconfigmap/c created\n");
    assert_eq!(apply(&lab), "pod/a unchanged\npod/b unchanged\nconfigmap/c unchanged\n");
    std::fs::write(
        folder.path().join("2.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {x: '3'}\n",
    )
    .unwrap();
    assert_eq!(apply(&lab), "pod/a unchanged\npod/b unchanged\nconfigmap/c configured\n");
    if let Some(data) = lab.kubectl(&["get", "configmap", "c", "-o", "jsonpath={.data}"]) {
        assert_eq!(data, r#"{"x":"3"}"#);
    }
    lab.wait_for_pods(2);
    assert_eq!(
        lab.json(&["delete", "-f", path]),
        json!([
            {"object": "configmap/c", "namespace": "default", "result": "deleted"},
            {"object": "pod/b", "namespace": "default", "result": "deleted"},
            {"object": "pod/a", "namespace": "default", "result": "deleted"},
        ])
    );
    lab.wait_for_pods(0);
    lab.wait("the pods' namespaces to go", || lab.namespaces().len() == 4);
    lab.wait("the objects to go", || lab.ok(&["delete", "-f", path]).matches("not found").count() == 3);

    std::fs::write(folder.path().join("2.yaml"), "apiVersion: v9\nkind: Nothing\nmetadata: {name: n}\n")
        .unwrap();
    assert!(lab.fails(&["apply", "-f", path]).contains("Nothing/n"));
    assert!(lab.fails(&["apply", "-f", "/no/such/file"]).contains("/no/such/file"));
}

#[test]
fn a_lab_that_cannot_come_up_says_why() {
    if !support::possible() {
        return;
    }
    let lab = Lab::named();
    let empty = tempfile::tempdir().unwrap();
    let said = lab.fails(&["up", "--bin-dir", empty.path().to_str().unwrap()]);
    assert!(said.contains("k-vswitchd is not in") && said.contains("--bin-dir"), "{said}");
    assert_eq!(lab.json(&["status"])["stage"], "failed");
    lab.ok(&["down"]);
    lab.assert_gone();
    for (arguments, reason) in [
        (["up", "--nodes", "0"], "0"),
        (["up", "--overlay", "geneve"], "vxlan or gre"),
        (["up", "--families", "ipx"], "ipv4 or ipv6"),
        (["up", "--api", "/no/such/kubeconfig"], "/no/such/kubeconfig"),
    ] {
        let said = lab.fails(&arguments);
        assert!(said.contains(reason), "{arguments:?}: {said}");
        lab.assert_gone();
    }
}
