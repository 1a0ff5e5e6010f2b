//! Attachments from ADD to DEL, against a real Open vSwitch.

use std::{path::Path, process::Command, time::Instant};

use crate::node::{BRIDGE, Call, DUAL_STACK, Node, TestNetns, addresses, exists};
use host::{Netlink, ethtool, sysctl};
use serde_json::{Value, json};

const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn every_version_adds_and_deletes_with_its_own_result() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    for version in VERSIONS {
        let pod = TestNetns::new();
        let result = node.add("c1", &pod, version).ok();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["ips"].as_array().unwrap().len(), 2, "{result}");
        assert_eq!(result["ips"][0]["version"].is_string(), version < "1.0.0", "{result}");
        let inside = &result["interfaces"][1];
        assert_eq!(inside["name"], "eth0");
        assert_eq!(inside["sandbox"], pod.path().to_str().unwrap());
        assert_eq!(inside["mtu"].is_u64(), version == "1.1.0", "{result}");
        assert_eq!(result["ips"][0]["interface"], 1);

        let mut conf = node.netconf(version);
        conf["prevResult"] = result.clone();
        if version >= "0.4.0" {
            assert_eq!(node.call("CHECK", "c1", &pod.path()).with(&conf).ok(), Value::Null);
        } else {
            assert_eq!(node.call("CHECK", "c1", &pod.path()).with(&conf).error().0, 1);
        }
        assert_eq!(node.call("DEL", "c1", &pod.path()).with(&conf).ok(), Value::Null);
        assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
        assert!(pod.netlink().find_link("eth0").unwrap().is_none());
        assert_eq!(node.call("DEL", "c1", &pod.path()).with(&conf).ok(), Value::Null, "DEL is idempotent");
    }
}

#[test]
fn an_mtu_of_the_configuration_is_the_pods_and_is_told_to_the_daemon() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let (own, other) = (TestNetns::new(), TestNetns::new());
    let mut conf = node.netconf("1.1.0");
    conf["mtu"] = 1400.into();
    let result = node.call("ADD", "c1", &own.path()).with(&conf).ok();
    let port = result["interfaces"][0]["name"].as_str().unwrap();
    assert_eq!(own.netlink().link("eth0").unwrap().mtu, 1400);
    assert_eq!(node.port_fact(port, "kvs-mtu"), "1400");
    let result = node.add("c2", &other, "1.1.0").ok();
    let port = result["interfaces"][0]["name"].as_str().unwrap();
    assert_eq!(other.netlink().link("eth0").unwrap().mtu, 1430);
    assert_eq!(node.port_fact(port, "kvs-mtu"), "");
}

