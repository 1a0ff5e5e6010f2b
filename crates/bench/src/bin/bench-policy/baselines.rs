//! The same policies in two ways that others go. Both name the addresses of peers.
//!
//! - *product*: one flow per (pod of this node, peer, port).
//! - *lists*: a conjunction per rule, whose clauses list subjects, peers' addresses, and ports.
//!
//! Who a selector matches is looked up once per selector, as one would. Flows are counted as they would be made, and not
//! kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use policy::spec::{IpBlock, LabelSelector, Labels, NetworkPolicySpec, PolicyPeer, PolicyPort};
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::compile::count;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Baselines {
    pub(crate) rules: usize,
    pub(crate) product: Baseline,
    pub(crate) lists: Baseline,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) entries: u64,
    pub(crate) entries_per_rule: f64,
    pub(crate) seconds: f64,
    /// Entries that one pod more, somewhere, changes on this node: those that name it.
    pub(crate) entries_per_pod: f64,
}

/// A rule of either direction.
struct Rule<'a> {
    namespace: &'a str,
    subjects: Vec<usize>,
    peers: &'a [PolicyPeer],
    ports: &'a [PolicyPort],
}

/// The namespace where it is the policy's own, the selector of namespaces, the selector of pods.
type Selected<'a> = (Option<&'a str>, Option<LabelSelector>, Option<LabelSelector>);

struct View<'a> {
    cluster: &'a Cluster,
    labels: HashMap<&'a str, &'a Labels>,
    by_namespace: HashMap<&'a str, Vec<usize>>,
    members: HashMap<Selected<'a>, Vec<usize>>,
}

pub(crate) fn measure(cluster: &Cluster) -> Baselines {
    let mut rules = 0;
    let product = run(cluster, &mut rules, |rule, peers, blocks| {
        let mut flows = 0;
        for subject in &rule.subjects {
            for peer in peers.iter().copied().chain(0..blocks) {
                for port in 0..rule.ports.len().max(1) {
                    std::hint::black_box((subject, peer, port));
                    flows += 1;
                }
            }
        }
        (flows, rule.subjects.len() * rule.ports.len().max(1))
    });
    let lists = run(cluster, &mut rules, |rule, peers, blocks| {
        let mut flows = 1;
        let clauses = rule.subjects.iter().chain(peers).copied().chain(0..blocks).chain(0..rule.ports.len());
        for flow in clauses {
            std::hint::black_box(flow);
            flows += 1;
        }
        (flows, 1)
    });
    Baselines { rules, product, lists }
}

