//! The ways from the host to Services in the bridge, with real nftables and real packets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs
)]

mod loopback;
mod tunnels;
mod world;

use std::io::ErrorKind;

use agent::host_setup::{self, Services};
use agent::published::{self, Changes, NodePort, Own, Published};
use host::sysctl::{self, Sysctls};
use service::lb::{External, Protocol};

use world::{Bridge, FAMILIES, IPV4, IPV6, Server, World, failure, ip, run};

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
/// A node port.
const NODE_PORT: u16 = 30080;
/// A port of an external address, and the node port that stands for it.
const EXTERNAL: (u16, u16) = (80, 60001);

macro_rules! world {
    ($bridge:expr) => {
        match World::new($bridge) {
            Some(world) => world,
            None => return,
        }
    };
}

fn on() -> Option<Services> {
    Some(Services::default())
}

/// The node port, and the port of these addresses, for both families and protocols.
fn published(addresses: &[&str]) -> Published {
    let mut published = Published::default();
    for protocol in PROTOCOLS {
        let port = NODE_PORT;
        published.node_ports.extend([false, true].map(|ipv6| NodePort { ipv6, protocol, port }));
        for address in addresses {
            let at = External { address: ip(address), protocol, port: EXTERNAL.0 };
            published.external.insert(at, EXTERNAL.1);
        }
    }
    published
}

fn set_up(world: &World, published: &Published) {
    world.set_up(on());
    world.on_node(|| published::restate(published)).unwrap();
}

#[test]
fn clients_and_own_processes_reach_node_ports_with_their_own_address() {
    let world = world!(Bridge::Answers);
    set_up(&world, &published(&[]));
    for (family, protocol) in FAMILIES.iter().flat_map(|f| PROTOCOLS.map(|p| (f, p))) {
        let server = Server::new(&world.bridge, protocol, family.node_port, NODE_PORT);
        for to in [family.node, family.second] {
            let client = ip(family.client);
            assert_eq!(server.hears(&world.client, to, NODE_PORT), (client, client));
        }
        for to in [family.node, family.second, family.gateway] {
            assert_eq!(server.hears(&world.node, to, NODE_PORT), (ip(to), ip(to)));
        }
    }
}

#[test]
fn external_addresses_are_reached_by_the_port_that_stands_for_them() {
    let world = world!(Bridge::Answers);
    set_up(&world, &published(&FAMILIES.map(|f| f.external)));
    for (family, protocol) in FAMILIES.iter().flat_map(|f| PROTOCOLS.map(|p| (f, p))) {
        let server = Server::new(&world.bridge, protocol, family.node_port, EXTERNAL.1);
        for (from, address) in [(&world.client, family.client), (&world.node, family.node)] {
            let address = ip(address);
            assert_eq!(server.hears(from, family.external, EXTERNAL.0), (address, address));
        }
    }
}

#[test]
fn an_external_address_may_be_the_nodes_own_and_its_port_a_node_port() {
    let world = world!(Bridge::Answers);
    let mut wanted = published(&FAMILIES.map(|f| f.second));
    for ipv6 in [false, true] {
        wanted.node_ports.insert(NodePort { ipv6, protocol: Protocol::Tcp, port: EXTERNAL.0 });
    }
    set_up(&world, &wanted);
    for family in FAMILIES {
        let external = Server::new(&world.bridge, Protocol::Tcp, family.node_port, EXTERNAL.1);
        let node_port = Server::new(&world.bridge, Protocol::Tcp, family.node_port, EXTERNAL.0);
        for from in [&world.client, &world.node] {
            external.hears(from, family.second, EXTERNAL.0);
            node_port.hears(from, family.node, EXTERNAL.0);
        }
    }
}

