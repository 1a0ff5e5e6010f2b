//! A policy's rules and the classes there are to a verdict.

use std::collections::{BTreeMap, BTreeSet};

use super::cidr_table::CidrTable;
use super::compiled::{self, Named, Selected};
use super::labels::LabelSets;
use super::namespaces::Namespaces;
use super::ports::{self, PortRange};
use super::strings::{Pair, Strings, Sym};
use crate::rules::{
    ClassId, Direction, NamespaceId, Namespaces as PeerNamespaces, Peer, Peers, Ports, Protocol, Rule,
    Verdict,
};

pub(crate) struct Renderer<'a> {
    pub(crate) strings: &'a Strings,
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) labels: &'a LabelSets,
    /// Of the direction.
    pub(crate) cidrs: &'a CidrTable,
    /// The policy's namespace.
    pub(crate) own: NamespaceId,
}

type ClassSet = BTreeSet<ClassId>;

impl Renderer<'_> {
    pub(crate) fn verdict(
        &self,
        direction: Direction,
        rules: &[compiled::Rule],
        resolution: &[Pair],
    ) -> Verdict {
        let mut verdict = Verdict { rules: Vec::new() };
        for rule in rules {
            let index = rule.index;
            let mut add = |peers: Option<Peers>, ports: Ports| {
                let no_ports = matches!(&ports, Ports::Some(ports) if ports.is_empty());
                if let Some(peers) = peers
                    && !no_ports
                {
                    verdict.rules.push(Rule { index, peers, ports });
                }
            };
            let Some(ports) = &rule.ports else {
                add(self.peers(&rule.peers, None), Ports::All);
                continue;
            };
            let mut ranges = ports.ranges.to_vec();
            if direction == Direction::Ingress {
                ranges.extend(ports.named.iter().flat_map(|port| self.resolve(*port, resolution)));
                add(self.peers(&rule.peers, None), matches(ranges));
                continue;
            }
            add(self.peers(&rule.peers, None), matches(ranges));
            for (peers, ranges) in self.at_named_ports(&rule.peers, &ports.named) {
                add(Some(peers), matches(ranges));
            }
        }
        verdict
    }

    /// The numbers of a port where the subject declares it.
    fn resolve(&self, port: Named, resolution: &[Pair]) -> impl Iterator<Item = PortRange> {
        let numbers = resolution.iter().filter(move |(key, _)| *key == port.key);
        numbers.filter_map(move |(_, number)| self.range(port.protocol, *number))
    }

    /// Peers that declare ports of these names, each with the numbers they give them. Those with the same numbers for
    /// different names are told apart only where they must be.
    fn at_named_ports(&self, peers: &compiled::Peers, named: &[Named]) -> Vec<(Peers, Vec<PortRange>)> {
        let mut declaring: BTreeMap<PortRange, ClassSet> = BTreeMap::new();
        for port in named {
            for (number, classes) in self.labels.classifier.numbers(port.key) {
                if let Some(range) = self.range(port.protocol, number) {
                    declaring.entry(range).or_default().extend(classes);
                }
            }
        }
        let mut found: Vec<(Peers, Vec<PortRange>)> = Vec::new();
        for (range, classes) in declaring {
            let Some(peers) = self.peers(peers, Some(&classes)) else { continue };
            match found.iter_mut().find(|(others, _)| *others == peers) {
                Some((_, ranges)) => ranges.push(range),
                None => found.push((peers, vec![range])),
            }
        }
        found
    }

    fn range(&self, protocol: Protocol, number: Sym) -> Option<PortRange> {
        let number = self.strings.text(number).parse().ok()?;
        Some(PortRange { protocol, first: number, last: number })
    }

    /// The peers of a rule, only those of these label classes if any are given. `None`: there are none.
    fn peers(&self, peers: &compiled::Peers, only: Option<&ClassSet>) -> Option<Peers> {
        let (selected, cidrs) = match (peers, only) {
            (compiled::Peers::Anyone, None) => return Some(Peers::Anyone),
            (compiled::Peers::Anyone, Some(_)) => {
                (&[Selected { namespaces: compiled::Namespaces::Any, pods: None }][..], None)
            }
            (compiled::Peers::Some { selected, cidrs }, _) => (&selected[..], *cidrs),
        };
        let mut peers = Vec::new();
        for peer in selected.iter().filter_map(|selected| self.peer(selected, only)) {
            merge(&mut peers, peer, |a, b| a.namespaces == b.namespaces, join_labels);
        }
        let mut merged = Vec::with_capacity(peers.len());
        for peer in peers {
            merge(&mut merged, peer, |a, b| a.labels == b.labels, join_namespaces);
        }
        if let Some(set) = cidrs {
            let cidrs: ClassSet = self.cidrs.of(set).collect();
            if !cidrs.is_empty() && only.is_none_or(|only| !only.is_empty()) {
                merged.push(Peer {
                    pods_only: only.is_some(),
                    namespaces: PeerNamespaces::Any,
                    labels: only.cloned(),
                    cidrs: Some(cidrs),
                });
            }
        }
        (!merged.is_empty()).then_some(Peers::Some(merged))
    }

    fn peer(&self, selected: &Selected, only: Option<&ClassSet>) -> Option<Peer> {
        let namespaces = match selected.namespaces {
            compiled::Namespaces::Any => PeerNamespaces::Any,
            compiled::Namespaces::Own => PeerNamespaces::One(self.own),
            compiled::Namespaces::Matching(selector) => {
                let classes: ClassSet = self.namespaces.classifier.matched_by(selector).collect();
                if classes.is_empty() {
                    return None;
                }
                PeerNamespaces::Classes(classes)
            }
        };
        let labels = match (selected.pods, only) {
            (None, only) => only.cloned(),
            (Some(selector), None) => Some(self.labels.classifier.matched_by(selector).collect()),
            (Some(selector), Some(only)) => {
                let classes = self.labels.classifier.matched_by(selector);
                Some(classes.filter(|class| only.contains(class)).collect())
            }
        };
        if labels.as_ref().is_some_and(ClassSet::is_empty) {
            return None;
        }
        Some(Peer { pods_only: true, namespaces, labels, cidrs: None })
    }
}

fn matches(ranges: Vec<PortRange>) -> Ports {
    Ports::Some(ports::matches(&ports::union(ranges)))
}

/// Adds a peer, to a similar one where there is one with which it can be told together.
fn merge(
    peers: &mut Vec<Peer>,
    peer: Peer,
    similar: fn(&Peer, &Peer) -> bool,
    join: fn(&mut Peer, Peer) -> Option<Peer>,
) {
    let rest = match peers.iter_mut().find(|other| similar(other, &peer)) {
        Some(other) => join(other, peer),
        None => Some(peer),
    };
    peers.extend(rest);
}

fn join_labels(into: &mut Peer, peer: Peer) -> Option<Peer> {
    into.labels = into.labels.take().zip(peer.labels).map(|(mut all, more)| {
        all.extend(more);
        all
    });
    None
}

fn join_namespaces(into: &mut Peer, peer: Peer) -> Option<Peer> {
    match (&mut into.namespaces, peer.namespaces) {
        (PeerNamespaces::Classes(all), PeerNamespaces::Classes(more)) => {
            all.extend(more);
            None
        }
        (PeerNamespaces::Any, _) => None,
        (_, PeerNamespaces::Any) => {
            into.namespaces = PeerNamespaces::Any;
            None
        }
        (_, namespaces) => Some(Peer { namespaces, ..peer }),
    }
}
