//! What the switch should have, by who wants it, and what must change.
//!
//! The store also remembers what the switch has: what was acknowledged, or what was last read back. A change is the
//! difference of the two, looked for only where something happened.

mod item;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use openflow::{Flow, Message};

pub use self::item::{Item, PackedGroup};

/// One change to the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T: Item = Flow> {
    /// Add the item, in place of one with the same key if there is any.
    Put(Arc<T>),
    /// Delete exactly this one.
    Delete(Arc<T::Key>),
}

impl<T: Item> Change<T> {
    /// What is sent to the switch for it.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Put(item) => item.put(),
            Self::Delete(key) => T::delete(key),
        }
    }

    /// What it is about.
    #[must_use]
    pub fn key(&self) -> T::Key {
        match self {
            Self::Put(item) => item.key(),
            Self::Delete(key) => (**key).clone(),
        }
    }
}

/// Items of others that want the same key and have to wait, oldest first.
type Waiting<O, T> = Vec<(O, Arc<T>)>;

/// Items, wanted and present. `O` names who wants them.
#[derive(Debug)]
pub struct Store<O, T: Item = Flow> {
    /// The item that counts for each key, and who wants it.
    wanted: HashMap<Arc<T::Key>, (O, Arc<T>)>,
    shadowed: HashMap<Arc<T::Key>, Waiting<O, T>>,
    /// What each owner wants.
    owned: HashMap<O, Vec<Arc<T::Key>>>,
    /// What the switch has: a fingerprint of the item behind each key.
    present: HashMap<Arc<T::Key>, u64>,
    /// Keys that may differ.
    dirty: HashSet<Arc<T::Key>>,
}

impl<O, T: Item> Default for Store<O, T> {
    fn default() -> Self {
        Self {
            wanted: HashMap::new(),
            shadowed: HashMap::new(),
            owned: HashMap::new(),
            present: HashMap::new(),
            dirty: HashSet::new(),
        }
    }
}

impl<O: Clone + Eq + Hash, T: Item> Store<O, T> {
    /// Sets what `owner` wants, in place of what it wanted before. When two owners want the same key, the first one
    /// has it until it lets go.
    pub fn set(&mut self, owner: &O, items: Vec<T>) {
        let items: Vec<(Arc<T::Key>, Arc<T>)> =
            items.into_iter().map(|item| (Arc::new(item.key()), Arc::new(item))).collect();
        let kept: HashSet<&T::Key> = items.iter().map(|(key, _)| &**key).collect();
        let old = self.owned.remove(owner).unwrap_or_default();
        for key in old.iter().filter(|key| !kept.contains(&***key)) {
            self.release(owner, key);
        }
        let keys = items.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        for (key, item) in items {
            self.claim(owner, key, item);
        }
        if !keys.is_empty() {
            self.owned.insert(owner.clone(), keys);
        }
    }

    /// `owner` wants nothing any more.
    pub fn remove(&mut self, owner: &O) {
        for key in self.owned.remove(owner).unwrap_or_default() {
            self.release(owner, &key);
        }
    }

    /// Whether `owner` wants anything.
    #[must_use]
    pub fn has(&self, owner: &O) -> bool {
        self.owned.contains_key(owner)
    }

    /// What `owner` wants, by key.
    pub fn keys(&self, owner: &O) -> impl Iterator<Item = &T::Key> {
        self.owned.get(owner).into_iter().flatten().map(|key| &**key)
    }

    /// Who has a item.
    #[must_use]
    pub fn owner(&self, key: &T::Key) -> Option<&O> {
        self.wanted.get(key).map(|(owner, _)| owner)
    }

    /// Whether the switch has a item of this key, be it the wanted one or an older one.
    #[must_use]
    pub fn is_present(&self, key: &T::Key) -> bool {
        self.present.contains_key(key)
    }

    /// Who wants anything.
    pub fn owners(&self) -> impl Iterator<Item = &O> {
        self.owned.keys()
    }

    /// How many items the switch should have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether the switch should have none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Takes in what the switch really has, and returns at how many items it differs from what was thought.
    pub fn read_back(&mut self, items: impl IntoIterator<Item = T>) -> usize {
        let actual: HashMap<Arc<T::Key>, u64> =
            items.into_iter().map(|item| (Arc::new(item.key()), item.fingerprint())).collect();
        let mut surprises =
            actual.iter().filter(|(key, print)| self.present.get(*key) != Some(*print)).count();
        surprises += self.present.keys().filter(|key| !actual.contains_key(*key)).count();
        self.dirty.extend(actual.keys().cloned());
        self.dirty.extend(self.wanted.keys().cloned());
        self.present = actual;
        surprises
    }

    /// What must change in the switch, deletions first: a port number or an address that moves is not claimed twice.
    #[must_use]
    pub fn changes(&self) -> Vec<Change<T>> {
        let mut deletions = Vec::new();
        let mut puts = Vec::new();
        for key in &self.dirty {
            match (self.wanted.get(key), self.present.get(key)) {
                (Some((_, item)), present) if present != Some(&item.fingerprint()) => {
                    puts.push(Change::Put(item.clone()));
                }
                (None, Some(_)) => deletions.push(Change::Delete(key.clone())),
                _ => {}
            }
        }
        deletions.append(&mut puts);
        deletions
    }

    /// The switch has acknowledged all of `changes`.
    pub fn acknowledge(&mut self, changes: &[Change<T>]) {
        for change in changes {
            match change {
                Change::Put(item) => {
                    let key = item.key();
                    let key = match self.wanted.get_key_value(&key) {
                        Some((shared, _)) => shared.clone(),
                        None => Arc::new(key),
                    };
                    self.present.insert(key, item.fingerprint());
                }
                Change::Delete(key) => {
                    self.present.remove(key);
                }
            }
        }
        let (wanted, present) = (&self.wanted, &self.present);
        self.dirty
            .retain(|key| wanted.get(key).map(|(_, item)| item.fingerprint()) != present.get(key).copied());
    }

    fn claim(&mut self, owner: &O, key: Arc<T::Key>, item: Arc<T>) {
        match self.wanted.get_mut(&key) {
            Some((holder, _)) if holder != owner => {
                let waiting = self.shadowed.entry(key).or_default();
                match waiting.iter_mut().find(|(other, _)| other == owner) {
                    Some((_, old)) => *old = item,
                    None => waiting.push((owner.clone(), item)),
                }
                return;
            }
            Some((_, old)) if *old == item => return,
            Some((_, old)) => *old = item,
            None => {
                self.wanted.insert(key.clone(), (owner.clone(), item));
            }
        }
        self.dirty.insert(key);
    }

    fn release(&mut self, owner: &O, key: &Arc<T::Key>) {
        if self.wanted.get(key).is_some_and(|(holder, _)| holder == owner) {
            self.wanted.remove(key);
            self.dirty.insert(key.clone());
            let heir = self.shadowed.get_mut(key).filter(|w| !w.is_empty()).map(|waiting| waiting.remove(0));
            if let Some(heir) = heir {
                self.wanted.insert(key.clone(), heir);
            }
        } else if let Some(waiting) = self.shadowed.get_mut(key) {
            waiting.retain(|(other, _)| other != owner);
        }
        if self.shadowed.get(key).is_some_and(Vec::is_empty) {
            self.shadowed.remove(key);
        }
    }
}
