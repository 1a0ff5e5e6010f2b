//! The engine: news of Services in, changes of a switch and its host out.
//!
//! ```text
//! Service ------> compiled --+--> claims: who has a frontend that several want
//!                            |
//! EndpointSlice -> slices ---+--> plan -----> settlement -----> changes
//!   (per Service)                 frontends   ids, parts,
//!                                 sets        stand-ins
//! ```
//!
//! An event is read at once, and frontends are claimed at once: they are a matter of order. What follows is worked out
//! when it is asked for, for the Services that events were about: [`Engine::changes`] tells the difference since it was
//! last called. What it tells is a function of what is known, but for three things: who has a frontend that several
//! Services claim (the first to claim it, until it lets go), the parts that endpoints are in, and the numbers and ids
//! that are derived from contents when two contents want the same one.
//!
//! # Parts
//!
//! - `compile` turns a Service into `compiled`, `slices` reads EndpointSlices; both say what is wrong (`parse`).
//! - `candidates` are the endpoints of a port; `choose` chooses among them as kube-proxy does.
//! - `plan` is what one Service wants; `claims` and `stand_ins` are about what Services could quarrel over.
//! - `settle` compares plans with what was told; `forget` finds the connections that must not live on.
//! - `inspect` shows it.

mod candidates;
mod choose;
mod claims;
mod compile;
mod compiled;
mod forget;
mod inspect;
mod names;
mod parse;
mod plan;
mod settle;
mod slices;
mod stand_ins;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::lb::{At, Change, Frontend, Name, Parts, SetId};
use crate::problems::{Object, Problem};
use crate::spec;
use claims::{Claims, Place};
use compiled::Compiled;
use names::Names;
use plan::{Plan, Planner};
use settle::{Numbers, Settlement, Told};
use slices::Slice;

/// Compiles Services for one node. See the [module](self).
pub struct Engine {
    node: Arc<str>,
    zone: Option<Arc<str>>,
    names: Names,
    services: BTreeMap<Name, Known>,
    /// The Service that a slice belongs to.
    slices: HashMap<Name, Name>,
    claims: Claims,
    numbers: Numbers,
    /// Services of which something else may have to be told.
    dirty: BTreeSet<Name>,
    problems: BTreeMap<Object, Vec<Problem>>,
}

/// A Service, or one that slices are of.
#[derive(Default)]
struct Known {
    compiled: Option<Compiled>,
    /// By their names, in ascending order.
    slices: Vec<(Arc<str>, Slice)>,
    told: Told,
}

