//! SCTP where the datapath tracks it by addresses alone: of all associations between two pods, those pass that are allowed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::json;
use system_tests::stage::{Cast, Stage};
use system_tests::{Capture, Port, frame, possible, send};

/// Packets that one node lets pass as replies: from whom, to whom, and to which port; all are from port 80.
type Replies = BTreeSet<(IpAddr, IpAddr, u16)>;

/// Number of SCTP (RFC 9260).
const SCTP: u8 = 132;

/// What every probe of one end from another has come to.
fn outcomes(stage: &Stage, from: &str, to: &str, probe: &str) -> Vec<String> {
    let results = stage.lab.json(&["probe", "--from", from, "--to", to, "--probe", probe, "--timeout", "2s"]);
    let results = results.as_array().unwrap().iter();
    results.map(|result| result["result"].as_str().unwrap().to_owned()).collect()
}

fn flows(stage: &Stage, node: u16, table: u8) -> String {
    let table = format!("table={table}");
    let dump = ["ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "dump-flows", "k-vswitch0", &table];
    stage.lab.node(node).exec(&dump)
}

/// The flows that a node has learned. Each must be for replies from SCTP port 80, and for nothing else.
fn replies(stage: &Stage, node: u16) -> Replies {
    let text = flows(stage, node, 32);
    text.lines().filter(|line| line.contains("table=32")).map(reply).collect()
}

fn reply(flow: &str) -> (IpAddr, IpAddr, u16) {
    let (_, matching) = flow.split_once("priority=100,").expect(flow);
    let (matching, actions) = matching.split_once(" actions=").expect(flow);
    assert!(actions.ends_with("->NXM_NX_REG0[8]") || actions.ends_with("->reg0"), "{flow}");
    let mut fields: BTreeMap<&str, &str> =
        matching.split(',').map(|field| field.split_once('=').unwrap_or((field, ""))).collect();
    let six = fields.remove("sctp").is_none();
    assert_eq!(six, fields.remove("sctp6").is_some(), "{flow}");
    let [from, to] = if six { ["ipv6_src", "ipv6_dst"] } else { ["nw_src", "nw_dst"] };
    let mut take = |name: &str| fields.remove(name).expect(flow);
    let [from, to] = [from, to].map(|name| take(name).parse().expect(flow));
    assert_eq!(take("tp_src"), "80", "{flow}");
    let port = take("tp_dst").parse().unwrap();
    assert!(fields.is_empty(), "{flow}");
    (from, to, port)
}

/// An INIT chunk (RFC 9260 section 3.3.2) between two ports, with a text behind it, as an Ethernet frame. Nobody looks at
/// its checksum on the way.
fn init(from: &Port, to: &Port, ipv4: bool, [source, destination]: [u16; 2], text: &str) -> Vec<u8> {
    let header = [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0; 8]].concat();
    let chunk = [1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];
    let sctp = [&header[..], &chunk, text.as_bytes()].concat();
    match ipv4 {
        true => {
            let packet = frame::ipv4(from.ipv4, to.ipv4, SCTP, &sctp);
            frame::ethernet(frame::ROUTER, from.mac(), 0x0800, &packet)
        }
        false => {
            let packet = frame::ipv6(from.ipv6, to.ipv6, SCTP, 8, sctp);
            frame::ethernet(frame::ROUTER, from.mac(), 0x86dd, &packet)
        }
    }
}

