//! A pod can only be itself, and is heard only by whom it talks to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{Ipv4Addr, Ipv6Addr};

use system_tests::frame::{self, BROADCAST, ROUTER};
use system_tests::{Capture, Lab, Port, pods, possible, send, until};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;

/// Drop reasons of docs/pipeline.md.
const SPOOFED: u8 = 2;
const NEIGHBOUR_IGNORED: u8 = 3;
const NOT_ROUTED: u8 = 4;

/// What the tests' frames carry.
const MARK: &[u8] = b"k-vswitch system test";

/// An attacker and its neighbour on one node, and a pod on another.
struct Scene {
    lab: Lab,
    attacker: Port,
    neighbour: Port,
    far: Port,
}

impl Scene {
    fn new(overlay: &str) -> Self {
        let lab = Lab::up(&["--nodes", "2", "--overlay", overlay]);
        lab.apply(&pods([("attacker", 1), ("neighbour", 1), ("far", 2)]));
        lab.wait_for_pods(3);
        for to in ["neighbour", "far"] {
            lab.reaches("default/attacker", &format!("default/{to}"));
        }
        let port = |node: u16, name: &str| lab.node(node).port(name);
        let (attacker, neighbour, far) = (port(1, "attacker"), port(1, "neighbour"), port(2, "far"));
        Self { lab, attacker, neighbour, far }
    }

    /// Sends frames as the attacker. Returns how many with the mark the neighbour and the far pod saw.
    fn heard(&self, frames: &[Vec<u8>]) -> (usize, usize) {
        let captures = [&self.neighbour, &self.far].map(|port| (port.mac(), Capture::start(&port.open())));
        send(&self.attacker.open(), frames);
        let [near, far] = captures.map(|(mac, capture)| {
            // What a pod sends itself does not count: refusals quote what they refuse.
            capture.frames_with(MARK).iter().filter(|frame| frame[6..12] != mac).count()
        });
        (near, far)
    }

    /// Asserts that nobody hears frames and that each is dropped for the reason.
    fn silent(&self, what: &str, reason: u8, frames: &[Vec<u8>]) {
        let node = self.lab.node(1);
        let before = node.dropped(reason);
        assert_eq!(self.heard(frames), (0, 0), "{what}: somebody heard it");
        let count = u64::try_from(frames.len()).unwrap();
        // Counters follow the datapath with a delay. A pod's kernel may add its own.
        until(&format!("{what}: {count} to be counted"), || node.dropped(reason) >= before + count);
    }
}

/// Pads with the mark: what follows an ARP or neighbour discovery packet is not looked at by anyone.
fn marked(frame: Vec<u8>) -> Vec<u8> {
    [frame, MARK.to_vec()].concat()
}

#[test]
fn a_pod_that_pretends_to_be_another_reaches_nobody() {
    if !possible() {
        return;
    }
    let scene = Scene::new("vxlan");
    let (me, other, far) = (&scene.attacker, &scene.neighbour, &scene.far);
    let mac = me.mac();
    let v4 = |mac, from| {
        [other.ipv4, far.ipv4].map(|to| frame::ethernet(ROUTER, mac, IPV4, &frame::udp4(from, to, 7, MARK)))
    };
    let v6 = |mac, from| {
        [other.ipv6, far.ipv6].map(|to| frame::ethernet(ROUTER, mac, IPV6, &frame::udp6(from, to, 7, MARK)))
    };

    // What is honest arrives, once: the captures work.
    assert_eq!(scene.heard(&v4(mac, me.ipv4)), (1, 1));
    assert_eq!(scene.heard(&v6(mac, me.ipv6)), (1, 1));

    let gateway: Ipv4Addr = "10.244.1.1".parse().unwrap();
    for source in [other.ipv4, far.ipv4, gateway, "172.30.0.12".parse().unwrap(), Ipv4Addr::UNSPECIFIED] {
        scene.silent(&format!("from {source}"), SPOOFED, &v4(mac, source));
    }
    for source in [other.ipv6, far.ipv6, "fd00:30::12".parse().unwrap(), Ipv6Addr::UNSPECIFIED] {
        scene.silent(&format!("from {source}"), SPOOFED, &v6(mac, source));
    }
    for source in [other.mac(), ROUTER, BROADCAST] {
        scene.silent(&format!("from {source:?}"), SPOOFED, &v4(source, me.ipv4));
        scene.silent(&format!("from {source:?}"), SPOOFED, &v6(source, me.ipv6));
    }
}

