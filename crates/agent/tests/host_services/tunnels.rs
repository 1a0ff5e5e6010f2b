//! The host's connection tracking, and the node's own tunnels.

use std::net::SocketAddr;

use agent::host_setup::{self, HostPlan};
use host::Conntrack;
use host::sysctl::Sysctls;
use service::lb::Protocol;

use crate::world::{Bridge, FAMILIES, Family, Server, World, ip};
use crate::{NODE_PORT, on};

/// RFC 7348 section 8.
const VXLAN: u16 = 4789;

#[test]
fn the_hosts_connection_tracking_does_not_see_the_nodes_own_tunnels() {
    for family in FAMILIES {
        let Some(world) = World::new(Bridge::Answers) else { return };
        untracked_in(&world, &family);
    }
}

fn untracked_in(world: &World, family: &Family) {
    let plan = HostPlan { overlay_ip: ip(family.node), ..world.plan(on()) };
    world.on_node(|| host_setup::apply(&plan, &Sysctls::default())).unwrap();
    let tracked = || -> Vec<SocketAddr> {
        let all = world.on_node(|| Conntrack::open().unwrap().udp()).unwrap();
        all.into_iter().map(|connection| connection.destination).collect()
    };
    // To it and from it; each is answered, to a port that is not a tunnel's.
    let node = Server::new(&world.node, Protocol::Udp, family.node, VXLAN);
    node.hears(&world.client, family.node, VXLAN);
    let other = Server::new(&world.client, Protocol::Udp, family.client, VXLAN);
    other.hears(&world.node, family.client, VXLAN);
    let seen = tracked();
    let at = |address: &str, port| SocketAddr::new(ip(address), port);
    for tunnel in [at(family.node, VXLAN), at(family.client, VXLAN)] {
        assert!(!seen.contains(&tunnel), "{seen:?}");
    }
    // Other ports are, and tunnels that others have at other addresses: they may have to be masqueraded.
    let beside = Server::new(&world.node, Protocol::Udp, family.node, NODE_PORT + 1);
    beside.hears(&world.client, family.node, NODE_PORT + 1);
    let second = Server::new(&world.node, Protocol::Udp, family.second, VXLAN);
    second.hears(&world.client, family.second, VXLAN);
    let seen = tracked();
    for connection in [at(family.node, NODE_PORT + 1), at(family.second, VXLAN)] {
        assert!(seen.contains(&connection), "{seen:?}");
    }
}
