//! From what was last told of Services to what they want now.
//!
//! First every Service gives back what it wants no more, then every one takes what it wants: so what one lets go another
//! can have at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::choose::Choice;
use super::claims::Claims;
use super::find;
use super::forget::Reaches;
use super::plan::{Plan, Route, SetKey, Via};
use super::stand_ins::{StandIn, StandIns};
use crate::lb::{At, Backends, Change, External, Frontend, HealthCheck, Name, Parts, Set, SetId, Target};
use crate::placement;
use crate::view::Scope;
use incremental::Ids;
use incremental::Journal;

/// What was last told of a Service. Each in ascending order.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) frontends: Box<[(Frontend, Target)]>,
    pub(crate) stand_ins: Box<[StandIn]>,
    pub(crate) externals: Box<[(External, u16)]>,
    pub(crate) sets: Box<[(SetKey, SetId, Set)]>,
    pub(crate) health_check: Option<(u16, usize)>,
}

impl Told {
    pub(crate) fn set(&self, key: &SetKey) -> Option<(SetId, &Set)> {
        let index = self.sets.binary_search_by(|(other, ..)| other.cmp(key)).ok()?;
        self.sets.get(index).map(|(_, id, set)| (*id, set))
    }

    pub(crate) fn by_id(&self, id: SetId) -> Option<&Set> {
        self.sets.iter().find(|(_, other, _)| *other == id).map(|(_, _, set)| set)
    }
}

/// Who has which number.
#[derive(Default)]
pub(crate) struct Numbers {
    pub(crate) ids: Ids<24>,
    pub(crate) stand_ins: StandIns,
    /// Parts that sets had before this engine.
    pub(crate) recalled: BTreeMap<SetId, Parts>,
}

/// What becomes different.
#[derive(Default)]
pub(crate) struct Settlement {
    frontends: Journal<Frontend, Target>,
    sets: Journal<SetId, Set>,
    externals: Journal<External, u16>,
    health_checks: Journal<u16, HealthCheck>,
    reaches: Reaches,
}

impl Settlement {
    /// A Service gives back what it wants no more, and what stands in for its addresses: that may have another number.
    pub(crate) fn withdraw(&mut self, numbers: &mut Numbers, name: &Name, old: &Told, plan: &Plan) {
        for stand_in in old.stand_ins.iter().filter(|one| !plan.stand_ins.contains_key(one)) {
            numbers.stand_ins.release(stand_in);
        }
        self.reaches.before(old);
        for (frontend, target) in &old.frontends {
            if !plan.frontends.contains_key(frontend) {
                self.frontends.record(*frontend, Some(target.clone()), None);
            }
        }
        for (external, number) in &old.externals {
            if !plan.externals.contains_key(external) {
                self.externals.record(*external, Some(*number), None);
            }
        }
        for (key, id, set) in &old.sets {
            if !plan.sets.contains_key(key) {
                numbers.ids.release(id.0);
                self.sets.record(*id, Some(set.clone()), None);
            }
        }
        if let Some((port, count)) = old.health_check
            && plan.health_check.is_none_or(|(other, _)| other != port)
        {
            self.health_checks.record(port, Some(health_check(name, count)), None);
        }
    }

    /// A Service takes what it wants.
    pub(crate) fn put(
        &mut self,
        numbers: &mut Numbers,
        claims: &Claims,
        name: &Name,
        old: &Told,
        plan: &Plan,
    ) -> Told {
        let mut told = Told { sets: self.sets(numbers, name, old, plan), ..Told::default() };
        let mut frontends = BTreeMap::new();
        let routes = plan.frontends.iter();
        frontends.extend(routes.filter_map(|(frontend, route)| Some((*frontend, target(&told, route)?))));
        for (stand_in, route) in &plan.stand_ins {
            let number = numbers.stand_ins.take(stand_in, claims);
            let frontend = number.map(|number| place(stand_in, number));
            frontends.extend(frontend.and_then(|frontend| Some((frontend, target(&told, route)?))));
        }
        for (frontend, target) in &frontends {
            let before = find(&old.frontends, frontend);
            self.frontends.record(*frontend, before.cloned(), Some(target.clone()));
        }
        let number = |via: &Via| match via {
            Via::NodePort(number) => Some(*number),
            Via::StandIn(stand_in) => numbers.stand_ins.number(stand_in),
        };
        let externals = plan.externals.iter();
        told.externals = externals.filter_map(|(external, via)| Some((*external, number(via)?))).collect();
        for external in plan.externals.keys() {
            let [before, after] = [&old.externals, &told.externals].map(|of| find(of, external).copied());
            self.externals.record(*external, before, after);
        }
        if let Some((port, count)) = plan.health_check {
            let before = old.health_check.filter(|(other, _)| *other == port);
            let before = before.map(|(_, count)| health_check(name, count));
            self.health_checks.record(port, before, Some(health_check(name, count)));
        }
        told.frontends = frontends.into_iter().collect();
        told.stand_ins = plan.stand_ins.keys().cloned().collect();
        told.health_check = plan.health_check;
        self.reaches.after(&told);
        told
    }

