//! Labels of pods, with their named ports, each set held once however many replicas have it.
//!
//! A named port is held as a pair like a label: `:TCP:http` and its number. No label's key begins with a colon.
//!
//! Labels that tell one pod or one revision from another would give every pod a set of its own. They are left out of
//! sets until a policy's peer asks for their key, and kept beside the pod.

use std::collections::HashMap;

use super::classes::User;
use super::classifier::{Classifier, Things};
use super::ids::{Digest, Ids};
use super::pool::Pool;
use super::selectors::Selectors;
use super::strings::{Pair, Strings, Sym};
use crate::rules::{LabelsId, Protocol};
use crate::spec::{Labels, NamedPort, Pod};

/// Whether controllers give the label to every pod or revision with a value of its own.
pub(crate) fn varies_from_pod_to_pod(key: &str) -> bool {
    matches!(
        key,
        "pod-template-hash"
            | "pod-template-generation"
            | "controller-revision-hash"
            | "controller-uid"
            | "job-name"
            | "statefulset.kubernetes.io/pod-name"
            | "apps.kubernetes.io/pod-index"
    ) || key.starts_with("batch.kubernetes.io/")
}

/// What the name of a port is kept under.
pub(crate) fn port_key(name: &str, protocol: Protocol) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    format!(":{protocol}:{name}")
}

/// Everything that selectors and names of ports look at.
pub(crate) fn pairs_of(strings: &mut Strings, labels: &Labels, ports: &[NamedPort]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = labels.iter().map(|(key, value)| strings.pair((key, value))).collect();
    pairs.extend(
        ports
            .iter()
            .filter(|port| !port.name.is_empty())
            .map(|port| strings.pair((&port_key(&port.name, port.protocol), &port.port.to_string()))),
    );
    pairs.sort_unstable();
    pairs.dedup_by(|a, b| {
        let same = a == b;
        if same {
            strings.release_pairs(&[*a]);
        }
        same
    });
    pairs
}

/// The sets that known pods have.
#[derive(Default)]
pub(crate) struct LabelSets {
    sets: Sets,
    /// Labels that vary from pod to pod and that peers of known policies require something of, how many times.
    asked: HashMap<Sym, u32>,
    pub(crate) classifier: Classifier,
}

#[derive(Default)]
struct Sets {
    pool: Pool<Box<[Pair]>, Set>,
    ids: Ids,
}

struct Set {
    id: LabelsId,
    class: Option<u32>,
}

impl Things for Sets {
    fn pairs(&self, thing: u32) -> &[Pair] {
        self.pool.key(thing).map_or(&[], |pairs| pairs)
    }

    fn id(&self, thing: u32) -> u32 {
        self.pool.value(thing).map_or(0, |set| set.id.0)
    }

    fn class(&self, thing: u32) -> Option<u32> {
        self.pool.value(thing)?.class
    }

    fn set_class(&mut self, thing: u32, class: Option<u32>) {
        if let Some(set) = self.pool.value_mut(thing) {
            set.class = class;
        }
    }

    fn all(&self) -> Vec<u32> {
        self.pool.iter().map(|(index, _)| index).collect()
    }
}

/// The labels of one pod.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PodLabels {
    pub(crate) set: u32,
    /// Those that are in no set.
    pub(crate) own: Box<[Pair]>,
}

impl LabelSets {
    /// A pod has come.
    pub(crate) fn add(&mut self, selectors: &Selectors, strings: &mut Strings, pod: &Pod) -> PodLabels {
        let pairs = pairs_of(strings, &pod.labels, &pod.ports);
        self.split(selectors, strings, pairs)
    }

    /// A pod has gone.
    pub(crate) fn remove(&mut self, strings: &mut Strings, labels: &PodLabels) {
        strings.release_pairs(&labels.own);
        self.release(strings, labels.set);
    }

    /// The labels of a pod, divided once more; the old ones are to be removed.
    pub(crate) fn divide(
        &mut self,
        selectors: &Selectors,
        strings: &mut Strings,
        labels: &PodLabels,
    ) -> PodLabels {
        let mut pairs = self.sets.pairs(labels.set).to_vec();
        pairs.extend_from_slice(&labels.own);
        pairs.sort_unstable();
        for (key, value) in &pairs {
            strings.retain(*key);
            strings.retain(*value);
        }
        self.split(selectors, strings, pairs)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.pool.is_empty() && self.asked.is_empty() && self.classifier.is_empty()
    }