#[test]
fn a_pod_cannot_take_anothers_address_by_arp_or_neighbour_discovery() {
    if !possible() {
        return;
    }
    let scene = Scene::new("vxlan");
    let (me, other, far) = (&scene.attacker, &scene.neighbour, &scene.far);
    let mac = me.mac();
    let arp = |source: [u8; 6], packet: Vec<u8>| marked(frame::ethernet(BROADCAST, source, ARP, &packet));
    let none = [0; 6];
    scene.silent(
        "ARP with another's address",
        SPOOFED,
        &[
            arp(mac, frame::arp(1, mac, other.ipv4, none, far.ipv4)),
            arp(mac, frame::arp(2, mac, other.ipv4, other.mac(), other.ipv4)),
            arp(mac, frame::arp(1, other.mac(), me.ipv4, none, far.ipv4)),
            arp(other.mac(), frame::arp(1, mac, me.ipv4, none, far.ipv4)),
        ],
    );
    let all: Ipv6Addr = "ff02::1".parse().unwrap();
    let nd = |kind, source, target, sll| {
        let packet = frame::neighbour(kind, source, all, target, sll);
        marked(frame::ethernet([0x33, 0x33, 0, 0, 0, 1], mac, IPV6, &packet))
    };
    scene.silent(
        "neighbour discovery with another's address",
        NEIGHBOUR_IGNORED,
        &[
            nd(136, me.ipv6, other.ipv6, mac),
            nd(136, other.ipv6, other.ipv6, mac),
            nd(135, other.ipv6, far.ipv6, mac),
            nd(135, me.ipv6, far.ipv6, other.mac()),
        ],
    );
    for (from, to) in [("far", "neighbour"), ("neighbour", "far"), ("attacker", "far")] {
        scene.lab.reaches(&format!("default/{from}"), &format!("default/{to}"));
    }
}

#[test]
fn nothing_floods() {
    if !possible() {
        return;
    }
    let scene = Scene::new("gre");
    let (me, far) = (&scene.attacker, &scene.far);
    let mac = me.mac();
    let ipv4 = |to: &str| frame::udp4(me.ipv4, to.parse().unwrap(), 7, MARK);
    let ipv6 = |to: &str| frame::udp6(me.ipv6, to.parse().unwrap(), 7, MARK);
    scene.silent(
        "broadcast and multicast",
        NOT_ROUTED,
        &[
            frame::ethernet(BROADCAST, mac, IPV4, &ipv4("255.255.255.255")),
            frame::ethernet([1, 0, 0x5e, 0, 0, 1], mac, IPV4, &ipv4("224.0.0.1")),
            frame::ethernet([0x33, 0x33, 0, 0, 0, 1], mac, IPV6, &ipv6("ff02::1")),
            frame::ethernet([0x33, 0x33, 0, 0, 0, 1], mac, IPV6, &ipv6("ff0e::1")),
        ],
    );
    // Other protocols have no place here: LLDP, IS-IS over LLC, an experimental type.
    let llc = frame::ethernet([1, 0x80, 0xc2, 0, 0, 0x14], mac, 60, &[&[0xfe, 0xfe, 3], MARK].concat());
    let types = [0x88cc, 0x88b5].map(|kind| frame::ethernet(BROADCAST, mac, kind, MARK));
    scene.silent("other protocols", SPOOFED, &[&types[..], &[llc]].concat());
    // Requests that are answered are answered by the bridge alone.
    let request = frame::arp(1, mac, me.ipv4, [0; 6], far.ipv4);
    let asked = Capture::start(&me.open());
    assert_eq!(scene.heard(&[marked(frame::ethernet(BROADCAST, mac, ARP, &request))]), (0, 0));
    let answers = asked.frames_with(&frame::arp(2, ROUTER, far.ipv4, mac, me.ipv4));
    assert_eq!(answers.len(), 1, "one answer, by the virtual router");
}

/// A pod's packets to another node's tunnel end leave its own node with that node's address: masqueraded, they could
/// carry anybody's packets.
fn no_tunnel_is_forged(overlay: &str) {
    if !possible() {
        return;
    }
    let scene = Scene::new(overlay);
    let (me, other, far) = (&scene.attacker, &scene.neighbour, &scene.far);
    let forged = frame::udp4(other.ipv4, far.ipv4, 7, MARK);
    let inside = frame::ethernet(ROUTER, ROUTER, IPV4, &forged);
    let to: Ipv4Addr = "172.30.0.12".parse().unwrap();
    let outer = match overlay {
        "gre" => frame::ipv4(me.ipv4, to, 47, &frame::gre(&inside)),
        _ => frame::udp4(me.ipv4, to, 4789, &frame::vxlan(&inside)),
    };
    assert_eq!(scene.heard(&vec![frame::ethernet(ROUTER, me.mac(), IPV4, &outer); 3]), (0, 0));
    // The node as such is still reached.
    scene.lab.reaches("default/attacker", "outside");
}

#[test]
fn a_pod_cannot_speak_vxlan_to_a_node() {
    no_tunnel_is_forged("vxlan");
}

#[test]
fn a_pod_cannot_speak_gre_to_a_node() {
    no_tunnel_is_forged("gre");
}