fn run(
    cluster: &Cluster,
    rules: &mut usize,
    flows: impl Fn(&Rule<'_>, &BTreeSet<usize>, usize) -> (u64, usize),
) -> Baseline {
    let begin = Instant::now();
    let mut view = View::new(cluster);
    let (mut entries, mut per_pod) = (0, 0.0);
    let all = view.rules();
    *rules = all.len();
    for rule in &all {
        let (peers, blocks) = view.peers(rule);
        let (made, per_peer) = flows(rule, &peers, blocks);
        entries += made;
        per_pod += count(per_peer) * count(peers.len()) / count(cluster.pods.len()).max(1.0);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let per_rule = count(usize::try_from(entries).unwrap_or(usize::MAX)) / count(all.len()).max(1.0);
    Baseline {
        entries,
        entries_per_rule: (per_rule * 10.0).round() / 10.0,
        seconds: (seconds * 1e4).round() / 1e4,
        entries_per_pod: (per_pod * 100.0).round() / 100.0,
    }
}

impl<'a> View<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let labels = cluster.namespaces.iter().map(|(name, labels)| (name.as_str(), labels)).collect();
        let mut by_namespace: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, placed) in cluster.pods.iter().enumerate() {
            by_namespace.entry(&placed.name.namespace).or_default().push(index);
        }
        Self { cluster, labels, by_namespace, members: HashMap::new() }
    }

    /// The rules of the policies that select a pod of this node.
    fn rules(&self) -> Vec<Rule<'a>> {
        let mut local: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, placed) in self.cluster.pods.iter().enumerate().filter(|(_, placed)| placed.is_local()) {
            local.entry(&placed.name.namespace).or_default().push(index);
        }
        let mut rules = Vec::new();
        for (name, spec) in &self.cluster.policies {
            let Some(local) = local.get(name.namespace.as_str()) else { continue };
            let selected = |index: &&usize| {
                self.cluster.pods.get(**index).is_some_and(|one| matches(&spec.pod_selector, &one.pod.labels))
            };
            let subjects: Vec<usize> = local.iter().filter(selected).copied().collect();
            if !subjects.is_empty() {
                rules.extend(sides(spec).map(|(peers, ports)| Rule {
                    namespace: &name.namespace,
                    subjects: subjects.clone(),
                    peers,
                    ports,
                }));
            }
        }
        rules
    }

    /// The pods that a rule's peers are, and how many blocks there are beside them.
    fn peers(&mut self, rule: &Rule<'a>) -> (BTreeSet<usize>, usize) {
        let (mut peers, mut blocks) = (BTreeSet::new(), 0);
        for peer in rule.peers {
            match &peer.ip_block {
                Some(IpBlock { except, .. }) => blocks += 1 + except.iter().flatten().count(),
                None => peers.extend(self.members(rule.namespace, peer)),
            }
        }
        (peers, blocks)
    }

    fn members(&mut self, namespace: &'a str, peer: &PolicyPeer) -> &[usize] {
        let own = peer.namespace_selector.is_none().then_some(namespace);
        let key = (own, peer.namespace_selector.clone(), peer.pod_selector.clone());
        let Self { cluster, labels, by_namespace, members } = self;
        members.entry(key).or_insert_with(|| {
            let spaces: HashSet<&str> = match (own, &peer.namespace_selector) {
                (Some(own), _) => [own].into(),
                (None, Some(selector)) => labels
                    .iter()
                    .filter(|(_, labels)| matches(selector, labels))
                    .map(|(name, _)| *name)
                    .collect(),
                (None, None) => HashSet::new(),
            };
            let pods =
                spaces.into_iter().flat_map(|name| by_namespace.get(name).into_iter().flatten().copied());
            let selected = |index: &usize| {
                let Some(placed) = cluster.pods.get(*index) else { return false };
                peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, &placed.pod.labels))
            };
            pods.filter(selected).collect()
        })
    }
}

type Side<'a> = (&'a [PolicyPeer], &'a [PolicyPort]);

fn sides(spec: &NetworkPolicySpec) -> impl Iterator<Item = Side<'_>> {
    fn list<T>(list: &Option<Vec<T>>) -> &[T] {
        list.as_deref().unwrap_or_default()
    }
    let ingress = list(&spec.ingress).iter().map(|rule| (list(&rule.from), list(&rule.ports)));
    ingress.chain(list(&spec.egress).iter().map(|rule| (list(&rule.to), list(&rule.ports))))
}

fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|one| {
            let value = labels.get(&one.key);
            let listed = value.is_some_and(|value| one.values.iter().flatten().any(|other| other == value));
            match one.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}

#[cfg(test)]
mod tests {
    use policy::spec::{IngressRule, Pod};

    use super::*;
    use crate::cluster::{block, labels, pods, port, selector};

    #[test]
    fn flows_are_counted_as_they_would_be_made() {
        let mut cluster = Cluster::default();
        cluster.namespaces.push(("a".to_owned(), Labels::new()));
        for n in 0..10 {
            let labels = labels([("app", if n < 2 { "web" } else { "db" })]);
            cluster.add_pod("a", n.to_string(), Pod { labels, ..Pod::default() }, n);
        }
        let rule = IngressRule {
            from: Some(vec![pods(selector([("app", "db")])), block("192.0.2.0/24", &[])]),
            ports: Some(vec![port("TCP", 80), port("TCP", 443)]),
        };
        let spec = NetworkPolicySpec { ingress: Some(vec![rule]), ..NetworkPolicySpec::default() };
        cluster.add_policy("a", "p", spec);
        let found = measure(&cluster);
        // One subject, eight pods and a block, two ports.
        assert_eq!((found.rules, found.product.entries, found.lists.entries), (1, 18, 1 + 1 + 9 + 2));
    }
}
