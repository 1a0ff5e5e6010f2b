//! Host ports at the node's loopback addresses.

use std::net::UdpSocket;
use std::time::Duration;

use agent::published;
use host::sysctl;

use crate::world::{Bridge, FAMILIES, IPV4, IPV6, Server, World, failure, ip, run};
use crate::{EXTERNAL, NODE_PORT, PROTOCOLS, on, published as publish, set_up};

const LOOPBACK: &str = "127.0.0.1";

fn route_localnet(world: &World, link: &str) -> String {
    let key = format!("net/ipv4/conf/{link}/route_localnet");
    world.on_node(move || sysctl::read(&key)).unwrap()
}

/// Has a machine send what is for loopback addresses to the node, instead of to itself, and use others of them.
fn reaches_for_loopback(netns: &host::Netns, link: &str, node: &str) {
    run(netns, "ip addr del 127.0.0.1/8 dev lo");
    run(netns, "ip addr add 127.0.0.66/32 dev lo");
    run(netns, &format!("sysctl -qw net.ipv4.conf.{link}.route_localnet=1"));
    run(netns, &format!("ip route add {LOOPBACK}/32 via {node} dev {link}"));
}

#[test]
fn the_nodes_own_processes_reach_them_from_any_of_its_addresses() {
    let Some(world) = World::new(Bridge::Answers) else { return };
    set_up(&world, &publish(&[LOOPBACK]));
    let gateway = ip(IPV4.gateway);
    for protocol in PROTOCOLS {
        let server = Server::new(&world.bridge, protocol, IPV4.node_port, EXTERNAL.1);
        assert_eq!(server.hears(&world.node, LOOPBACK, EXTERNAL.0), (ip(LOOPBACK), gateway));
        for source in [LOOPBACK, "127.0.0.2", IPV4.node, IPV4.second, IPV4.gateway] {
            let seen = if ip(source).to_string().starts_with("127.") { gateway } else { ip(source) };
            assert_eq!(server.hears_from(&world.node, source, LOOPBACK, EXTERNAL.0), (ip(source), seen));
        }
        // Other ports are those of who listens there.
        let own = Server::new(&world.node, protocol, LOOPBACK, NODE_PORT);
        own.hears(&world.node, LOOPBACK, NODE_PORT);
    }
    // Node ports are another matter.
    let loopback = failure(&world.node, PROTOCOLS[0], "127.0.0.2", NODE_PORT);
    assert_eq!(loopback, std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn of_ipv6_they_answer_who_has_another_address() {
    let Some(world) = World::new(Bridge::Answers) else { return };
    let ipv6 = "::1";
    set_up(&world, &publish(&[ipv6]));
    for protocol in PROTOCOLS {
        let server = Server::new(&world.bridge, protocol, IPV6.node_port, EXTERNAL.1);
        for source in [IPV6.node, IPV6.second, IPV6.gateway] {
            assert_eq!(server.hears_from(&world.node, source, ipv6, EXTERNAL.0), (ip(source), ip(source)));
        }
        // Others get to what listens there.
        let own = Server::new(&world.node, protocol, ipv6, EXTERNAL.0);
        assert_eq!(own.hears(&world.node, ipv6, EXTERNAL.0), (ip(ipv6), ip(ipv6)));
    }
    let refused = failure(&world.node, PROTOCOLS[0], ipv6, EXTERNAL.0);
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn nobody_else_reaches_them_or_what_listens_at_loopback_addresses() {
    let Some(world) = World::new(Bridge::Answers) else { return };
    set_up(&world, &publish(&[LOOPBACK, IPV4.node]));
    let listeners = [
        ("a host port", Server::new(&world.bridge, PROTOCOLS[1], IPV4.node_port, EXTERNAL.1)),
        ("a process", Server::new(&world.node, PROTOCOLS[1], LOOPBACK, 7777)),
        ("all addresses", Server::new(&world.node, PROTOCOLS[1], "0.0.0.0", 8888)),
    ];
    // What is honest arrives.
    listeners[0].1.hears(&world.client, IPV4.node, EXTERNAL.0);
    listeners[1].1.hears(&world.node, LOOPBACK, 7777);
    listeners[2].1.hears(&world.bridge, IPV4.gateway, 8888);
    reaches_for_loopback(&world.bridge, "host", IPV4.gateway);
    reaches_for_loopback(&world.client, "eth0", IPV4.node);
    // An earlier client's answers have gone by now; nothing may be left to be read.
    for (netns, own) in [(&world.bridge, IPV4.pod), (&world.client, IPV4.client)] {
        let targets = [EXTERNAL.0, 7777, 8888].map(|port| (own, LOOPBACK, port));
        let forged = [("127.0.0.66", IPV4.gateway, 8888), ("127.0.0.66", IPV4.node, EXTERNAL.0)];
        for (from, to, port) in targets.into_iter().chain(forged) {
            let send = || UdpSocket::bind((from, 0))?.send_to(b"forged", (to, port));
            // Its own kernel must not be what holds it back.
            netns.run(send).unwrap().unwrap_or_else(|error| panic!("{from} to {to}:{port}: {error}"));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    for (what, listener) in &listeners {
        assert!(!listener.has_heard(), "{what} was reached");
    }
}

#[test]
fn the_kernel_routes_loopback_addresses_by_the_bridge_only_while_the_bridge_is_the_proxy() {
    let Some(world) = World::new(Bridge::Answers) else { return };
    for (services, expected) in [(None, "0"), (on(), "1"), (None, "0"), (on(), "1")] {
        world.set_up(services);
        assert_eq!(route_localnet(&world, "k-vswitch0"), expected);
        assert!(["all", "eth0"].iter().all(|link| route_localnet(&world, link) == "0"));
        let table = world.table();
        for line in ["iifname \"k-vswitch0\" goto from-bridge", "ip daddr 127.0.0.0/8 drop"] {
            assert!(table.contains(line), "{table}");
        }
    }
    world.on_node(|| published::restate(&publish(&FAMILIES.map(|f| f.external)))).unwrap();
    let server = Server::new(&world.bridge, PROTOCOLS[0], IPV4.node_port, EXTERNAL.1);
    server.hears(&world.client, IPV4.external, EXTERNAL.0);
}
