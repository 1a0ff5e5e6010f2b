//! Many plugins at once, and plugins that are killed.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use crate::node::{DUAL_STACK, Node, Outcome, TestNetns, addresses};
use serde_json::Value;

#[test]
fn a_hundred_pods_at_once_get_distinct_addresses() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pods: Vec<(String, TestNetns)> = (0..100).map(|i| (format!("c{i}"), TestNetns::new())).collect();
    let mut conf = node.netconf("1.1.0");
    conf["timeoutSeconds"] = 60.into();
    let started = Instant::now();
    let running: Vec<_> =
        pods.iter().map(|(id, pod)| node.call("ADD", id, &pod.path()).spawn(&conf)).collect();
    let results: Vec<Value> = running.into_iter().map(|child| Outcome::of(child).ok()).collect();
    println!("100 ADDs at once: {:?}", started.elapsed());
    let given: BTreeSet<_> = results.iter().flat_map(addresses).collect();
    assert_eq!(given.len(), 200);
    assert_eq!((node.ports().len(), node.host_ends().len()), (100, 100));

    let started = Instant::now();
    let running: Vec<_> =
        pods.iter().map(|(id, pod)| node.call("DEL", id, &pod.path()).spawn(&conf)).collect();
    for child in running {
        assert_eq!(Outcome::of(child).ok(), Value::Null);
    }
    println!("100 DELs at once: {:?}", started.elapsed());
    assert_eq!((node.ports().len(), node.host_ends().len()), (0, 0));
}

#[test]
fn plugins_killed_at_any_moment_leave_nothing_that_gc_does_not_remove() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let keeper = TestNetns::new();
    let kept = addresses(&node.add("keeper", &keeper, "1.1.0").ok());
    // A step of 0.2 ms walks through everything an ADD does.
    for (round, command) in (0..60).zip(["ADD", "ADD", "DEL"].into_iter().cycle()) {
        let (pod, id) = (TestNetns::new(), format!("c{round}"));
        if command == "DEL" {
            node.add(&id, &pod, "1.1.0").ok();
        }
        let mut child = node.call(command, &id, &pod.path()).spawn(&node.netconf("1.1.0"));
        std::thread::sleep(Duration::from_micros(200 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 7 == 0 {
            // The runtime's own clean-up works as well.
            node.del(&id, &pod).ok();
            assert!(pod.netlink().find_link("eth0").unwrap().is_none());
        }
        drop(pod);
    }
    assert_eq!(node.gc(&["keeper"]).ok(), Value::Null);
    assert_eq!((node.ports().len(), node.host_ends().len()), (1, 1));
    let mut held: Vec<String> = kept.iter().map(ToString::to_string).collect();
    held.sort();
    assert_eq!(node.held_addresses(), held);
}

#[test]
fn calls_of_status_at_once_do_not_take_each_other_for_the_daemon() {
    let Some(mut node) = Node::start(&DUAL_STACK) else { return };
    let conf = node.netconf("1.1.0");
    let at_once = |node: &Node| -> Vec<Outcome> {
        let call = node.call("STATUS", "", Path::new(""));
        let running: Vec<_> = (0..8).map(|_| call.spawn(&conf)).collect();
        running.into_iter().map(Outcome::of).collect()
    };
    node.stop_daemon();
    for _ in 0..40 {
        for outcome in at_once(&node) {
            let (code, text) = outcome.error();
            assert_eq!(code, 50, "{text}");
            assert!(text.contains("k-vswitchd"), "{text}");
        }
    }
    node.start_daemon(true);
    for outcome in at_once(&node) {
        assert_eq!(outcome.ok(), Value::Null);
    }
}

/// Not an assertion on speed, which belongs to the benchmark: only the figures.
#[test]
fn the_time_of_add_and_del_is_printed() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let (mut adds, mut dels) = (Vec::new(), Vec::new());
    for i in 0..40 {
        let (pod, id) = (TestNetns::new(), format!("c{i}"));
        let started = Instant::now();
        node.add(&id, &pod, "1.1.0").ok();
        adds.push(started.elapsed());
        let started = Instant::now();
        node.del(&id, &pod).ok();
        dels.push(started.elapsed());
    }
    for (what, mut times) in [("ADD", adds), ("DEL", dels)] {
        times.sort();
        println!("{what}: p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() - 1]);
        assert_eq!(times.len(), 40);
    }
    assert_eq!((node.ports().len(), node.host_ends().len()), (0, 0));
}
