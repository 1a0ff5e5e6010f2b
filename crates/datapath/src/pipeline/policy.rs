//! Network policy: look-ups of the peer, chains of the subjects, and what ends them.
//!
//! Each table is touched by one kind of event (see [`policy::rules`]): identity by a pod's address, the class tables by
//! selectors, chains by a local pod's set of policies, verdicts by one policy.
//!
//! # Passing and dropping in tables of their own
//!
//! When flows change, Open vSwitch looks at each flow of its datapath anew. One that would do something else now is deleted if
//! what it must look at has grown, and otherwise given its new actions. The userspace datapath of Open vSwitch 3.1 looks
//! for the flow to change by a packet that it matches, and so changes another one where two overlap: a flow can go on with
//! what an old policy allowed for as long as packets come. So that a change between passing and dropping is always a
//! deletion, each of the two ways looks at a bit of its own, which is never set and costs nothing: neither way's bits
//! contain the other's.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Action, Field, Flow, Match, PortNo};
use policy::rules::{CidrEntry, ClassId, Direction, Identity, LabelsId, NamespaceId, PolicyId};

use super::{flow, from, to};
use crate::topology::{Node, Port};
use crate::{Cookie, DropReason, Table, fields};

/// Policies in one flow of a chain: an OpenFlow message has room for about 2,000. Open vSwitch stops at some 4,000
/// look-ups per packet, both directions together.
const CHAIN_PART: usize = 500;
/// What no policy is asked about.
const PASS: u16 = 200;
/// To the subject's own node.
const OWN_NODE: u16 = 150;
/// A subject's chain; later parts of a long one are preferred where they match.
const CHAIN: u16 = 100;

/// Tables of one direction.
struct Stage {
    chain: Table,
    peer: Table,
    cidr: Table,
    end: Table,
    drop: Table,
    pass: Table,
    next: Table,
    /// See [`fields::never`].
    dropping: u32,
    passing: u32,
}

impl Stage {
    const fn of(direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self {
                chain: Table::Egress,
                peer: Table::EgressPeer,
                cidr: Table::EgressCidr,
                end: Table::EgressEnd,
                drop: Table::EgressDrop,
                pass: Table::EgressPass,
                next: Table::Route,
                dropping: fields::never::EGRESS_DROP,
                passing: fields::never::EGRESS_PASS,
            },
            Direction::Ingress => Self {
                chain: Table::Ingress,
                peer: Table::IngressPeer,
                cidr: Table::IngressCidr,
                end: Table::IngressEnd,
                drop: Table::IngressDrop,
                pass: Table::IngressPass,
                next: Table::Commit,
                dropping: fields::never::INGRESS_DROP,
                passing: fields::never::INGRESS_PASS,
            },
        }
    }
}

/// Flows that are there whatever policies there are.
pub(super) fn node(node: &Node) -> Vec<Flow> {
    let fixed =
        |table: Table, priority: u16, matching: Match| flow(table, priority, matching, Cookie::fixed());
    let reply = || Match::new().subfield(fields::REPLY, 1u8);
    let allowed = || Match::new().subfield(fields::ALLOWED, 1u8);
    let mut flows = vec![
        fixed(Table::Egress, PASS, reply()).goto_table(Table::Route.number()),
        fixed(Table::Ingress, PASS, reply()).goto_table(Table::Ttl.number()),
        // The node reaches its own pods, whatever they say: their probes come from it.
        fixed(Table::Ingress, PASS - 1, Match::new().subfield(fields::SOURCE, fields::source::HOST))
            .goto_table(Table::Commit.number()),
        // A packet that is allowed already asks no further policy.
        fixed(Table::Verdict, verdict_priority::ALLOWED, allowed()),
    ];
    for direction in Direction::ALL {
        let stage = Stage::of(direction);
        let never = |bit: u32| Match::new().ct_mark(bit, bit);
        let dropped = Cookie::drop(DropReason::Unmatched);
        flows.extend([
            fixed(stage.chain, 0, Match::new()).goto_table(stage.pass.number()),
            fixed(stage.end, 100, allowed()).goto_table(stage.pass.number()),
            fixed(stage.end, 0, Match::new()).goto_table(stage.drop.number()),
            fixed(stage.pass, 10, never(stage.passing)).goto_table(stage.next.number()),
            fixed(stage.pass, 0, Match::new()).goto_table(stage.next.number()),
            flow(stage.drop, 300, never(stage.dropping), dropped),
        ]);
        flows.push(
            fixed(stage.peer, 0, Match::new())
                .actions(forget_peer())
                .action(Action::resubmit(stage.cidr.number())),
        );
        let cluster = [node.cluster_ipv4.map(IpNet::V4), node.cluster_ipv6.map(IpNet::V6)];
        flows.extend(cluster.into_iter().flatten().map(|net| pod_network(&stage, direction, net)));
    }
    flows
}

/// What an earlier stage found of its peer, and whether its policies allowed the packet, counts no longer.
fn forget_peer() -> Vec<Action> {
    vec![
        Action::load(fields::ALLOWED, 0u8),
        Action::load(fields::PEER_IS_POD, 0u8),
        Action::set_field(fields::PEER, 0u128),
        Action::set_field(fields::CIDR_CLASS, 0u32),
        Action::set_field(fields::CHAIN_PART, 0u32),
    ]
}