    fn split(&mut self, selectors: &Selectors, strings: &mut Strings, pairs: Vec<Pair>) -> PodLabels {
        let asked = &self.asked;
        let (own, shared): (Vec<Pair>, Vec<Pair>) = pairs
            .into_iter()
            .partition(|(key, _)| varies_from_pod_to_pod(strings.text(*key)) && !asked.contains_key(key));
        let Sets { pool, ids } = &mut self.sets;
        let (set, new) = pool.acquire(shared.as_slice(), || {
            let digests = shared.iter().map(|(key, value)| {
                Digest::new("label").text(strings.text(*key)).text(strings.text(*value)).finish()
            });
            let id = ids.take(Digest::new("labels").set(digests).finish());
            (shared.as_slice().into(), Set { id: LabelsId(id), class: None })
        });
        if new {
            self.classifier.enter(&mut self.sets, selectors, strings, set);
        } else {
            strings.release_pairs(&shared);
        }
        PodLabels { set, own: own.into() }
    }

    fn release(&mut self, strings: &mut Strings, set: u32) {
        // It is still there while it leaves.
        if self.sets.pool.users(set) == 1 {
            self.classifier.leave(&mut self.sets, set);
        }
        if let Some((pairs, set)) = self.sets.pool.release(set) {
            strings.release_pairs(&pairs);
            self.sets.ids.release(set.id.0);
        }
    }

    pub(crate) fn id(&self, set: u32) -> Option<LabelsId> {
        self.sets.pool.value(set).map(|set| set.id)
    }

    /// Whether a pod has a label with this key.
    pub(crate) fn has(&self, labels: &PodLabels, key: Sym) -> bool {
        labels.own.iter().chain(self.sets.pairs(labels.set)).any(|(other, _)| *other == key)
    }

    /// A peer of a known policy has a selector. Returns the keys for which labels are to be divided once more.
    pub(crate) fn ask(&mut self, selectors: &Selectors, strings: &Strings, selector: u32) -> Vec<Sym> {
        let mut first = Vec::new();
        for key in varying(selectors, strings, selector) {
            let count = self.asked.entry(key).or_default();
            *count += 1;
            if *count == 1 {
                first.push(key);
            }
        }
        first
    }

    /// A peer of a known policy no longer has a selector. Returns as [`LabelSets::ask`] does.
    pub(crate) fn unask(&mut self, selectors: &Selectors, strings: &Strings, selector: u32) -> Vec<Sym> {
        let mut last = Vec::new();
        for key in varying(selectors, strings, selector) {
            if let Some(count) = self.asked.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.asked.remove(&key);
                    last.push(key);
                }
            }
        }
        last
    }

    /// An active policy uses a selector.
    pub(crate) fn add_selector(&mut self, selectors: &Selectors, selector: u32, user: User) {
        self.classifier.add_selector(&mut self.sets, selectors, selector, user);
    }

    /// An active policy no longer uses a selector.
    pub(crate) fn remove_selector(&mut self, selectors: &Selectors, selector: u32, user: User) {
        self.classifier.remove_selector(&mut self.sets, selectors, selector, user);
    }

    /// An active policy uses a port's name.
    pub(crate) fn add_port(&mut self, strings: &Strings, name: Sym, user: User) {
        self.classifier.add_port(&mut self.sets, strings, name, user);
    }

    /// An active policy no longer uses a port's name.
    pub(crate) fn remove_port(&mut self, name: Sym, user: User) {
        self.classifier.remove_port(&mut self.sets, name, user);
    }
}

fn varying(selectors: &Selectors, strings: &Strings, selector: u32) -> Vec<Sym> {
    if !selectors.about(selector).is_some_and(|about| about.varying) {
        return Vec::new();
    }
    let keys = selectors.get(selector).iter().map(|one| one.key);
    keys.filter(|key| varies_from_pod_to_pod(strings.text(*key))).collect()
}