/// Which of these INITs arrive: by family (true: IPv4) and ports. An answer could be lost where what it answers was not.
fn arriving(from: &Port, to: &Port, inits: &[(bool, [u16; 2])]) -> Vec<(bool, [u16; 2])> {
    let text = |(ipv4, [source, destination]): &(bool, [u16; 2])| {
        format!("init {} {source} to {destination} {ipv4}.", from.pod)
    };
    let capture = Capture::start(&to.open());
    let frames: Vec<_> = inits.iter().map(|one| init(from, to, one.0, one.1, &text(one))).collect();
    send(&from.open(), &frames);
    let seen = capture.frames_with(b"init ");
    let arrives = |one: &&(bool, [u16; 2])| {
        let text = text(one);
        seen.iter().any(|frame| frame.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    inits.iter().filter(arrives).copied().collect()
}

#[test]
fn an_allowed_association_opens_the_way_for_its_own_replies_only() {
    if !possible() {
        return;
    }
    let pod = |name, node, labels| Cast { name, node, labels, ..Cast::default() };
    let mut stage = Stage::up(
        2,
        &[("shop", &[])],
        &[
            pod("shop/a", 1, &[("app", "a")]),
            pod("shop/near", 1, &[("app", "b")]),
            pod("shop/far", 2, &[("app", "b")]),
        ],
    );
    let ports = json!([{"protocol": "SCTP", "port": 80}]);
    let both = json!(["Ingress", "Egress"]);
    let app = |name: &str| json!({"matchLabels": {"app": name}});
    let a = json!({"podSelector": app("a"), "policyTypes": both,
        "egress": [{"to": [{"podSelector": app("b")}], "ports": ports}]});
    let b = json!({"podSelector": app("b"), "policyTypes": both,
        "ingress": [{"from": [{"podSelector": app("a")}], "ports": ports}]});
    stage.policies(&[("shop/a", a), ("shop/b", b)]);
    // Not with SCTP yet: what passes before the policies are in force must not leave flows behind.
    stage.agree("everybody is isolated", &["TCP/80", "ICMP"]).unwrap();
    for node in [1, 2] {
        assert_eq!(replies(&stage, node), Replies::new(), "node-{node}");
    }

    let is = |from: &str, to: &str, probe: &str, outcome: &str| {
        let found = outcomes(&stage, from, to, probe);
        assert_eq!(found, [outcome; 2], "{from} to {to}, {probe}\n{}", stage.lab.tails());
    };
    let others = ["shop/near", "shop/far"];
    let a = stage.port("shop/a");
    // From a port like any, and from the one that the association is with.
    let back: Vec<(bool, [u16; 2])> = [true, false]
        .into_iter()
        .flat_map(|ipv4| [[50_000, 80], [50_001, 81], [80, 80], [80, 0xbfff]].map(|ports| (ipv4, ports)))
        .collect();
    for other in others {
        let port = stage.port(other);
        is(other, "shop/a", "SCTP/80", "dropped");
        is("shop/a", other, "SCTP/81", "dropped");
        is("shop/a", other, "SCTP/80", "connected");
        assert_eq!(arriving(&port, &a, &back), [], "from {other}\n{}", stage.lab.tails());
        is(other, "shop/a", "SCTP/80", "dropped");
        is(other, "shop/a", "SCTP/81", "dropped");
        let there = [true, false].map(|ipv4| (ipv4, [50_002, 81]));
        assert_eq!(arriving(&a, &port, &there), [], "to {other}\n{}", stage.lab.tails());
        is("shop/a", other, "SCTP/81", "dropped");
        is("shop/a", other, "SCTP/80", "connected");
    }
    if !flows(&stage, 1, 31).contains("sctp") {
        println!("SKIPPED: the datapath tells associations apart, and nothing is learned");
        return;
    }
    // What looks like a reply is taken for one: so those above were not lost for another reason.
    for other in others {
        let port = stage.port(other);
        let learned = replies(&stage, 1).into_iter().filter(|(from, ..)| port.addresses().contains(from));
        let known: Vec<(bool, [u16; 2])> =
            learned.map(|(from, _, its)| (from.is_ipv4(), [80, its])).collect();
        assert_eq!(arriving(&port, &a, &known), known, "from {other}");
    }

    let [a, near, far] = ["shop/a", "shop/near", "shop/far"].map(|name| stage.port(name).addresses());
    let pairs = |replies: &Replies| -> BTreeSet<(IpAddr, IpAddr)> {
        replies.iter().map(|(from, to, _)| (*from, *to)).collect()
    };
    let with = |others: &[[IpAddr; 2]]| -> BTreeSet<(IpAddr, IpAddr)> {
        others.iter().flat_map(|other| [(other[0], a[0]), (other[1], a[1])]).collect()
    };
    let [one, two] = [1, 2].map(|node| replies(&stage, node));
    println!("{} flows on node-1, {} on node-2", one.len(), two.len());
    assert_eq!(pairs(&one), with(&[near, far]), "{one:#?}");
    assert_eq!(pairs(&two), with(&[far]), "{two:#?}");
    // Both nodes have seen the same associations between them: two of each family.
    let between: Replies = one.into_iter().filter(|(from, ..)| far.contains(from)).collect();
    assert_eq!(between, two);
    assert_eq!(two.len(), 4, "{two:#?}");

    stage.agree("SCTP", &["SCTP/80", "SCTP/81"]).unwrap();
    for (node, others) in [(1, &[near, far][..]), (2, &[far])] {
        assert_eq!(pairs(&replies(&stage, node)), with(others), "node-{node}");
    }
}
