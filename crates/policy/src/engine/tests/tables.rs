//! What a switch would hold, and what it would let pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::Engine;
use crate::rules::*;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) addresses: BTreeMap<IpAddr, (u32, u32)>,
    pub(super) namespaces: BTreeMap<NamespaceId, ClassId>,
    pub(super) labels: BTreeMap<LabelsId, ClassId>,
    pub(super) cidrs: BTreeMap<(Direction, IpNet), Option<ClassId>>,
    pub(super) policies: BTreeMap<PolicyId, Arc<Verdict>>,
    pub(super) subjects: BTreeMap<(SubjectId, Direction), Arc<[PolicyId]>>,
}

/// Every change must change something.
fn set<K, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>)
where
    K: Ord + std::fmt::Debug,
    V: PartialEq + std::fmt::Debug,
{
    let text = format!("{key:?} to {value:?}");
    assert_ne!(map.get(&key), value.as_ref(), "{text} is no change");
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Tables {
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Address(address, to) => {
                set(&mut self.addresses, address, to.map(|to| (to.namespace.0, to.labels.0)));
            }
            Change::Namespace(id, class) => set(&mut self.namespaces, id, class),
            Change::Labels(id, class) => set(&mut self.labels, id, class),
            Change::Cidr(direction, cidr, entry) => {
                set(&mut self.cidrs, (direction, cidr), entry.map(|entry| entry.class));
            }
            Change::Policy(id, verdict) => set(&mut self.policies, id, verdict),
            Change::Subject(id, direction, chain) => set(&mut self.subjects, (id, direction), chain),
        }
    }

    /// Brings the tables up to date, and returns what it took.
    pub(super) fn follow(&mut self, engine: &mut Engine) -> Vec<Change> {
        let changes = engine.changes();
        changes.iter().for_each(|change| self.apply(change.clone()));
        self.check();
        changes
    }

    /// What holds whatever was compiled.
    fn check(&self) {
        let zero = self.addresses.values().any(|(namespace, labels)| *namespace == 0 || *labels == 0);
        assert!(!zero, "an id is zero");
        for chain in self.subjects.values() {
            assert!(!chain.is_empty() && chain.is_sorted_by(|a, b| a < b), "{chain:?}");
            assert!(
                chain.iter().all(|id| self.policies.contains_key(id)),
                "a chain has a policy without an entry"
            );
        }
        for ((direction, cidr), class) in &self.cidrs {
            let mut shorter = cidr.supernet();
            let covering = loop {
                let Some(net) = shorter else { break None };
                if let Some(class) = self.cidrs.get(&(*direction, net)) {
                    break *class;
                }
                shorter = net.supernet();
            };
            assert_ne!(*class, covering, "{cidr} says what covers it says");
        }
        for peer in
            self.policies.values().flat_map(|verdict| &verdict.rules).flat_map(|rule| match &rule.peers {
                Peers::Anyone => &[][..],
                Peers::Some(peers) => peers,
            })
        {
            let empty = [&peer.labels, &peer.cidrs].into_iter().flatten().any(BTreeSet::is_empty);
            let unconditional = !peer.pods_only && peer.cidrs.is_none();
            assert!(!empty && !unconditional, "{peer:?}");
        }
    }

    pub(super) fn passes(
        &self,
        direction: Direction,
        subject: SubjectId,
        peer: &str,
        to: (Option<Protocol>, u16),
    ) -> bool {
        let peer: IpAddr = peer.parse().unwrap();
        let Some(chain) = self.subjects.get(&(subject, direction)) else { return true };
        let rules = chain.iter().flat_map(|id| &self.policies[id].rules);
        rules.into_iter().any(|rule| {
            let peers = match &rule.peers {
                Peers::Anyone => true,
                Peers::Some(peers) => peers.iter().any(|wanted| self.is_peer(direction, wanted, peer)),
            };
            let ports = match &rule.ports {
                Ports::All => true,
                Ports::Some(ports) => {
                    ports.iter().any(|one| Some(one.protocol) == to.0 && to.1 & one.mask == one.value)
                }
            };
            peers && ports
        })
    }

    fn is_peer(&self, direction: Direction, wanted: &Peer, address: IpAddr) -> bool {
        let identity = self.addresses.get(&address).copied();
        let namespaces = match &wanted.namespaces {
            Namespaces::Any => true,
            Namespaces::One(id) => identity.is_some_and(|(namespace, _)| namespace == id.0),
            Namespaces::Classes(classes) => identity
                .and_then(|(namespace, _)| self.namespaces.get(&NamespaceId(namespace)))
                .is_some_and(|class| classes.contains(class)),
        };
        let labels = wanted.labels.as_ref().is_none_or(|classes| {
            let class = identity.and_then(|(_, labels)| self.labels.get(&LabelsId(labels)));
            class.is_some_and(|class| classes.contains(class))
        });
        let cidrs = wanted.cidrs.as_ref().is_none_or(|classes| {
            let covering =
                self.cidrs.iter().filter(|((of, cidr), _)| *of == direction && cidr.contains(&address));
            let longest = covering.max_by_key(|((_, cidr), _)| cidr.prefix_len());
            longest.and_then(|(_, class)| *class).is_some_and(|class| classes.contains(&class))
        });
        (!wanted.pods_only || identity.is_some()) && namespaces && labels && cidrs
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (address, (namespace, labels)) in &self.addresses {
            writeln!(text, "address {address} -> namespace {namespace:08x} labels {labels:08x}").unwrap();
        }
        for (NamespaceId(id), ClassId(class)) in &self.namespaces {
            writeln!(text, "namespace {id:08x} -> class {class:08x}").unwrap();
        }
        for (LabelsId(id), ClassId(class)) in &self.labels {
            writeln!(text, "labels {id:08x} -> class {class:08x}").unwrap();
        }
        for ((direction, cidr), class) in &self.cidrs {
            let class = class.map_or("none".to_owned(), |ClassId(class)| format!("{class:08x}"));
            writeln!(text, "cidr {direction:?} {cidr} -> class {class}").unwrap();
        }
        for (PolicyId(id), verdict) in &self.policies {
            writeln!(text, "policy {id:08x}").unwrap();
            for rule in &verdict.rules {
                writeln!(text, "  rule {}: {} {}", rule.index, peers(&rule.peers), ports(&rule.ports))
                    .unwrap();
            }
        }
        for ((SubjectId(id), direction), chain) in &self.subjects {
            let chain: Vec<_> = chain.iter().map(|PolicyId(id)| format!("{id:08x}")).collect();
            writeln!(text, "subject {id} {direction:?} -> {}", chain.join(", ")).unwrap();
        }
        text
    }
}

