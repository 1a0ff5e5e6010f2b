//! A pod may send only its own MAC and addresses; the node, any but pods' and loopback ones.

use ipnet::{IpNet, Ipv6Net};
use openflow::{Flow, Match, PortNo};

use super::{flow, from};
use crate::topology::{LOOPBACK_IPV4, Node, Port, node_port_address};
use crate::{Cookie, DropReason, Table};

/// ICMPv6 types of neighbour discovery (RFC 4861 section 4): router solicitation and advertisement, neighbour
/// solicitation and advertisement, redirect.
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

/// Link-local addresses (RFC 4291 section 2.4). The kernel asks for neighbours from one; answers go nowhere else.
fn link_local() -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)
}

pub(super) fn node(node: &Node) -> Vec<Flow> {
    let mut flows: Vec<Flow> = NEIGHBOUR_DISCOVERY
        .map(|kind| {
            let matching = Match::new().icmpv6().icmpv6_type(kind);
            flow(Table::SpoofGuard, 105, matching, Cookie::drop(DropReason::NeighbourIgnored))
        })
        .collect();
    // What the node forwards must not pass for a pod's: policies would take it for that pod's.
    let local = || Match::new().in_port(PortNo::LOCAL);
    let on = |priority: u16, matching: Match| {
        flow(Table::SpoofGuard, priority, matching, Cookie::fixed()).goto_table(Table::Neighbour.number())
    };
    let forged = |matching: Match| flow(Table::SpoofGuard, 120, matching, Cookie::drop(DropReason::Spoofed));
    flows.push(on(110, local()));
    // The host may send them by the bridge, for the sake of host ports; by then they are the node's address on it.
    flows.push(forged(local().ipv4().ipv4_src(LOOPBACK_IPV4)));
    flows.extend(node.cluster_ipv4.map(|pods| forged(local().ipv4().ipv4_src(pods))));
    flows.extend(node.cluster_ipv6.map(|pods| forged(local().ipv6().ipv6_src(pods))));
    flows.extend(node.gateway_ipv4.map(|own| on(130, local().ipv4().ipv4_src(own))));
    flows.extend(node.gateway_ipv6.map(|own| on(130, local().ipv6().ipv6_src(own))));
    // The host refuses connections to node ports from the address that it was sent them at.
    let pods = [node.pods_ipv4.map(IpNet::V4), node.pods_ipv6.map(IpNet::V6)];
    let stand_ins = pods.into_iter().flatten().filter(|_| node.services.is_some()).map(node_port_address);
    flows.extend(stand_ins.map(|address| on(130, from(local(), address))));
    flows
}

pub(super) fn port(port: &Port) -> Vec<Flow> {
    let cookie = Cookie::port(&port.name);
    let own = Match::new().in_port(PortNo::new(port.ofport)).eth_src(port.mac);
    let mut flows = Vec::new();
    if let Some(address) = port.ipv4 {
        let packet = own.clone().ipv4().ipv4_src(address);
        let arp = own.clone().arp().arp_sha(port.mac).arp_spa(address);
        flows.push(flow(Table::SpoofGuard, 100, packet, cookie).goto_table(Table::Conntrack.number()));
        flows.push(flow(Table::SpoofGuard, 100, arp, cookie).goto_table(Table::Neighbour.number()));
    }
    if let Some(address) = port.ipv6 {
        let packet = own.clone().ipv6().ipv6_src(address);
        flows.push(flow(Table::SpoofGuard, 100, packet, cookie).goto_table(Table::Conntrack.number()));
        for source in [Ipv6Net::from(address), link_local()] {
            let solicit = own.clone().nd_solicit().ipv6_src(source).nd_sll(port.mac);
            flows.push(flow(Table::SpoofGuard, 110, solicit, cookie).goto_table(Table::Neighbour.number()));
        }
    }
    flows
}
