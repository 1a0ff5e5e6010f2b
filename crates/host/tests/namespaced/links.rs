//! Links, addresses, routes and rules.

use std::net::UdpSocket;
use std::time::Duration;

use host::{Error, OwnPacketsRule, Route, Veth, ethtool};
use ipnet::IpNet;

use crate::{TestNetns, ip, net, privileged};

#[test]
fn a_veth_pair_is_complete_after_one_request() {
    if !privileged() {
        return;
    }
    let (a, b) = (TestNetns::new(), TestNetns::new());
    let (mut in_a, mut in_b) = (a.netlink(), b.netlink());
    let mac = [0x0a, 0x58, 10, 1, 2, 3];
    let veth = Veth {
        noarp: true,
        peer_mac: Some(mac),
        peer_netns: Some(&b.netns),
        mtu: Some(1400),
        ..Veth::new("kvs0", "eth0")
    };
    in_a.create_veth(&veth).unwrap();

    let (host, pod) = (in_a.link("kvs0").unwrap(), in_b.link("eth0").unwrap());
    assert_eq!((host.mtu, pod.mtu), (1400, 1400));
    assert_eq!((host.kind.as_deref(), pod.kind.as_deref()), (Some("veth"), Some("veth")));
    assert_eq!((host.noarp, pod.noarp), (true, false));
    assert_eq!((host.up, pod.up), (false, false));
    assert_eq!(pod.mac, Some(mac));
    assert_eq!((host.peer, pod.peer), (Some(pod.index), Some(host.index)));
    assert!(in_b.find_link("kvs0").unwrap().is_none());

    // Either name being taken fails, and what is there stays as it is.
    assert!(in_a.create_veth(&veth).unwrap_err().is_exists());
    let other = Veth { name: "kvs1", ..veth };
    assert!(in_a.create_veth(&other).unwrap_err().is_exists());
    assert!(in_a.find_link("kvs1").unwrap().is_none());
    assert_eq!(in_b.link("eth0").unwrap(), pod);

    in_a.delete_link("kvs0").unwrap();
    assert!(in_b.find_link("eth0").unwrap().is_none());
    let error = in_a.delete_link("kvs0").unwrap_err();
    assert!(matches!(error, Error::NoLink { .. }), "{error}");
    assert!(error.to_string().contains(&a.name), "{error}");
}

#[test]
fn links_change_and_move_and_join_bridges() {
    if !privileged() {
        return;
    }
    let (a, b) = (TestNetns::new(), TestNetns::new());
    let (mut in_a, mut in_b) = (a.netlink(), b.netlink());
    let bridge = in_a.create_bridge("br0").unwrap();
    assert_eq!((bridge.kind.as_deref(), bridge.up), (Some("bridge"), true));
    a.interface("d0");
    in_a.set_master("d0", Some(bridge.index)).unwrap();
    assert_eq!(in_a.link("d0").unwrap().master, Some(bridge.index));
    in_a.set_master("d0", None).unwrap();

    in_a.set_up("d0", false).unwrap();
    in_a.rename_link("d0", "d1").unwrap();
    in_a.set_mtu("d1", 1234).unwrap();
    in_a.set_mac("d1", [2, 0, 0, 0, 0, 9]).unwrap();
    in_a.move_link("d1", &b.netns).unwrap();
    assert!(in_a.find_link("d1").unwrap().is_none());
    let moved = in_b.link("d1").unwrap();
    assert_eq!((moved.mtu, moved.mac, moved.up), (1234, Some([2, 0, 0, 0, 0, 9]), false));
    in_b.set_mac_mtu_up(&moved, [2, 0, 0, 0, 0, 8], 1300).unwrap();
    let moved = in_b.link(moved.index).unwrap();
    assert_eq!((moved.mtu, moved.mac, moved.up, moved.master), (1300, Some([2, 0, 0, 0, 0, 8]), true, None));

    let names: Vec<String> = in_a.links().unwrap().into_iter().map(|l| l.name).collect();
    assert!(names.contains(&"lo".to_owned()) && names.contains(&"br0".to_owned()), "{names:?}");
    assert!(matches!(in_a.rename_link("br0", "a b").unwrap_err(), Error::LinkName { .. }));
    assert!(matches!(in_a.set_mtu("none", 1).unwrap_err(), Error::NoLink { .. }));
}

