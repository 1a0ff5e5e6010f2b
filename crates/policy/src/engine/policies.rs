//! Policies: what is kept of each, and the ids of those that select pods of this node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::classes::User;
use super::compiled::Compiled;
use super::named::Named;
use super::strings::{Pair, Strings};
use crate::rules::{Direction, PolicyId, SubjectId, Verdict};
use crate::spec::Name;
use incremental::{Digest, Ids};

/// The numbers that the names of ports in ingress rules stand for, in ascending order. Empty for egress.
pub(crate) type Resolution = Box<[Pair]>;

#[derive(Default)]
pub(crate) struct Policies {
    pub(crate) known: Named<Known>,
    ids: Ids<32>,
    issued: BTreeMap<PolicyId, Issued>,
    /// Those whose verdict may be another one.
    dirty: BTreeSet<PolicyId>,
    /// What was last said of each.
    told: HashMap<PolicyId, Arc<Verdict>>,
}

/// A policy.
pub(crate) struct Known {
    pub(crate) compiled: Compiled,
    /// `None`: it selects no pod of this node.
    pub(crate) active: Option<Box<Active>>,
}

/// What only those have that select a pod of this node.
pub(crate) struct Active {
    pub(crate) name: Name,
    /// Whom it selects, and what its ports' names mean there.
    pub(crate) subjects: BTreeMap<SubjectId, Resolution>,
    ids: BTreeMap<(Direction, Resolution), PolicyId>,
}

struct Issued {
    policy: u32,
    direction: Direction,
    resolution: Resolution,
}

impl Active {
    pub(crate) fn new(name: Name) -> Self {
        Self { name, subjects: BTreeMap::new(), ids: BTreeMap::new() }
    }

    /// The id under which it is in a subject's chain.
    pub(crate) fn id(&self, direction: Direction, subject: SubjectId) -> Option<PolicyId> {
        let resolution = match direction {
            Direction::Ingress => self.subjects.get(&subject)?.clone(),
            Direction::Egress => Resolution::default(),
        };
        self.ids.get(&(direction, resolution)).copied()
    }
}

impl Policies {
    /// Gives a policy as many ids as its subjects need.
    pub(crate) fn settle(&mut self, strings: &Strings, policy: u32) {
        let Self { known, ids, issued, dirty, .. } = self;
        let Some(Known { compiled, active: Some(active) }) = known.get_mut(policy) else { return };
        let mut wanted = BTreeSet::new();
        if compiled.egress.is_some() && !active.subjects.is_empty() {
            wanted.insert((Direction::Egress, Resolution::default()));
        }
        if compiled.ingress.is_some() {
            let resolutions: BTreeSet<&Resolution> = active.subjects.values().collect();
            wanted.extend(resolutions.into_iter().map(|one| (Direction::Ingress, one.clone())));
        }
        active.ids.retain(|key, id| {
            let keep = wanted.contains(key);
            if !keep {
                ids.release(id.0);
                issued.remove(id);
                dirty.insert(*id);
            }
            keep
        });
        for key in wanted {
            if active.ids.contains_key(&key) {
                continue;
            }
            let (direction, resolution) = key.clone();
            let id = PolicyId(ids.take(digest(strings, &active.name, direction, &resolution)));
            issued.insert(id, Issued { policy, direction, resolution });
            dirty.insert(id);
            active.ids.insert(key, id);
        }
    }

    /// What a direction of a policy allows may be something else.
    pub(crate) fn touch(&mut self, user: User) {
        let active = self.known.get(user.policy).and_then(|known| known.active.as_ref());
        let ids = active.iter().flat_map(|active| &active.ids);
        self.dirty.extend(ids.filter(|((direction, _), _)| *direction == user.direction).map(|(_, id)| *id));
    }

    /// The verdicts that differ since the last call. They are rendered for a policy's namespace, rules, direction and
    /// the numbers of its ports.
    pub(crate) fn drain(
        &mut self,
        render: impl Fn(u32, &Known, Direction, &Resolution) -> Verdict,
    ) -> Vec<(PolicyId, Option<Arc<Verdict>>)> {
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let now = self.issued.get(&id).and_then(|issued| {
                let known = self.known.get(issued.policy)?;
                Some(render(
                    self.known.namespace(issued.policy)?,
                    known,
                    issued.direction,
                    &issued.resolution,
                ))
            });
            match now {
                Some(now) => {
                    if self.told.get(&id).is_none_or(|told| **told != now) {
                        let now = Arc::new(now);
                        self.told.insert(id, Arc::clone(&now));
                        changes.push((id, Some(now)));
                    }
                }
                None => {
                    if self.told.remove(&id).is_some() {
                        changes.push((id, None));
                    }
                }
            }
        }
        changes
    }

    /// Which policy an id stands for.
    pub(crate) fn of(&self, id: PolicyId) -> Option<(&Name, Direction)> {
        let issued = self.issued.get(&id)?;
        let active = self.known.get(issued.policy)?.active.as_ref()?;
        Some((&active.name, issued.direction))
    }
}

fn digest(strings: &Strings, name: &Name, direction: Direction, resolution: &[Pair]) -> u64 {
    let ports = resolution.iter().map(|(name, number)| {
        Digest::new("port").text(strings.text(*name)).text(strings.text(*number)).finish()
    });
    let direction = match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    Digest::new("policy").text(&name.namespace).text(&name.name).text(direction).set(ports).finish()
}
