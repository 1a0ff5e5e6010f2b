//! The pipeline's flows.
//!
//! | table | priority | what |
//! |---|---|---|
//! | classify | 100 | tunnel, gateway and pods' ports |
//! | spoof-guard | 110, 105, 100 | a pod's solicitations; any other neighbour discovery; its packets |
//! | neighbour | 110, 100, 10 | what is not answered; what is; everything else goes on |
//! | connection-state | 300, 200, 100, 0 | invalid; protocols tracked by learned flows; replies; everything else |
//! | service, node-port | 210, 200, 190, 150, 100, 90 | frontends: from outside, any, not allowed; own addresses; nobody's |
//! | select, part, endpoint | 100, 10 | sets and their parts; an endpoint that is kept; a new one |
//! | masquerade, refuse | 300, 200, 150, 100, 0 | hairpins; clients that keep their address; own processes; others from the host |
//! | egress, ingress | 200, 150, 100 | what no policy is asked about; the pod's own node; chains |
//! | verdict | 300, 200, 100 | allowed already; rules; dimensions of rules |
//! | egress-end, ingress-end | 100, 0 | allowed; not |
//! | egress-drop, ingress-drop | 300, 100 | never met; what a pod's policies do not allow |
//! | egress-pass, ingress-pass | 10, 0 | never met; everything |
//! | route | 4000, 3000, 2500, 1000 + prefix length, 900 | multicast; local addresses; the rest of what came by a tunnel; pod CIDRs; the outside |
//! | ttl | 100, 0 | pod to pod; everything else |
//! | output | 100 | by register |
//!
//! Every table ends with a flow of priority 0 that says what became of what nothing matched.

mod classify;
mod conntrack;
mod masquerade;
mod neighbour;
mod policy;
mod route;
pub mod service;
mod spoof_guard;
#[cfg(test)]
mod tests;
mod verdict;

use ipnet::IpNet;
use openflow::{Action, Flow, Match};

pub use self::policy::{chain, cidr_class, identity, labels_class, namespace_class, own_node};
pub use self::verdict::{Families, verdict};
use crate::topology::{Node, Port, Remote};
use crate::{Cookie, DropReason, Table, fields};

/// A flow that drops, until it is given something else to do.
fn flow(table: Table, priority: u16, matching: Match, cookie: Cookie) -> Flow {
    Flow::new(table.number(), priority, matching).cookie(cookie.0)
}

/// Packets of a family: that of an address, or of a network of addresses.
fn family(net: impl Into<IpNet>) -> Match {
    match net.into() {
        IpNet::V4(_) => Match::new().ipv4(),
        IpNet::V6(_) => Match::new().ipv6(),
    }
}

/// Those of the packets that go to an address, or to any of a network.
fn to(matching: Match, net: impl Into<IpNet>) -> Match {
    match net.into() {
        IpNet::V4(net) => matching.ipv4().ipv4_dst(net),
        IpNet::V6(net) => matching.ipv6().ipv6_dst(net),
    }
}

/// Those of the packets that come from an address, or from any of a network.
fn from(matching: Match, net: impl Into<IpNet>) -> Match {
    match net.into() {
        IpNet::V4(net) => matching.ipv4().ipv4_src(net),
        IpNet::V6(net) => matching.ipv6().ipv6_src(net),
    }
}

/// Flows that are there whatever ports and other nodes there are.
#[must_use]
pub fn node(node: &Node) -> Vec<Flow> {
    let mut flows = classify::node();
    flows.extend(spoof_guard::node(node));
    flows.extend(neighbour::node(node));
    flows.extend(conntrack::node(node));
    if let Some(nets) = node.services {
        flows.extend(service::node(node, nets));
        flows.extend(masquerade::node(node));
        flows.extend(masquerade::output());
    }
    flows.extend(policy::node(node));
    flows.extend(route::node(node));
    flows.extend(output());
    flows.extend(Table::ALL.into_iter().filter_map(|table| {
        let reason = match table {
            Table::Classify => DropReason::UnknownSource,
            Table::SpoofGuard => DropReason::Spoofed,
            Table::Neighbour | Table::NeighbourAdvert => DropReason::NeighbourIgnored,
            Table::Route => DropReason::NotRouted,
            Table::Conntrack | Table::EgressDrop | Table::IngressDrop | Table::Output => {
                DropReason::Unmatched
            }
            // What they do with what nothing matched is said where their other flows are; look-ups just find nothing.
            _ => return None,
        };
        Some(flow(table, 0, Match::new(), Cookie::drop(reason)))
    }));
    flows
}

/// Flows of a pod's port: a bounded number, whatever the cluster's size.
#[must_use]
pub fn port(port: &Port) -> Vec<Flow> {
    let mut flows = classify::port(port);
    flows.extend(spoof_guard::port(port));
    flows.extend(neighbour::port(port));
    flows.extend(masquerade::port(port));
    flows.extend(route::port(port));
    flows
}

/// Flows of another node: two for each of its CIDRs and one for itself.
#[must_use]
pub fn remote(remote: &Remote) -> Vec<Flow> {
    let mut flows = classify::remote(remote);
    flows.extend(route::remote(remote));
    flows
}

/// The last two tables.
fn output() -> Vec<Flow> {
    let pod_to_pod = |matching: Match, destination: u8| {
        let matching =
            matching.subfield(fields::SOURCE, fields::source::POD).subfield(fields::DESTINATION, destination);
        // The sender's node counts as the one router between two pods; the receiver's does not.
        flow(Table::Ttl, 100, matching, Cookie::fixed())
            .actions([Action::DecTtl])
            .goto_table(Table::Output.number())
    };
    vec![
        pod_to_pod(Match::new().ipv4(), fields::destination::POD),
        pod_to_pod(Match::new().ipv6(), fields::destination::POD),
        pod_to_pod(Match::new().ipv4(), fields::destination::TUNNEL),
        pod_to_pod(Match::new().ipv6(), fields::destination::TUNNEL),
        flow(Table::Ttl, 0, Match::new(), Cookie::fixed()).goto_table(Table::Output.number()),
        flow(Table::Output, 100, Match::new(), Cookie::fixed()).actions([Action::output_reg(fields::OUTPUT)]),
    ]
}
