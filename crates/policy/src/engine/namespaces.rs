//! Namespaces: those that are known, and those that something known is in.

use std::collections::BTreeSet;

use super::classes::User;
use super::classifier::{Classifier, Things};
use super::labels::pairs_of;
use super::pool::Pool;
use super::selectors::Selectors;
use super::strings::{Pair, Strings};
use crate::rules::{NamespaceId, SubjectId};
use crate::spec::Labels;
use incremental::{Digest, Ids};

#[derive(Default)]
pub(crate) struct Namespaces {
    all: All,
    pub(crate) classifier: Classifier,
}

#[derive(Default)]
struct All {
    pool: Pool<Box<str>, Namespace>,
    ids: Ids<32>,
}

struct Namespace {
    id: NamespaceId,
    /// Its labels; `None` while it is not known. Selectors match nothing in it until then, not even those that want
    /// labels not to be there: an allow may come late, too much may never be allowed.
    labels: Option<Box<[Pair]>>,
    class: Option<u32>,
    /// The policies in it.
    policies: Vec<u32>,
    /// The pods of this node in it.
    subjects: BTreeSet<SubjectId>,
}

impl Things for All {
    fn pairs(&self, thing: u32) -> &[Pair] {
        self.pool.value(thing).and_then(|one| one.labels.as_deref()).unwrap_or_default()
    }

    fn id(&self, thing: u32) -> u32 {
        self.pool.value(thing).map_or(0, |one| one.id.0)
    }

    fn class(&self, thing: u32) -> Option<u32> {
        self.pool.value(thing)?.class
    }

    fn set_class(&mut self, thing: u32, class: Option<u32>) {
        if let Some(one) = self.pool.value_mut(thing) {
            one.class = class;
        }
    }

    fn all(&self) -> Vec<u32> {
        self.pool.iter().filter(|(_, one)| one.labels.is_some()).map(|(index, _)| index).collect()
    }
}

impl Namespaces {
    /// Something is in a namespace.
    pub(crate) fn acquire(&mut self, name: &str) -> u32 {
        let All { pool, ids } = &mut self.all;
        let (index, _) = pool.acquire(name, || {
            let id = NamespaceId(ids.take(Digest::new("namespace").text(name).finish()));
            let subjects = BTreeSet::new();
            (name.into(), Namespace { id, labels: None, class: None, policies: Vec::new(), subjects })
        });
        index
    }

    /// Something is no longer in a namespace.
    pub(crate) fn release(&mut self, index: u32) {
        if let Some((_, namespace)) = self.all.pool.release(index) {
            self.all.ids.release(namespace.id.0);
        }
    }

    /// A namespace is known, with these labels.
    pub(crate) fn set(&mut self, selectors: &Selectors, strings: &mut Strings, name: &str, labels: &Labels) {
        let index = self.acquire(name);
        let new: Box<[Pair]> = pairs_of(strings, labels, &[]).into();
        let old = self.all.pool.value(index).and_then(|one| one.labels.clone());
        if old.as_ref() == Some(&new) {
            strings.release_pairs(&new);
            self.release(index);
            return;
        }
        if old.is_some() {
            self.forget(strings, index);
        }
        if let Some(one) = self.all.pool.value_mut(index) {
            one.labels = Some(new);
        }
        self.classifier.enter(&mut self.all, selectors, strings, index);
    }

    /// A namespace is no longer known.
    pub(crate) fn unset(&mut self, strings: &mut Strings, name: &str) {
        let Some(index) = self.find(name) else { return };
        if self.all.pool.value(index).is_some_and(|one| one.labels.is_some()) {
            self.forget(strings, index);
        }
    }

    fn forget(&mut self, strings: &mut Strings, index: u32) {
        self.classifier.leave(&mut self.all, index);
        if let Some(labels) = self.all.pool.value_mut(index).and_then(|one| one.labels.take()) {
            strings.release_pairs(&labels);
        }
        self.release(index);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.pool.is_empty() && self.classifier.is_empty()
    }

    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.all.pool.find(name)
    }

    pub(crate) fn name(&self, index: u32) -> &str {
        self.all.pool.key(index).map_or("", |name| name)
    }

    pub(crate) fn id(&self, index: u32) -> Option<NamespaceId> {
        self.all.pool.value(index).map(|one| one.id)
    }

    pub(crate) fn policies(&self, index: u32) -> &[u32] {
        self.all.pool.value(index).map_or(&[], |one| &one.policies)
    }

    pub(crate) fn add_policy(&mut self, index: u32, policy: u32) {
        if let Some(one) = self.all.pool.value_mut(index) {
            one.policies.push(policy);
        }
    }

    pub(crate) fn remove_policy(&mut self, index: u32, policy: u32) {
        if let Some(one) = self.all.pool.value_mut(index) {
            one.policies.retain(|other| *other != policy);
        }
    }

    pub(crate) fn subjects(&self, index: u32) -> impl Iterator<Item = SubjectId> {
        self.all.pool.value(index).into_iter().flat_map(|one| one.subjects.iter().copied())
    }

    pub(crate) fn add_subject(&mut self, index: u32, subject: SubjectId) {
        if let Some(one) = self.all.pool.value_mut(index) {
            one.subjects.insert(subject);
        }
    }

    pub(crate) fn remove_subject(&mut self, index: u32, subject: SubjectId) {
        if let Some(one) = self.all.pool.value_mut(index) {
            one.subjects.remove(&subject);
        }
    }

    /// An active policy uses a selector.
    pub(crate) fn add_selector(&mut self, selectors: &Selectors, selector: u32, user: User) {
        self.classifier.add_selector(&mut self.all, selectors, selector, user);
    }

    /// An active policy no longer uses a selector.
    pub(crate) fn remove_selector(&mut self, selectors: &Selectors, selector: u32, user: User) {
        self.classifier.remove_selector(&mut self.all, selectors, selector, user);
    }
}