/// An address that may be a pod's is looked up whole; all others only as far as CIDRs tell them apart.
fn pod_network(stage: &Stage, direction: Direction, net: IpNet) -> Flow {
    let (matching, address) = match (net, direction) {
        (IpNet::V4(net), Direction::Egress) => (Match::new().ipv4().ipv4_dst(net), Field::Ipv4Dst),
        (IpNet::V4(net), Direction::Ingress) => (Match::new().ipv4().ipv4_src(net), Field::Ipv4Src),
        (IpNet::V6(net), Direction::Egress) => (Match::new().ipv6().ipv6_dst(net), Field::Ipv6Dst),
        (IpNet::V6(net), Direction::Ingress) => (Match::new().ipv6().ipv6_src(net), Field::Ipv6Src),
    };
    let copy = match net {
        IpNet::V4(_) => vec![
            Action::set_field(fields::ADDRESS, fields::MAPPED),
            Action::move_field(address, fields::ADDRESS_IPV4),
        ],
        IpNet::V6(_) => vec![Action::move_field(address, fields::ADDRESS)],
    };
    let look_up = [stage.cidr, Table::Identity, Table::NamespaceClass, Table::LabelsClass];
    flow(stage.peer, 100, matching, Cookie::fixed())
        .actions(forget_peer())
        .actions(copy)
        .actions(look_up.map(|table| Action::resubmit(table.number())))
}

/// Whose an address is.
#[must_use]
pub fn identity(address: IpAddr, identity: Identity) -> Flow {
    let key = fields::mapped(address);
    flow(Table::Identity, 100, Match::new().set(fields::ADDRESS, key), Cookie::identity()).actions([
        Action::load(fields::PEER_IS_POD, 1u8),
        Action::set_field(fields::NAMESPACE, identity.namespace.0),
        Action::set_field(fields::LABELS, identity.labels.0),
    ])
}

/// The class of a namespace.
#[must_use]
pub fn namespace_class(id: NamespaceId, class: ClassId) -> Flow {
    flow(Table::NamespaceClass, 100, Match::new().set(fields::NAMESPACE, id.0), Cookie::class())
        .action(Action::set_field(fields::NAMESPACE_CLASS, class.0))
}

/// The class of a set of labels.
#[must_use]
pub fn labels_class(id: LabelsId, class: ClassId) -> Flow {
    flow(Table::LabelsClass, 100, Match::new().set(fields::LABELS, id.0), Cookie::class())
        .action(Action::set_field(fields::LABELS_CLASS, class.0))
}

/// The class of addresses, by longest prefix.
#[must_use]
pub fn cidr_class(direction: Direction, net: IpNet, entry: CidrEntry) -> Flow {
    // A prefix of length 0 is the family alone.
    let matching = match direction {
        Direction::Egress => to(Match::new(), net),
        Direction::Ingress => from(Match::new(), net),
    };
    let class = entry.class.map_or(0, |class| class.0);
    flow(Stage::of(direction).cidr, 100 + u16::from(net.prefix_len()), matching, Cookie::class())
        .action(Action::set_field(fields::CIDR_CLASS, class))
}

/// A port's pod is isolated in this direction: only what one of these policies allows passes. No policy: nothing does,
/// but for the pod's own node.
#[must_use]
pub fn chain(port: &Port, direction: Direction, policies: &[PolicyId]) -> Vec<Flow> {
    let stage = Stage::of(direction);
    let subject = subject(port, direction);
    let cookie = Cookie::port(&port.name);
    let parts: Vec<&[PolicyId]> = policies.chunks(CHAIN_PART).collect();
    let mut flows = vec![flow(stage.drop, 100, subject.clone(), Cookie::isolation(&port.name, direction))];
    for index in 0..parts.len().max(1) {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let mut actions = Vec::new();
        if index == 0 {
            actions.push(Action::resubmit(stage.peer.number()));
        }
        for id in parts.get(index).copied().unwrap_or_default() {
            actions.push(Action::set_field(fields::POLICY, id.0));
            actions.push(Action::resubmit(Table::Verdict.number()));
        }
        if index + 1 < parts.len() {
            actions.push(Action::set_field(fields::CHAIN_PART, number + 1));
            actions.push(Action::resubmit(stage.chain.number()));
        }
        if index == 0 && parts.len() > 1 {
            // The receiver's chain, on this node, begins at its first part.
            actions.push(Action::set_field(fields::CHAIN_PART, 0u32));
        }
        let part = match index {
            0 => flow(stage.chain, CHAIN, subject.clone(), cookie).goto_table(stage.end.number()),
            _ => flow(stage.chain, CHAIN + 1, subject.clone().set(fields::CHAIN_PART, number), cookie),
        };
        flows.push(part.actions(actions));
    }
    flows
}

/// Packets from (to) a port.
fn subject(port: &Port, direction: Direction) -> Match {
    let number = PortNo::new(port.ofport);
    match direction {
        Direction::Egress => Match::new().in_port(number),
        Direction::Ingress => Match::new()
            .subfield(fields::DESTINATION, fields::destination::POD)
            .subfield(fields::OUTPUT, fields::port(number)),
    }
}

/// Pods reach their own node at its addresses, whatever policies say.
#[must_use]
pub fn own_node(address: IpAddr) -> Flow {
    let matching = to(Match::new(), address).subfield(fields::SOURCE, fields::source::POD);
    flow(Table::Egress, OWN_NODE, matching, Cookie::fixed()).goto_table(Table::Route.number())
}

/// Priorities of [`Table::Verdict`].
pub(super) mod verdict_priority {
    /// The packet is allowed already.
    pub(in super::super) const ALLOWED: u16 = 300;
    /// A rule allows.
    pub(in super::super) const RULE: u16 = 200;
    /// One dimension of a rule holds.
    pub(in super::super) const DIMENSION: u16 = 100;
}
