//! The policies that select a pod of this node, by the ids that they have in the switch.

use std::collections::HashMap;
use std::sync::Arc;

use policy::rules::{Direction, PolicyId, Verdict};
use policy::spec::Name;

/// What an id stands for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) direction: Direction,
    pub(super) verdict: Arc<Verdict>,
}

#[derive(Debug, Default)]
pub(super) struct InForce {
    entries: HashMap<PolicyId, Entry>,
    /// How many ids each policy has.
    names: HashMap<Name, usize>,
}

impl InForce {
    pub(super) fn set(&mut self, id: PolicyId, entry: Entry) {
        *self.names.entry(entry.name.clone()).or_default() += 1;
        if let Some(old) = self.entries.insert(id, entry) {
            self.forget(&old.name);
        }
    }

    pub(super) fn remove(&mut self, id: PolicyId) {
        if let Some(old) = self.entries.remove(&id) {
            self.forget(&old.name);
        }
    }

    pub(super) fn get(&self, id: PolicyId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PolicyId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// How many policies they are.
    pub(super) fn policies(&self) -> usize {
        self.names.len()
    }

    fn forget(&mut self, name: &Name) {
        if let Some(count) = self.names.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_counted_once_however_many_ids_it_has() {
        let entry = |name: &str, direction| Entry {
            name: Name { namespace: "a".into(), name: name.into() },
            direction,
            verdict: Arc::new(Verdict { rules: Vec::new() }),
        };
        let mut this = InForce::default();
        this.set(PolicyId(1), entry("x", Direction::Ingress));
        this.set(PolicyId(1), entry("x", Direction::Ingress));
        this.set(PolicyId(2), entry("x", Direction::Egress));
        this.set(PolicyId(3), entry("y", Direction::Ingress));
        assert_eq!(this.policies(), 2);
        this.remove(PolicyId(1));
        assert_eq!(this.policies(), 2);
        this.remove(PolicyId(2));
        assert_eq!(this.policies(), 1);
    }
}
