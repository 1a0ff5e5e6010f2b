//! By destination address: which port, which MAC, which tunnel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use openflow::{Action, Field, Flow, MacAddr, Match, PortNo};

use super::{flow, to};
use crate::topology::{GATEWAY_MAC, LOOPBACK_IPV4, Node, Port, ROUTER_MAC, Remote, TUNNEL_KEY};
use crate::{Cookie, DropReason, Table, fields};

/// Multicast, broadcast and loopback.
const NOT_ROUTED: u16 = 4000;
/// Addresses of this node: pods and gateway.
const LOCAL: u16 = 3000;
/// What came by a tunnel must not leave by one; answers to clients outside whom a Service sent on go to the host.
const SPLIT_HORIZON: u16 = 2500;
const ANSWER: u16 = 2600;
const NOT_OUTSIDE: u16 = 2700;
/// Pod CIDRs, to which the prefix length is added: the longest match wins.
const PREFIX: u16 = 1000;
/// Everything else, by way of the host.
const OUTSIDE: u16 = 900;

fn deliver(
    priority: u16,
    matching: Match,
    cookie: Cookie,
    mac: MacAddr,
    port: PortNo,
    destination: u8,
) -> Flow {
    flow(Table::Route, priority, matching, cookie)
        .actions([
            Action::set_eth_src(ROUTER_MAC),
            Action::set_eth_dst(mac),
            Action::load(fields::DESTINATION, destination),
            Action::load(fields::OUTPUT, fields::port(port)),
        ])
        .goto_table(Table::Ingress.number())
}

fn to_gateway(priority: u16, matching: Match) -> Flow {
    let (mac, port) = (GATEWAY_MAC, PortNo::LOCAL);
    deliver(priority, matching, Cookie::fixed(), mac, port, fields::destination::GATEWAY)
}

pub(super) fn node(node: &Node) -> Vec<Flow> {
    let mut flows = Vec::new();
    let mut dropped = |priority: u16, matching: Match, reason: DropReason| {
        flows.push(flow(Table::Route, priority, matching, Cookie::drop(reason)));
    };
    for net in not_routed() {
        dropped(NOT_ROUTED, to(Match::new(), net), DropReason::NotRouted);
    }
    let from_tunnel = Match::new().subfield(fields::SOURCE, fields::source::TUNNEL);
    dropped(SPLIT_HORIZON, from_tunnel, DropReason::NotForThisNode);
    let pods = [node.pods_ipv4.map(IpNet::V4), node.pods_ipv6.map(IpNet::V6)];
    for net in pods.into_iter().flatten() {
        dropped(PREFIX + u16::from(net.prefix_len()), to(Match::new(), net), DropReason::NoSuchPod);
    }
    // The host routes the cluster's CIDR to the bridge: what is not on any node must not go back to the host.
    let cluster = [node.cluster_ipv4.map(IpNet::V4), node.cluster_ipv6.map(IpNet::V6)];
    for net in cluster.into_iter().flatten().filter(|net| !pods.contains(&Some(*net))) {
        dropped(PREFIX + u16::from(net.prefix_len()), to(Match::new(), net), DropReason::NoSuchNode);
    }

    if node.services.is_some() {
        for net in cluster.into_iter().flatten() {
            let from_tunnel = to(Match::new(), net).subfield(fields::SOURCE, fields::source::TUNNEL);
            let cookie = Cookie::drop(DropReason::NotForThisNode);
            flows.push(flow(Table::Route, NOT_OUTSIDE, from_tunnel, cookie));
        }
        flows.extend(services());
    }

    let gateways = [node.gateway_ipv4.map(IpAddr::V4), node.gateway_ipv6.map(IpAddr::V6)];
    flows.extend(gateways.into_iter().flatten().map(|address| to_gateway(LOCAL, to(Match::new(), address))));
    for family in [Match::new().ipv4(), Match::new().ipv6()] {
        let from_pod = family.subfield(fields::SOURCE, fields::source::POD);
        flows.push(to_gateway(OUTSIDE, from_pod));
    }
    flows
}

/// By way of the host, as far as Services have it so: what was sent on to an endpoint that is no pod, and answers to
/// clients that are none.
fn services() -> Vec<Flow> {
    let families = [Match::new().ipv4(), Match::new().ipv6()];
    let flows = families.into_iter().flat_map(|family| {
        let answer = family.clone().subfield(fields::REPLY, 1u8);
        [
            to_gateway(ANSWER, answer.clone().subfield(fields::SOURCE, fields::source::TUNNEL)),
            to_gateway(OUTSIDE, answer.subfield(fields::MASQUERADED, 1u8)),
            to_gateway(OUTSIDE, family.subfield(fields::SENT_ON, 1u8)),
        ]
    });
    flows.collect()
}

pub(super) fn port(port: &Port) -> Vec<Flow> {
    let addresses = [port.ipv4.map(IpAddr::V4), port.ipv6.map(IpAddr::V6)];
    let (cookie, number) = (Cookie::port(&port.name), PortNo::new(port.ofport));
    let destination = fields::destination::POD;
    addresses
        .into_iter()
        .flatten()
        .map(|address| deliver(LOCAL, to(Match::new(), address), cookie, port.mac, number, destination))
        .collect()
}

pub(super) fn remote(remote: &Remote) -> Vec<Flow> {
    let endpoint = match remote.endpoint {
        IpAddr::V4(address) => Action::set_tun_dst(address),
        IpAddr::V6(address) => Action::set_tun_ipv6_dst(address),
    };
    let key = Action::set_field(Field::TunId, TUNNEL_KEY);
    let cookie = Cookie::remote(&remote.name);
    remote
        .pods
        .iter()
        .map(|&net| {
            let priority = PREFIX + u16::from(net.prefix_len());
            let destination = fields::destination::TUNNEL;
            deliver(priority, to(Match::new(), net), cookie, ROUTER_MAC, remote.tunnel, destination)
                .actions([key.clone(), endpoint.clone()])
        })
        .collect()
}

/// Multicast (RFC 5771, RFC 4291), limited broadcast (RFC 919) and link-local IPv6: there is no shared link. Loopback IPv4: for the
/// sake of host ports the kernel would take such packets from the bridge's interface, and nobody but the node's own processes may
/// reach what listens there. (Of IPv6 it takes none.)
fn not_routed() -> [IpNet; 5] {
    [
        LOOPBACK_IPV4.into(),
        Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4).into(),
        Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10).into(),
    ]
}
