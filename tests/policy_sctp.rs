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

/// The flows that a node has learned. Each must be for replies from SCTP port 80, and for nothing else.
fn replies(stage: &Stage, node: u16) -> Replies {
    let dump = ["ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "dump-flows", "k-vswitch0", "table=32"];
    let text = stage.lab.node(node).exec(&dump);
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

/// An INIT chunk (RFC 9260 section 3.3.2) from port 80, with a text behind it, as an Ethernet frame.
fn init(from: &Port, to: &Port, port: u16, text: &[u8]) -> Vec<u8> {
    let header = [&80_u16.to_be_bytes()[..], &port.to_be_bytes(), &[0; 8]].concat();
    let chunk = [1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1];
    let sctp = [&header[..], &chunk, text].concat();
    frame::ethernet(frame::ROUTER, from.mac(), 0x0800, &frame::ipv4(from.ipv4, to.ipv4, SCTP, &sctp))
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
    for other in ["shop/near", "shop/far"] {
        is(other, "shop/a", "SCTP/80", "dropped");
        is("shop/a", other, "SCTP/81", "dropped");
        is("shop/a", other, "SCTP/80", "connected");
        is(other, "shop/a", "SCTP/80", "dropped");
        is(other, "shop/a", "SCTP/81", "dropped");
        is("shop/a", other, "SCTP/81", "dropped");
        is("shop/a", other, "SCTP/80", "connected");
    }
    // From the very port of the association, too, only to where it came from.
    for other in ["shop/near", "shop/far"] {
        let [from, to] = [other, "shop/a"].map(|name| stage.port(name));
        let learned = replies(&stage, 1);
        let (_, _, its) = learned.iter().find(|(source, ..)| *source == from.ipv4).unwrap();
        let (seen, lost) = (format!("reply {other}"), format!("association {other}"));
        let captures = [Capture::start(&to.open()), Capture::start(&to.open())];
        send(&from.open(), &[80, 81, 0xbfff].map(|port| init(&from, &to, port, lost.as_bytes())));
        send(&from.open(), &[init(&from, &to, *its, seen.as_bytes())]);
        let [replies, others] = captures;
        assert_eq!(replies.frames_with(seen.as_bytes()).len(), 1, "{other}: what looks like a reply");
        assert_eq!(others.frames_with(lost.as_bytes()).len(), 0, "{other}: what does not");
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
