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
//! for each, and a bucket more, of little weight, that says how many ([`slots`]).
//!
//! More than [`Parts::SIZE`] endpoints would have too few slots each. They come in parts, whose number is a power of two: higher bits of
//! the same hash name the part, which is a group of its own. OpenFlow cannot match the hash, but it can copy bits of it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use openflow::{
    Action, Bucket, Ct, Field, Flow, Group, Learn, LearnFlags, LearnSpec, Match, Nat, SelectionMethod,
    Subfield,
};
use service::lb::{At, Backends, Frontend, Parts, Protocol, Set, SetId, Target};

use super::flow;
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

/// Slots in which a bucket must at least be for it to be about as likely as the others.
const PRECISION: usize = 24;
/// The most slots of a group.
const MOST_SLOTS: usize = 256;

/// Group ids below this are those that only hash, by the number of bits that they copy.
const FIRST_SET: u32 = 1 << 8;
/// The first bit of the hash that names a part; those below number slots.
const PART_BITS: u16 = 16;

/// What it takes to have a set in the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetItems {
    /// Its flows.
    pub flows: Vec<Flow>,
    /// Its groups.
    pub groups: Vec<Group>,
}

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
            let matching = to(net).ip_proto(protocol.number());
            flows.push(fixed(Table::Service, NOBODY, matching).goto_table(Table::Refuse.number()));
        }
        let cookie = Cookie::drop(DropReason::NoSuchService);
        flows.push(flow(Table::Service, NOBODY - 10, to(net), cookie));
    }
    let pods = [node.pods_ipv4.map(IpNet::V4), node.pods_ipv6.map(IpNet::V6)];
    flows.extend(pods.into_iter().flatten().map(|net| {
        fixed(Table::Service, OWN_ADDRESS, to(node_port_address(net))).goto_table(Table::NodePort.number())
    }));
    flows
}

/// The groups that only have the datapath hash packets, and copy as many bits of the hash as there may be parts.
#[must_use]
pub fn hashes() -> Vec<Group> {
    let most = Parts::MOST.ilog2();
    let bits = (1..).zip(1..=most);
    bits.map(|(bits, id): (u16, u32)| {
        let hash = Subfield::new(Field::DpHash, PART_BITS, bits);
        let part = Subfield::new(fields::PART.field, 0, bits);
        let actions = vec![Action::move_field(hash, part), Action::resubmit(Table::Part.number())];
        Group::select(id, Some(SelectionMethod::dp_hash())).bucket(Bucket::weighted(1, 1, actions))
    })
    .collect()
}

/// Pods reach node ports at the node's own addresses.
#[must_use]
pub fn node_address(address: IpAddr) -> Flow {
    let matching = to(address).subfield(fields::SOURCE, fields::source::POD);
    flow(Table::Service, OWN_ADDRESS, matching, Cookie::fixed()).goto_table(Table::NodePort.number())
}

