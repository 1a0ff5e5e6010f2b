//! nftables and connection tracking.

use std::net::{IpAddr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use host::{Conntrack, Netns, nft};
use serde_json::json;

use crate::{TestNetns, privileged};

/// For what comes in a moment.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn nftables_rules_land_in_the_namespace() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let there = |netns: &Netns| netns.run(|| nft::has_table("kvst").unwrap()).unwrap();
    if let Err(error) = test.netns.run(|| nft::apply(&table("add", "kvst"))).unwrap() {
        println!("SKIPPED: {error}");
        return;
    }
    assert!(there(&test.netns));
    assert!(!there(&TestNetns::new().netns));
    test.netns.run(|| nft::apply(&table("delete", "kvst")).unwrap()).unwrap();
    assert!(!there(&test.netns));
}

fn table(verb: &str, name: &str) -> serde_json::Value {
    json!({"nftables": [{verb: {"table": {"family": "inet", "name": name}}}]})
}

#[test]
fn a_tables_deletion_is_told_alone_or_with_all_rules_and_nothing_else_is() {
    if !privileged() {
        return;
    }
    let (test, other) = (TestNetns::new(), TestNetns::new());
    let mut deletions = test.netns.run(|| nft::Deletions::of("kvst").unwrap()).unwrap();
    let (told, times) = mpsc::channel();
    std::thread::spawn(move || while deletions.wait().is_ok_and(|what| told.send(what).is_ok()) {});
    let nft =
        |netns: &Netns, commands: serde_json::Value| netns.run(|| nft::apply(&commands).unwrap()).unwrap();
    nft(&test.netns, table("add", "kvst"));
    nft(&test.netns, table("flush", "kvst"));
    for verb in ["add", "delete"] {
        nft(&test.netns, table(verb, "kvst2"));
        nft(&other.netns, table(verb, "kvst"));
    }
    assert!(times.recv_timeout(Duration::from_millis(300)).is_err());
    nft(&test.netns, table("delete", "kvst"));
    assert_eq!(times.recv_timeout(PATIENCE), Ok(nft::Told::Deleted));
    nft(&test.netns, table("add", "kvst"));
    nft(&test.netns, json!({"nftables": [{"flush": {"ruleset": null}}]}));
    assert_eq!(times.recv_timeout(PATIENCE), Ok(nft::Told::Deleted));
    assert!(times.recv_timeout(Duration::from_millis(300)).is_err(), "each is told once");
}

#[test]
fn more_than_can_be_told_is_no_deletion() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let mut deletions = test.netns.run(|| nft::Deletions::of("kvst").unwrap()).unwrap();
    let numbers: Vec<u32> = (0..20_000).collect();
    let many = json!({"nftables": [
        {"add": {"table": {"family": "inet", "name": "kvst"}}},
        {"add": {"set": {"family": "inet", "table": "kvst", "name": "many", "type": "mark"}}},
        {"add": {"element": {"family": "inet", "table": "kvst", "name": "many", "elem": numbers}}},
    ]});
    test.netns.run(|| nft::apply(&many).unwrap()).unwrap();
    assert_eq!(deletions.wait().unwrap(), nft::Told::TooMuch);
}

#[test]
fn tracked_udp_is_told_and_forgotten() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    test.netlink().set_up("lo", true).unwrap();
    let addresses: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    test.netns
        .run(|| {
            // Tracking begins with the first rule that needs it.
            let table = json!({"add": {"table": {"family": "inet", "name": "t"}}});
            let chain = json!({"add": {"chain": {"family": "inet", "table": "t", "name": "c",
                "type": "nat", "hook": "output", "prio": -100, "policy": "accept"}}});
            let translated = json!({"add": {"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [
                {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 30_002}},
                {"redirect": {"port": 30_003}}]}}});
            nft::apply(&json!({"nftables": [table, chain, translated]})).unwrap();
            let mut conntrack = Conntrack::open().unwrap();
            let mut kept = vec![];
            for address in addresses {
                let client = UdpSocket::bind((address, 0)).unwrap();
                for port in [30_001, 30_002] {
                    client.send_to(b"anybody?", (address, port)).unwrap();
                }
                kept.push(client);
            }
            let all = |conntrack: &mut Conntrack| {
                let found = conntrack.udp().unwrap().into_iter();
                let mut found: Vec<_> =
                    found.map(|one| (one.destination.ip(), one.destination.port(), one.translated)).collect();
                found.sort_unstable();
                found
            };
            let [four, six] = addresses;
            let expected =
                [(four, 30_001, false), (four, 30_002, true), (six, 30_001, false), (six, 30_002, true)];
            assert_eq!(all(&mut conntrack), expected);
            let tracked = conntrack.udp().unwrap();
            for one in tracked.iter().filter(|one| !one.translated) {
                conntrack.forget(one).unwrap();
                conntrack.forget(one).unwrap();
            }
            assert_eq!(all(&mut conntrack), [expected[1], expected[3]]);
        })
        .unwrap();
}
