//! Nodes come, go and change their addresses, and nobody has to restart anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use host::Netlink;
use system_tests::real::simulated;
use system_tests::{Api, Lab, pod, pods, possible};

/// Flows of a node that name a text.
fn naming(lab: &Lab, node: u16, text: &str) -> usize {
    lab.node(node).flows().iter().filter(|flow| flow.contains(text)).count()
}

#[test]
fn a_node_that_goes_is_forgotten_and_one_that_comes_with_another_pod_cidr_is_joined() {
    if !possible() || !simulated("a kubelet writes its Node itself, its addresses included") {
        return;
    }
    let lab = Lab::up(&["--nodes", "3"]);
    let api = Api::new(&lab);
    lab.apply(&pods([("a", 1), ("b", 2), ("old", 3)]));
    lab.wait_for_pods(3);
    lab.reaches("default/a", "default/old");
    let before = [1, 2, 3].map(|n| lab.program(&format!("node-{n}"), "agent").unwrap());

    lab.delete(&pod("old", 3));
    lab.wait_for_pods(2);
    api.delete_node("node-3");
    for other in [1, 2] {
        lab.until("the node to be forgotten", || naming(&lab, other, "172.30.0.13") == 0);
    }
    lab.reaches("default/a", "default/b");

    api.create_node("node-3", &["10.244.77.0/24", "fd00:10:244:77::/64"], &["172.30.0.13", "fd00:30::13"]);
    for other in [1, 2] {
        lab.until("the node to be joined", || naming(&lab, other, "10.244.77.0/24") >= 2);
        assert_eq!(naming(&lab, other, "10.244.3.0/24"), 0);
    }
    lab.until("its plugin to learn of it", || {
        lab.node(3).exec(&["ovs-vsctl", "br-get-external-id", "k-vswitch0"]).contains("10.244.77.0/24")
    });
    lab.apply(&pod("new", 3));
    lab.wait_for_pods(3);
    let port = lab.node(3).port("new");
    assert_eq!(port.ipv4.octets()[..3], [10, 244, 77]);
    assert_eq!(port.ipv6.segments()[..4], [0xfd00, 0x10, 0x244, 0x77]);
    for other in ["default/a", "default/b", "node:node-3", "node:node-1"] {
        lab.reaches(other, "default/new");
    }
    lab.reaches("default/new", "default/a");
    assert_eq!([1, 2, 3].map(|n| lab.program(&format!("node-{n}"), "agent").unwrap()), before, "restarted");
}

#[test]
fn a_node_whose_address_changes_is_followed() {
    if !possible() || !simulated("a kubelet writes its Node itself, its addresses included") {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    let api = Api::new(&lab);
    lab.apply(&pods([("a", 1), ("b", 2)]));
    lab.wait_for_pods(2);
    lab.reaches("default/a", "default/b");
    let before = [1, 2].map(|n| lab.program(&format!("node-{n}"), "agent").unwrap());

    // As when an operator renumbers the machine: the new address, then the Node, then the old address.
    let mut netlink = Netlink::open_in(&lab.node(2).netns).unwrap();
    let old = "172.30.0.12/24".parse().unwrap();
    let link = netlink.addresses(None).unwrap().into_iter().find(|a| a.net == old).unwrap().link;
    netlink.add_address(link, "172.30.0.99/24".parse().unwrap()).unwrap();
    api.set_addresses("node-2", &["172.30.0.99", "fd00:30::12"]);
    lab.until("the other node to follow", || naming(&lab, 1, "172.30.0.99") > 0);
    assert_eq!(naming(&lab, 1, "172.30.0.12"), 0);
    lab.until("its own tunnel to follow", || {
        lab.node(2).exec(&["ovs-vsctl", "get", "Interface", "kvs-vxlan", "options"]).contains("172.30.0.99")
    });
    netlink.delete_address(link, old).unwrap();
    // The uplink's routes go with its first address, unless the kernel promotes the second.
    let uplink = netlink.link(link).unwrap().name;
    let again = ["node-exec", "node-2", "--", "ip", "address", "replace", "172.30.0.99/24", "dev", &uplink];
    let _ = lab.run(&again);
    if !host::kernel::has_openvswitch().unwrap() {
        // Open vSwitch keeps with a route the address that it had when it was told (docs/operations.md, Datapaths).
        lab.node(2).exec(&["ovs-appctl", "ovs/route/add", "172.30.0.0/24", &uplink]);
    }
    let connected = |from: &str, to: &str| {
        let results = lab.json(&["probe", "--from", from, "--to", to, "--probe", "TCP/80"]);
        results.as_array().unwrap().iter().all(|result| result["result"] == "connected")
    };
    for (from, to) in [("default/a", "default/b"), ("default/b", "default/a"), ("node:node-1", "default/b")] {
        lab.until(&format!("{from} to reach {to}"), || connected(from, to));
    }
    lab.apply(&pod("c", 2));
    lab.wait_for_pods(3);
    lab.reaches("default/a", "default/c");
    assert_eq!([1, 2].map(|n| lab.program(&format!("node-{n}"), "agent").unwrap()), before, "restarted");
}