#[test]
fn a_pod_with_slash_32_and_128_addresses_reaches_its_gateway() {
    if !privileged() {
        return;
    }
    let (node, pod) = (TestNetns::new(), TestNetns::new());
    let (mut on_node, mut in_pod) = (node.netlink(), pod.netlink());
    let veth = Veth { up: true, peer_netns: Some(&pod.netns), ..Veth::new("kvs0", "eth0") };
    on_node.create_veth(&veth).unwrap();
    in_pod.set_up("eth0", true).unwrap();
    let (host, eth0) = (on_node.link("kvs0").unwrap().index, in_pod.link("eth0").unwrap().index);
    for (gateway, address) in [("10.1.0.1", "10.1.0.5"), ("fd00::1", "fd00::5")] {
        on_node.add_address(host, ip(gateway).into()).unwrap();
        on_node.replace_route(&Route::on_link(ip(address).into(), host).with_source(ip(gateway))).unwrap();
        in_pod.add_address(eth0, ip(address).into()).unwrap();
        in_pod.replace_route(&Route::on_link(ip(gateway).into(), eth0)).unwrap();
        let everywhere = if ip(gateway).is_ipv4() { net("0.0.0.0/0") } else { net("::/0") };
        in_pod.replace_route(&Route::via(everywhere, ip(gateway), eth0).with_mtu(1300)).unwrap();

        let server = node.netns.run(|| UdpSocket::bind((ip(gateway), 7000)).unwrap()).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let client = pod.netns.run(|| UdpSocket::bind((ip(address), 0)).unwrap()).unwrap();
        client.send_to(b"hello", (ip(gateway), 7000)).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (&b"hello"[..], ip(address)));
        assert!(
            on_node
                .neighbours(Some(host))
                .unwrap()
                .iter()
                .any(|n| n.address == ip(address) && n.mac.is_some())
        );
    }

    let routes = in_pod.routes().unwrap();
    let default = routes.iter().find(|r| r.destination == net("0.0.0.0/0")).unwrap();
    assert_eq!((default.via, default.mtu, default.link), (Some(ip("10.1.0.1")), Some(1300), eth0));
    assert_eq!(in_pod.route_to(ip("198.51.100.9")).unwrap().unwrap().via, Some(ip("10.1.0.1")));
    assert_eq!(in_pod.route_to(ip("2001:db8::1")).unwrap().unwrap().via, Some(ip("fd00::1")));
}

#[test]
fn an_interface_can_come_up_without_a_link_local_address() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let mut netlink = test.netlink();
    let with = test.interface("v0");
    netlink.create_veth(&Veth::new("w0", "w1")).unwrap();
    netlink.set_mtu_without_link_local("w0", 1400).unwrap();
    for name in ["w0", "w1"] {
        netlink.set_up(name, true).unwrap();
    }
    let without = netlink.link("w0").unwrap();
    assert_eq!((without.mtu, without.running), (1400, true));
    // The address of the other one is there at once, if still tentative.
    assert_eq!(netlink.addresses(Some(with)).unwrap().len(), 1);
    assert_eq!(netlink.addresses(Some(without.index)).unwrap(), []);
}

#[test]
fn addresses_are_replaced_listed_and_deleted() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let mut netlink = test.netlink();
    let link = test.interface("d0");
    for address in [net("10.1.0.1/24"), net("fd00::1/64")] {
        netlink.add_address(link, address).unwrap();
        assert!(netlink.add_address(link, address).unwrap_err().is_exists());
        netlink.replace_address(link, address).unwrap();
        let found: Vec<_> = netlink.addresses(Some(link)).unwrap();
        let found = found.iter().find(|a| a.net == address).unwrap();
        assert!(!found.tentative, "usable at once");
        netlink.delete_address(link, address).unwrap();
        assert!(netlink.delete_address(link, address).unwrap_err().is_not_found());
    }
    assert!(netlink.addresses(Some(link)).unwrap().iter().all(|a| a.net.to_string().starts_with("fe80")));
}

