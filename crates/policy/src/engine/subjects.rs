//! Pods of this node, and the policies that select them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::classes::User;
use super::labels::pairs_of;
use super::policies::{Active, Known, Resolution};
use super::strings::Pair;
use super::{Engine, all_uses};
use crate::rules::{Change, Direction, PolicyId, SubjectId};
use crate::spec::{Name, Pod};

#[derive(Default)]
pub(crate) struct Subjects {
    all: BTreeMap<SubjectId, Subject>,
    /// Those whose chains may be others.
    dirty: BTreeSet<SubjectId>,
    /// What was last said of each.
    told: HashMap<(SubjectId, Direction), Arc<[PolicyId]>>,
}

struct Subject {
    namespace: u32,
    pairs: Box<[Pair]>,
    /// Those that select it.
    policies: BTreeSet<u32>,
}

impl Engine {
    pub(super) fn set_subject(&mut self, id: SubjectId, pod: &Pod) {
        let namespace = self.namespaces.acquire(&pod.namespace);
        let pairs: Box<[Pair]> = pairs_of(&mut self.strings, &pod.labels, &pod.ports).into();
        let same = |old: &Subject| old.namespace == namespace && old.pairs == pairs;
        if self.subjects.all.get(&id).is_some_and(same) {
            self.strings.release_pairs(&pairs);
            self.namespaces.release(namespace);
            return;
        }
        self.namespaces.add_subject(namespace, id);
        let new = Subject { namespace, pairs, policies: BTreeSet::new() };
        let old = self.subjects.all.insert(id, new);
        let candidates = self.namespaces.policies(namespace).to_vec();
        let selecting: BTreeSet<u32> =
            candidates.into_iter().filter(|policy| self.selects(*policy, id)).collect();
        for policy in &selecting {
            self.admit(*policy, id);
            self.policies.settle(&self.strings, *policy);
        }
        if let Some(old) = old {
            for policy in old.policies.difference(&selecting) {
                self.dismiss(*policy, id);
            }
            if old.namespace != namespace {
                self.namespaces.remove_subject(old.namespace, id);
            }
            self.strings.release_pairs(&old.pairs);
            self.namespaces.release(old.namespace);
        }
    }

    pub(super) fn remove_subject(&mut self, id: SubjectId) {
        let Some(old) = self.subjects.all.remove(&id) else { return };
        for policy in &old.policies {
            self.dismiss(*policy, id);
        }
        self.namespaces.remove_subject(old.namespace, id);
        self.strings.release_pairs(&old.pairs);
        self.namespaces.release(old.namespace);
    }

    /// A policy is another one: finds out anew whom it selects.
    pub(super) fn select_all(&mut self, policy: u32) {
        let Some(namespace) = self.policies.known.namespace(policy) else { return };
        let subjects: Vec<SubjectId> = self.namespaces.subjects(namespace).collect();
        let (selected, others): (Vec<_>, Vec<_>) =
            subjects.into_iter().partition(|subject| self.selects(policy, *subject));
        for subject in selected {
            self.admit(policy, subject);
        }
        self.policies.settle(&self.strings, policy);
        for subject in others {
            self.dismiss(policy, subject);
        }
    }

    /// A policy is about to go.
    pub(super) fn dismiss_all(&mut self, policy: u32) {
        let active = self.policies.known.get(policy).and_then(|known| known.active.as_ref());
        let subjects: Vec<SubjectId> =
            active.iter().flat_map(|active| active.subjects.keys().copied()).collect();
        for subject in subjects {
            self.dismiss(policy, subject);
        }
    }

    fn selects(&self, policy: u32, subject: SubjectId) -> bool {
        let (Some(known), Some(subject)) = (self.policies.known.get(policy), self.subjects.all.get(&subject))
        else {
            return false;
        };
        let selector = known.compiled.subjects;
        selector.is_none_or(|selector| self.selectors.matches(selector, &subject.pairs))
    }

    /// A policy selects a subject. Its ids are to be settled.
    fn admit(&mut self, policy: u32, id: SubjectId) {
        let Some(subject) = self.subjects.all.get_mut(&id) else { return };
        subject.policies.insert(policy);
        self.subjects.dirty.insert(id);
        let name = self.policies.known.name(policy).to_owned();
        let Some(known) = self.policies.known.get_mut(policy) else { return };
        let declared = |pair: &&Pair| known.compiled.own_ports().any(|port| port.key == pair.0);
        let resolution: Resolution = subject.pairs.iter().filter(declared).copied().collect();
        let begins = known.active.is_none();
        let namespace = subject.namespace;
        let active = known.active.get_or_insert_with(|| {
            let namespace = self.namespaces.name(namespace).to_owned();
            Box::new(Active::new(Name { namespace, name }))
        });
        active.subjects.insert(id, resolution);
        if begins {
            for (direction, uses) in all_uses(&known.compiled) {
                self.begin(User { policy, direction }, uses);
            }
        }
    }

    /// A policy does not select a subject.
    fn dismiss(&mut self, policy: u32, id: SubjectId) {
        let Some(known) = self.policies.known.get_mut(policy) else { return };
        let Some(active) = &mut known.active else { return };
        if active.subjects.remove(&id).is_none() {
            return;
        }
        if let Some(subject) = self.subjects.all.get_mut(&id) {
            subject.policies.remove(&policy);
        }
        self.subjects.dirty.insert(id);
        self.policies.settle(&self.strings, policy);
        let Some(known) = self.policies.known.get_mut(policy) else { return };
        if known.active.as_ref().is_some_and(|active| active.subjects.is_empty()) {
            known.active = None;
            for (direction, uses) in all_uses(&known.compiled) {
                self.end(User { policy, direction }, uses);
            }
        }
    }

    pub(super) fn policies_of(&self, id: SubjectId) -> impl Iterator<Item = (&Known, &Active)> {
        let policies = self.subjects.all.get(&id).into_iter().flat_map(|subject| &subject.policies);
        policies.filter_map(|policy| {
            let known = self.policies.known.get(*policy)?;
            Some((known, known.active.as_deref()?))
        })
    }

    /// The chains that differ since the last call.
    pub(super) fn drain_subjects(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.subjects.dirty) {
            for direction in Direction::ALL {
                let policies =
                    self.policies_of(id).filter(|(known, _)| known.compiled.rules(direction).is_some());
                let mut chain: Vec<PolicyId> =
                    policies.filter_map(|(_, active)| active.id(direction, id)).collect();
                chain.sort_unstable();
                let told = self.subjects.told.get(&(id, direction));
                if told.map_or(&[][..], |told| told) == chain {
                    continue;
                }
                let chain: Option<Arc<[PolicyId]>> = (!chain.is_empty()).then(|| chain.into());
                match &chain {
                    Some(chain) => self.subjects.told.insert((id, direction), Arc::clone(chain)),
                    None => self.subjects.told.remove(&(id, direction)),
                };
                changes.push(Change::Subject(id, direction, chain));
            }
        }
        changes
    }
}
