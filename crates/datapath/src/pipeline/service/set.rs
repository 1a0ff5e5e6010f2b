//! A set: its flows, and the groups that choose one of its endpoints.

use std::net::SocketAddr;

use openflow::{
    Action, Bucket, Ct, Field, Flow, Group, Learn, LearnFlags, LearnSpec, Match, Nat, SelectionMethod,
};
use service::lb::{Backends, Parts, Set, SetId};

use super::super::flow;
use super::groups::group_id;
use super::slots::weights;
use crate::{Cookie, DropReason, Table, fields};

/// What it takes to have a set in the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetItems {
    /// Its flows.
    pub flows: Vec<Flow>,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// The flows and groups of a set. `possible`: the datapath can translate its protocol.
#[must_use]
pub fn set(id: SetId, set: &Set, possible: bool) -> SetItems {
    let this = Compiler { id, set };
    let refuse = || this.at(Table::Select, 100).goto_table(Table::Refuse.number());
    match &set.backends {
        Backends::Drop => {
            let cookie = Cookie::drop(DropReason::NoLocalEndpoint);
            let matching = Match::new().set(fields::SET, id.0);
            SetItems { flows: vec![flow(Table::Select, 100, matching, cookie)], groups: Vec::new() }
        }
        Backends::Endpoints(parts) if possible && !parts.is_empty() => this.endpoints(parts),
        Backends::Endpoints(_) | Backends::Refuse => SetItems { flows: vec![refuse()], groups: Vec::new() },
    }
}

struct Compiler<'a> {
    id: SetId,
    set: &'a Set,
}

impl Compiler<'_> {
    fn at(&self, table: Table, priority: u16) -> Flow {
        flow(table, priority, Match::new().set(fields::SET, self.id.0), Cookie::service(self.id))
    }

    fn endpoints(&self, parts: &Parts) -> SetItems {
        let mut items = SetItems::default();
        let select = match self.set.affinity {
            None => self.at(Table::Select, 100),
            Some(seconds) => {
                // The endpoint that the client keeps, if that is known and one of the set; or else a new one.
                let look = [Action::resubmit(Table::Affinity.number())];
                let first = self.at(Table::Select, 100).actions(look);
                items.flows.push(first.goto_table(Table::Endpoint.number()));
                items.flows.extend(parts.iter().map(|endpoint| self.kept(endpoint, seconds)));
                self.at(Table::Endpoint, 10)
            }
        };
        match &*parts.0 {
            [part] => items.flows.push(self.one_of(select, 0, part, &mut items.groups)),
            parts => {
                // A power of two.
                let bits = parts.len().ilog2();
                items.flows.push(select.action(Action::Group(bits)));
                for (index, part) in (0..).zip(parts) {
                    let flow = self.at(Table::Part, 100);
                    let flow = Flow { matching: flow.matching.clone().subfield(fields::PART, index), ..flow };
                    items.flows.push(self.one_of(flow, index, part, &mut items.groups));
                }
            }
        }
        items
    }

    /// Has a flow send packets to one of these endpoints.
    fn one_of(&self, flow: Flow, index: u32, part: &[SocketAddr], groups: &mut Vec<Group>) -> Flow {
        if let [endpoint] = part {
            return of_family(flow, *endpoint).actions(self.choose(*endpoint));
        }
        let id = group_id(self.id, index);
        let mut group = Group::select(id, Some(SelectionMethod::dp_hash()));
        let (weight, rest) = weights(part.len());
        let numbered = (1..).zip(part);
        group.buckets.extend(
            numbered.map(|(number, endpoint)| Bucket::weighted(number, weight, self.choose(*endpoint))),
        );
        // To the last endpoint: slots that do not divide evenly go to the first ones.
        if let (Some(weight), Some(last)) = (rest, part.last()) {
            let number = u32::try_from(part.len()).unwrap_or(u32::MAX).saturating_add(1);
            group.buckets.push(Bucket::weighted(number, weight, self.choose(*last)));
        }
        groups.push(group);
        flow.action(Action::Group(id))
    }

    /// What a bucket does: sends the connection on, or first has the client keep the endpoint.
    fn choose(&self, endpoint: SocketAddr) -> Vec<Action> {
        if self.set.affinity.is_none() {
            return self.send_on(endpoint);
        }
        vec![
            Action::set_field(fields::ADDRESS, fields::mapped(endpoint.ip())),
            Action::set_field(fields::ENDPOINT, chosen(endpoint)),
            Action::resubmit(Table::Endpoint.number()),
        ]
    }

    fn kept(&self, endpoint: SocketAddr, seconds: u32) -> Flow {
        let address = fields::mapped(endpoint.ip());
        let flow = self.at(Table::Endpoint, 100);
        let matching =
            flow.matching.clone().set(fields::ADDRESS, address).set(fields::ENDPOINT, chosen(endpoint));
        let forget = [Action::set_field(fields::ADDRESS, 0u128), Action::set_field(fields::ENDPOINT, 0u32)];
        of_family(Flow { matching, ..flow }, endpoint)
            .action(self.learn(endpoint, seconds))
            .actions(forget)
            .actions(self.send_on(endpoint))
    }

    /// The client keeps the endpoint: each of its new connections begins the time anew.
    fn learn(&self, endpoint: SocketAddr, seconds: u32) -> Action {
        let (ethertype, source) = match endpoint {
            SocketAddr::V4(_) => (0x0800u16, Field::Ipv4Src),
            SocketAddr::V6(_) => (0x86ddu16, Field::Ipv6Src),
        };
        Action::Learn(Learn {
            table: Table::Affinity.number(),
            priority: 100,
            cookie: Cookie::learned().0,
            // OpenFlow's longest time is some 18 hours.
            idle_timeout: u16::try_from(seconds).unwrap_or(u16::MAX),
            flags: LearnFlags::EMPTY,
            specs: vec![
                LearnSpec::match_value(Field::EthType, ethertype),
                LearnSpec::match_value(fields::SET, self.id.0),
                LearnSpec::match_same(source),
                LearnSpec::load(fields::ADDRESS, fields::mapped(endpoint.ip())),
                LearnSpec::load(fields::ENDPOINT, chosen(endpoint)),
            ],
            ..Learn::default()
        })
    }

    /// Translates the connection's destination and remembers it.
    fn send_on(&self, endpoint: SocketAddr) -> Vec<Action> {
        let keeps = if self.set.keeps_client { fields::mark::KEEPS_CLIENT } else { 0 };
        let translate = Ct::commit(fields::CT_ZONE)
            .table(Table::Masquerade.number())
            .nat(Nat::dst(endpoint.ip(), endpoint.port()))
            .exec(Action::set_field(Field::CtMark, self.id.0 | keeps));
        // What is alike for all Services from here on is one entry in the datapath.
        vec![
            Action::set_field(fields::SET, 0u32),
            Action::set_field(fields::PART.field, 0u32),
            Action::Ct(translate),
        ]
    }
}

/// Limits a flow to packets of the endpoint's family: Open vSwitch refuses a flow of all packets that translates addresses
/// of one family. Buckets of groups it does not look at like this.
fn of_family(flow: Flow, endpoint: SocketAddr) -> Flow {
    let matching = match endpoint {
        SocketAddr::V4(_) => flow.matching.clone().ipv4(),
        SocketAddr::V6(_) => flow.matching.clone().ipv6(),
    };
    Flow { matching, ..flow }
}

fn chosen(endpoint: SocketAddr) -> u32 {
    fields::CHOSEN | u32::from(endpoint.port())
}
