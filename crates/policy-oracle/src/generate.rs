//! Small clusters that look for trouble, and what happens in them.
//!
//! There are few names, labels, ports and addresses, so that selectors hit, names resolve to different numbers, blocks
//! nest and contain pods, and one thing is often said twice. Everything that the API server refuses occurs too, seldom.
//!
//! - [`clusters`] makes a cluster; [`Cluster::events`] tells it as news.
//! - [`steps`] makes a sequence of what may happen to any cluster; [`Step::events`] tells one of them as news to this
//!   one, and [`Cluster::apply`] is what becomes of it.
//! - [`addresses`] and [`TRAFFIC`] are worth asking about.

mod objects;
mod policies;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use policy::rules::{Protocol, SubjectId};
use policy::spec::{Labels, Name, NetworkPolicySpec, Pod};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::Traffic;
use crate::evaluator::Cluster;

pub use objects::{labels, pods};
pub use policies::policies;

/// How many pods, policies and subjects there can be.
const PODS: u8 = 10;
const POLICIES: u8 = 8;
const SUBJECTS: u8 = 5;

/// Namespaces. Not all of them are known in every cluster.
const NAMESPACES: [&str; 4] = ["a", "b", "c", "d"];

/// What is worth being sent: each port that policies and pods name, and ports beside them.
pub const TRAFFIC: [Traffic; 10] = [
    Traffic::Port(Protocol::Tcp, 80),
    Traffic::Port(Protocol::Tcp, 81),
    Traffic::Port(Protocol::Tcp, 84),
    Traffic::Port(Protocol::Tcp, 443),
    Traffic::Port(Protocol::Tcp, 65535),
    Traffic::Port(Protocol::Udp, 53),
    Traffic::Port(Protocol::Udp, 80),
    Traffic::Port(Protocol::Sctp, 80),
    Traffic::Port(Protocol::Sctp, 9),
    Traffic::Other,
];

/// Addresses that are no pod's in most clusters, inside and outside the blocks of policies.
const OUTSIDE: [&str; 9] = [
    "10.0.0.14",
    "10.0.9.9",
    "192.0.2.1",
    "192.0.2.200",
    "8.8.8.8",
    "fd00::e",
    "fd00::1:1",
    "2001:db8::1",
    "2600::1",
];

/// News of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A namespace is there, or has other labels.
    Namespace(String, Labels),
    /// A namespace is gone.
    NamespaceGone(String),
    /// A pod is there, or has changed.
    Pod(Name, Pod),
    /// A pod is gone.
    PodGone(Name),
    /// A policy is there, or has changed.
    Policy(Name, NetworkPolicySpec),
    /// A policy is gone.
    PolicyGone(Name),
    /// A pod of this node is there, or has changed.
    Subject(SubjectId, Pod),
    /// A pod of this node is gone.
    SubjectGone(SubjectId),
}

/// Something that may happen to any cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One thing.
    One(Event),
    /// Two pods swap their addresses, one after the other.
    Swap(Name, Name),
    /// A pod is replaced by another that gets its addresses; the news of its end comes last.
    Replace(Name, Name),
    /// This node learns how a pod of the cluster is now.
    Follow(SubjectId, Name),
}

impl Cluster {
    /// Lets something happen.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Namespace(name, labels) => drop(self.namespaces.insert(name, labels)),
            Event::NamespaceGone(name) => drop(self.namespaces.remove(&name)),
            Event::Pod(name, pod) => drop(self.pods.insert(name, pod)),
            Event::PodGone(name) => drop(self.pods.remove(&name)),
            Event::Policy(name, spec) => drop(self.policies.insert(name, spec)),
            Event::PolicyGone(name) => drop(self.policies.remove(&name)),
            Event::Subject(id, pod) => drop(self.subjects.insert(id, pod)),
            Event::SubjectGone(id) => drop(self.subjects.remove(&id)),
        }
    }

    /// The cluster as news to somebody who knows nothing.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        events
            .extend(self.namespaces.clone().into_iter().map(|(name, labels)| Event::Namespace(name, labels)));
        events.extend(self.pods.clone().into_iter().map(|(name, pod)| Event::Pod(name, pod)));
        events.extend(self.policies.clone().into_iter().map(|(name, spec)| Event::Policy(name, spec)));
        events.extend(self.subjects.clone().into_iter().map(|(id, pod)| Event::Subject(id, pod)));
        events
    }

    /// Ends every dispute over an address: of the pods that claim it, all but the first go.
    #[must_use]
    pub fn settle(&self) -> Vec<Event> {
        let mut taken = std::collections::BTreeSet::new();
        let mut events = Vec::new();
        for (name, pod) in &self.pods {
            if pod.addresses.iter().any(|address| taken.contains(address)) {
                events.push(Event::PodGone(name.clone()));
            } else {
                taken.extend(pod.addresses.iter().copied());
            }
        }
        events
    }
}

