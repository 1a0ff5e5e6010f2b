//! Labels of pods, with their named ports, each set held once however many replicas have it.
//!
//! A named port is held as a pair like a label: `:TCP:http` and its number. No label's key begins with a colon.
//!
//! Labels that tell one pod or one revision from another would give every pod a set of its own. They are left out of
//! sets until a policy's peer asks for their key, and kept beside the pod.
//!
//! A set is known by its text, so that a replica more finds it without a look at each of its labels.

use std::collections::{BTreeMap, HashMap};

use super::classes::User;
use super::classifier::{Classifier, Things};
use super::pool::Pool;
use super::selectors::Selectors;
use super::strings::{Pair, Strings, Sym};
use super::text;
use crate::rules::{LabelsId, Protocol};
use crate::spec::{Labels, NamedPort, Pod};
use incremental::{Digest, Ids};

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

/// Names of ports and their numbers, as pairs.
fn port_pairs(ports: &[NamedPort]) -> Vec<(String, String)> {
    let named = ports.iter().filter(|port| !port.name.is_empty());
    let mut pairs: Vec<(String, String)> =
        named.map(|port| (port_key(&port.name, port.protocol), port.port.to_string())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Labels, but for what no label can be.
fn label_pairs(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    let pairs = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    pairs.filter(|(key, _)| !key.starts_with(':'))
}

/// Everything that selectors and names of ports look at.
pub(crate) fn pairs_of(strings: &mut Strings, labels: &Labels, ports: &[NamedPort]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = label_pairs(labels).map(|pair| strings.pair(pair)).collect();
    pairs.extend(port_pairs(ports).iter().map(|(name, number)| strings.pair((name, number))));
    pairs.sort_unstable();
    pairs
}

/// The sets that known pods have.
#[derive(Default)]
pub(crate) struct LabelSets {
    sets: Sets,
    /// Labels that vary from pod to pod and that peers of known policies require something of, how many times.
    asked: HashMap<String, u32>,
    pub(crate) classifier: Classifier,
}

#[derive(Default)]
struct Sets {
    pool: Pool<Box<[u8]>, Set>,
    ids: Ids<32>,
}

struct Set {
    id: LabelsId,
    pairs: Box<[Pair]>,
    class: Option<u32>,
}

impl Things for Sets {
    fn pairs(&self, thing: u32) -> &[Pair] {
        self.pool.value(thing).map_or(&[], |set| &set.pairs)
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
    /// The text of those that are in no set.
    pub(crate) own: Box<[u8]>,
}

impl LabelSets {
    /// A pod has come.
    pub(crate) fn add(&mut self, selectors: &Selectors, strings: &mut Strings, pod: &Pod) -> PodLabels {
        let ports = port_pairs(&pod.ports);
        let ports = ports.iter().map(|(name, number)| (name.as_str(), number.as_str()));
        let (shared, own) = self.divide(label_pairs(&pod.labels), ports);
        self.acquire(selectors, strings, &shared, own)
    }

    /// A pod has gone.
    pub(crate) fn remove(&mut self, strings: &mut Strings, labels: &PodLabels) {
        self.release(strings, labels.set);
    }

    /// The labels of a pod, divided once more; the old ones are to be removed.
    pub(crate) fn add_again(
        &mut self,
        selectors: &Selectors,
        strings: &mut Strings,
        labels: &PodLabels,
    ) -> PodLabels {
        let shared = self.sets.pool.key(labels.set).map_or(&[][..], |text| text);
        let (ports, shared): (Vec<_>, Vec<_>) =
            text::pairs(shared).partition(|(key, _)| key.starts_with(':'));
        let labels: BTreeMap<&str, &str> = shared.into_iter().chain(text::pairs(&labels.own)).collect();
        let (shared, own) = self.divide(labels.into_iter(), ports.into_iter());
        self.acquire(selectors, strings, &shared, own)
    }

    /// The texts of what belongs to a set, and of what is a pod's own. Pairs come in ascending order.
    fn divide<'a>(
        &self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        ports: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> (Vec<u8>, Vec<u8>) {
        let (mut shared, mut own) = (Vec::with_capacity(256), Vec::new());
        for (key, value) in labels {
            let is_own = varies_from_pod_to_pod(key) && !self.asked.contains_key(key);
            text::push(if is_own { &mut own } else { &mut shared }, key, value);
        }
        ports.for_each(|(name, number)| text::push(&mut shared, name, number));
        (shared, own)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.pool.is_empty() && self.asked.is_empty() && self.classifier.is_empty()
    }

    fn acquire(
        &mut self,
        selectors: &Selectors,
        strings: &mut Strings,
        shared: &[u8],
        own: Vec<u8>,
    ) -> PodLabels {
        let Sets { pool, ids } = &mut self.sets;
        let (set, new) = pool.acquire(shared, || {
            let digests =
                text::pairs(shared).map(|(key, value)| Digest::new("label").text(key).text(value).finish());
            let id = LabelsId(ids.take(Digest::new("labels").set(digests).finish()));
            let pairs = text::pairs(shared).map(|pair| strings.pair(pair)).collect();
            (shared.into(), Set { id, pairs, class: None })
        });
        if new {
            self.classifier.enter(&mut self.sets, selectors, strings, set);
        }
        PodLabels { set, own: own.into() }
    }

    fn release(&mut self, strings: &mut Strings, set: u32) {
        // It is still there while it leaves.
        if self.sets.pool.users(set) == 1 {
            self.classifier.leave(&mut self.sets, set);
        }
        if let Some((_, set)) = self.sets.pool.release(set) {
            strings.release_pairs(&set.pairs);
            self.sets.ids.release(set.id.0);
        }
    }

    pub(crate) fn id(&self, set: u32) -> Option<LabelsId> {
        self.sets.pool.value(set).map(|set| set.id)
    }

    /// Whether a pod has a label with this key.
    pub(crate) fn has(&self, labels: &PodLabels, key: &str) -> bool {
        let shared = self.sets.pool.key(labels.set).map_or(&[][..], |text| text);
        text::pairs(&labels.own).chain(text::pairs(shared)).any(|(other, _)| other == key)
    }

    /// A peer of a known policy has a selector. Returns the keys for which labels are to be divided once more.
    pub(crate) fn ask(&mut self, selectors: &Selectors, strings: &Strings, selector: u32) -> Vec<String> {
        let mut first = Vec::new();
        for key in varying(selectors, strings, selector) {
            let count = self.asked.entry(key.clone()).or_default();
            *count += 1;
            if *count == 1 {
                first.push(key);
            }
        }
        first
    }

    /// A peer of a known policy no longer has a selector. Returns as [`LabelSets::ask`] does.
    pub(crate) fn unask(&mut self, selectors: &Selectors, strings: &Strings, selector: u32) -> Vec<String> {
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

fn varying(selectors: &Selectors, strings: &Strings, selector: u32) -> Vec<String> {
    if !selectors.about(selector).is_some_and(|about| about.varying) {
        return Vec::new();
    }
    let keys = selectors.get(selector).iter().map(|one| strings.text(one.key));
    keys.filter(|key| varies_from_pod_to_pod(key)).map(str::to_owned).collect()
}
