//! A Service on several nodes as one.

use inspection::services::{
    Endpoint, Frontend, HealthCheck, Kind, Leads, Port, Protocol, Scope, Service, Set,
};

/// A node, and the Service as it has it.
pub(super) type OnNode<'a> = (&'a str, &'a Service);

/// A port on all nodes.
#[derive(Debug)]
pub(super) struct MergedPort<'a> {
    pub(super) name: &'a str,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) frontends: Vec<MergedFrontend<'a>>,
    pub(super) sets: Vec<MergedSet<'a>>,
    pub(super) endpoints: Vec<MergedEndpoint<'a>>,
}

/// A frontend on all nodes.
#[derive(Debug)]
pub(super) struct MergedFrontend<'a> {
    /// As the first node has it.
    pub(super) first: &'a Frontend,
    /// What becomes of packets to it, if that is not the same on all nodes.
    pub(super) differs: Vec<(&'a str, &'a Leads)>,
    pub(super) connections: Option<u64>,
    pub(super) not_allowed: Option<u64>,
}

/// A set on all nodes.
#[derive(Debug)]
pub(super) struct MergedSet<'a> {
    pub(super) ipv6: bool,
    pub(super) scope: Scope,
    pub(super) on: Vec<(&'a str, &'a Set)>,
}

/// An endpoint on all nodes.
#[derive(Debug)]
pub(super) struct MergedEndpoint<'a> {
    /// As the first node has it.
    pub(super) first: &'a Endpoint,
    /// Whether a set of any node has it.
    pub(super) used: bool,
    pub(super) connections: Option<u64>,
}

/// The ports, in the first node's order.
pub(super) fn ports<'a>(nodes: &[OnNode<'a>]) -> Vec<MergedPort<'a>> {
    let all = nodes.iter().flat_map(|(node, service)| service.ports.iter().map(move |port| (*node, port)));
    group(all, |port| (port.name.as_str(), port.protocol, port.port))
        .into_iter()
        .map(|((name, protocol, port), on)| MergedPort {
            name,
            protocol,
            port,
            frontends: frontends(&on),
            sets: sets(&on),
            endpoints: endpoints(&on),
        })
        .collect()
}

/// Health checks by port.
pub(super) fn health_checks<'a>(nodes: &[OnNode<'a>]) -> Vec<(u16, Vec<(&'a str, &'a HealthCheck)>)> {
    let all = nodes.iter().filter_map(|(node, service)| Some((*node, service.health_check.as_ref()?)));
    group(all, |check| check.port)
}

fn frontends<'a>(on: &[(&'a str, &'a Port)]) -> Vec<MergedFrontend<'a>> {
    let all = on.iter().flat_map(|(node, port)| port.frontends.iter().map(move |one| (*node, one)));
    let key = |one: &Frontend| {
        // Nodes may have different numbers for what stands in for others.
        let number = if one.kind == Kind::StandIn { 0 } else { one.port };
        (one.kind, one.ipv6, one.address, number)
    };
    let merged = group(all, key).into_iter().filter_map(|(_, on)| {
        let (_, first) = *on.first()?;
        let same = on.iter().all(|(_, one)| one.leads == first.leads);
        let differs = on.iter().filter(|_| !same).map(|(node, one)| (*node, &one.leads));
        Some(MergedFrontend {
            first,
            differs: differs.collect(),
            connections: sum(on.iter().map(|(_, one)| one.connections)),
            not_allowed: sum(on.iter().map(|(_, one)| one.not_allowed)),
        })
    });
    merged.collect()
}

fn sets<'a>(on: &[(&'a str, &'a Port)]) -> Vec<MergedSet<'a>> {
    let all = on.iter().flat_map(|(node, port)| port.sets.iter().map(move |one| (*node, one)));
    let grouped = group(all, |set| (set.ipv6, set.scope));
    grouped.into_iter().map(|((ipv6, scope), on)| MergedSet { ipv6, scope, on }).collect()
}

fn endpoints<'a>(on: &[(&'a str, &'a Port)]) -> Vec<MergedEndpoint<'a>> {
    let all = on.iter().flat_map(|(node, port)| port.endpoints.iter().map(move |one| (*node, one)));
    let merged = group(all, |one| one.address).into_iter().filter_map(|(_, on)| {
        let (_, first) = *on.first()?;
        // A node that does not use an endpoint counts nothing for it.
        let counts = on.iter().filter(|(_, one)| one.used).map(|(_, one)| one.connections);
        let used = on.iter().any(|(_, one)| one.used);
        Some(MergedEndpoint { first, used, connections: sum(counts).filter(|_| used) })
    });
    merged.collect()
}

/// The sum, if all are known.
pub(super) fn sum(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.sum()
}

/// Things by a key, in the order in which keys first come.
fn group<'a, T, K: PartialEq>(
    all: impl Iterator<Item = (&'a str, &'a T)>,
    key: impl Fn(&'a T) -> K,
) -> Vec<(K, Vec<(&'a str, &'a T)>)> {
    let mut groups: Vec<(K, Vec<_>)> = Vec::new();
    for (node, one) in all {
        let key = key(one);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push((node, one)),
            None => groups.push((key, vec![(node, one)])),
        }
    }
    groups
}