#[test]
fn clients_outside_come_straight_to_the_nodes_processes_where_they_may() {
    let world = world!(Bridge::Answers);
    let mut has = published(&FAMILIES.map(|f| f.external));
    set_up(&world, &has);
    let of = |family: &world::Family, sources: &[&str]| {
        let sources = sources.iter().map(|net| net.parse().unwrap()).collect();
        Own { to: std::net::SocketAddr::new(ip(family.second), 8080), sources }
    };
    let with = |sources: [&[&str]; 2]| {
        let mut wanted = has.clone();
        for (family, sources) in FAMILIES.iter().zip(sources) {
            let own = of(family, sources);
            for protocol in PROTOCOLS {
                let ipv6 = own.to.is_ipv6();
                wanted.own.node_ports.insert(NodePort { ipv6, protocol, port: NODE_PORT }, own.to);
                let at = External { address: ip(family.external), protocol, port: EXTERNAL.0 };
                wanted.own.external.insert(at, own.clone());
            }
        }
        wanted
    };
    let everybody = with([&[], &[]]);
    let some = with([&["192.0.2.0/25", "192.0.2.64/26"], &["2001:db8::/116", "2001:db8:7::/48"]]);
    let others = with([&["192.0.2.0/26"], &["2001:db8:7::/48"]]);
    // As differences, and all anew.
    for (wanted, allowed) in [(everybody, true), (some, true), (others, false)] {
        let changes = Changes::between(&has, &wanted);
        world.on_node(|| published::apply(&changes)).unwrap();
        has.follow(&changes);
        assert_eq!(has, wanted);
        for anew in [false, true] {
            if anew {
                world.on_node(|| published::restate(&wanted)).unwrap();
            }
            for (family, protocol) in FAMILIES.iter().flat_map(|f| PROTOCOLS.map(|p| (f, p))) {
                let client = ip(family.client);
                let own = Server::new(&world.node, protocol, family.second, 8080);
                for to in [family.node, family.second] {
                    assert_eq!(own.hears(&world.client, to, NODE_PORT), (client, client));
                }
                let in_bridge = Server::new(&world.bridge, protocol, family.node_port, EXTERNAL.1);
                let server = if allowed { &own } else { &in_bridge };
                assert_eq!(server.hears(&world.client, family.external, EXTERNAL.0), (client, client));
                // The node itself is inside: the bridge chooses from all endpoints for it.
                let node = ip(family.node);
                assert_eq!(in_bridge.hears(&world.node, family.external, EXTERNAL.0), (node, node));
            }
        }
    }
}

#[test]
fn own_processes_reach_cluster_ips_by_the_bridge_from_the_gateway() {
    let world = world!(Bridge::Answers);
    set_up(&world, &Published::default());
    for (family, protocol) in FAMILIES.iter().flat_map(|f| PROTOCOLS.map(|p| (f, p))) {
        let server = Server::new(&world.bridge, protocol, family.cluster_ip, 443);
        let gateway = ip(family.gateway);
        assert_eq!(server.hears(&world.node, family.cluster_ip, 443), (gateway, gateway));
        let routes = |table: &str| {
            let version = if gateway.is_ipv4() { "-4" } else { "-6" };
            run(&world.node, &format!("ip {version} route show table {table} dev k-vswitch0"))
        };
        let net = if gateway.is_ipv4() { "10.96.0.0/16" } else { "fd96::/112" };
        let main = routes("main");
        let line = main.lines().find(|line| line.starts_with(net)).unwrap();
        assert!(line.contains(&format!("src {gateway}")), "{main}");
        assert_eq!(line.contains("via"), gateway.is_ipv6(), "{main}");
        let own = routes("27510");
        let line = own.lines().find(|line| line.starts_with(net)).unwrap();
        assert!(line.contains("via") && line.contains(&format!("src {gateway}")), "{own}");
    }
}

#[test]
fn what_comes_from_the_bridge_or_is_for_loopback_is_left_alone() {
    let world = world!(Bridge::Answers);
    set_up(&world, &published(&[]));
    for (family, loopback) in FAMILIES.iter().zip(["127.0.0.1", "::1"]) {
        let own = Server::new(&world.node, Protocol::Tcp, family.node, NODE_PORT);
        let pod = ip(family.pod);
        assert_eq!(own.hears(&world.bridge, family.node, NODE_PORT), (pod, pod));
        let own = Server::new(&world.node, Protocol::Tcp, loopback, NODE_PORT);
        own.hears(&world.node, loopback, NODE_PORT);
    }
}

