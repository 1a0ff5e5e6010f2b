//! Where a packet came from.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Action, Field, Flow, Match, PortNo};

use super::flow;
use crate::topology::{HOST_ROUTER_MAC, Port, Remote, TUNNEL_KEY};
use crate::{Cookie, Table, fields};

const PRIORITY: u16 = 100;

fn from(matching: Match, cookie: Cookie, source: u8, next: Table) -> Flow {
    flow(Table::Classify, PRIORITY, matching, cookie)
        .actions([Action::load(fields::SOURCE, source)])
        .goto_table(next.number())
}

pub(super) fn node() -> Vec<Flow> {
    let local = Match::new().in_port(PortNo::LOCAL);
    let own = local.clone().eth_dst(HOST_ROUTER_MAC);
    vec![
        from(local, Cookie::fixed(), fields::source::GATEWAY, Table::SpoofGuard),
        flow(Table::Classify, PRIORITY + 10, own, Cookie::fixed())
            .actions([Action::load(fields::SOURCE, fields::source::HOST)])
            .goto_table(Table::SpoofGuard.number()),
    ]
}

pub(super) fn port(port: &Port) -> Vec<Flow> {
    let matching = Match::new().in_port(PortNo::new(port.ofport));
    vec![from(matching, Cookie::port(&port.name), fields::source::POD, Table::SpoofGuard)]
}

/// A tunnel packet is believed only if it comes from a node's address, with our key, and carries one of that node's
/// own addresses: a pod's, or the one it has on the underlay.
pub(super) fn remote(remote: &Remote) -> Vec<Flow> {
    let outer = Match::new().in_port(remote.tunnel).tun_id(TUNNEL_KEY.into());
    let outer = match remote.endpoint {
        IpAddr::V4(address) => outer.tun_src(address),
        IpAddr::V6(address) => outer.set(Field::TunIpv6Src, address),
    };
    let itself = IpNet::from(remote.endpoint);
    let sources = remote.pods.iter().copied().chain([itself]);
    sources
        .map(|inner| {
            let matching = super::from(outer.clone(), inner);
            from(matching, Cookie::remote(&remote.name), fields::source::TUNNEL, Table::Conntrack)
        })
        .collect()
}
