//! Who has a frontend or a health-check node port that only one Service can have: who claimed it first, until it lets go.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::lb::{At, Frontend, Name, Protocol};

/// What only one Service can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    Frontend(Frontend),
    HealthCheck(u16),
}

#[derive(Default)]
pub(crate) struct Claims {
    /// Those who claim a place. The first has it.
    queues: HashMap<Place, Vec<Name>>,
    waiting: BTreeMap<Name, BTreeSet<Place>>,
}

impl Claims {
    /// Takes a place, or waits for it.
    pub(crate) fn claim(&mut self, place: Place, name: &Name) {
        let queue = self.queues.entry(place).or_insert_with(|| Vec::with_capacity(1));
        if queue.contains(name) {
            return;
        }
        if !queue.is_empty() {
            self.waiting.entry(name.clone()).or_default().insert(place);
        }
        queue.push(name.clone());
    }

    /// Lets a place go. Returns who has it now and did not before.
    pub(crate) fn release(&mut self, place: Place, name: &Name) -> Option<Name> {
        let queue = self.queues.get_mut(&place)?;
        let index = queue.iter().position(|one| one == name)?;
        queue.remove(index);
        if index > 0 {
            self.no_longer_waits(place, name);
            return None;
        }
        let Some(next) = queue.first().cloned() else {
            self.queues.remove(&place);
            return None;
        };
        self.no_longer_waits(place, &next);
        Some(next)
    }

    pub(crate) fn holder(&self, place: Place) -> Option<&Name> {
        self.queues.get(&place).and_then(|queue| queue.first())
    }

    pub(crate) fn holds(&self, place: Place, name: &Name) -> bool {
        self.holder(place) == Some(name)
    }

    /// Whether a Service has this node port, in either family.
    pub(crate) fn has_node_port(&self, protocol: Protocol, port: u16) -> bool {
        [false, true].into_iter().any(|ipv6| {
            let frontend = Frontend { at: At::Node { ipv6 }, protocol, port };
            self.queues.contains_key(&Place::Frontend(frontend))
        })
    }

    /// Who waits, and for what.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Name, Place)> {
        self.waiting.iter().flat_map(|(name, places)| places.iter().map(move |place| (name, *place)))
    }

    fn no_longer_waits(&mut self, place: Place, name: &Name) {
        if let Some(places) = self.waiting.get_mut(name) {
            places.remove(&place);
            if places.is_empty() {
                self.waiting.remove(name);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_claims_first_keeps_it_and_then_the_next_has_it() {
        let [a, b, c] = ["a", "b", "c"].map(|name| Name { namespace: "x".into(), name: name.into() });
        let place = Place::HealthCheck(30000);
        let mut claims = Claims::default();
        for name in [&b, &a, &c, &a] {
            claims.claim(place, name);
        }
        assert!(claims.holds(place, &b));
        assert_eq!(claims.waiting().collect::<Vec<_>>(), [(&a, place), (&c, place)]);
        assert_eq!(claims.release(place, &c), None);
        assert_eq!(claims.release(place, &b), Some(a.clone()));
        assert_eq!(claims.waiting().count(), 0);
        assert_eq!(claims.release(place, &b), None);
        assert_eq!(claims.release(place, &a), None);
        assert!(claims.is_empty());
    }
}