#[test]
fn node_ports_can_be_limited_to_some_of_the_nodes_addresses() {
    let world = world!(Bridge::Answers);
    let nets = ["198.51.100.9/24", "198.51.100.1/32", "198.51.101.0/24", "2001:db8:1::/48"];
    world.set_up(Some(Services { node_port_addresses: nets.map(|net| net.parse().unwrap()).into() }));
    world.on_node(|| published::restate(&published(&[]))).unwrap();
    for family in FAMILIES {
        let server = Server::new(&world.bridge, Protocol::Tcp, family.node_port, NODE_PORT);
        for from in [&world.client, &world.node] {
            server.hears(from, family.second, NODE_PORT);
            let other = failure(from, Protocol::Tcp, family.node, NODE_PORT);
            assert_eq!(other, ErrorKind::ConnectionRefused, "the node itself does not listen there");
        }
    }
    // A family that the list does not speak of.
    world.set_up(Some(Services { node_port_addresses: vec!["198.51.100.0/24".parse().unwrap()] }));
    let server = Server::new(&world.bridge, Protocol::Tcp, IPV6.node_port, NODE_PORT);
    server.hears(&world.client, IPV6.node, NODE_PORT);
}

#[test]
fn what_the_bridge_wants_refused_is_refused() {
    let world = world!(Bridge::Refuses);
    // The strictest that a distribution sets.
    for key in ["all", "k-vswitch0"] {
        world.on_node(|| sysctl::write(&format!("net/ipv4/conf/{key}/rp_filter"), "1")).unwrap();
    }
    set_up(&world, &published(&FAMILIES.map(|f| f.external)));
    for (family, protocol) in FAMILIES.iter().flat_map(|f| PROTOCOLS.map(|p| (f, p))) {
        for (address, port) in
            [(family.cluster_ip, 443), (family.node, NODE_PORT), (family.external, EXTERNAL.0)]
        {
            let what = failure(&world.bridge, protocol, address, port);
            assert_eq!(what, ErrorKind::ConnectionRefused, "{address}:{port} {protocol:?}");
        }
    }
}

#[test]
fn strict_reverse_path_filters_become_loose_on_the_bridge_only_where_they_are_and_are_needed() {
    let world = world!(Bridge::Answers);
    let of = |link: &str| {
        let key = format!("net/ipv4/conf/{link}/rp_filter");
        world.on_node(move || sysctl::read(&key)).unwrap()
    };
    let set = |link: &str, value: &str| {
        world.on_node(|| sysctl::write(&format!("net/ipv4/conf/{link}/rp_filter"), value)).unwrap();
    };
    set("all", "0");
    set("k-vswitch0", "0");
    world.set_up(on());
    assert_eq!(of("k-vswitch0"), "0");
    set("all", "1");
    world.set_up(None);
    assert_eq!(of("k-vswitch0"), "0");
    world.set_up(on());
    assert_eq!((of("k-vswitch0").as_str(), of("all").as_str()), ("2", "1"));
}

