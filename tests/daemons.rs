//! Killing daemons and the controller loses no packet of pods that run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::time::Duration;

use system_tests::real::simulated;
use system_tests::{Lab, Ping, Stream, kill, pods, possible};

/// How many echo requests run while daemons are killed: some twelve seconds of them.
const PINGS: u32 = 1200;

/// Kills both daemons again and again, each time at another moment of their start, and the controller in between.
fn killing_daemons_loses_nothing(overlay: &str) {
    if !possible()
        || !simulated("a kubelet waits ever longer before it starts a daemon anew that dies again and again")
    {
        return;
    }
    let lab = Lab::up(&["--nodes", "2", "--overlay", overlay]);
    lab.apply(&pods([("a", 1), ("b", 2)]));
    lab.wait_for_pods(2);
    for (from, to) in [("default/a", "default/b"), ("default/b", "default/a")] {
        lab.reaches(from, to);
    }
    let nodes = [lab.node(1), lab.node(2)];
    let (a, b) = (nodes[0].port("a"), nodes[1].port("b"));
    let flows = [nodes[0].flows(), nodes[1].flows()];

    let since = lab.overflows();
    let streams = [Stream::start(&a.open(), &b.open(), b.ipv4), Stream::start(&b.open(), &a.open(), a.ipv6)];
    let mut ping = Ping::start(&a.open(), b.ipv4, PINGS);
    let others = [Ping::start(&a.open(), b.ipv6, PINGS), Ping::start(&b.open(), a.ipv4, PINGS)];
    let mut kills = 0;
    let mut round = 0;
    while ping.is_running() {
        // What runs dies at once, however far it has come.
        for pid in nodes.iter().filter_map(|node| lab.program(&node.name, "agent")).map(|(pid, _)| pid) {
            kill(pid);
            kills += 1;
        }
        if round % 4 == 1 {
            kill(lab.program("", "controller").map_or(0, |(pid, _)| pid));
        }
        if round % 4 == 3 {
            nodes[0].control("restart", "agent");
        }
        round += 1;
        std::thread::sleep(Duration::from_millis(40 * round));
    }
    for (name, ping) in [("IPv4", ping)].into_iter().chain(["IPv6", "IPv4, back"].into_iter().zip(others)) {
        let (sent, lost) = ping.finish();
        println!("{overlay}: {lost} of {sent} pings lost ({name}) while daemons were killed {kills} times");
        assert_eq!(sent, PINGS);
        lab.none_lost(name, &since, (sent, lost));
    }
    for (stream, family) in streams.into_iter().zip(["IPv4", "IPv6"]) {
        let (bytes, pause) = stream.finish();
        println!("{overlay}: the {family} stream carried {bytes} bytes; its longest pause was {pause:?}");
        assert!(bytes > 1_000_000, "{bytes} bytes");
    }
    assert!(kills >= 6, "{kills} kills");
    for node in &nodes {
        // The pause after so many deaths is long; this ends it.
        node.control("restart", "agent");
        node.wait_ready();
    }
    assert_eq!([nodes[0].flows(), nodes[1].flows()], flows);
}

#[test]
fn killing_daemons_over_vxlan_loses_nothing() {
    killing_daemons_loses_nothing("vxlan");
}

#[test]
fn killing_daemons_over_gre_loses_nothing() {
    killing_daemons_loses_nothing("gre");
}
