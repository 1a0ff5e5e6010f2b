//! What a switch would hold.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use policy::rules::{Change, Direction, Namespaces, Peers, PolicyId, Ports, Rule, SubjectId, Verdict};
use serde::{Deserialize, Serialize};

/// The tables, as far as they are counted.
#[derive(Default)]
pub(crate) struct Tables {
    addresses: HashSet<std::net::IpAddr>,
    namespaces: HashSet<policy::rules::NamespaceId>,
    labels: HashSet<policy::rules::LabelsId>,
    cidrs: HashSet<(Direction, ipnet::IpNet)>,
    pub(crate) policies: HashMap<PolicyId, Arc<Verdict>>,
    pub(crate) chains: HashMap<(SubjectId, Direction), Arc<[PolicyId]>>,
}

/// Entries per table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) addresses: usize,
    pub(crate) namespace_classes: usize,
    pub(crate) label_classes: usize,
    pub(crate) cidrs: usize,
    pub(crate) policies: usize,
    pub(crate) chains: usize,
    /// A chain's steps.
    pub(crate) steps: usize,
    /// Entries of verdicts: for each peer of each rule its classes of namespaces, labels and CIDRs, and the ports once.
    pub(crate) verdicts: usize,
}

impl Tables {
    pub(crate) fn apply(&mut self, changes: &[Change]) {
        fn mark<K: Hash + Eq>(set: &mut HashSet<K>, key: K, there: bool) {
            if there {
                set.insert(key)
            } else {
                set.remove(&key)
            };
        }
        fn put<K: Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, value: Option<V>) {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        for change in changes.iter().cloned() {
            match change {
                Change::Address(address, to) => mark(&mut self.addresses, address, to.is_some()),
                Change::Namespace(id, class) => mark(&mut self.namespaces, id, class.is_some()),
                Change::Labels(id, class) => mark(&mut self.labels, id, class.is_some()),
                Change::Cidr(direction, cidr, entry) => {
                    mark(&mut self.cidrs, (direction, cidr), entry.is_some());
                }
                Change::Policy(id, verdict) => put(&mut self.policies, id, verdict),
                Change::Subject(id, direction, chain) => put(&mut self.chains, (id, direction), chain),
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            addresses: self.addresses.len(),
            namespace_classes: self.namespaces.len(),
            label_classes: self.labels.len(),
            cidrs: self.cidrs.len(),
            policies: self.policies.len(),
            chains: self.chains.len(),
            steps: self.chains.values().map(|chain| chain.len()).sum(),
            verdicts: self.policies.values().flat_map(|verdict| &verdict.rules).map(of_rule).sum(),
        }
    }
}

fn of_rule(rule: &Rule) -> usize {
    let ports = match &rule.ports {
        Ports::All => 0,
        Ports::Some(ports) => ports.len(),
    };
    let Peers::Some(peers) = &rule.peers else { return ports.max(1) };
    let of_peer = peers.iter().map(|peer| {
        let namespaces = match &peer.namespaces {
            Namespaces::Any => 0,
            Namespaces::One(_) => 1,
            Namespaces::Classes(classes) => classes.len(),
        };
        let sets = [&peer.labels, &peer.cidrs].into_iter().flatten();
        (namespaces + sets.map(std::collections::BTreeSet::len).sum::<usize>() + ports).max(1)
    });
    of_peer.sum()
}