#[test]
fn own_packets_take_the_routes_of_a_table_of_their_own() {
    if !privileged() {
        return;
    }
    let netns = TestNetns::new();
    let link = netns.interface("up0");
    let mut netlink = netns.netlink();
    netlink.add_address(link, net("192.0.2.1/32")).unwrap();
    for (destination, via) in [("10.9.0.0/16", "169.254.1.1"), ("fd09::/48", "fe80::1:1")] {
        let route = Route::via(net(destination), ip(via), link).with_onlink().in_table(0x6b76);
        netlink.replace_route(&route).unwrap();
        let there = netlink.routes_in(0x6b76).unwrap();
        assert!(there.iter().any(|found| found.via == Some(ip(via))), "{there:?}");
        assert!(!netlink.routes().unwrap().iter().any(|found| found.destination == net(destination)));
        let host_in_it = net(destination).hosts().next().unwrap();
        assert!(netlink.route_to(host_in_it).is_err());
        let rule = OwnPacketsRule { destination: net(destination), table: 0x6b76, priority: 0x6b76 };
        // As from before networks were in them.
        let wider =
            OwnPacketsRule { destination: IpNet::new(net(destination).addr(), 0).unwrap().trunc(), ..rule };
        netlink.add_rule(wider).unwrap();
        netlink.add_rule(rule).unwrap();
        assert!(netlink.add_rule(rule).is_err());
        assert_eq!(netlink.rules().unwrap(), [wider, rule]);
        netlink.delete_rule(wider).unwrap();
        assert_eq!(netlink.rules().unwrap(), [rule]);
        assert_eq!(netlink.route_to(host_in_it).unwrap().unwrap().via, Some(ip(via)));
        netlink.delete_rule(rule).unwrap();
        assert!(netlink.delete_rule(rule).unwrap_err().is_not_found());
        netlink.delete_route(&route).unwrap();
        assert!(netlink.routes_in(0x6b76).unwrap().iter().all(|found| found.destination != net(destination)));
    }
}

#[test]
fn a_route_is_replaced_rather_than_doubled() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    let mut netlink = test.netlink();
    let link = test.interface("d0");
    for (address, destination, via) in
        [("10.1.0.1/24", "10.2.0.0/16", "10.1.0.9"), ("fd00::1/64", "fd02::/64", "fd00::9")]
    {
        netlink.add_address(link, net(address)).unwrap();
        let route = Route::via(net(destination), ip(via), link).with_metric(50);
        netlink.replace_route(&route).unwrap();
        let changed = route.with_mtu(1350);
        netlink.replace_route(&changed).unwrap();
        let found: Vec<Route> =
            netlink.routes().unwrap().into_iter().filter(|r| r.destination == net(destination)).collect();
        assert_eq!(found, [changed]);
        netlink.delete_route(&changed).unwrap();
        assert!(netlink.delete_route(&changed).unwrap_err().is_not_found());
    }
    let error = netlink.replace_route(&Route::via(net("10.9.0.0/16"), ip("192.0.2.1"), link)).unwrap_err();
    assert!(error.to_string().contains("Nexthop has invalid gateway"), "the kernel's words: {error}");
    netlink.replace_route(&Route::via(net("10.9.0.0/16"), ip("192.0.2.1"), link).with_onlink()).unwrap();
}

#[test]
fn offloads_of_a_veth_end_are_switched_off() {
    if !privileged() {
        return;
    }
    let test = TestNetns::new();
    test.netlink().create_veth(&Veth::new("v0", "v1")).unwrap();
    let (before, after, other) = test
        .netns
        .run(|| {
            let before = ethtool::offloads_on("v0").unwrap();
            ethtool::offloads_off("v0").unwrap();
            (before, ethtool::offloads_on("v0").unwrap(), ethtool::offloads_on("v1").unwrap())
        })
        .unwrap();
    assert!(before.contains(&"tx-checksumming"), "{before:?}");
    assert_eq!(after, Vec::<&str>::new());
    assert!(other.contains(&"tx-checksumming"), "the other end is untouched: {other:?}");
}
