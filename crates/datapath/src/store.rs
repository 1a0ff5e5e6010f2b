//! What the switch should have, by who wants it, and what must change.
//!
//! The store also remembers what the switch has: what was acknowledged, or what was last read back. A change is the
//! difference of the two, looked for only where something happened.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use openflow::{Flow, FlowKey, FlowMod, Message};

/// One change to the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add the flow, in place of one with the same key if there is any.
    Put(Arc<Flow>),
    /// Delete exactly this flow.
    Delete(Arc<FlowKey>),
}

impl Change {
    /// What is sent to the switch for it.
    #[must_use]
    pub fn message(&self) -> Message {
        Message::FlowMod(match self {
            Self::Put(flow) => FlowMod::add((**flow).clone()),
            Self::Delete(key) => FlowMod::delete_strict(key.table, key.priority, key.matching.clone()),
        })
    }

    /// The flow it is about.
    #[must_use]
    pub fn key(&self) -> FlowKey {
        match self {
            Self::Put(flow) => flow.key(),
            Self::Delete(key) => (**key).clone(),
        }
    }
}

/// Flows, wanted and present. `O` names who wants them.
#[derive(Debug)]
pub struct Store<O> {
    /// The flow that counts for each key, and who wants it.
    wanted: HashMap<Arc<FlowKey>, (O, Arc<Flow>)>,
    /// Flows of others that want the same key and have to wait, oldest first.
    shadowed: HashMap<Arc<FlowKey>, Vec<(O, Arc<Flow>)>>,
    /// What each owner wants.
    owned: HashMap<O, Vec<Arc<FlowKey>>>,
    /// What the switch has: a fingerprint of the flow behind each key.
    present: HashMap<Arc<FlowKey>, u64>,
    /// Keys that may differ.
    dirty: HashSet<Arc<FlowKey>>,
}

impl<O> Default for Store<O> {
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

impl<O: Clone + Eq + Hash> Store<O> {
    /// Sets what `owner` wants, in place of what it wanted before. When two owners want the same key, the first one
    /// has it until it lets go.
    pub fn set(&mut self, owner: &O, flows: Vec<Flow>) {
        let flows: Vec<(Arc<FlowKey>, Arc<Flow>)> =
            flows.into_iter().map(|flow| (Arc::new(flow.key()), Arc::new(flow))).collect();
        let kept: HashSet<&FlowKey> = flows.iter().map(|(key, _)| &**key).collect();
        let old = self.owned.remove(owner).unwrap_or_default();
        for key in old.iter().filter(|key| !kept.contains(&***key)) {
            self.release(owner, key);
        }
        let keys = flows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        for (key, flow) in flows {
            self.claim(owner, key, flow);
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
    pub fn keys(&self, owner: &O) -> impl Iterator<Item = &FlowKey> {
        self.owned.get(owner).into_iter().flatten().map(|key| &**key)
    }

    /// Who has a flow.
    #[must_use]
    pub fn owner(&self, key: &FlowKey) -> Option<&O> {
        self.wanted.get(key).map(|(owner, _)| owner)
    }

    /// Whether the switch has a flow of this key, be it the wanted one or an older one.
    #[must_use]
    pub fn is_present(&self, key: &FlowKey) -> bool {
        self.present.contains_key(key)
    }

    /// Who wants anything.
    pub fn owners(&self) -> impl Iterator<Item = &O> {
        self.owned.keys()
    }

    /// How many flows the switch should have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether the switch should have none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Takes in what the switch really has, and returns at how many flows it differs from what was thought.
    pub fn read_back(&mut self, flows: impl IntoIterator<Item = Flow>) -> usize {
        let actual: HashMap<Arc<FlowKey>, u64> =
            flows.into_iter().map(|flow| (Arc::new(flow.key()), fingerprint(&flow))).collect();
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
    pub fn changes(&self) -> Vec<Change> {
        let mut deletions = Vec::new();
        let mut puts = Vec::new();
        for key in &self.dirty {
            match (self.wanted.get(key), self.present.get(key)) {
                (Some((_, flow)), present) if present != Some(&fingerprint(flow)) => {
                    puts.push(Change::Put(flow.clone()));
                }
                (None, Some(_)) => deletions.push(Change::Delete(key.clone())),
                _ => {}
            }
        }
        deletions.append(&mut puts);
        deletions
    }

    /// The switch has acknowledged all of `changes`.
    pub fn acknowledge(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(flow) => {
                    let key = flow.key();
                    let key = match self.wanted.get_key_value(&key) {
                        Some((shared, _)) => shared.clone(),
                        None => Arc::new(key),
                    };
                    self.present.insert(key, fingerprint(flow));
                }
                Change::Delete(key) => {
                    self.present.remove(key);
                }
            }
        }
        let (wanted, present) = (&self.wanted, &self.present);
        self.dirty
            .retain(|key| wanted.get(key).map(|(_, flow)| fingerprint(flow)) != present.get(key).copied());
    }

    fn claim(&mut self, owner: &O, key: Arc<FlowKey>, flow: Arc<Flow>) {
        match self.wanted.get_mut(&key) {
            Some((holder, _)) if holder != owner => {
                let waiting = self.shadowed.entry(key).or_default();
                match waiting.iter_mut().find(|(other, _)| other == owner) {
                    Some((_, old)) => *old = flow,
                    None => waiting.push((owner.clone(), flow)),
                }
                return;
            }
            Some((_, old)) if *old == flow => return,
            Some((_, old)) => *old = flow,
            None => {
                self.wanted.insert(key.clone(), (owner.clone(), flow));
            }
        }
        self.dirty.insert(key);
    }

    fn release(&mut self, owner: &O, key: &Arc<FlowKey>) {
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

/// Stands for everything of a flow but its key. Eight bytes per flow of the switch, instead of a copy of it.
fn fingerprint(flow: &Flow) -> u64 {
    let mut hasher = DefaultHasher::new();
    (flow.cookie, &flow.instructions, flow.idle_timeout, flow.hard_timeout, flow.flags).hash(&mut hasher);
    hasher.finish()
}
