//! Classes: the sets of tags that things have, each for as long as a thing has it.
//!
//! A tag stands for a selector (or a set of CIDRs, or a port's name and number) that an active policy uses. A class that
//! comes or goes is news for the users of all of its tags.

use std::collections::{BTreeMap, BTreeSet};

use super::pool::{Pool, Slab};
use super::strings::Pair;
use crate::rules::{ClassId, Direction};
use incremental::{Digest, Ids};

/// One direction of one active policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct User {
    pub(crate) policy: u32,
    pub(crate) direction: Direction,
}

#[derive(Default)]
pub(crate) struct Classes {
    tags: Slab<Tag>,
    /// Who uses a tag, how many times. Tags may share one.
    owners: Slab<BTreeMap<User, u32>>,
    sets: Pool<Box<[u32]>, ClassId>,
    ids: Ids<32>,
    /// Owners that a class has come or gone for.
    stale: BTreeSet<u32>,
}

struct Tag {
    digest: u64,
    owner: u32,
    /// Set of a tag that goes with its last class.
    pair: Option<Pair>,
    classes: BTreeSet<u32>,
}

impl Classes {
    pub(crate) fn add_owner(&mut self) -> u32 {
        self.owners.insert(BTreeMap::new())
    }

    pub(crate) fn remove_owner(&mut self, owner: u32) {
        self.owners.remove(owner);
        self.stale.remove(&owner);
    }

    /// A user more.
    pub(crate) fn add_user(&mut self, owner: u32, user: User) {
        if let Some(users) = self.owners.get_mut(owner) {
            *users.entry(user).or_default() += 1;
        }
    }

    /// A user less. Says whether it was the last one.
    pub(crate) fn remove_user(&mut self, owner: u32, user: User) -> bool {
        let Some(users) = self.owners.get_mut(owner) else { return false };
        if let Some(count) = users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&user);
            }
        }
        users.is_empty()
    }

    pub(crate) fn add_tag(&mut self, digest: u64, owner: u32, pair: Option<Pair>) -> u32 {
        self.tags.insert(Tag { digest, owner, pair, classes: BTreeSet::new() })
    }

    pub(crate) fn remove_tag(&mut self, tag: u32) {
        self.tags.remove(tag);
    }

    /// A thing gets these tags, in ascending order.
    pub(crate) fn join(&mut self, tags: &[u32]) -> Option<u32> {
        if tags.is_empty() {
            return None;
        }
        let Self { tags: all, sets, ids, .. } = self;
        let (class, new) = sets.acquire(tags, || {
            let digests = tags.iter().filter_map(|tag| Some(all.get(*tag)?.digest));
            (tags.into(), ClassId(ids.take(Digest::new("class").set(digests).finish())))
        });
        if new {
            for tag in tags {
                if let Some(tag) = self.tags.get_mut(*tag) {
                    tag.classes.insert(class);
                    self.stale.insert(tag.owner);
                }
            }
        }
        Some(class)
    }

    /// A thing no longer has this class. Returns the pairs whose tags are gone with it.
    pub(crate) fn leave(&mut self, class: Option<u32>) -> Vec<Pair> {
        let Some((tags, id)) = class.and_then(|class| self.sets.release(class)) else { return Vec::new() };
        self.ids.release(id.0);
        let mut gone = Vec::new();
        for index in tags {
            let Some(tag) = self.tags.get_mut(index) else { continue };
            if let Some(class) = class {
                tag.classes.remove(&class);
            }
            self.stale.insert(tag.owner);
            if let Some(pair) = tag.pair
                && tag.classes.is_empty()
            {
                self.tags.remove(index);
                gone.push(pair);
            }
        }
        gone
    }

    /// A thing has the tags of `class` and one more.
    pub(crate) fn join_with(&mut self, class: Option<u32>, tag: u32) -> Option<u32> {
        let old = class.and_then(|class| self.sets.key(class)).map_or(&[][..], |tags| tags);
        let mut tags = Vec::with_capacity(old.len() + 1);
        tags.extend_from_slice(old);
        if let Err(place) = tags.binary_search(&tag) {
            tags.insert(place, tag);
        }
        self.join(&tags)
    }

    /// A thing has the tags of `class` but one.
    pub(crate) fn join_without(&mut self, class: Option<u32>, tag: u32) -> Option<u32> {
        let old = class.and_then(|class| self.sets.key(class)).map_or(&[][..], |tags| tags);
        let tags: Vec<u32> = old.iter().copied().filter(|other| *other != tag).collect();
        self.join(&tags)
    }

    /// One thing more has a class.
    pub(crate) fn retain(&mut self, class: Option<u32>) {
        if let Some(class) = class {
            self.sets.retain(class);
        }
    }

    pub(crate) fn id(&self, class: Option<u32>) -> Option<ClassId> {
        self.sets.value(class?).copied()
    }

    /// The classes that have a tag.
    pub(crate) fn of(&self, tag: u32) -> impl Iterator<Item = ClassId> {
        let classes = self.tags.get(tag).into_iter().flat_map(|tag| &tag.classes);
        classes.filter_map(|class| self.sets.value(*class).copied())
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let Self { tags, owners, sets, .. } = self;
        tags.iter().next().is_none() && owners.iter().next().is_none() && sets.is_empty()
    }

    /// Users for whom classes have come or gone since the last call.
    pub(crate) fn drain_stale(&mut self) -> impl Iterator<Item = User> {
        let stale = std::mem::take(&mut self.stale).into_iter();
        stale.filter_map(|owner| self.owners.get(owner)).flat_map(|users| users.keys().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: User = User { policy: 7, direction: Direction::Ingress };

    fn stale(classes: &mut Classes) -> Vec<u32> {
        classes.drain_stale().map(|user| user.policy).collect()
    }

    #[test]
    fn a_class_is_news_when_the_first_thing_joins_and_the_last_one_leaves() {
        let mut classes = Classes::default();
        let owner = classes.add_owner();
        classes.add_user(owner, USER);
        let tag = classes.add_tag(1, owner, None);
        let class = classes.join(&[tag]);
        assert_eq!((stale(&mut classes), classes.of(tag).count()), (vec![7], 1));
        assert_eq!(classes.join(&[tag]), class);
        classes.leave(class);
        assert!(stale(&mut classes).is_empty());
        classes.leave(class);
        assert_eq!((stale(&mut classes), classes.of(tag).count(), classes.id(class)), (vec![7], 0, None));
        assert!(classes.remove_user(owner, USER));
    }

    #[test]
    fn a_class_has_the_same_id_whatever_came_first() {
        let id = |digests: [u64; 2]| {
            let mut classes = Classes::default();
            let owner = classes.add_owner();
            let tags = digests.map(|digest| classes.add_tag(digest, owner, None));
            let class = classes.join(&tags);
            classes.id(class)
        };
        assert_eq!(id([3, 5]), id([5, 3]));
        assert_ne!(id([3, 5]), id([3, 4]));
    }

    #[test]
    fn a_tag_of_a_pair_goes_with_its_last_class() {
        use crate::engine::strings::Sym;
        let mut classes = Classes::default();
        let owner = classes.add_owner();
        let pair = (Sym(1), Sym(2));
        let (port, other) = (classes.add_tag(1, owner, Some(pair)), classes.add_tag(2, owner, None));
        let (a, b) = (classes.join(&[port]), classes.join(&[port, other]));
        assert_eq!(classes.leave(a), []);
        assert_eq!(classes.leave(b), [pair]);
    }
}
