//! What became of a Service, and what is wrong.

use std::sync::Arc;

use super::Engine;
use super::candidates::candidates;
use super::claims::Place;
use super::compiled::{Compiled, Port};
use super::settle::{Told, health_check, place};
use super::{Known, find};
use crate::lb::{At, Backends, External, Frontend, Name};
use crate::problems::{Object, Problem};
use crate::view::{self, FrontendState, Kind};

impl Engine {
    /// What became of a Service. Sets and their ids are those that were last told.
    #[must_use]
    pub fn view(&self, name: &Name) -> Option<view::Service> {
        let known = self.services.get(name)?;
        let compiled = known.compiled.as_ref()?;
        let told = &known.told;
        Some(view::Service {
            skipped: compiled.skipped,
            affinity: compiled.affinity,
            ports: compiled.ports.iter().map(|port| self.port(name, known, compiled, port)).collect(),
            health_check: told.health_check.map(|(port, count)| (port, health_check(name, count))),
        })
    }

    /// Whether something is done for a Service of this name.
    #[must_use]
    pub fn serves(&self, name: &Name) -> bool {
        let compiled = self.services.get(name).and_then(|known| known.compiled.as_ref());
        compiled.is_some_and(|compiled| compiled.skipped.is_none())
    }

    /// The Service that a slice belongs to.
    #[must_use]
    pub fn service_of(&self, slice: &Name) -> Option<&Name> {
        self.slices.get(slice)
    }

    /// What is wrong with Services and slices.
    pub fn problems(&self) -> impl Iterator<Item = (Object, Problem)> {
        let wrong = self.problems.iter().flat_map(|(object, problems)| {
            problems.iter().map(move |problem| (object.clone(), problem.clone()))
        });
        let waiting = self.claims.waiting().filter_map(|(name, place)| {
            let holder = self.claims.holder(place)?;
            let (path, what) = match place {
                Place::Frontend(frontend) => (path(self.kind(name, frontend)?), text(frontend)),
                Place::HealthCheck(port) => ("spec.healthCheckNodePort", port.to_string()),
            };
            let Name { namespace, name: other } = holder;
            let message =
                format!("{what} is the Service {namespace}/{other}'s, which had it first: use another");
            Some((Object::Service(name.clone()), Problem { path: path.to_owned(), message }))
        });
        let without = self.numbers.stand_ins.without().map(|stand_in| {
            let message =
                "all ports are taken, so that nobody outside reaches its addresses: remove node ports";
            let problem = Problem { path: "spec.ports".to_owned(), message: message.to_owned() };
            (Object::Service(stand_in.service.clone()), problem)
        });
        wrong.chain(waiting).chain(without)
    }

    fn kind(&self, name: &Name, frontend: Frontend) -> Option<Kind> {
        let mut wanted = self.services.get(name)?.compiled.as_ref()?.wanted();
        wanted.find(|wanted| wanted.frontend == frontend).map(|wanted| wanted.kind)
    }

    fn port(&self, name: &Name, known: &Known, compiled: &Compiled, port: &Port) -> view::Port {
        let told = &known.told;
        let own = || told.sets.iter().filter(|(key, ..)| key.port == port.name);
        let sets = own().map(|(key, id, set)| {
            let (ipv6, scope) = (key.ipv6, key.scope);
            view::Set { id: *id, ipv6, scope, set: set.clone() }
        });
        view::Port {
            name: Arc::clone(&port.name),
            protocol: port.protocol,
            port: port.port,
            frontends: self.frontends(name, told, compiled, port),
            sets: sets.collect(),
            endpoints: endpoints(known, port),
        }
    }

    fn frontends(&self, name: &Name, told: &Told, compiled: &Compiled, port: &Port) -> Vec<view::Frontend> {
        let external = |frontend: Frontend| match frontend.at {
            At::Address(address) => {
                let Frontend { protocol, port, .. } = frontend;
                let external = External { address, protocol, port };
                find(&told.externals, &external).map(|number| (external, *number))
            }
            At::Node { .. } | At::StandIn { .. } => None,
        };
        let one = |frontend, kind| {
            let state = match self.claims.holder(Place::Frontend(frontend)) {
                Some(holder) if holder != name => FrontendState::Taken(holder.clone()),
                _ => state(told, frontend),
            };
            view::Frontend { place: frontend, kind, state, external: external(frontend) }
        };
        let wanted = compiled.wanted().filter(|wanted| wanted.port.name == port.name);
        let wanted = wanted.map(|wanted| one(wanted.frontend, wanted.kind));
        let stand_ins = told.stand_ins.iter().filter(|stand_in| stand_in.port == port.name);
        let stand_ins = stand_ins.filter_map(|stand_in| {
            let frontend = place(stand_in, self.numbers.stand_ins.number(stand_in)?);
            Some(one(frontend, Kind::StandIn))
        });
        wanted.chain(stand_ins).collect()
    }
}

fn state(told: &Told, frontend: Frontend) -> FrontendState {
    match find(&told.frontends, &frontend) {
        Some(target) => FrontendState::Leads {
            inside: target.inside,
            outside: target.outside,
            sources: Arc::clone(&target.sources),
        },
        None => FrontendState::Untold,
    }
}

fn endpoints(known: &Known, port: &Port) -> Vec<view::Endpoint> {
    let mut used = Vec::new();
    for (_, _, set) in known.told.sets.iter().filter(|(key, ..)| key.port == port.name) {
        if let Backends::Endpoints(parts) = &set.backends {
            used.extend(parts.iter());
        }
    }
    used.sort_unstable();
    let slices = || known.slices.iter().map(|(_, slice)| slice);
    let both = [false, true].into_iter().flat_map(|ipv6| candidates(slices(), port, ipv6));
    let all = both.map(|one| view::Endpoint {
        address: one.address,
        node: one.endpoint.node.clone(),
        local: one.local,
        ready: one.endpoint.ready,
        serving: one.endpoint.serving,
        terminating: one.endpoint.terminating,
        target: one.endpoint.target.as_ref().map(|(kind, name)| (Arc::clone(kind), Arc::from(&**name))),
        used: used.binary_search(&one.address).is_ok(),
    });
    all.collect()
}

/// Where in a Service a frontend comes from.
fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "spec.clusterIPs",
        Kind::LoadBalancer => "status.loadBalancer.ingress",
        Kind::External => "spec.externalIPs",
        Kind::NodePort | Kind::StandIn => "spec.ports",
    }
}

fn text(frontend: Frontend) -> String {
    let Frontend { at, protocol, port } = frontend;
    match at {
        At::Address(address) => format!("{}/{}", std::net::SocketAddr::new(address, port), protocol.name()),
        At::Node { ipv6 } | At::StandIn { ipv6 } => {
            format!("the {} node port {port}/{}", if ipv6 { "IPv6" } else { "IPv4" }, protocol.name())
        }
    }
}