#[test]
fn an_added_pod_is_wired_as_the_node_says() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pod = TestNetns::new();
    let result = node.add("c1", &pod, "1.1.0").ok();
    let ips = addresses(&result);

    let mut netlink = pod.netlink();
    let eth0 = netlink.link("eth0").unwrap();
    assert_eq!((eth0.mtu, eth0.up, eth0.noarp), (1430, true, false));
    assert!(netlink.link("lo").unwrap().up);
    let std::net::IpAddr::V4(v4) = ips[0] else { panic!("{ips:?}") };
    let [a, b, c, d] = v4.octets();
    assert_eq!(eth0.mac, Some([0x0a, 0x58, a, b, c, d]));
    let found: Vec<String> =
        netlink.addresses(Some(eth0.index)).unwrap().iter().map(|a| a.net.to_string()).collect();
    for ip in &ips {
        let wanted = if ip.is_ipv4() { format!("{ip}/32") } else { format!("{ip}/128") };
        assert!(found.contains(&wanted), "{found:?}");
    }
    let routes = netlink.routes().unwrap();
    for (destination, via) in [("0.0.0.0/0", "10.244.1.1"), ("::/0", "fd00:244:1::1")] {
        let default = routes.iter().find(|r| r.destination == destination.parse().unwrap()).unwrap();
        assert_eq!(default.via, Some(via.parse().unwrap()));
    }

    let port = &node.ports()[0];
    assert_eq!(port.len(), 15);
    assert!(port.starts_with("kvs"), "{port}");
    assert_eq!(result["interfaces"][0]["name"], port.as_str());
    for (key, value) in [
        ("kvs-pod-namespace", "shop"),
        ("kvs-pod-name", "c1"),
        ("kvs-pod-uid", "u1"),
        ("kvs-container-id", "c1"),
        ("kvs-ifname", "eth0"),
        ("kvs-netns", pod.path().to_str().unwrap()),
        ("kvs-ipv4", &ips[0].to_string()),
        ("kvs-ipv6", &ips[1].to_string()),
        ("kvs-mac", result["interfaces"][1]["mac"].as_str().unwrap()),
    ] {
        assert_eq!(node.port_fact(port, key), value, "{key}");
    }
    let number = node.vsctl(&["get", "Interface", port, "ofport"]);
    assert_eq!(node.port_fact(port, "kvs-programmed"), number);

    let mut on_host = node.netns.netlink();
    let host_end = on_host.link(port).unwrap();
    assert_eq!((host_end.mtu, host_end.up, host_end.noarp), (1430, true, true));
    assert_eq!(host_end.mac.map(|mac| mac[0] & 3), Some(2));
    assert_eq!(on_host.addresses(Some(host_end.index)).unwrap(), [], "no link-local address either");
    node.netns
        .netns
        .run(|| {
            assert_eq!(sysctl::read(&format!("net/ipv4/conf/{port}/rp_filter")).unwrap(), "1");
            assert_eq!(sysctl::read(&format!("net/ipv6/conf/{port}/accept_ra")).unwrap(), "0");
            assert_eq!(ethtool::offloads_on(port).unwrap(), Vec::<&str>::new());
        })
        .unwrap();
    assert_eq!(pod.netns.run(|| ethtool::offloads_on("eth0").unwrap()).unwrap(), Vec::<&str>::new());
}

#[test]
fn a_second_add_fails_and_leaves_the_first_alone() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let (pod, other) = (TestNetns::new(), TestNetns::new());
    let result = node.add("c1", &pod, "1.1.0").ok();
    let before = (node.ports(), node.host_ends(), node.held_addresses());
    assert_eq!(node.add("c1", &pod, "1.1.0").error().0, 100);
    assert_eq!(node.add("c1", &other, "1.1.0").error().0, 100, "in another namespace");
    assert_eq!(node.add("c2", &pod, "1.1.0").error().0, 100, "the interface name is taken");
    assert_eq!((node.ports(), node.host_ends(), node.held_addresses()), before);
    assert!(other.netlink().find_link("eth0").unwrap().is_none());
    let mut conf = node.netconf("1.1.0");
    conf["prevResult"] = result;
    assert_eq!(node.call("CHECK", "c1", &pod.path()).with(&conf).ok(), Value::Null);
}

#[test]
fn one_pod_can_have_two_interfaces() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pod = TestNetns::new();
    let path = pod.path();
    let conf = node.netconf("1.1.0");
    let first = node.call("ADD", "c1", &path).with(&conf).ok();
    let mut second = node.call("ADD", "c1", &path);
    second.ifname = "net1";
    let second = second.with(&conf).ok();
    assert_ne!(addresses(&first), addresses(&second));
    assert_eq!(node.ports().len(), 2);
}

#[test]
fn a_chained_add_keeps_the_previous_result() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pod = TestNetns::new();
    let mut conf = node.netconf("1.0.0");
    conf["prevResult"] = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "ext0"}],
        "ips": [{"address": "192.0.2.5/24", "interface": 0}],
        "dns": {"nameservers": ["192.0.2.53"]},
    });
    let result = node.call("ADD", "c1", &pod.path()).with(&conf).ok();
    assert_eq!(result["interfaces"][0]["name"], "ext0");
    assert_eq!(result["interfaces"].as_array().unwrap().len(), 3);
    assert_eq!(result["ips"][0]["address"], "192.0.2.5/24");
    assert_eq!(result["ips"][1]["interface"], 2);
    assert_eq!(result["dns"]["nameservers"][0], "192.0.2.53");
    conf["prevResult"] = result;
    assert_eq!(node.call("CHECK", "c1", &pod.path()).with(&conf).ok(), Value::Null);
}

