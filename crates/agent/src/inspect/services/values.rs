//! What became of a Service, as values to be shown.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use inspection::services::{
    Endpoint, Frontend, HealthCheck, Leads, Outcome, Port, Scope, Service, Set, SetEndpoint, Target,
};
use service::lb::{At, Backends, Name, Protocol, SetId};
use service::view;

use super::counters::{Counted, target};
use crate::balancing::inspect::{kind, protocol, skipped};

/// A Service, with what was counted for it, and without its problems. `sctp`: the datapath can translate SCTP.
pub(super) fn service(name: &Name, view: &view::Service, sctp: bool, counted: Option<&Counted>) -> Service {
    let health_check = view.health_check.as_ref().map(|(port, check)| HealthCheck {
        port: *port,
        local_endpoints: check.local_endpoints,
        status: if check.local_endpoints > 0 { 200 } else { 503 },
        error: None,
    });
    Service {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        skipped: view.skipped.map(skipped),
        affinity: view.affinity,
        ports: view.ports.iter().map(|one| port(one, sctp, counted)).collect(),
        health_check,
        problems: Vec::new(),
    }
}

fn port(port: &view::Port, sctp: bool, counted: Option<&Counted>) -> Port {
    let mut sums: BTreeMap<SocketAddr, u64> = BTreeMap::new();
    let mut sets = Vec::new();
    for set in &port.sets {
        let by_endpoint =
            counted.map(|counted| counted.endpoints(set.id, &set.set, sctp)).unwrap_or_default();
        for (endpoint, packets) in &by_endpoint {
            let sum = sums.entry(*endpoint).or_default();
            *sum = sum.saturating_add(*packets);
        }
        let connections = counted.and_then(|counted| counted.set(set.id, &set.set, sctp));
        sets.push(self::set(set, sctp, connections, &by_endpoint));
    }
    Port {
        name: port.name.to_string(),
        protocol: protocol(port.protocol),
        port: port.port,
        frontends: port.frontends.iter().map(|one| frontend(one, &port.sets, counted)).collect(),
        sets,
        endpoints: port.endpoints.iter().map(|one| endpoint(one, sums.get(&one.address).copied())).collect(),
    }
}

fn frontend(frontend: &view::Frontend, sets: &[view::Set], counted: Option<&Counted>) -> Frontend {
    let (address, ipv6) = match frontend.place.at {
        At::Address(address) => (Some(address), address.is_ipv6()),
        At::Node { ipv6 } | At::StandIn { ipv6 } => (None, ipv6),
    };
    let of = |id: SetId| sets.iter().find(|set| set.id == id).map_or(Scope::Cluster, |set| scope(set.scope));
    let leads = match &frontend.state {
        view::FrontendState::Leads { inside, outside, sources } => Leads::To {
            inside: of(*inside),
            outside: of(*outside),
            sources: sources.iter().map(ToString::to_string).collect(),
        },
        view::FrontendState::Taken(Name { namespace, name }) => {
            Leads::Taken { namespace: namespace.to_string(), name: name.to_string() }
        }
        view::FrontendState::Untold => Leads::Untold,
    };
    let target = target(&frontend.state);
    let counts = counted.zip(target).and_then(|(counted, target)| counted.frontend(&frontend.place, &target));
    Frontend {
        kind: kind(frontend.kind),
        ipv6,
        address,
        port: frontend.place.port,
        outside_by: frontend.external.map(|(_, number)| number),
        leads,
        connections: counts.map(|(sent, _)| sent),
        not_allowed: counts.map(|(_, not_allowed)| not_allowed),
    }
}

fn set(
    set: &view::Set,
    sctp: bool,
    connections: Option<u64>,
    by_endpoint: &BTreeMap<SocketAddr, u64>,
) -> Set {
    let outcome = match &set.set.backends {
        Backends::Endpoints(_) if set.set.protocol == Protocol::Sctp && !sctp => Outcome::RefusedSctp,
        Backends::Endpoints(parts) if !parts.is_empty() => Outcome::Endpoints,
        Backends::Endpoints(_) | Backends::Refuse => Outcome::Refused,
        Backends::Drop => Outcome::Dropped,
    };
    let mut endpoints: Vec<SocketAddr> = match &set.set.backends {
        Backends::Endpoints(parts) => parts.iter().collect(),
        Backends::Refuse | Backends::Drop => Vec::new(),
    };
    endpoints.sort_unstable();
    let endpoint = |address| SetEndpoint { address, connections: by_endpoint.get(&address).copied() };
    Set {
        id: set.id.0,
        ipv6: set.ipv6,
        scope: scope(set.scope),
        outcome,
        keeps_client: set.set.keeps_client,
        connections,
        endpoints: endpoints.into_iter().map(endpoint).collect(),
    }
}

fn scope(scope: view::Scope) -> Scope {
    match scope {
        view::Scope::Cluster => Scope::Cluster,
        view::Scope::LocalInside => Scope::LocalInside,
        view::Scope::LocalOutside => Scope::LocalOutside,
    }
}

fn endpoint(endpoint: &view::Endpoint, connections: Option<u64>) -> Endpoint {
    let target = endpoint
        .target
        .as_ref()
        .map(|(kind, name)| Target { kind: kind.to_string(), name: name.to_string() });
    Endpoint {
        address: endpoint.address,
        node: endpoint.node.as_deref().map(str::to_owned),
        local: endpoint.local,
        ready: endpoint.ready,
        serving: endpoint.serving,
        terminating: endpoint.terminating,
        target,
        used: endpoint.used,
        connections,
    }
}
