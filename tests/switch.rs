//! Open vSwitch restarts, and nodes do, and all is as before without anyone's help.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use host::Netlink;
use system_tests::real::simulated;
use system_tests::{Lab, Node, Ping, Stream, connects, kill, pod, pods, possible};

/// Every pod's port is open and its flows are in the switch.
fn in_order(node: &Node<'_>) -> bool {
    node.is_ready() && node.ports().iter().all(|port| port.ofport > 0 && port.programmed)
}

#[test]
fn after_a_restart_of_the_switch_all_is_as_before_without_anyones_help() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods([("a", 1), ("b", 2), ("c", 1), ("d", 1)]));
    lab.wait_for_pods(4);
    lab.reaches("default/a", "default/b");
    let node = lab.node(1);
    let (a, b) = (node.port("a"), lab.node(2).port("b"));
    let flows = node.flows();
    let stream = Stream::start(&a.open(), &b.open(), b.ipv4);
    let restart = || node.control("restart", "ovs");
    let crash = || node.kill("ovs-vswitchd");
    let database = || node.kill("ovsdb-server");
    let cases: [(&str, &dyn Fn()); 3] = [
        ("a restart of Open vSwitch", &restart),
        ("a crash of ovs-vswitchd", &crash),
        ("a crash of ovsdb-server", &database),
    ];
    for (what, breaks) in cases {
        let since = lab.overflows();
        let ping = Ping::start(&a.open(), b.ipv4, 600);
        std::thread::sleep(Duration::from_millis(300));
        breaks();
        lab.until(&format!("all to be in order after {what}"), || in_order(&node));
        lab.until(&format!("a to reach b after {what}"), || connects(&a.open(), b.ipv4, 80));
        lab.until(&format!("a to reach b in IPv6 after {what}"), || connects(&a.open(), b.ipv6, 80));
        lab.until(&format!("the flows to be as before {what}"), || node.flows() == flows);
        let (sent, lost) = ping.finish();
        println!("{what}: {lost} of {sent} pings lost, {} ms", lost * 10);
        if what.ends_with("ovsdb-server") {
            lab.none_lost("the database carries no packet", &since, (sent, lost));
        }
    }
    let (bytes, pause) = stream.finish();
    println!("the stream went on after each: {bytes} bytes, the longest pause {pause:?}");
    lab.apply(&pod("e", 1));
    lab.wait_for_pods(5);
    lab.reaches("default/e", "default/b");
}

#[test]
fn a_switch_that_was_started_to_wait_gets_its_flows_before_it_takes_packets() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods([("a", 1), ("b", 2), ("c", 1)]));
    lab.wait_for_pods(3);
    lab.reaches("default/a", "default/b");
    lab.reaches("default/a", "default/c");
    let node = lab.node(1);
    let (a, b, c) = (node.port("a"), lab.node(2).port("b"), node.port("c"));
    let flows = node.flows();
    let setting = |column: &str, key: &str| {
        node.exec(&["ovs-vsctl", "--if-exists", "get", "Open_vSwitch", ".", &format!("{column}:{key}")])
    };
    // Without the mark the wait is somebody else's, and stays. With it, it ends: in the end the first one's, too.
    let waits = ["set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true"];
    let marks = ["external_ids:kvs-flow-restore=true"];
    node.exec(&[&["ovs-vsctl", "--no-wait"], &waits[..]].concat());
    node.control("restart", "agent");
    node.wait_ready();
    assert_eq!(setting("other_config", "flow-restore-wait").trim(), "\"true\"");

    let pings = [b.ipv4, c.ipv4].map(|to| Ping::start(&a.open(), to, 500));
    std::thread::sleep(Duration::from_millis(300));
    node.exec(&[&["ovs-vsctl", "--no-wait"], &waits[..], &marks[..]].concat());
    node.kill("ovs-vswitchd");
    lab.until("the wait to end", || setting("other_config", "flow-restore-wait").trim().is_empty());
    assert_eq!(setting("external_ids", "kvs-flow-restore").trim(), "");
    lab.until("all to be in order", || in_order(&node) && node.flows() == flows);
    lab.until("a to reach b", || connects(&a.open(), b.ipv6, 80));
    let kernel = node.exec(&["ovs-vsctl", "get", "Bridge", "k-vswitch0", "datapath_type"]).trim() == "system";
    for (ping, what) in pings.into_iter().zip(["to the other node", "on the node"]) {
        let (sent, lost) = ping.finish();
        println!("{what}: {lost} of {sent} pings lost, {} ms", lost * 10);
        // The kernel's flows go on, but for a moment at the end of the wait, when what they recirculate to is numbered anew. The
        // userspace datapath is the daemon itself, and gone with it.
        assert!(!kernel || lost < sent / 10, "{what}: {lost} of {sent}");
    }
}

#[test]
fn after_a_reboot_no_two_pods_hold_one_address_and_ports_of_gone_pods_are_removed() {
    if !possible() || !simulated("machines reboot in tests/kubernetes, and kubelets make their pods anew") {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods([("a1", 1), ("a2", 1), ("a3", 1), ("b", 2)]));
    lab.wait_for_pods(4);
    let node = lab.node(1);
    let old = node.ports();
    assert_eq!(old.len(), 3);

    // The machine goes down, hard, and comes up without the pods' namespaces; the database is on its disk.
    let (agent, _) = lab.program("node-1", "agent").unwrap();
    kill(agent);
    node.control("stop", "agent");
    node.control("stop", "ovs");
    let mut netlink = Netlink::open_in(&node.netns).unwrap();
    for link in node.links() {
        netlink.delete_link(link.as_str()).unwrap();
    }
    node.control("start", "ovs");
    node.control("start", "agent");

    // New pods come while the old ones' ports are still there, and go on when they are gone.
    lab.apply(&pods([("c1", 1), ("c2", 1), ("c3", 1)]));
    lab.wait_for_pods(7);
    distinct(&node);
    let remaining = node.ports().iter().filter(|port| port.pod.starts_with('a')).count();
    println!("{remaining} ports of gone pods were there when the new pods ran");
    lab.until("ports of gone pods to be removed", || {
        distinct(&node);
        node.ports().iter().all(|port| port.pod.starts_with('c'))
    });
    lab.delete(&pods([("a1", 1), ("a2", 1), ("a3", 1)]));
    lab.wait_for_pods(4);
    lab.apply(&pods([("d1", 1), ("d2", 1), ("d3", 1)]));
    lab.wait_for_pods(7);
    distinct(&node);
    assert_eq!(node.ports().len(), 6);
    assert_eq!(node.links(), node.ports().into_iter().map(|port| port.name).collect());
    for pod in ["c1", "c2", "c3", "d1", "d2", "d3"] {
        lab.reaches("default/b", &format!("default/{pod}"));
        lab.reaches(&format!("default/{pod}"), "default/b");
    }
}

/// No address is on two ports.
fn distinct(node: &Node<'_>) {
    let addresses: Vec<IpAddr> = node.ports().iter().flat_map(system_tests::Port::addresses).collect();
    assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), addresses.len(), "{addresses:?}");
}