impl Step {
    /// The step as news.
    #[must_use]
    pub fn events(&self, cluster: &Cluster) -> Vec<Event> {
        let with = |name: &Name, addresses: &[IpAddr]| {
            let pod = cluster.pods.get(name).cloned()?;
            Some(Event::Pod(name.clone(), Pod { addresses: addresses.to_vec(), ..pod }))
        };
        let addresses = |name: &Name| cluster.pods.get(name).map(|pod| pod.addresses.clone());
        match self {
            Self::One(event) => vec![event.clone()],
            Self::Swap(first, second) => {
                let Some((a, b)) = addresses(first).zip(addresses(second)) else { return vec![] };
                with(first, &b).into_iter().chain(with(second, &a)).collect()
            }
            Self::Replace(old, new) => {
                let Some(taken) = addresses(old).filter(|_| old != new) else { return vec![] };
                with(new, &taken).into_iter().chain([Event::PodGone(old.clone())]).collect()
            }
            Self::Follow(id, name) => match cluster.pods.get(name) {
                Some(pod) => vec![Event::Subject(*id, pod.clone())],
                None => vec![Event::SubjectGone(*id)],
            },
        }
    }
}

/// Every address that a pod has or could have, and others.
#[must_use]
pub fn addresses(cluster: &Cluster) -> Vec<IpAddr> {
    let held = cluster.pods.values().flat_map(|pod| pod.addresses.iter().copied());
    let outside = OUTSIDE.iter().filter_map(|text| text.parse().ok());
    let mut all: Vec<IpAddr> = held.chain(outside).chain((0..PODS).flat_map(objects::home)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn pod_name(slot: u8) -> Name {
    Name { namespace: namespace(slot), name: format!("p{slot}") }
}

fn policy_name(slot: u8) -> Name {
    Name { namespace: namespace(slot % 3), name: format!("n{slot}") }
}

fn namespace(slot: u8) -> String {
    NAMESPACES.iter().cycle().nth(slot.into()).map(|name| (*name).to_owned()).unwrap_or_default()
}

fn pod_event() -> impl Strategy<Value = Event> {
    (0..PODS).prop_flat_map(|slot| {
        pods(slot, namespace(slot)).prop_map(move |pod| Event::Pod(pod_name(slot), pod))
    })
}

fn policy_event() -> impl Strategy<Value = Event> {
    (0..POLICIES, policies()).prop_map(|(slot, spec)| Event::Policy(policy_name(slot), spec))
}

fn namespace_event() -> impl Strategy<Value = Event> {
    (0..4_u8, labels()).prop_map(|(slot, labels)| Event::Namespace(namespace(slot), labels))
}

fn subject_id() -> impl Strategy<Value = SubjectId> {
    (0..SUBJECTS).prop_map(|id| SubjectId(u64::from(id) + 1))
}

/// Clusters in which no two pods claim one address.
pub fn clusters() -> impl Strategy<Value = Cluster> {
    let follow = (subject_id(), (0..PODS).prop_map(pod_name));
    (vec(namespace_event(), 2..5), vec(pod_event(), 3..12), vec(policy_event(), 0..6), vec(follow, 1..6))
        .prop_map(|(namespaces, pods, policies, subjects)| {
            let mut cluster = Cluster::default();
            for event in namespaces.into_iter().chain(pods).chain(policies) {
                cluster.apply(event);
            }
            for event in cluster.settle() {
                cluster.apply(event);
            }
            for (id, name) in subjects {
                for event in Step::Follow(id, name).events(&cluster) {
                    cluster.apply(event);
                }
            }
            cluster
        })
}

/// What happens to a cluster, one after the other.
pub fn steps(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Step>> {
    let pod = || (0..PODS).prop_map(pod_name);
    let follow = (subject_id(), pod()).prop_map(|(id, name)| Step::Follow(id, name));
    let stranger = (subject_id(), (0..PODS).prop_flat_map(|slot| pods(slot, namespace(slot))))
        .prop_map(|(id, pod)| Event::Subject(id, pod));
    let step = prop_oneof![
        3 => namespace_event().prop_map(Step::One),
        1 => (0..4_u8).prop_map(|slot| Step::One(Event::NamespaceGone(namespace(slot)))),
        5 => pod_event().prop_map(Step::One),
        2 => pod().prop_map(|name| Step::One(Event::PodGone(name))),
        6 => policy_event().prop_map(Step::One),
        3 => (0..POLICIES).prop_map(|slot| Step::One(Event::PolicyGone(policy_name(slot)))),
        1 => stranger.prop_map(Step::One),
        1 => subject_id().prop_map(|id| Step::One(Event::SubjectGone(id))),
        3 => follow,
        2 => (pod(), pod()).prop_map(|(a, b)| Step::Swap(a, b)),
        1 => (pod(), pod()).prop_map(|(a, b)| Step::Replace(a, b)),
    ];
    vec(step, count)
}
