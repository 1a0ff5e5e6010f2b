//! A pod may send only its own MAC and addresses.

use ipnet::Ipv6Net;
use openflow::{Flow, Match, PortNo};

use super::flow;
use crate::topology::Port;
use crate::{Cookie, DropReason, Table};

/// ICMPv6 types of neighbour discovery (RFC 4861 section 4): router solicitation and advertisement, neighbour
/// solicitation and advertisement, redirect.
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;

/// Link-local addresses (RFC 4291 section 2.4). The kernel asks for neighbours from one; answers go nowhere else.
fn link_local() -> Ipv6Net {
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)
}

pub(super) fn node() -> Vec<Flow> {
    NEIGHBOUR_DISCOVERY
        .map(|kind| {
            let matching = Match::new().icmpv6().icmpv6_type(kind);
            flow(Table::SpoofGuard, 105, matching, Cookie::drop(DropReason::NeighbourIgnored))
        })
        .collect()
}

pub(super) fn port(port: &Port) -> Vec<Flow> {
    let cookie = Cookie::port(&port.name);
    let own = Match::new().in_port(PortNo::new(port.ofport)).eth_src(port.mac);
    let mut flows = Vec::new();
    if let Some(address) = port.ipv4 {
        let packet = own.clone().ipv4().ipv4_src(address);
        let arp = own.clone().arp().arp_sha(port.mac).arp_spa(address);
        flows.push(flow(Table::SpoofGuard, 100, packet, cookie).goto_table(Table::Route.number()));
        flows.push(flow(Table::SpoofGuard, 100, arp, cookie).goto_table(Table::Neighbour.number()));
    }
    if let Some(address) = port.ipv6 {
        let packet = own.clone().ipv6().ipv6_src(address);
        flows.push(flow(Table::SpoofGuard, 100, packet, cookie).goto_table(Table::Route.number()));
        for source in [Ipv6Net::from(address), link_local()] {
            let solicit = own.clone().nd_solicit().ipv6_src(source).nd_sll(port.mac);
            flows.push(flow(Table::SpoofGuard, 110, solicit, cookie).goto_table(Table::Neighbour.number()));
        }
    }
    flows
}