/// The flows of a frontend.
#[must_use]
pub fn frontend(frontend: &Frontend, target: &Target) -> Vec<Flow> {
    let (table, base) = match frontend.at {
        At::Address(address) => (Table::Service, to(address)),
        At::Node { ipv6: false } => (Table::NodePort, Match::new().ipv4()),
        At::Node { ipv6: true } => (Table::NodePort, Match::new().ipv6()),
    };
    let base = to_port(base, frontend.protocol, frontend.port);
    let send = |priority: u16, matching: Match, set: SetId| {
        flow(table, priority, matching, Cookie::service(set))
            .actions([Action::set_field(fields::SET, set.0)])
            .goto_table(Table::Select.number())
    };
    let clients: Vec<Match> = match &*target.sources {
        [] => vec![base.clone()],
        nets => nets.iter().map(|net| from(base.clone(), *net)).collect(),
    };
    let mut flows = Vec::new();
    for matching in clients {
        flows.push(send(FRONTEND, matching.clone(), target.inside));
        if target.outside != target.inside {
            let outside = matching.subfield(fields::SOURCE, fields::source::GATEWAY);
            flows.push(send(OUTSIDE, outside, target.outside));
        }
    }
    if !target.sources.is_empty() {
        flows.push(flow(table, NOT_ALLOWED, base, Cookie::drop(DropReason::SourceNotAllowed)));
    }
    flows
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

/// How many packets, of new connections, went to which endpoint, from the counters of the buckets of a set's group: the
/// buckets of [`Parts`]' part, in its order, and the one that is there for the weights and leads to the last endpoint.
#[must_use]
pub fn bucket_endpoint(part: &[SocketAddr], bucket: u32) -> Option<SocketAddr> {
    let index = usize::try_from(bucket).ok()?.checked_sub(1)?;
    part.get(index).or_else(|| part.last().filter(|_| index == part.len())).copied()
}

/// The group of a part of a set.
#[must_use]
pub fn group_id(id: SetId, part: u32) -> u32 {
    // 24 bits of the set, 8 of the part; sets are never zero.
    FIRST_SET.saturating_mul(id.0) | part & (FIRST_SET - 1)
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
            [part] => items.flows.push(select.actions(self.one_of(0, part, &mut items.groups))),
            parts => {
                // A power of two.
                let bits = parts.len().ilog2();
                items.flows.push(select.action(Action::Group(bits)));
                for (index, part) in (0..).zip(parts) {
                    let flow = self.at(Table::Part, 100);
                    let flow = Flow { matching: flow.matching.clone().subfield(fields::PART, index), ..flow };
                    items.flows.push(flow.actions(self.one_of(index, part, &mut items.groups)));
                }
            }
        }
        items
    }

    /// To one of these endpoints.
    fn one_of(&self, index: u32, part: &[SocketAddr], groups: &mut Vec<Group>) -> Vec<Action> {
        if let [endpoint] = part {
            return self.choose(*endpoint);
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
        vec![Action::Group(id)]
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
        let matching = match endpoint {
            SocketAddr::V4(_) => matching.ipv4(),
            SocketAddr::V6(_) => matching.ipv6(),
        };
        let forget = [Action::set_field(fields::ADDRESS, 0u128), Action::set_field(fields::ENDPOINT, 0u32)];
        Flow { matching, ..flow }
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

fn chosen(endpoint: SocketAddr) -> u32 {
    fields::CHOSEN | u32::from(endpoint.port())
}

/// The weight of each of so many buckets, and of the one beside them, if any, that makes Open vSwitch deal out enough
/// slots.
fn weights(buckets: usize) -> (u16, Option<u16>) {
    let slots = slots(buckets);
    if buckets.is_power_of_two() && buckets <= slots {
        return (1, None);
    }
    // As many slots as the sum of all weights, rounded up to a power of two, in units of the smallest weight.
    let weight = u16::try_from((slots - 1) / buckets.max(1)).unwrap_or(1).max(1);
    (weight, (weight > 1).then_some(1))
}

/// How many slots so many endpoints take.
fn slots(endpoints: usize) -> usize {
    let sizes = [16, 32, 64, 128];
    let fits = |slots: &usize| {
        slots.is_multiple_of(endpoints.max(1)) || *slots >= PRECISION.saturating_mul(endpoints)
    };
    sizes.into_iter().find(fits).unwrap_or(MOST_SLOTS)
}

fn to(net: impl Into<IpNet>) -> Match {
    match net.into() {
        IpNet::V4(net) => Match::new().ipv4().ipv4_dst(net),
        IpNet::V6(net) => Match::new().ipv6().ipv6_dst(net),
    }
}

fn from(matching: Match, net: IpNet) -> Match {
    match net {
        IpNet::V4(net) => matching.ipv4_src(net),
        IpNet::V6(net) => matching.ipv6_src(net),
    }
}

fn to_port(matching: Match, protocol: Protocol, port: u16) -> Match {
    let field = match protocol {
        Protocol::Tcp => Field::TcpDst,
        Protocol::Udp => Field::UdpDst,
        Protocol::Sctp => Field::SctpDst,
    };
    matching.ip_proto(protocol.number()).set(field, port)
}

#[cfg(test)]
mod tests;