fn peers(peers: &Peers) -> String {
    let Peers::Some(peers) = peers else { return "anyone".to_owned() };
    let classes = |classes: &BTreeSet<ClassId>| {
        classes.iter().map(|ClassId(class)| format!("{class:08x}")).collect::<Vec<_>>().join("|")
    };
    let peer = |peer: &Peer| {
        let mut text = vec![if peer.pods_only { "pods" } else { "all" }.to_owned()];
        match &peer.namespaces {
            Namespaces::Any => {}
            Namespaces::One(NamespaceId(id)) => text.push(format!("in {id:08x}")),
            Namespaces::Classes(set) => text.push(format!("in class {}", classes(set))),
        }
        text.extend(peer.labels.iter().map(|set| format!("of class {}", classes(set))));
        text.extend(peer.cidrs.iter().map(|set| format!("of CIDR class {}", classes(set))));
        text.join(" ")
    };
    peers.iter().map(peer).collect::<Vec<_>>().join(", ")
}

fn ports(ports: &Ports) -> String {
    let Ports::Some(ports) = ports else { return "at all ports".to_owned() };
    let port = |port: &PortMatch| format!("{:?} {}/{:#x}", port.protocol, port.value, port.mask);
    format!("at {}", ports.iter().map(port).collect::<Vec<_>>().join(", "))
}