#[test]
fn del_works_without_namespace_interface_or_port() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let conf = node.netconf("1.1.0");
    // Without CNI_NETNS and with the namespace gone.
    let pod = TestNetns::new();
    node.add("c1", &pod, "1.1.0").ok();
    drop(pod);
    assert_eq!(node.call("DEL", "c1", Path::new("")).with(&conf).ok(), Value::Null);
    assert_eq!((node.ports(), node.host_ends()), (vec![], vec![]));
    // With the interface gone.
    let pod = TestNetns::new();
    node.add("c2", &pod, "1.1.0").ok();
    pod.netlink().delete_link("eth0").unwrap();
    assert_eq!(node.del("c2", &pod).ok(), Value::Null);
    assert_eq!(node.ports(), Vec::<String>::new());
    // With the port gone.
    node.add("c3", &pod, "1.1.0").ok();
    node.vsctl(&["del-port", &node.ports()[0]]);
    assert_eq!(node.del("c3", &pod).ok(), Value::Null);
    assert_eq!(node.host_ends(), Vec::<String>::new());
    // With nothing ever there, and a bridge that is gone.
    node.vsctl(&["del-br", BRIDGE]);
    assert_eq!(node.call("DEL", "c4", Path::new("/run/netns/none")).with(&conf).ok(), Value::Null);
}

/// A name, what it breaks, and what CHECK says of it.
type Breakage<'a> = (&'a str, &'a dyn Fn(&Node, &TestNetns), &'a str);

#[test]
fn check_tells_what_is_wrong() {
    let Some(mut node) = Node::start(&DUAL_STACK) else { return };
    let breakages: [Breakage<'_>; 6] = [
        ("down", &|_, pod| pod.netlink().set_up("eth0", false).unwrap(), "is down"),
        (
            "mac",
            &|_, pod| pod.netlink().set_mac("eth0", [2, 0, 0, 0, 0, 1]).unwrap(),
            "MAC 02:00:00:00:00:01",
        ),
        (
            "address",
            &|_, pod| {
                let mut netlink = pod.netlink();
                let link = netlink.link("eth0").unwrap().index;
                let all = netlink.addresses(Some(link)).unwrap();
                let address = all.iter().find(|a| a.net.addr().is_ipv4()).unwrap();
                netlink.delete_address(link, address.net).unwrap();
            },
            "has lost its address 10.244.1.",
        ),
        (
            "route",
            &|_, pod| {
                let mut netlink = pod.netlink();
                let all = netlink.routes().unwrap();
                let default = all.iter().find(|r| r.destination.prefix_len() == 0).unwrap();
                netlink.delete_route(default).unwrap();
            },
            "route to 0.0.0.0/0 is gone",
        ),
        ("port", &|node, _| drop(node.vsctl(&["del-port", &node.ports()[0]])), "port"),
        ("link", &|_, pod| pod.netlink().delete_link("eth0").unwrap(), "is gone"),
    ];
    for (id, breaking, told) in breakages {
        let pod = TestNetns::new();
        let mut conf = node.netconf("1.1.0");
        conf["timeoutSeconds"] = 1.into();
        conf["prevResult"] = node.add(id, &pod, "1.1.0").ok();
        breaking(&node, &pod);
        let (code, text) = node.call("CHECK", id, &pod.path()).with(&conf).error();
        assert_eq!(code, 104, "{text}");
        assert!(text.contains(told), "{id}: {text}");
        node.call("DEL", id, &pod.path()).with(&conf).ok();
    }
    // A port whose flows are not in the switch.
    let pod = TestNetns::new();
    let mut conf = node.netconf("1.1.0");
    conf["timeoutSeconds"] = 1.into();
    conf["prevResult"] = node.add("flows", &pod, "1.1.0").ok();
    node.stop_daemon();
    node.vsctl(&["remove", "Interface", &node.ports()[0], "external_ids", "kvs-programmed"]);
    let (code, text) = node.call("CHECK", "flows", &pod.path()).with(&conf).error();
    assert_eq!(code, 104, "{text}");
    assert!(text.contains("k-vswitchd"), "{text}");
    // No previous result.
    conf.as_object_mut().unwrap().remove("prevResult");
    assert_eq!(node.call("CHECK", "flows", &pod.path()).with(&conf).error().0, 7);
}

