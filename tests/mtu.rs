//! Pods' packets fit into what carries them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::IpAddr;
use std::process::{Command, Output};

use host::{Netlink, Netns};
use system_tests::{Lab, pods, possible};

/// An echo request of so many bytes, IP header included, that nobody may fragment.
fn ping(from: &Netns, to: IpAddr, bytes: u32) -> Output {
    let headers = if to.is_ipv4() { 28 } else { 48 };
    let mut command = Command::new("ping");
    command.args(["-n", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s"]);
    command.args([(bytes - headers).to_string(), to.to_string()]);
    from.run(|| command.output()).unwrap().unwrap()
}

fn the_largest_packet_passes(overlay: &str, overhead: u32) {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2", "--overlay", overlay]);
    lab.apply(&pods([("a", 1), ("b", 2)]));
    lab.wait_for_pods(2);
    lab.reaches("default/a", "default/b");
    let (a, b) = (lab.node(1).port("a"), lab.node(2).port("b"));
    let uplink = Netlink::open_in(&lab.node(1).netns).unwrap().link("eth0").unwrap().mtu;
    let mtu = Netlink::open_in(&a.open()).unwrap().link("eth0").unwrap().mtu;
    assert_eq!(mtu, uplink - overhead);
    for to in b.addresses() {
        let output = ping(&a.open(), to, mtu);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(" 0% packet loss"), "{to}: {said}");
        // The pod's own stack says no: nothing has to come back from the path.
        let output = ping(&a.open(), to, mtu + 1);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let refused = said.contains("essage too long") && said.contains(&mtu.to_string());
        assert!(!output.status.success() && refused, "{to}: {said}");
    }
}

#[test]
fn a_packet_of_the_mtu_passes_over_vxlan_and_a_larger_one_is_refused() {
    the_largest_packet_passes("vxlan", 50);
}

#[test]
fn a_packet_of_the_mtu_passes_over_gre_and_a_larger_one_is_refused() {
    the_largest_packet_passes("gre", 42);
}

#[test]
fn running_pods_follow_the_uplink() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods([("a", 1), ("b", 2)]));
    lab.wait_for_pods(2);
    lab.reaches("default/a", "default/b");
    let (node, b) = (lab.node(1), lab.node(2).port("b"));
    let a = node.port("a");
    for (uplink, wanted) in [(1400, 1350), (1500, 1450)] {
        node.set_uplink_mtu(uplink);
        let mtu = |netns: &Netns, link: &str| Netlink::open_in(netns).unwrap().link(link).unwrap().mtu;
        lab.until("both ends of the pod's interface to have the MTU", || {
            mtu(&a.open(), "eth0") == wanted && mtu(&node.netns, &a.name) == wanted
        });
        for to in b.addresses() {
            let output = ping(&a.open(), to, wanted);
            assert!(output.status.success(), "{to}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}
