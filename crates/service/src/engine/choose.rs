//! Which endpoints a set has, as kube-proxy chooses them.

use std::net::SocketAddr;

use super::candidates::Candidate;
use super::slices::NodeHint;

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// One of these; in ascending order, never empty.
    Endpoints(Vec<SocketAddr>),
    Refuse,
    Drop,
}

/// Of the whole cluster: those that are ready and meant for this node or its zone; if none is ready, those that linger.
pub(crate) fn cluster(candidates: &[Candidate<'_>], zone: Option<&str>) -> Choice {
    let ready: Vec<_> = candidates.iter().filter(|one| one.endpoint.ready).copied().collect();
    if ready.is_empty() {
        let lingering = candidates.iter().filter(|one| one.endpoint.lingers());
        return some(lingering).unwrap_or(Choice::Refuse);
    }
    let here = |one: &&Candidate<'_>| one.endpoint.for_nodes == NodeHint::Here;
    if ready.iter().all(|one| one.endpoint.for_nodes != NodeHint::Absent)
        && let Some(near) = some(ready.iter().filter(here))
    {
        return near;
    }
    if let Some(zone) = zone
        && ready.iter().all(|one| !one.endpoint.for_zones.is_empty())
        && let Some(near) = some(ready.iter().filter(|one| one.endpoint.is_for_zone(zone)))
    {
        return near;
    }
    some(ready.iter()).unwrap_or(Choice::Refuse)
}

/// Of this node: those that are ready; if none is, those that linger. Hints do not count.
pub(crate) fn local(candidates: &[Candidate<'_>]) -> Choice {
    let local = || candidates.iter().filter(|one| one.local);
    let ready = some(local().filter(|one| one.endpoint.ready));
    let chosen = ready.or_else(|| some(local().filter(|one| one.endpoint.lingers())));
    let usable = |one: &Candidate<'_>| one.endpoint.ready || one.endpoint.lingers();
    let otherwise = || if candidates.iter().any(usable) { Choice::Drop } else { Choice::Refuse };
    chosen.unwrap_or_else(otherwise)
}

fn some<'a>(chosen: impl Iterator<Item = &'a Candidate<'a>>) -> Option<Choice> {
    let chosen: Vec<_> = chosen.map(|one| one.address).collect();
    (!chosen.is_empty()).then_some(Choice::Endpoints(chosen))
}
