//! Every ARP request (RFC 826) and neighbour solicitation (RFC 4861 section 4.3) for an address of the pod network is
//! answered here, with the virtual router's MAC. Nobody else ever sees one.

use openflow::{Action, Field, Flow, MacAddr, Match, PortNo, Subfield};

use super::flow;
use crate::topology::{HOST_ROUTER_IPV4, HOST_ROUTER_IPV6, HOST_ROUTER_MAC, Node, Port, ROUTER_MAC};
use crate::{Cookie, DropReason, Table};

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;
const NEIGHBOUR_ADVERT: u8 = 136;
/// Target link-layer address (RFC 4861 section 4.6.1).
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// Router, solicited, override (RFC 4861 section 4.4).
const ADVERT_FLAGS: u32 = 0xe000_0000;

pub(super) fn node(node: &Node) -> Vec<Flow> {
    let ignored = Cookie::drop(DropReason::NeighbourIgnored);
    let on = |matching: Match| {
        flow(Table::Neighbour, 10, matching, Cookie::fixed()).goto_table(Table::Conntrack.number())
    };
    let mut flows = vec![on(Match::new().ipv4()), on(Match::new().ipv6())];
    if let Some(cluster) = node.cluster_ipv4 {
        let request = Match::new().arp().arp_op(ARP_REQUEST).arp_tpa(cluster);
        flows.push(flow(Table::Neighbour, 100, request, Cookie::fixed()).actions(arp_answer(ROUTER_MAC)));
        let request = Match::new().in_port(PortNo::LOCAL).arp().arp_op(ARP_REQUEST).arp_tpa(HOST_ROUTER_IPV4);
        flows
            .push(flow(Table::Neighbour, 100, request, Cookie::fixed()).actions(arp_answer(HOST_ROUTER_MAC)));
    }
    if let Some(gateway) = node.gateway_ipv4 {
        // An announcement: an answer would look like a conflict.
        let own = Match::new().in_port(PortNo::LOCAL).arp().arp_tpa(gateway);
        flows.push(flow(Table::Neighbour, 110, own, ignored));
    }
    if let Some(cluster) = node.cluster_ipv6.filter(|_| node.answers_solicitations) {
        let solicit = Match::new().nd_solicit().ipv6_net(Field::NdTarget, cluster);
        flows.push(solicited(solicit, ROUTER_MAC));
        let solicit = Match::new().in_port(PortNo::LOCAL).nd_solicit().nd_target(HOST_ROUTER_IPV6);
        flows.push(solicited(solicit, HOST_ROUTER_MAC));
        // Duplicate address detection (RFC 4862 section 5.4.2): an answer would be the conflict it looks for.
        let detection = Match::new().nd_solicit().ipv6_src(std::net::Ipv6Addr::UNSPECIFIED);
        flows.push(flow(Table::Neighbour, 110, detection, ignored));
        // A table of its own, since the target's link-layer address is a field of advertisements only.
        flows.push(advert(100, Match::new().nd_advert(), ROUTER_MAC));
        flows.push(advert(110, Match::new().nd_advert().nd_target(HOST_ROUTER_IPV6), HOST_ROUTER_MAC));
    }
    flows
}

pub(super) fn port(port: &Port) -> Vec<Flow> {
    port.ipv4
        .map(|address| {
            let announcement = Match::new().in_port(PortNo::new(port.ofport)).arp().arp_tpa(address);
            flow(Table::Neighbour, 110, announcement, Cookie::drop(DropReason::NeighbourIgnored))
        })
        .into_iter()
        .collect()
}

/// Turns a solicitation around, but for what only an advertisement has.
fn solicited(matching: Match, mac: MacAddr) -> Flow {
    flow(Table::Neighbour, 100, matching, Cookie::fixed())
        .actions([
            Action::move_field(Field::EthSrc, Field::EthDst),
            Action::set_eth_src(mac),
            Action::move_field(Field::Ipv6Src, Field::Ipv6Dst),
            Action::move_field(Field::NdTarget, Field::Ipv6Src),
            Action::set_field(Field::Icmpv6Type, NEIGHBOUR_ADVERT),
        ])
        .goto_table(Table::NeighbourAdvert.number())
}

fn advert(priority: u16, matching: Match, mac: MacAddr) -> Flow {
    flow(Table::NeighbourAdvert, priority, matching, Cookie::fixed()).actions([
        Action::set_field(Field::NdOptionsType, TARGET_LINK_LAYER_ADDRESS),
        Action::set_field(Field::NdReserved, ADVERT_FLAGS),
        Action::set_field(Field::NdTll, mac),
        Action::output_in_port(),
    ])
}

/// Turns a request around: the addresses change sides, and the target's MAC is `mac`.
fn arp_answer(mac: MacAddr) -> Vec<Action> {
    let spa = Subfield::whole(Field::ArpSpa);
    let tpa = Subfield::whole(Field::ArpTpa);
    vec![
        Action::move_field(Field::EthSrc, Field::EthDst),
        Action::set_eth_src(mac),
        Action::set_field(Field::ArpOp, ARP_REPLY),
        Action::move_field(Field::ArpSha, Field::ArpTha),
        Action::set_field(Field::ArpSha, mac),
        Action::Push(spa),
        Action::move_field(tpa, spa),
        Action::Pop(tpa),
        Action::output_in_port(),
    ]
}