    fn sets(
        &mut self,
        numbers: &mut Numbers,
        name: &Name,
        old: &Told,
        plan: &Plan,
    ) -> Box<[(SetKey, SetId, Set)]> {
        let mut sets = Vec::with_capacity(plan.sets.len());
        for (key, (protocol, choice)) in &plan.sets {
            let (id, before) = match old.set(key) {
                Some((id, set)) => (id, Some(set)),
                None => (SetId(numbers.ids.take(key.digest(name))), None),
            };
            let backends = match choice {
                Choice::Endpoints(endpoints) => {
                    let recalled = numbers.recalled.get(&id).filter(|_| before.is_none());
                    let parts = before.and_then(|set| parts(&set.backends)).or(recalled);
                    Backends::Endpoints(placement::place(parts, endpoints))
                }
                Choice::Refuse => Backends::Refuse,
                Choice::Drop => Backends::Drop,
            };
            let keeps_client = key.scope == Scope::LocalOutside;
            let set = Set { protocol: *protocol, affinity: plan.affinity, keeps_client, backends };
            if before != Some(&set) {
                self.sets.record(id, before.cloned(), Some(set.clone()));
            }
            sets.push((key.clone(), id, set));
        }
        sets.into()
    }

    /// The changes: what is new before what names it, and what is named no more after what named it.
    pub(crate) fn changes(mut self) -> Vec<Change> {
        let (sets, no_sets): (Vec<_>, Vec<_>) = self.sets.drain().partition(|(_, set)| set.is_some());
        let (frontends, no_frontends): (Vec<_>, Vec<_>) =
            self.frontends.drain().partition(|(_, target)| target.is_some());
        let mut changes = Vec::new();
        changes.extend(sets.into_iter().map(|(id, set)| Change::Set(id, set)));
        changes.extend(frontends.into_iter().map(|(at, target)| Change::Frontend(at, target)));
        changes.extend(self.externals.drain().map(|(external, number)| Change::External(external, number)));
        changes.extend(no_frontends.into_iter().map(|(at, target)| Change::Frontend(at, target)));
        changes.extend(no_sets.into_iter().map(|(id, set)| Change::Set(id, set)));
        changes.extend(self.health_checks.drain().map(|(port, check)| Change::HealthCheck(port, check)));
        changes.extend(self.reaches.forget());
        changes
    }
}

pub(crate) fn health_check(name: &Name, local_endpoints: usize) -> HealthCheck {
    HealthCheck { service: name.clone(), local_endpoints }
}

/// Where a stand-in with this number is.
pub(crate) fn place(stand_in: &StandIn, number: u16) -> Frontend {
    Frontend { at: At::StandIn { ipv6: stand_in.ipv6 }, protocol: stand_in.protocol, port: number }
}

fn parts(backends: &Backends) -> Option<&Parts> {
    match backends {
        Backends::Endpoints(parts) => Some(parts),
        Backends::Refuse | Backends::Drop => None,
    }
}

fn target(told: &Told, route: &Route) -> Option<Target> {
    let (inside, outside) = (told.set(&route.inside)?.0, told.set(&route.outside)?.0);
    Some(Target { inside, outside, sources: Arc::clone(&route.sources) })
}