impl Engine {
    /// Of an empty cluster, for the node of this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: node.into(),
            zone: None,
            names: Names::default(),
            services: BTreeMap::new(),
            slices: HashMap::new(),
            claims: Claims::default(),
            numbers: Numbers::default(),
            dirty: BTreeSet::new(),
            problems: BTreeMap::new(),
        }
    }

    /// The zone that this node is in: its label `topology.kubernetes.io/zone`. The only event that makes work for more
    /// than one Service: those whose endpoints are meant for zones.
    pub fn set_zone(&mut self, zone: Option<&str>) {
        let zone = zone.filter(|zone| !zone.is_empty());
        if self.zone.as_deref() == zone {
            return;
        }
        self.zone = zone.map(Arc::from);
        let hinted = |slice: &Slice| slice.endpoints.iter().any(|one| !one.for_zones.is_empty());
        let concerned = |known: &Known| known.slices.iter().any(|(_, slice)| hinted(slice));
        let concerned = self.services.iter().filter(|(_, known)| concerned(known));
        self.dirty.extend(concerned.map(|(name, _)| name.clone()));
    }

    /// A Service has come or is different.
    pub fn service(&mut self, name: &Name, service: &spec::Service) {
        let (compiled, problems) = compile::compile(&mut self.names, service);
        self.note(Object::Service(name.clone()), problems);
        self.replace(name, Some(compiled));
    }

    /// A Service has gone.
    pub fn service_gone(&mut self, name: &Name) {
        self.note(Object::Service(name.clone()), Vec::new());
        self.replace(name, None);
    }

    /// An EndpointSlice has come or is different.
    pub fn slice(&mut self, namespace: &str, slice_name: &str, slice: &spec::Slice) {
        if slice.service.is_empty() {
            self.slice_gone(namespace, slice_name);
            return;
        }
        let object = Name { namespace: self.names.intern(namespace), name: slice_name.into() };
        let service =
            Name { namespace: Arc::clone(&object.namespace), name: self.names.intern(&slice.service) };
        if self.slices.get(&object).is_some_and(|other| *other != service) {
            self.slice_gone(namespace, slice_name);
        }
        let (slice, problems) = slices::read(&mut self.names, &self.node, slice);
        self.note(Object::Slice(object.clone()), problems);
        let known = self.services.entry(service.clone()).or_default();
        match known.slices.binary_search_by(|(other, _)| other.cmp(&object.name)) {
            Ok(index) => {
                let Some((_, old)) = known.slices.get_mut(index) else { return };
                if *old == slice {
                    return;
                }
                *old = slice;
            }
            Err(index) => {
                known.slices.insert(index, (Arc::clone(&object.name), slice));
                self.slices.insert(object, service.clone());
            }
        }
        self.dirty.insert(service);
    }

    /// An EndpointSlice has gone.
    pub fn slice_gone(&mut self, namespace: &str, slice_name: &str) {
        let object = Name { namespace: namespace.into(), name: slice_name.into() };
        let Some(service) = self.slices.remove(&object) else { return };
        if let Some(known) = self.services.get_mut(&service) {
            known.slices.retain(|(other, _)| *other != object.name);
        }
        self.note(Object::Slice(object), Vec::new());
        self.dirty.insert(service);
    }

    /// How the switch and the host differ since the last call: sets, frontends, externals; then frontends and sets that
    /// are taken away; then health checks; then what must be forgotten. So whatever is named is there.
    pub fn changes(&mut self) -> Vec<Change> {
        let mut settlement = Settlement::default();
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.extend(self.numbers.stand_ins.without().map(|stand_in| stand_in.service.clone()));
        let mut plans = Vec::with_capacity(dirty.len());
        for name in dirty {
            let Some(known) = self.services.get_mut(&name) else { continue };
            let old = std::mem::take(&mut known.told);
            let plan = known.plan(&name, &self.claims, self.zone.as_deref());
            settlement.withdraw(&mut self.numbers, &name, &old, &plan);
            plans.push((name, old, plan));
        }
        for (name, old, plan) in plans {
            let told = settlement.put(&mut self.numbers, &self.claims, &name, &old, &plan);
            let Some(known) = self.services.get_mut(&name) else { continue };
            known.told = told;
            if known.compiled.is_none() && known.slices.is_empty() {
                self.services.remove(&name);
            }
        }
        self.numbers.recalled.clear();
        settlement.changes()
    }

    /// The parts that sets had before this engine: endpoints stay in theirs. To be told before the first
    /// [`Self::changes`].
    pub fn recall(&mut self, parts: BTreeMap<SetId, Parts>) {
        self.numbers.recalled = parts;
    }

    /// The Services there are, in ascending order.
    pub fn services(&self) -> impl Iterator<Item = &Name> {
        self.services.iter().filter(|(_, known)| known.compiled.is_some()).map(|(name, _)| name)
    }

    fn note(&mut self, object: Object, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.problems.remove(&object);
        } else {
            self.problems.insert(object, problems);
        }
    }

    /// Puts something else in a Service's place: it claims what it wants now, and then lets go what it wants no more.
    fn replace(&mut self, name: &Name, compiled: Option<Compiled>) {
        if compiled.is_none() && !self.services.contains_key(name) {
            return;
        }
        let known = self.services.entry(name.clone()).or_default();
        if known.compiled == compiled {
            return;
        }
        let places = |compiled: &Option<Compiled>| -> BTreeSet<Place> {
            compiled.iter().flat_map(Compiled::places).collect()
        };
        let (old, new) = (places(&known.compiled), places(&compiled));
        known.compiled = compiled;
        self.dirty.insert(name.clone());
        for place in new.difference(&old) {
            self.claims.claim(*place, name);
            if let Place::Frontend(Frontend { at: At::Node { .. }, protocol, port }) = *place {
                self.dirty.extend(self.numbers.stand_ins.evict(protocol, port));
            }
        }
        for place in old.difference(&new) {
            self.dirty.extend(self.claims.release(*place, name));
        }
    }

    /// Whether nothing is held any more.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        let numbers = self.numbers.ids.is_empty() && self.numbers.stand_ins.is_empty();
        let known = self.services.is_empty() && self.slices.is_empty();
        numbers && known && self.claims.is_empty() && self.problems.is_empty()
    }
}

impl Known {
    fn plan(&self, name: &Name, claims: &Claims, zone: Option<&str>) -> Plan {
        let Some(compiled) = &self.compiled else { return Plan::default() };
        Planner { name, compiled, slices: &self.slices, claims, zone }.plan()
    }
}

/// The value of a key, in ascending order.
fn find<'a, K: Ord, V>(sorted: &'a [(K, V)], key: &K) -> Option<&'a V> {
    let index = sorted.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    sorted.get(index).map(|(_, value)| value)
}
