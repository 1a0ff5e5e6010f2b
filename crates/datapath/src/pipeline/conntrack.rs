//! Connections: which packets are replies of what was allowed, and what is remembered.
//!
//! Policies judge a connection's original direction, with every packet and by today's rules, so a new deny stops what is
//! established. Replies, and errors about a known connection, pass whatever policy stands in their direction.
//!
//! Where the datapath tracks SCTP by addresses alone, all associations between two hosts would be one connection, and one
//! that is allowed would let any other pass as its reply. There, what an allowed association's replies look like is
//! learned as a flow of its own, ports included.

use openflow::{Action, Ct, CtState, Field, Flow, Learn, LearnFlags, LearnSpec, Match, Nat};

use super::flow;
use crate::topology::Node;
use crate::{Cookie, DropReason, Table, fields};

/// Seconds for which the replies of an association without packets are still expected: as Linux's connection tracking
/// has it (`nf_conntrack_sctp_timeout_established`).
const SCTP_IDLE: u16 = 210;
/// Associations whose replies are expected at the same time: a pod that sends to every port must not fill the switch.
const SCTP_LIMIT: u32 = 32_768;
/// `nw_proto` of SCTP.
const SCTP: u8 = 132;

pub(super) fn node(node: &Node) -> Vec<Flow> {
    let fixed =
        |table: Table, priority: u16, matching: Match| flow(table, priority, matching, Cookie::fixed());
    let reply = || Action::load(fields::REPLY, 1u8);
    let egress = Table::Egress.number();
    // With Services, packets are translated as their connections are, and new connections may be to one.
    let proxy = node.services.is_some();
    let next = if proxy { Table::Service.number() } else { egress };
    let mut flows = Vec::new();
    for family in families() {
        let track = Ct::track(fields::CT_ZONE, Table::ConnectionState.number());
        let track = if proxy { track.nat(Nat::restore()) } else { track };
        flows.push(fixed(Table::Conntrack, 100, family.clone()).action(track));
        let new = family.clone().ct_state(CtState::TRK | CtState::NEW, CtState::EMPTY);
        let commit = fixed(Table::Commit, 100, new).action(Ct::commit(fields::CT_ZONE));
        flows.push(commit.goto_table(Table::Ttl.number()));
    }
    let known = |state: CtState| Match::new().ct_state(CtState::TRK | state, CtState::EMPTY);
    let invalid = known(CtState::INV);
    flows.push(flow(Table::ConnectionState, 300, invalid, Cookie::drop(DropReason::Invalid)));
    for state in [CtState::RPL, CtState::REL] {
        flows.push(fixed(Table::ConnectionState, 100, known(state)).actions([reply()]).goto_table(egress));
    }
    let any = || Match::new();
    flows.push(fixed(Table::ConnectionState, 0, any()).goto_table(next));
    if !node.tracks_sctp {
        for family in families() {
            let sctp = family.ip_proto(SCTP);
            let look = fixed(Table::ConnectionState, 200, sctp.clone())
                .actions([Action::resubmit(Table::LearnedReplies.number())]);
            flows.push(look.goto_table(next));
            let learn = fixed(Table::Commit, 200, sctp.clone()).action(learn_replies(&sctp));
            flows.push(learn.goto_table(Table::Ttl.number()));
        }
    }
    flows.push(fixed(Table::Commit, 0, any()).goto_table(Table::Ttl.number()));
    flows
}

fn families() -> [Match; 2] {
    [Match::new().ipv4(), Match::new().ipv6()]
}

/// The other direction of the present packet's association is a reply.
fn learn_replies(sctp: &Match) -> Action {
    let ipv6 = sctp.get(Field::EthType).is_some_and(|field| field.value == 0x86dd);
    let (ethertype, src, dst) = match ipv6 {
        false => (0x0800u16, Field::Ipv4Src, Field::Ipv4Dst),
        true => (0x86ddu16, Field::Ipv6Src, Field::Ipv6Dst),
    };
    let swapped = |dst: Field, src: Field| LearnSpec::MatchField { dst: dst.into(), src: src.into() };
    Action::Learn(Learn {
        table: Table::LearnedReplies.number(),
        priority: 100,
        cookie: Cookie::learned().0,
        idle_timeout: SCTP_IDLE,
        limit: SCTP_LIMIT,
        flags: LearnFlags::EMPTY,
        specs: vec![
            LearnSpec::match_value(Field::EthType, ethertype),
            LearnSpec::match_value(Field::IpProto, SCTP),
            swapped(src, dst),
            swapped(dst, src),
            swapped(Field::SctpSrc, Field::SctpDst),
            swapped(Field::SctpDst, Field::SctpSrc),
            LearnSpec::load(fields::REPLY, 1u8),
        ],
        ..Learn::default()
    })
}
