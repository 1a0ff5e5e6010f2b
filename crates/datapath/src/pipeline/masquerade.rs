//! After a Service has chosen: whom the endpoint is to see, how the answer finds back, and refusals.
//!
//! A client's answers must come to the bridge that translated its connection. They do, unless the client is the endpoint
//! itself (a hairpin), or the packet came from the host: then the sender is hidden behind the node's masquerade address, in
//! a zone of its own, since one zone translates one address of a connection. A client outside whose Service has it keep
//! its address goes to endpoints of this node only, whose answers come here.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Action, Ct, CtState, Field, FieldValue, Flow, Match, Nat, PortNo};

use super::{family, flow, from, to};
use crate::topology::{GATEWAY_MAC, Node, Port, REFUSED_MAC, masquerade_address};
use crate::{Cookie, DropReason, Table, fields};

/// A pod that reaches itself.
const HAIRPIN: u16 = 300;
/// Clients outside that keep their address.
const KEEPS: u16 = 200;
/// The node's own processes, by its address on the bridge.
const OWN: u16 = 150;
/// Everything else that came from the host.
const HOST: u16 = 100;

pub(super) fn node(node: &Node) -> Vec<Flow> {
    let fixed =
        |table: Table, priority: u16, matching: Match| flow(table, priority, matching, Cookie::fixed());
    let mut flows = vec![
        flow(Table::Hide, 0, Match::new(), Cookie::drop(DropReason::Unmatched)),
        fixed(Table::Masquerade, 0, Match::new()).action(sent_on()).goto_table(Table::Egress.number()),
        flow(Table::Refuse, 0, Match::new(), Cookie::drop(DropReason::Unmatched)),
        fixed(Table::Refused, 0, Match::new())
            .actions([
                Action::set_eth_src(REFUSED_MAC),
                Action::set_eth_dst(GATEWAY_MAC),
                Action::load(fields::DESTINATION, fields::destination::GATEWAY),
                Action::load(fields::OUTPUT, fields::port(PortNo::LOCAL)),
            ])
            .goto_table(Table::Ttl.number()),
        fixed(Table::Egress, 200, hairpin()).goto_table(Table::Route.number()),
        fixed(Table::Ingress, 198, hairpin()).goto_table(Table::Commit.number()),
        fixed(Table::Commit, 300, Match::new().subfield(fields::SENT_ON, 1u8))
            .goto_table(Table::Ttl.number()),
    ];
    for Family { pods, cluster, gateway } in Family::of(node) {
        let hide = masquerade_address(pods);
        let host = |source: u8| family(pods).subfield(fields::SOURCE, source);
        let keeps = to(host(fields::source::GATEWAY), cluster)
            .ct_mark(fields::mark::KEEPS_CLIENT, fields::mark::KEEPS_CLIENT);
        let own = from(to(host(fields::source::HOST), cluster), gateway);
        for (priority, matching) in [(KEEPS, keeps), (OWN, own)] {
            let seen = fixed(Table::Masquerade, priority, matching).action(sent_on());
            flows.push(seen.goto_table(Table::Egress.number()));
        }
        for source in [fields::source::GATEWAY, fields::source::HOST] {
            flows.push(fixed(Table::Masquerade, HOST, host(source)).goto_table(Table::Hide.number()));
            let refused = fixed(Table::Refuse, HOST, host(source)).action(Ct::commit(fields::CT_ZONE));
            flows.push(refused.actions(masquerade(hide, Table::Refused)));
        }
        let refused = fixed(Table::Refuse, 10, family(pods)).action(Ct::commit(fields::CT_ZONE));
        flows.push(refused.goto_table(Table::Refused.number()));
        flows.push(fixed(Table::Hide, 100, family(pods)).actions(masquerade(hide, Table::Egress)));
        flows.push(own_error(gateway, hide));
        // Answers to hidden clients: first whom they are for, then whom they are from.
        let answer = Ct::track(fields::MASQUERADE_ZONE, Table::Conntrack.number()).nat(Nat::restore());
        flows.push(fixed(Table::Conntrack, 110, to(family(pods), hide)).action(answer));
        let again = Ct::track(fields::CT_ZONE, Table::ConnectionState.number()).nat(Nat::restore());
        flows.push(
            fixed(Table::Conntrack, 120, family(pods).ct_zone(fields::MASQUERADE_ZONE))
                .actions([Action::load(fields::MASQUERADED, 1u8), Action::Ct(again)]),
        );
    }
    // Of a connection that a Service sent on, in the direction of the client's packets.
    let known =
        |set: CtState, unset: CtState| Match::new().ct_state(CtState::TRK | CtState::DNAT | set, unset);
    flows.push(
        fixed(Table::ConnectionState, 150, known(CtState::EMPTY, CtState::RPL | CtState::REL))
            .goto_table(Table::Masquerade.number()),
    );
    flows.push(
        fixed(Table::ConnectionState, 150, known(CtState::REL, CtState::RPL))
            .action(Action::load(fields::REPLY, 1u8))
            .goto_table(Table::Masquerade.number()),
    );
    flows
}