#[test]
fn gc_removes_what_is_not_valid_and_keeps_the_rest() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pods: Vec<TestNetns> = (0..4).map(|_| TestNetns::new()).collect();
    for (id, pod) in ["c0", "c1", "c2", "c3"].iter().zip(&pods) {
        node.add(id, pod, "1.1.0").ok();
    }
    // A port of somebody else, an interface without a port, a port without an interface.
    node.vsctl(&["add-port", BRIDGE, "other0", "--", "set", "Interface", "other0", "type=internal"]);
    let ports = node.ports();
    let port_of =
        |id: &str| ports.iter().find(|p| node.port_fact(p, "kvs-container-id") == id).unwrap().clone();
    let (c1, c2, c3) = (port_of("c1"), port_of("c2"), port_of("c3"));
    node.vsctl(&["del-port", &c2]);
    pods[3].netlink().delete_link("eth0").unwrap();
    assert_eq!(node.gc(&["c1"]).ok(), Value::Null);
    assert_eq!(node.host_ends(), std::slice::from_ref(&c1));
    let mut left = node.ports();
    left.sort();
    assert_eq!(left, [c1, "other0".to_owned()], "{c3} is gone too");
    assert_eq!(node.gc(&["c1"]).ok(), Value::Null, "GC is idempotent");

    // A configuration without the key must not remove everything.
    let (code, text) = node.call("GC", "", Path::new("")).with(&node.netconf("1.1.0")).error();
    assert_eq!(code, 7, "{text}");
    assert_eq!(node.gc(&[]).ok(), Value::Null);
    assert_eq!(node.ports(), ["other0"]);
}

#[test]
fn status_says_whether_an_add_could_be_served() {
    let Some(mut node) = Node::start(&DUAL_STACK) else { return };
    assert_eq!(node.status().ok(), Value::Null);
    node.stop_daemon();
    let (code, text) = node.status().error();
    assert_eq!(code, 50, "{text}");
    assert!(text.contains("k-vswitchd"), "{text}");
    node.start_daemon(true);
    assert_eq!(node.status().ok(), Value::Null);
    node.vsctl(&["clear", "Bridge", BRIDGE, "external_ids"]);
    assert_eq!(node.status().error().0, 50, "the node has no pod CIDR");
    node.vsctl(&["del-br", BRIDGE]);
    let (code, text) = node.status().error();
    assert_eq!(code, 50, "{text}");
    assert!(text.contains(BRIDGE), "{text}");
}

