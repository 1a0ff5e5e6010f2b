//! Services: which set of endpoints a packet goes to, and which of the endpoints.
//!
//! Only a connection's first packet comes here: connection tracking translates the rest. So what is looked up here costs
//! a connection, not a packet, and does not grow with the number of Services.
//!
//! # Choosing an endpoint
//!
//! A select group takes the datapath's hash of the packet, whose lower bits number 16 to 256 slots that Open vSwitch deals
//! out to the buckets by their weights (`ofproto-dpif.c`, `group_setup_dp_hash_table`; Webster's method). New connections are no upcalls
//! then. Slots that do not divide evenly make some endpoints likelier than others, so a group of endpoints has many slots
//! for each, and a bucket more, of little weight, that says how many (see `slots`).
//!
//! More than [`Parts::SIZE`] endpoints would have too few slots each. They come in parts, whose number is a power of two: higher bits of
//! the same hash name the part, which is a group of its own. OpenFlow cannot match the hash, but it can copy bits of it.

mod groups;
mod set;
mod slots;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Action, Field, Flow, Match};
use service::lb::{At, Frontend, Protocol, SetId, Target};

pub use self::groups::{bucket_endpoint, group_id, hashes, recall};
pub use self::set::{SetItems, set};

use super::{flow, from, to};
use crate::topology::{Node, ServiceNets, node_port_address};
use crate::{Cookie, DropReason, Table, fields};

/// A frontend, for clients outside; for all.
const OUTSIDE: u16 = 210;
const FRONTEND: u16 = 200;
/// A frontend that only some may use, for the others.
const NOT_ALLOWED: u16 = 190;
/// The node's own addresses.
const OWN_ADDRESS: u16 = 150;
/// Addresses of Services that no Service has.
const NOBODY: u16 = 100;

/// Flows that are there whatever Services there are.
pub(super) fn node(node: &Node, nets: ServiceNets) -> Vec<Flow> {
    let fixed =
        |table: Table, priority: u16, matching: Match| flow(table, priority, matching, Cookie::fixed());
    let mut flows = vec![
        fixed(Table::Service, 0, Match::new()).goto_table(Table::Egress.number()),
        fixed(Table::NodePort, 0, Match::new()).goto_table(Table::Egress.number()),
        flow(Table::Select, 0, Match::new(), Cookie::drop(DropReason::Unmatched)),
        flow(Table::Part, 0, Match::new(), Cookie::drop(DropReason::Unmatched)),
        flow(Table::Endpoint, 0, Match::new(), Cookie::drop(DropReason::Unmatched)),
    ];
    for net in [nets.ipv4.map(IpNet::V4), nets.ipv6.map(IpNet::V6)].into_iter().flatten() {
        for protocol in Protocol::ALL {
            let matching = to(Match::new(), net).ip_proto(protocol.number());
            flows.push(fixed(Table::Service, NOBODY, matching).goto_table(Table::Refuse.number()));
        }
        let cookie = Cookie::drop(DropReason::NoSuchService);
        flows.push(flow(Table::Service, NOBODY - 10, to(Match::new(), net), cookie));
    }
    let pods = [node.pods_ipv4.map(IpNet::V4), node.pods_ipv6.map(IpNet::V6)];
    flows.extend(pods.into_iter().flatten().map(|net| {
        fixed(Table::Service, OWN_ADDRESS, to(Match::new(), node_port_address(net)))
            .goto_table(Table::NodePort.number())
    }));
    flows
}

/// Pods reach node ports at the node's own addresses.
#[must_use]
pub fn node_address(address: IpAddr) -> Flow {
    let matching = to(Match::new(), address).subfield(fields::SOURCE, fields::source::POD);
    flow(Table::Service, OWN_ADDRESS, matching, Cookie::fixed()).goto_table(Table::NodePort.number())
}

/// The flows of a frontend. Nothing that is sent to a loopback address comes to the bridge under it: the host's own processes
/// come to what stands for it, and who else sends such packets has no business with it.
#[must_use]
pub fn frontend(frontend: &Frontend, target: &Target) -> Vec<Flow> {
    let (table, base) = match frontend.at {
        At::Address(address) if address.is_loopback() => return Vec::new(),
        At::Address(address) => (Table::Service, to(Match::new(), address)),
        At::Node { ipv6: false } | At::StandIn { ipv6: false } => (Table::NodePort, Match::new().ipv4()),
        At::Node { ipv6: true } | At::StandIn { ipv6: true } => (Table::NodePort, Match::new().ipv6()),
    };
    let base = to_port(base, frontend.protocol, frontend.port);
    let clients: Vec<Match> = match &*target.sources {
        [] => vec![base.clone()],
        nets => nets.iter().map(|net| from(base.clone(), *net)).collect(),
    };
    let send = |priority: u16, matching: Match, set: SetId| {
        flow(table, priority, matching, Cookie::service(set))
            .actions([Action::set_field(fields::SET, set.0)])
            .goto_table(Table::Select.number())
    };
    let mut flows: Vec<Flow> = clients
        .into_iter()
        .flat_map(|matching| {
            let source = |source: u8| matching.clone().subfield(fields::SOURCE, source);
            let outside = send(OUTSIDE, source(fields::source::GATEWAY), target.outside);
            match frontend.at {
                // Pods do not come by the host.
                At::StandIn { .. } => {
                    vec![send(OUTSIDE, source(fields::source::HOST), target.inside), outside]
                }
                _ if target.outside == target.inside => vec![send(FRONTEND, matching, target.inside)],
                _ => vec![outside, send(FRONTEND, matching, target.inside)],
            }
        })
        .collect();
    if !target.sources.is_empty() {
        flows.push(flow(table, NOT_ALLOWED, base, Cookie::drop(DropReason::SourceNotAllowed)));
    }
    flows
}

fn to_port(matching: Match, protocol: Protocol, port: u16) -> Match {
    let field = match protocol {
        Protocol::Tcp => Field::TcpDst,
        Protocol::Udp => Field::UdpDst,
        Protocol::Sctp => Field::SctpDst,
    };
    matching.ip_proto(protocol.number()).set(field, port)
}
