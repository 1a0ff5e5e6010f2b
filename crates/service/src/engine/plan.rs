//! What a switch and a host should do for one Service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::candidates::{Candidate, candidates};
use super::choose::{self, Choice};
use super::claims::{Claims, Place};
use super::compiled::{Compiled, Port, Wanted};
use super::slices::Slice;
use super::stand_ins::StandIn;
use crate::lb::{At, External, Frontend, Name, Protocol};
use crate::view::{Kind, Scope};
use incremental::Digest;

/// What a set stands for, in its Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SetKey {
    pub(crate) port: Arc<str>,
    pub(crate) ipv6: bool,
    pub(crate) scope: Scope,
}

impl SetKey {
    /// What the set's id is derived from.
    pub(crate) fn digest(&self, service: &Name) -> u64 {
        let digest = Digest::new("set").text(&service.namespace).text(&service.name).text(&self.port);
        let scope = match self.scope {
            Scope::Cluster => 0,
            Scope::LocalInside => 1,
            Scope::LocalOutside => 2,
        };
        digest.number(u64::from(self.ipv6)).number(scope).finish()
    }
}

/// Where packets go.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) inside: SetKey,
    pub(crate) outside: SetKey,
    pub(crate) sources: Arc<[IpNet]>,
}

/// What stands for an address outside.
pub(crate) enum Via {
    NodePort(u16),
    StandIn(StandIn),
}

#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) frontends: BTreeMap<Frontend, Route>,
    pub(crate) stand_ins: BTreeMap<StandIn, Route>,
    pub(crate) externals: BTreeMap<External, Via>,
    pub(crate) sets: BTreeMap<SetKey, (Protocol, Choice)>,
    /// Seconds, in all its sets.
    pub(crate) affinity: Option<u32>,
    /// The port, and how many ready endpoints are on this node.
    pub(crate) health_check: Option<(u16, usize)>,
}

pub(crate) struct Planner<'a> {
    pub(crate) name: &'a Name,
    pub(crate) compiled: &'a Compiled,
    pub(crate) slices: &'a [(Arc<str>, Slice)],
    pub(crate) claims: &'a Claims,
    pub(crate) zone: Option<&'a str>,
}

impl Planner<'_> {
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan { affinity: self.compiled.affinity, ..Plan::default() };
        let held = |frontend: Frontend| self.claims.holds(Place::Frontend(frontend), self.name);
        for wanted in self.compiled.wanted().filter(|wanted| held(wanted.frontend)) {
            let Some(route) = self.route(&wanted) else { continue };
            if let (At::Address(address), Kind::LoadBalancer | Kind::External) =
                (wanted.frontend.at, wanted.kind)
            {
                let Frontend { protocol, port, .. } = wanted.frontend;
                let via = self.via(&wanted, &route, held);
                if let Via::StandIn(stand_in) = &via {
                    plan.stand_ins.insert(stand_in.clone(), route.clone());
                }
                plan.externals.insert(External { address, protocol, port }, via);
            }
            plan.frontends.insert(wanted.frontend, route);
        }
        self.choose(&mut plan);
        plan.health_check = self.health_check();
        plan
    }

    fn route(&self, wanted: &Wanted<'_>) -> Option<Route> {
        let key = |scope| SetKey { port: Arc::clone(&wanted.port.name), ipv6: wanted.ipv6, scope };
        let (inside, outside) = match wanted.kind {
            Kind::Cluster if self.compiled.internal_local => (Scope::LocalInside, Scope::LocalInside),
            Kind::Cluster => (Scope::Cluster, Scope::Cluster),
            _ if self.compiled.external_local => (Scope::Cluster, Scope::LocalOutside),
            _ => (Scope::Cluster, Scope::Cluster),
        };
        let sources = self.compiled.sources(wanted.kind, wanted.ipv6)?;
        Some(Route { inside: key(inside), outside: key(outside), sources })
    }

    /// The port's own node port leads to the same sets; it does so for everybody.
    fn via(&self, wanted: &Wanted<'_>, route: &Route, held: impl Fn(Frontend) -> bool) -> Via {
        let Wanted { port, ipv6, .. } = *wanted;
        let restricted = !route.sources.is_empty();
        if let Some(number) = port.node_port.filter(|_| !restricted)
            && held(Frontend { at: At::Node { ipv6 }, protocol: port.protocol, port: number })
        {
            return Via::NodePort(number);
        }
        let (service, protocol) = (self.name.clone(), port.protocol);
        Via::StandIn(StandIn { service, port: Arc::clone(&port.name), protocol, ipv6, restricted })
    }

    /// The endpoints of the sets that are named.
    fn choose(&self, plan: &mut Plan) {
        let mut keys = BTreeSet::new();
        for route in plan.frontends.values() {
            keys.extend([&route.inside, &route.outside]);
        }
        for port in &self.compiled.ports {
            for ipv6 in [false, true] {
                let mut found = None;
                for scope in [Scope::Cluster, Scope::LocalInside, Scope::LocalOutside] {
                    let key = SetKey { port: Arc::clone(&port.name), ipv6, scope };
                    if !keys.contains(&key) {
                        continue;
                    }
                    let candidates = found.get_or_insert_with(|| self.candidates(port, ipv6));
                    let choice = match scope {
                        Scope::Cluster => choose::cluster(candidates, self.zone),
                        Scope::LocalInside | Scope::LocalOutside => choose::local(candidates),
                    };
                    plan.sets.insert(key, (port.protocol, choice));
                }
            }
        }
    }

    /// How many endpoints of this node are ready. One that has several ports or families counts once.
    fn health_check(&self) -> Option<(u16, usize)> {
        let number = self.compiled.health_check?;
        if !self.claims.holds(Place::HealthCheck(number), self.name) {
            return None;
        }
        let (mut targets, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for port in &self.compiled.ports {
            for ipv6 in self.compiled.families() {
                for one in self.candidates(port, ipv6) {
                    if !one.local || !one.endpoint.ready {
                        continue;
                    }
                    match &one.endpoint.target {
                        Some((kind, name)) => targets.insert((kind, name)),
                        None => addresses.insert(one.endpoint.ip),
                    };
                }
            }
        }
        Some((number, targets.len() + addresses.len()))
    }

    fn candidates(&self, port: &Port, ipv6: bool) -> Vec<Candidate<'_>> {
        candidates(self.slices.iter().map(|(_, slice)| slice), port, ipv6)
    }
}