/// A pod that a Service sends to itself.
pub(super) fn port(port: &Port) -> Vec<Flow> {
    let addresses = [port.ipv4.map(IpAddr::V4), port.ipv6.map(IpAddr::V6)];
    let itself = |address: IpAddr| {
        let matching = to(family(address).in_port(PortNo::new(port.ofport)), address);
        flow(Table::Masquerade, HAIRPIN, matching, Cookie::port(&port.name)).goto_table(Table::Hide.number())
    };
    addresses.into_iter().flatten().map(itself).collect()
}

/// The host's word to itself that a datagram is refused (ICMP, which is not translated as a whole): it would not take
/// one from its own address.
fn own_error(gateway: IpAddr, hide: IpAddr) -> Flow {
    let (field, value) = match hide {
        IpAddr::V4(hide) => (Field::Ipv4Src, FieldValue::from(hide)),
        IpAddr::V6(hide) => (Field::Ipv6Src, FieldValue::from(hide)),
    };
    let matching = from(from_host(fields::source::HOST, family(gateway)), gateway);
    flow(Table::Output, 210, matching, Cookie::fixed())
        .actions([Action::set_field(field, value), Action::output_in_port()])
}

/// From the host, and back to it.
fn from_host(source: u8, matching: Match) -> Match {
    matching.subfield(fields::DESTINATION, fields::destination::GATEWAY).subfield(fields::SOURCE, source)
}

/// Out of the port by which the packet came, which Open vSwitch does only if told so.
pub(super) fn output() -> Vec<Flow> {
    let from_host = |source: u8| from_host(source, Match::new());
    let to_itself = hairpin().subfield(fields::DESTINATION, fields::destination::POD);
    [to_itself, from_host(fields::source::GATEWAY), from_host(fields::source::HOST)]
        .into_iter()
        .map(|matching| {
            flow(Table::Output, 200, matching, Cookie::fixed()).actions([Action::output_in_port()])
        })
        .collect()
}

/// One address family of the node.
pub(super) struct Family {
    /// This node's pods.
    pub(super) pods: IpNet,
    /// All pods.
    pub(super) cluster: IpNet,
    /// The node's address on the bridge.
    pub(super) gateway: IpAddr,
}

impl Family {
    /// Those that the node has pods of.
    pub(super) fn of(node: &Node) -> impl Iterator<Item = Self> {
        let ipv4 =
            node.pods_ipv4.zip(node.cluster_ipv4).zip(node.gateway_ipv4).map(|((pods, cluster), gateway)| {
                Self { pods: pods.into(), cluster: cluster.into(), gateway: gateway.into() }
            });
        let ipv6 =
            node.pods_ipv6.zip(node.cluster_ipv6).zip(node.gateway_ipv6).map(|((pods, cluster), gateway)| {
                Self { pods: pods.into(), cluster: cluster.into(), gateway: gateway.into() }
            });
        [ipv4, ipv6].into_iter().flatten()
    }
}

/// From a pod to itself, by a Service. (Pods' packets are masqueraded for no other reason; answers to other hidden clients
/// go elsewhere.)
fn hairpin() -> Match {
    Match::new().subfield(fields::SOURCE, fields::source::POD).subfield(fields::MASQUERADED, 1u8)
}

fn sent_on() -> Action {
    Action::load(fields::SENT_ON, 1u8)
}

fn masquerade(hide: IpAddr, next: Table) -> [Action; 3] {
    let ct = Ct::commit(fields::MASQUERADE_ZONE).table(next.number()).nat(Nat::src(hide));
    [sent_on(), Action::load(fields::MASQUERADED, 1u8), Action::Ct(ct)]
}
