//! One node's view from nothing.

use std::time::Instant;

use anyhow::Context as _;
use policy::engine::Engine;
use policy::rules::SubjectId;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::entries::{Counts, Tables};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FromNothing {
    pub(crate) namespaces: usize,
    pub(crate) pods: usize,
    pub(crate) policies: usize,
    /// Pods of this node.
    pub(crate) subjects: usize,
    /// Rules of policies that select one of them.
    pub(crate) rules: usize,
    pub(crate) seconds: f64,
    /// What the process holds more than before, MiB: the engine, and what it told.
    pub(crate) resident_mib: f64,
    /// The most that it held more than before, MiB.
    pub(crate) peak_mib: f64,
    /// Of which for each pod of the cluster, with its namespaces' share, bytes.
    pub(crate) bytes_per_pod: f64,
    /// And for each policy of the cluster, those that select nobody here among them, bytes.
    pub(crate) bytes_per_policy: f64,
    pub(crate) entries: Counts,
    pub(crate) entries_per_rule: f64,
    /// With each step of each chain counted as well.
    pub(crate) entries_and_steps_per_rule: f64,
}

pub(crate) fn measure(cluster: &Cluster) -> anyhow::Result<(FromNothing, Engine, Tables)> {
    let before = status("VmRSS:")?;
    let begin = Instant::now();
    let mut engine = Engine::new();
    cluster.namespaces.iter().for_each(|(name, labels)| engine.namespace(name, labels));
    cluster.pods.iter().for_each(|placed| engine.pod(&placed.name, &placed.pod));
    let with_pods = status("VmRSS:")?;
    for (name, spec) in &cluster.policies {
        engine.policy(name, spec);
    }
    let with_policies = status("VmRSS:")?;
    cluster.local().for_each(|(id, placed)| engine.subject(SubjectId(id), &placed.pod));
    let changes = engine.changes();
    let seconds = begin.elapsed().as_secs_f64();
    let (resident, peak) = (status("VmRSS:")?, status("VmHWM:")?);

    let mut tables = Tables::default();
    tables.apply(&changes);
    let entries = tables.counts();
    let rules = rules(cluster, &engine, &tables);
    let per_rule = |entries: usize| (count(entries) / count(rules).max(1.0) * 100.0).round() / 100.0;
    let figures = FromNothing {
        namespaces: cluster.namespaces.len(),
        pods: cluster.pods.len(),
        policies: cluster.policies.len(),
        subjects: cluster.local().count(),
        rules,
        seconds: (seconds * 1e4).round() / 1e4,
        resident_mib: mib(resident.saturating_sub(before)),
        peak_mib: mib(peak.saturating_sub(before)),
        bytes_per_pod: per_one(with_pods.saturating_sub(before), cluster.pods.len()),
        bytes_per_policy: per_one(with_policies.saturating_sub(with_pods), cluster.policies.len()),
        entries,
        entries_per_rule: per_rule(entries.verdicts),
        entries_and_steps_per_rule: per_rule(entries.verdicts + entries.steps),
    };
    Ok((figures, engine, tables))
}

/// Rules of the policies that select a pod of this node.
fn rules(cluster: &Cluster, engine: &Engine, tables: &Tables) -> usize {
    let active: std::collections::HashSet<_> =
        tables.policies.keys().filter_map(|id| engine.policy_of(*id)).map(|(name, _)| name).collect();
    let specs = cluster.policies.iter().filter(|(name, _)| active.contains(name));
    specs.map(|(_, spec)| spec.ingress.iter().flatten().count() + spec.egress.iter().flatten().count()).sum()
}

pub(crate) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn per_one(kib: usize, number: usize) -> f64 {
    (count(kib) * 1024.0 / count(number).max(1.0)).round()
}

fn mib(kib: usize) -> f64 {
    (count(kib) / 1024.0 * 10.0).round() / 10.0
}

/// A line of `/proc/self/status`, KiB (proc(5)).
fn status(field: &str) -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("/proc/self/status does not say {field}"))
}
