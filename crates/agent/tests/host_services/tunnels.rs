//! The host's connection tracking, and the node's own tunnels.

use std::net::SocketAddr;

use host::Conntrack;
use service::lb::Protocol;

use crate::world::{Bridge, IPV4, Server, World, ip};
use crate::{NODE_PORT, on};

/// RFC 7348 section 8.
const VXLAN: u16 = 4789;

#[test]
fn the_hosts_connection_tracking_does_not_see_the_nodes_own_tunnels() {
    let Some(world) = World::new(Bridge::Answers) else { return };
    world.set_up(on());
    let tracked = || -> Vec<SocketAddr> {
        let all = world.on_node(|| Conntrack::open().unwrap().udp()).unwrap();
        all.into_iter().map(|connection| connection.destination).collect()
    };
    // To it and from it; each is answered, to a port that is not a tunnel's.
    let node = Server::new(&world.node, Protocol::Udp, IPV4.node, VXLAN);
    node.hears(&world.client, IPV4.node, VXLAN);
    let other = Server::new(&world.client, Protocol::Udp, IPV4.client, VXLAN);
    other.hears(&world.node, IPV4.client, VXLAN);
    let seen = tracked();
    let at = |address: &str, port| SocketAddr::new(ip(address), port);
    for tunnel in [at(IPV4.node, VXLAN), at(IPV4.client, VXLAN)] {
        assert!(!seen.contains(&tunnel), "{seen:?}");
    }
    // Other ports are, and tunnels that others have at other addresses: they may have to be masqueraded.
    let beside = Server::new(&world.node, Protocol::Udp, IPV4.node, NODE_PORT + 1);
    beside.hears(&world.client, IPV4.node, NODE_PORT + 1);
    let second = Server::new(&world.node, Protocol::Udp, IPV4.second, VXLAN);
    second.hears(&world.client, IPV4.second, VXLAN);
    let seen = tracked();
    for connection in [at(IPV4.node, NODE_PORT + 1), at(IPV4.second, VXLAN)] {
        assert!(seen.contains(&connection), "{seen:?}");
    }
}
