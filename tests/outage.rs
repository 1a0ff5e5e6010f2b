//! Without the API server everything that runs goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::time::Duration;

use system_tests::real::simulated;
use system_tests::{Lab, Node, Ping, Stream, pod, pods, possible};

#[test]
fn without_the_api_running_pods_stay_connected_restarts_change_nothing_and_all_heals() {
    if !possible() || !simulated("the kubelet of a node that is cut off cannot restart its daemon's pod") {
        return;
    }
    let lab = Lab::up(&["--nodes", "3"]);
    lab.apply(&pods([("a", 1), ("b", 2), ("c", 1)]));
    lab.wait_for_pods(3);
    lab.reaches("default/a", "default/b");
    let nodes = [lab.node(1), lab.node(2)];
    let (a, b) = (nodes[0].port("a"), nodes[1].port("b"));
    let flows = || [nodes[0].flows(), nodes[1].flows()];
    let before = flows();

    nodes.iter().for_each(Node::cut_off);
    std::thread::sleep(Duration::from_secs(1));
    // A pod that comes must wait: without the API nobody can tell which policies hold for it. It can go.
    lab.apply(&pod("d", 1));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lab.json(&["status"])["pods"], 3);
    assert_eq!(flows(), before);
    lab.delete(&pod("d", 1));
    lab.until("the pod's port to go", || nodes[0].ports().len() == 2);
    lab.until("the pod's flows to go", || flows() == before);

    // Restarted, it waits, and leaves everything as it is.
    let stream = Stream::start(&a.open(), &b.open(), b.ipv6);
    let since = lab.overflows();
    let pings = [Ping::start(&a.open(), b.ipv4, 800), Ping::start(&b.open(), a.ipv6, 800)];
    nodes[0].control("restart", "agent");
    nodes[1].kill("agent");
    std::thread::sleep(Duration::from_secs(2));
    assert!(nodes.iter().all(|node| !node.is_ready()), "nothing was cut off");
    assert_eq!(flows(), before);
    lab.reaches("default/a", "default/b");
    lab.reaches("default/c", "default/b");
    for ping in pings {
        let (sent, lost) = ping.finish();
        println!("{lost} of {sent} pings lost without the API");
        lab.none_lost("without the API", &since, (sent, lost));
    }
    let (bytes, pause) = stream.finish();
    println!("the stream carried {bytes} bytes; its longest pause was {pause:?}");

    nodes.iter().for_each(Node::reconnect);
    nodes.iter().for_each(Node::wait_ready);
    assert_eq!(flows(), before);
    lab.apply(&pods([("e", 1), ("f", 2)]));
    lab.wait_for_pods(5);
    lab.reaches("default/e", "default/f");
    lab.reaches("default/f", "default/a");
}
