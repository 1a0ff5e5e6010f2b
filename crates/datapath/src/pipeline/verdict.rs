//! What one policy allows, as flows.
//!
//! A rule allows (peer) x (port). A peer is itself a product: namespaces x labels x CIDRs. Each product becomes one
//! conjunction (`ovs-fields(7)`, "Conjunctive Match Fields"): a flow per element of each dimension, and one for the
//! conjunction; or, where that takes no more flows, a flow per combination. All of a policy's flows match its id, so
//! the ids of conjunctions count within a policy.

use std::collections::{BTreeMap, BTreeSet};

use openflow::{Action, Field, Flow, Match};
use policy::rules::{Namespaces, Peer, Peers, PolicyId, PortMatch, Ports, Protocol, Verdict};

use super::flow;
use super::policy::verdict_priority::{DIMENSION, RULE};
use crate::{Cookie, Table, fields};

/// What packets a node's datapath shows to policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
    /// Fragments come one by one, as the userspace datapath has them, and not whole, as the kernel's has. All but the
    /// first have no ports: those of a protocol of which a rule allows any port pass. Without the first they are nothing.
    pub fragments: bool,
}

/// The flows of a policy. A policy that allows nothing has none.
#[must_use]
pub fn verdict(id: PolicyId, verdict: &Verdict, families: Families) -> Vec<Flow> {
    let mut this = Compiler { id, families, last: 0, dimensions: BTreeMap::new(), rules: BTreeMap::new() };
    for rule in &verdict.rules {
        let ports = this.ports(&rule.ports);
        match &rule.peers {
            Peers::Anyone => this.product(rule.index, &ports.into_iter().collect::<Vec<_>>()),
            Peers::Some(peers) => {
                for peer in peers {
                    let mut dimensions = of_peer(peer);
                    dimensions.extend(ports.clone());
                    this.product(rule.index, &dimensions);
                }
            }
        }
    }
    this.flows()
}

/// The bit of `ip_frag` that fragments other than the first have (`ovs-fields(7)`).
const LATER_FRAGMENT: u128 = 2;
const IPV4: u128 = 0x0800;
const IPV6: u128 = 0x86dd;
const FRAGMENT_HEADER: u128 = 44;

/// Alternatives, each a list of conditions: one of them must hold.
type Dimension = Vec<Condition>;
/// Conditions on fields, besides the policy's id.
type Condition = Vec<(Field, u128, u128)>;

struct Compiler {
    id: PolicyId,
    families: Families,
    /// The conjunction made last.
    last: u32,
    /// By match: the conjunctions whose dimension it is.
    dimensions: BTreeMap<Match, Vec<Action>>,
    /// By match: the rule that allows it.
    rules: BTreeMap<Match, u16>,
}

impl Compiler {
    fn matching(&self, conditions: &[&Condition]) -> Match {
        let base = Match::new().set(fields::POLICY, self.id.0);
        let all = conditions.iter().copied().flatten();
        all.fold(base, |matching, &(field, value, mask)| add(matching, field, value, mask))
    }

    /// Allows what meets one condition of each dimension.
    fn product(&mut self, rule: u16, dimensions: &[Dimension]) {
        let combinations = dimensions.iter().map(Vec::len).fold(1, usize::saturating_mul);
        if combinations == 0 {
            return;
        }
        let separate = dimensions.iter().map(Vec::len).sum::<usize>() + 1;
        if dimensions.len() < 2 || combinations <= separate {
            let mut flat: Vec<Vec<&Condition>> = vec![Vec::new()];
            for dimension in dimensions {
                flat = flat
                    .iter()
                    .flat_map(|some| dimension.iter().map(move |one| [some.as_slice(), &[one]].concat()))
                    .collect();
            }
            for conditions in flat {
                let matching = self.matching(&conditions);
                self.rules.entry(matching).or_insert(rule);
            }
            return;
        }
        self.last += 1;
        let id = self.last;
        let n_clauses = u8::try_from(dimensions.len()).unwrap_or(u8::MAX);
        for (clause, dimension) in (1u8..).zip(dimensions) {
            for condition in dimension {
                let matching = self.matching(&[condition]);
                self.dimensions.entry(matching).or_default().push(Action::Conjunction {
                    id,
                    clause,
                    n_clauses,
                });
            }
        }
        let matching = self.matching(&[]).conj_id(id);
        self.rules.insert(matching, rule);
    }