#[test]
fn addresses_come_from_a_delegated_plugin() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    if !Path::new("/usr/lib/cni/host-local").is_file() {
        println!("SKIPPED: /usr/lib/cni/host-local is not installed (package containernetworking-plugins)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let pod = TestNetns::new();
    let path = pod.path();
    let mut conf = node.netconf("1.0.0");
    conf["ipam"] = json!({
        "type": "host-local",
        "dataDir": directory.path(),
        "ranges": [[{"subnet": "10.244.1.0/24", "rangeStart": "10.244.1.77"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let call = |command| Call { path: "/usr/lib/cni", ..node.call(command, "c1", &path) };
    let result = call("ADD").with(&conf).ok();
    assert_eq!(addresses(&result), ["10.244.1.77".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(node.held_addresses(), ["10.244.1.77"]);
    let lease = directory.path().join("pods/10.244.1.77");
    assert!(exists(&lease));

    let mut check = conf.clone();
    check["prevResult"] = result;
    assert_eq!(call("CHECK").with(&check).ok(), Value::Null);
    // The node's own allocation goes round what others hold.
    let other = TestNetns::new();
    assert_eq!(node.add("c2", &other, "1.0.0").ok()["ips"].as_array().unwrap().len(), 2);
    assert_eq!(call("DEL").with(&conf).ok(), Value::Null);
    assert!(!exists(&lease), "DEL is delegated as well");

    // What is undone is undone there too.
    conf["ipam"]["type"] = "no-such-ipam".into();
    let (code, text) = call("ADD").with(&conf).error();
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("no-such-ipam"), "{text}");
    assert_eq!(node.ports().len(), 1);
}

#[test]
fn a_delegated_address_that_a_port_holds_is_refused_and_given_back() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    if !Path::new("/usr/lib/cni/host-local").is_file() {
        println!("SKIPPED: /usr/lib/cni/host-local is not installed (package containernetworking-plugins)");
        return;
    }
    let (pod, other) = (TestNetns::new(), TestNetns::new());
    let held = addresses(&node.add("c1", &pod, "1.1.0").ok())[0];
    let directory = tempfile::tempdir().unwrap();
    let mut conf = node.netconf("1.0.0");
    conf["ipam"] = json!({
        "type": "host-local",
        "dataDir": directory.path(),
        "ranges": [[{"subnet": "10.244.1.0/24", "rangeStart": held, "rangeEnd": held}]],
    });
    let path = other.path();
    let call = Call { path: "/usr/lib/cni", ..node.call("ADD", "c2", &path) };
    let (_, text) = call.with(&conf).error();
    assert!(text.contains(&held.to_string()), "{text}");
    assert!(!exists(&directory.path().join(format!("pods/{held}"))));
    assert_eq!((node.ports().len(), node.host_ends().len()), (1, 1));
    assert!(Netlink::open_in(&other.netns).unwrap().find_link("eth0").unwrap().is_none());
}

#[test]
fn a_pod_reaches_a_gateway_on_the_bridge() {
    let Some(node) = Node::start(&DUAL_STACK) else { return };
    let pod = TestNetns::new();
    node.add("c1", &pod, "1.1.0").ok();
    // The real flows are the daemon's; a learning switch is enough to see that wire, port and routes carry packets.
    let mut netlink = node.netns.netlink();
    let bridge = netlink.link(BRIDGE).unwrap().index;
    // The gateway is in the pod's neighbour table, with the virtual router's MAC.
    let database = format!("--db=unix:{}", node.socket().display());
    let hwaddr = "other-config:hwaddr=\"0a:58:00:00:00:01\"";
    let set = Command::new("ovs-vsctl").args([&database, "set", "bridge", BRIDGE, hwaddr]).status().unwrap();
    assert!(set.success());
    netlink.set_up(bridge, true).unwrap();
    netlink.add_address(bridge, "10.244.1.1/24".parse().unwrap()).unwrap();
    let management = node.socket().with_file_name(format!("{BRIDGE}.mgmt"));
    let done = Command::new("ovs-ofctl")
        .arg("add-flow")
        .arg(format!("unix:{}", management.display()))
        .arg("actions=NORMAL")
        .status()
        .unwrap();
    assert!(done.success());
    let started = Instant::now();
    let server = node.netns.netns.run(|| std::net::TcpListener::bind("10.244.1.1:8080").unwrap()).unwrap();
    let client = pod.netns.run(|| std::net::TcpStream::connect("10.244.1.1:8080")).unwrap();
    client.unwrap();
    drop(server);
    assert!(started.elapsed().as_secs() < 5);
}
