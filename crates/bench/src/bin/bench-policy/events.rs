//! What one event costs a node that is up to date, until its changes are told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use policy::engine::Engine;
use policy::spec::{Name, NetworkPolicySpec};

use crate::cluster::{Cluster, Placed, address};
use crate::entries::Tables;
use crate::random::Random;
use crate::times::Times;

/// Makes a policy like the others.
pub(crate) type MakePolicy = fn(&mut Random, usize, usize) -> NetworkPolicySpec;

pub(crate) const KINDS: [&str; 6] =
    ["pod added", "pod relabelled", "pod deleted", "namespace relabelled", "policy added", "policy deleted"];

/// Times by kind.
pub(crate) type PerKind = BTreeMap<String, Event>;

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Event {
    #[serde(flatten)]
    pub(crate) times: Times,
    /// Changes told per event, on average.
    pub(crate) changes: f64,
}

struct Meter<'a> {
    engine: &'a mut Engine,
    tables: &'a mut Tables,
    times: BTreeMap<&'static str, (Vec<Duration>, usize)>,
}

impl Meter<'_> {
    fn event(&mut self, kind: &'static str, event: impl FnOnce(&mut Engine)) {
        let begin = Instant::now();
        event(self.engine);
        let changes = self.engine.changes();
        let took = begin.elapsed();
        self.tables.apply(&changes);
        let (times, told) = self.times.entry(kind).or_default();
        times.push(took);
        *told += changes.len();
    }
}

pub(crate) fn measure(
    cluster: &Cluster,
    engine: &mut Engine,
    tables: &mut Tables,
    make: MakePolicy,
    events: usize,
) -> PerKind {
    let mut random = Random::new(99);
    let mut meter = Meter { engine, tables, times: BTreeMap::new() };
    // Looked for once: a walk over the cluster before each event would leave nothing of the engine in the caches.
    let local: Vec<&Placed> = cluster.local().map(|(_, placed)| placed).collect();
    for number in 0..events {
        pod(&mut meter, cluster, &mut random, number);
        namespace(&mut meter, cluster, &mut random);
        policy(&mut meter, cluster.namespaces.len(), &local, &mut random, make, number);
    }
    let per_kind = meter.times.into_iter().map(|(kind, (times, told))| {
        let changes = crate::compile::count(told) / crate::compile::count(times.len()).max(1.0);
        (kind.to_owned(), Event { times: Times::of(times), changes: (changes * 100.0).round() / 100.0 })
    });
    per_kind.collect()
}

/// A replica more somewhere, which then gets the labels of another pod, and goes.
fn pod(meter: &mut Meter<'_>, cluster: &Cluster, random: &mut Random, number: usize) {
    let mut others = || random.pick(&cluster.pods);
    let (Some(like), Some(other)) = (others(), others()) else { return };
    let name = Name { namespace: like.name.namespace.clone(), name: format!("added-{number}") };
    let mut pod = like.pod.clone();
    pod.addresses = vec![address(cluster.pods.len() + number)];
    meter.event("pod added", |engine| engine.pod(&name, &pod));
    pod.labels.clone_from(&other.pod.labels);
    meter.event("pod relabelled", |engine| engine.pod(&name, &pod));
    meter.event("pod deleted", |engine| engine.pod_gone(&name));
}

/// A namespace gets the labels of another one, and its own again.
fn namespace(meter: &mut Meter<'_>, cluster: &Cluster, random: &mut Random) {
    let mut others = || random.pick(&cluster.namespaces);
    let (Some((name, own)), Some((_, other))) = (others(), others()) else { return };
    meter.event("namespace relabelled", |engine| engine.namespace(name, other));
    meter.event("namespace relabelled", |engine| engine.namespace(name, own));
}

/// A policy more for pods of this node, which then goes.
fn policy(
    meter: &mut Meter<'_>,
    namespaces: usize,
    local: &[&Placed],
    random: &mut Random,
    make: MakePolicy,
    number: usize,
) {
    let Some(subject) = random.pick(local) else { return };
    let namespace = random.below(namespaces);
    let mut spec = make(random, namespace, number % 11);
    spec.pod_selector = policy::spec::LabelSelector::default();
    let name = Name { namespace: subject.name.namespace.clone(), name: format!("added-{number}") };
    meter.event("policy added", |engine| drop(engine.policy(&name, &spec)));
    meter.event("policy deleted", |engine| engine.policy_gone(&name));
}