    /// The dimension of a rule's ports; none if all ports count.
    fn ports(&self, ports: &Ports) -> Option<Dimension> {
        let Ports::Some(ports) = ports else { return None };
        let mut dimension: Dimension = ports.iter().flat_map(|port| self.port(*port)).collect();
        if self.families.fragments {
            // Where all ports count, fragments do anyway.
            let some = ports.iter().filter(|port| port.mask != 0).map(|port| port.protocol);
            dimension.extend(self.later_fragments(&some.collect()));
        }
        Some(dimension)
    }

    /// Fragments other than the first of packets of these protocols. Open vSwitch does not tell the protocol of IPv6's:
    /// it has the number of the fragment header (RFC 8200 section 4.5).
    fn later_fragments(&self, protocols: &BTreeSet<Protocol>) -> Dimension {
        let later = (Field::IpFrag, LATER_FRAGMENT, LATER_FRAGMENT);
        let ipv4 = protocols.iter().filter(|_| self.families.ipv4).map(|protocol| {
            let (number, _) = of_protocol(*protocol);
            vec![(Field::EthType, IPV4, u128::MAX), (Field::IpProto, number, u128::MAX), later]
        });
        let ipv6 = (self.families.ipv6 && !protocols.is_empty()).then(|| {
            vec![(Field::EthType, IPV6, u128::MAX), (Field::IpProto, FRAGMENT_HEADER, u128::MAX), later]
        });
        ipv4.chain(ipv6).collect()
    }

    fn port(&self, port: PortMatch) -> impl Iterator<Item = Condition> {
        let (number, field) = of_protocol(port.protocol);
        let families = [(self.families.ipv4, IPV4), (self.families.ipv6, IPV6)];
        families.into_iter().filter(|(on, _)| *on).map(move |(_, ethertype)| {
            vec![
                (Field::EthType, ethertype, u128::MAX),
                (Field::IpProto, number, u128::MAX),
                (field, port.value.into(), port.mask.into()),
            ]
        })
    }

    fn flows(self) -> Vec<Flow> {
        let table = Table::Verdict;
        let rules = self.rules.into_iter().map(|(matching, rule)| {
            flow(table, RULE, matching, Cookie::rule(self.id, rule))
                .action(Action::load(fields::ALLOWED, 1u8))
        });
        let dimensions = self.dimensions.into_iter().map(|(matching, conjunctions)| {
            flow(table, DIMENSION, matching, Cookie::policy(self.id)).actions(conjunctions)
        });
        rules.chain(dimensions).collect()
    }
}

/// A protocol's number, and the field of its destination ports.
const fn of_protocol(protocol: Protocol) -> (u128, Field) {
    match protocol {
        Protocol::Tcp => (6, Field::TcpDst),
        Protocol::Udp => (17, Field::UdpDst),
        Protocol::Sctp => (132, Field::SctpDst),
    }
}

fn add(matching: Match, field: Field, value: u128, mask: u128) -> Match {
    matching.masked(field, value, mask)
}

fn of_peer(peer: &Peer) -> Vec<Dimension> {
    let exactly = |field: Field, value: u32| vec![(field, u128::from(value), u128::MAX)];
    let mut dimensions = Vec::new();
    match &peer.namespaces {
        Namespaces::Any => {}
        Namespaces::One(id) => dimensions.push(vec![exactly(fields::NAMESPACE, id.0)]),
        Namespaces::Classes(classes) => {
            dimensions.push(classes.iter().map(|class| exactly(fields::NAMESPACE_CLASS, class.0)).collect());
        }
    }
    if let Some(classes) = &peer.labels {
        dimensions.push(classes.iter().map(|class| exactly(fields::LABELS_CLASS, class.0)).collect());
    }
    if dimensions.is_empty() && peer.pods_only {
        let bit = fields::PEER_IS_POD;
        dimensions.push(vec![vec![(bit.field, bit.mask(), bit.mask())]]);
    }
    if let Some(classes) = &peer.cidrs {
        dimensions.push(classes.iter().map(|class| exactly(fields::CIDR_CLASS, class.0)).collect());
    }
    dimensions
}