#[test]
fn elements_come_and_go_one_by_one_and_outlive_the_rules() {
    let world = world!(Bridge::Answers);
    let mut has = published(&[IPV4.external]);
    set_up(&world, &has);
    let server = Server::new(&world.bridge, Protocol::Tcp, IPV4.node_port, NODE_PORT);
    server.hears(&world.client, IPV4.node, NODE_PORT);

    // The rules anew: elements stay.
    let before = world.table();
    world.set_up(on());
    assert_eq!(world.table(), before);
    server.hears(&world.client, IPV4.node, NODE_PORT);

    // One goes, one comes, one changes.
    let mut wanted = has.clone();
    wanted.node_ports.remove(&NodePort { ipv6: false, protocol: Protocol::Tcp, port: NODE_PORT });
    wanted.node_ports.insert(NodePort { ipv6: false, protocol: Protocol::Sctp, port: 30081 });
    let at = External { address: ip(IPV4.external), protocol: Protocol::Tcp, port: EXTERNAL.0 };
    wanted.external.insert(at, 60002);
    let changes = Changes::between(&has, &wanted);
    world.on_node(|| published::apply(&changes)).unwrap();
    has.follow(&changes);
    assert_eq!(has, wanted);
    let table = world.table();
    assert!(table.contains("sctp . 30081") && !table.contains("sctp . 30080"), "{table}");
    assert!(table.contains("203.0.113.7 . tcp . 80 : 60002"), "{table}");
    assert!(table.contains("203.0.113.7 . udp . 80 : 60001"), "{table}");
    let gone = failure(&world.client, Protocol::Tcp, IPV4.node, NODE_PORT);
    assert_eq!(gone, ErrorKind::ConnectionRefused);
    let changed = Server::new(&world.bridge, Protocol::Tcp, IPV4.node_port, 60002);
    changed.hears(&world.client, IPV4.external, EXTERNAL.0);

    // What is not there cannot go: then nothing is done, and everything has to be said again.
    let error = world.on_node(|| published::apply(&changes)).unwrap_err();
    assert!(error.to_string().contains("nft"), "{error}");
    assert_eq!(world.table(), table);
    run(&world.node, "nft add element inet k-vswitch node-ports4 { tcp . 31000 }");
    run(&world.node, "nft delete element inet k-vswitch external4 { 203.0.113.7 . udp . 80 : 60001 }");
    world.on_node(|| published::restate(&wanted)).unwrap();
    assert_eq!(sorted(&world.table()), sorted(&table));
    world.on_node(|| published::restate(&Published::default())).unwrap();
    assert!(!world.table().contains("elements = { 203"));
}

/// Lines and elements in an order that the kernel's hashing has no part in.
fn sorted(table: &str) -> Vec<&str> {
    let mut parts: Vec<&str> =
        table.split([',', '\n', '{', '}']).map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    parts
}

#[test]
fn thousands_are_said_at_once() {
    let world = world!(Bridge::Answers);
    let mut wanted = published(&[]);
    for port in 30000..35000 {
        wanted.node_ports.insert(NodePort { ipv6: port % 2 == 0, protocol: Protocol::Udp, port });
        let address = format!("203.0.113.{}", port % 200).parse().unwrap();
        wanted.external.insert(External { address, protocol: Protocol::Tcp, port }, port);
    }
    set_up(&world, &wanted);
    let table = world.table();
    assert_eq!(table.matches(" : ").count(), 5000 + 10, "elements, and the types of maps");
    let server = Server::new(&world.bridge, Protocol::Tcp, IPV4.node_port, 34999);
    server.hears(&world.client, "203.0.113.199", 34999);
}

#[test]
fn nothing_is_left_of_services_that_are_turned_off() {
    let world = world!(Bridge::Answers);
    world.set_up(None);
    let without = world.table();
    let routes = |table: &str| {
        ["-4", "-6"].map(|v| run(&world.node, &format!("ip {v} route show table {table} dev k-vswitch0")))
    };
    let routed = ["main", "27510"].map(routes);
    set_up(&world, &published(&FAMILIES.map(|f| f.external)));
    assert_ne!(world.table(), without);
    world.set_up(None);
    assert_eq!(world.table(), without);
    assert_eq!(["main", "27510"].map(routes), routed);
    for family in FAMILIES {
        let refused = failure(&world.client, Protocol::Tcp, family.node, NODE_PORT);
        assert_eq!(refused, ErrorKind::ConnectionRefused, "the node itself does not listen there");
    }
    // And a plan without them does not mind that there never were any.
    world.on_node(|| host_setup::apply(&world.plan(None), &Sysctls::default())).unwrap();
}
