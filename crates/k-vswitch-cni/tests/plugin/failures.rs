//! Bad input and broken surroundings: each failure has its code, says what to do, and leaves nothing behind.

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use crate::node::{BRIDGE, DUAL_STACK, Node, Outcome, TestNetns, plugin};
use serde_json::{Value, json};

/// The plugin with these variables and this input, outside any node.
fn run(variables: &[(&str, &str)], input: &str) -> Outcome {
    let mut child = plugin().envs(variables.iter().copied()).spawn().unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Outcome::of(child)
}

const ADD: [(&str, &str); 4] = [
    ("CNI_COMMAND", "ADD"),
    ("CNI_CONTAINERID", "c1"),
    ("CNI_NETNS", "/run/netns/kvst-no-such"),
    ("CNI_IFNAME", "eth0"),
];

#[test]
fn version_lists_the_supported_versions() {
    for (input, answered) in
        [(r#"{"cniVersion":"0.4.0"}"#, "0.4.0"), (r#"{"cniVersion":"9.9.9"}"#, "1.1.0"), ("", "1.1.0")]
    {
        let answer = run(&[("CNI_COMMAND", "VERSION")], input).ok();
        assert_eq!(answer["cniVersion"], answered);
        assert_eq!(answer["supportedVersions"], json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    }
}

#[test]
fn missing_variables_are_code_4_and_named() {
    let (code, text) = run(&[], "{}").error();
    assert_eq!(code, 4);
    assert!(text.contains("CNI_COMMAND"), "{text}");
    let (code, text) = run(&[("CNI_COMMAND", "ADD")], "{}").error();
    assert_eq!(code, 4);
    assert!(text.contains("CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME"), "{text}");
}

#[test]
fn malformed_configurations_are_told() {
    for (input, code) in [
        ("", 6),
        ("{", 6),
        (r#"{"cniVersion":"1.1.0","name":3}"#, 6),
        (r#"{"cniVersion":"2.0.0","name":"pods"}"#, 1),
        (r#"{"name":"pods"}"#, 1),
        (r#"{"cniVersion":"1.1.0","name":"-"}"#, 7),
        (r#"{"cniVersion":"1.1.0","name":"pods","mtu":3}"#, 7),
        (r#"{"cniVersion":"1.1.0","name":"pods","ipam":{"type":"k-vswitch","subnet":"10.0.0.0/8"}}"#, 2),
        (r#"{"cniVersion":"1.1.0","name":"pods","prevResult":7}"#, 6),
    ] {
        let (found, text) = run(&ADD, input).error();
        assert_eq!(found, code, "{input}: {text}");
    }
    // The answer is in the version that was asked for, where that can be read.
    let outcome = run(&ADD, r#"{"cniVersion":"0.4.0","name":"pods","mtu":3}"#);
    assert_eq!(outcome.output["cniVersion"], "0.4.0");
}

#[test]
fn commands_younger_than_the_configuration_are_code_1() {
    for (command, version) in [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")] {
        let mut variables = ADD.to_vec();
        variables[0] = ("CNI_COMMAND", command);
        let (code, text) =
            run(&variables, &json!({"cniVersion": version, "name": "pods"}).to_string()).error();
        assert_eq!(code, 1, "{text}");
    }
}

#[test]
fn a_missing_namespace_is_an_unknown_container() {
    let (code, text) =
        run(&ADD, r#"{"cniVersion":"1.1.0","name":"pods","ovsdb":"/nonexistent/db.sock"}"#).error();
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("/run/netns/kvst-no-such"), "{text}");
}

#[test]
fn the_nodes_own_namespace_is_no_container() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    for path in ["/proc/self/ns/net", node.netns.path().to_str().unwrap()] {
        let (code, text) = node.call("ADD", "c1", Path::new(path)).with(&node.netconf("1.1.0")).error();
        assert_eq!(code, 4, "{text}");
        assert!(text.contains("CNI_NETNS"), "{text}");
    }
    assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
}

#[test]
fn a_database_that_does_not_run_is_told_with_its_path() {
    let Some(mut node) = Node::start(&DUAL_STACK) else { return };
    let pod = TestNetns::new();
    node.add("c0", &pod, "1.1.0").ok();
    node.stop_daemon();
    node.kill(0);
    let other = TestNetns::new();
    let (code, text) = node.add("c1", &other, "1.1.0").error();
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("db.sock") && text.contains("ovsdb-server"), "{text}");
    assert!(other.netlink().find_link("eth0").unwrap().is_none());
    let (code, text) = node.status().error();
    assert_eq!(code, 51, "{text}");
    // DEL does what it can and reports the rest, so that the runtime comes back.
    let (code, text) = node.del("c0", &pod).error();
    assert_eq!(code, 11, "{text}");
    assert_eq!(node.host_ends(), Vec::<String>::new());
}

#[test]
fn a_port_that_is_not_programmed_in_time_is_undone_with_code_11() {
    let Some(mut node) = Node::start(&DUAL_STACK) else { return };
    node.start_daemon(false);
    let pod = TestNetns::new();
    let mut conf = node.netconf("1.1.0");
    conf["timeoutSeconds"] = 1.into();
    let started = Instant::now();
    let (code, text) = node.call("ADD", "c1", &pod.path()).with(&conf).error();
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("k-vswitchd"), "{text}");
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < Duration::from_secs(5));
    assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
    assert!(pod.netlink().find_link("eth0").unwrap().is_none());
    // It can be tried again at once.
    node.start_daemon(true);
    node.call("ADD", "c1", &pod.path()).with(&conf).ok();
}

#[test]
fn a_switch_that_does_not_run_is_told_apart_from_a_missing_daemon() {
    let Some(mut node) = Node::start(&DUAL_STACK) else { return };
    node.kill(1);
    let pod = TestNetns::new();
    let mut conf = node.netconf("1.1.0");
    conf["timeoutSeconds"] = 1.into();
    let (code, text) = node.call("ADD", "c1", &pod.path()).with(&conf).error();
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("ovs-vswitchd"), "{text}");
    assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
}

#[test]
fn a_node_without_bridge_or_pod_cidr_is_tried_again() {
    let Some(mut node) = Node::without_bridge() else { return };
    let pod = TestNetns::new();
    let (code, text) = node.add("c1", &pod, "1.1.0").error();
    assert_eq!(code, 11, "{text}");
    assert!(text.contains(BRIDGE) && text.contains("k-vswitchd"), "{text}");
    node.vsctl(&["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"]);
    node.start_daemon(true);
    let (code, text) = node.add("c1", &pod, "1.1.0").error();
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("kvs-node"), "{text}");
    node.vsctl(&["set", "bridge", BRIDGE, "external_ids:kvs-node=node1", "external_ids:kvs-mtu=1500"]);
    let (code, text) = node.add("c1", &pod, "1.1.0").error();
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("kvs-pod-cidr-ipv4"), "{text}");
    assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
}

#[test]
fn a_full_pod_cidr_is_told_and_a_freed_address_is_used() {
    let small = [
        ("kvs-node", "node1"),
        ("kvs-pod-cidr-ipv4", "10.9.0.0/29"),
        ("kvs-gateway-ipv4", "10.9.0.1"),
        ("kvs-mtu", "1500"),
    ];
    let Some(node) = Node::start(&small) else { return };
    let pods: Vec<TestNetns> = (0..5).map(|_| TestNetns::new()).collect();
    let ids = ["c0", "c1", "c2", "c3", "c4"];
    for (id, pod) in ids.iter().zip(&pods) {
        assert_eq!(node.add(id, pod, "1.1.0").ok()["ips"].as_array().unwrap().len(), 1);
    }
    let extra = TestNetns::new();
    let (code, text) = node.add("c5", &extra, "1.1.0").error();
    assert_eq!(code, 101, "{text}");
    assert!(text.contains("10.9.0.0/29"), "{text}");
    assert!(extra.netlink().find_link("eth0").unwrap().is_none());
    let (code, text) = node.status().error();
    assert_eq!(code, 50, "{text}");
    assert!(text.contains("10.9.0.0/29"), "{text}");
    node.del("c3", &pods[3]).ok();
    assert_eq!(node.status().ok(), Value::Null);
    assert_eq!(node.add("c5", &extra, "1.1.0").ok()["ips"][0]["address"], "10.9.0.5/32");
}

#[test]
fn missing_privileges_are_told() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pod = TestNetns::new();
    let Ok(setpriv) = std::process::Command::new("setpriv").arg("--version").output() else {
        println!("SKIPPED: setpriv is not installed (package util-linux)");
        return;
    };
    assert!(setpriv.status.success());
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_k-vswitch-cni")]);
    command.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", "c1").env("CNI_IFNAME", "eth0");
    command.env("CNI_NETNS", pod.path());
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = node.netns.netns.run(|| command.spawn().unwrap()).unwrap();
    child.stdin.take().unwrap().write_all(node.netconf("1.1.0").to_string().as_bytes()).unwrap();
    let (code, text) = Outcome::of(child).error();
    assert_eq!(code, 102, "{text}");
    assert!(text.contains("CAP_NET_ADMIN"), "{text}");
    assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
    assert_eq!(node.call("DEL", "c1", Path::new("")).with(&node.netconf("1.1.0")).ok(), Value::Null);
}
