//! Things with labels (namespaces, or the label sets of pods), classified by the selectors that active policies use.

use std::collections::HashMap;

use super::classes::{Classes, User};
use super::postings::{Anchors, Postings};
use super::selectors::Selectors;
use super::strings::{Pair, Strings, Sym};
use crate::rules::ClassId;
use incremental::Digest;
use incremental::Journal;

/// What is classified, by number.
pub(crate) trait Things {
    /// Its labels.
    fn pairs(&self, thing: u32) -> &[Pair];
    /// The id that its entry has in the switch.
    fn id(&self, thing: u32) -> u32;
    /// Its class.
    fn class(&self, thing: u32) -> Option<u32>;
    /// Gives it another class.
    fn set_class(&mut self, thing: u32, class: Option<u32>);
    /// All.
    fn all(&self) -> Vec<u32>;
}

#[derive(Default)]
pub(crate) struct Classifier {
    postings: Postings,
    anchors: Anchors,
    selectors: HashMap<u32, Used>,
    ports: HashMap<Sym, UsedPort>,
    classes: Classes,
    journal: Journal<u32, ClassId>,
}

/// A selector that some policy uses.
struct Used {
    tag: u32,
    owner: u32,
    places: Box<[Pair]>,
}

/// A port's name that some policy uses: what its users distinguish is the number it stands for.
struct UsedPort {
    owner: u32,
    tags: HashMap<Sym, u32>,
}

impl Classifier {
    /// A thing has come, or its labels are others now.
    pub(crate) fn enter(
        &mut self,
        things: &mut impl Things,
        selectors: &Selectors,
        strings: &Strings,
        thing: u32,
    ) {
        let pairs = things.pairs(thing);
        self.postings.insert(thing, pairs);
        let candidates = self.anchors.candidates(pairs).filter(|one| selectors.matches(*one, pairs));
        let mut tags: Vec<u32> =
            candidates.filter_map(|selector| Some(self.selectors.get(&selector)?.tag)).collect();
        if !self.ports.is_empty() {
            let ports: Vec<Pair> =
                pairs.iter().copied().filter(|(key, _)| self.ports.contains_key(key)).collect();
            tags.extend(ports.into_iter().filter_map(|pair| self.port_tag(strings, pair)));
        }
        tags.sort_unstable();
        tags.dedup();
        let class = self.classes.join(&tags);
        things.set_class(thing, class);
        self.journal.record(things.id(thing), None, self.classes.id(class));
    }

    /// A thing goes, or its labels are about to be others.
    pub(crate) fn leave(&mut self, things: &mut impl Things, thing: u32) {
        self.postings.remove(thing, things.pairs(thing));
        let class = things.class(thing);
        things.set_class(thing, None);
        self.journal.record(things.id(thing), self.classes.id(class), None);
        self.forget(class);
    }

    /// A policy uses a selector.
    pub(crate) fn add_selector(
        &mut self,
        things: &mut impl Things,
        selectors: &Selectors,
        selector: u32,
        user: User,
    ) {
        if let Some(used) = self.selectors.get(&selector) {
            self.classes.add_user(used.owner, user);
            return;
        }
        let digest = selectors.about(selector).map_or(0, |about| about.digest);
        let owner = self.classes.add_owner();
        self.classes.add_user(owner, user);
        let tag = self.classes.add_tag(digest, owner, None);
        let places = self.anchors.insert(selector, selectors.get(selector));
        self.selectors.insert(selector, Used { tag, owner, places });
        for thing in self.matching(things, selectors, selector) {
            let class = self.classes.join_with(things.class(thing), tag);
            self.change(things, thing, class);
        }
    }

    /// A policy no longer uses a selector.
    pub(crate) fn remove_selector(
        &mut self,
        things: &mut impl Things,
        selectors: &Selectors,
        selector: u32,
        user: User,
    ) {
        let Some(used) = self.selectors.get(&selector) else { return };
        if !self.classes.remove_user(used.owner, user) {
            return;
        }
        let Some(Used { tag, owner, places }) = self.selectors.remove(&selector) else { return };
        self.anchors.remove(selector, &places);
        for thing in self.matching(things, selectors, selector) {
            let class = self.classes.join_without(things.class(thing), tag);
            self.change(things, thing, class);
        }
        self.classes.remove_tag(tag);
        self.classes.remove_owner(owner);
    }

    /// A policy uses a port's name.
    pub(crate) fn add_port(&mut self, things: &mut impl Things, strings: &Strings, name: Sym, user: User) {
        if let Some(port) = self.ports.get(&name) {
            self.classes.add_user(port.owner, user);
            return;
        }
        let owner = self.classes.add_owner();
        self.classes.add_user(owner, user);
        self.ports.insert(name, UsedPort { owner, tags: HashMap::new() });
        for (number, thing) in self.postings.with_key(name).collect::<Vec<_>>() {
            let Some(tag) = self.port_tag(strings, (name, number)) else { continue };
            let class = self.classes.join_with(things.class(thing), tag);
            self.change(things, thing, class);
        }
    }

    /// A policy no longer uses a port's name.
    pub(crate) fn remove_port(&mut self, things: &mut impl Things, name: Sym, user: User) {
        let Some(port) = self.ports.get(&name) else { return };
        let owner = port.owner;
        if !self.classes.remove_user(owner, user) {
            return;
        }
        for (number, thing) in self.postings.with_key(name).collect::<Vec<_>>() {
            let tag = self.ports.get(&name).and_then(|port| port.tags.get(&number).copied());
            let Some(tag) = tag else { continue };
            let class = self.classes.join_without(things.class(thing), tag);
            self.change(things, thing, class);
        }
        self.ports.remove(&name);
        self.classes.remove_owner(owner);
    }

    /// The classes that a selector in use matches.
    pub(crate) fn matched_by(&self, selector: u32) -> impl Iterator<Item = ClassId> {
        self.selectors.get(&selector).into_iter().flat_map(|used| self.classes.of(used.tag))
    }

    /// The numbers that a port's name in use stands for, with the classes for which it does.
    pub(crate) fn numbers(&self, name: Sym) -> impl Iterator<Item = (Sym, impl Iterator<Item = ClassId>)> {
        let tags = self.ports.get(&name).into_iter().flat_map(|port| &port.tags);
        tags.map(|(number, tag)| (*number, self.classes.of(*tag)))
    }

    /// The entries that differ since the last call.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, Option<ClassId>)> + use<> {
        self.journal.drain()
    }

    /// The users for whom classes have come or gone since the last call.
    pub(crate) fn drain_stale(&mut self) -> impl Iterator<Item = User> {
        self.classes.drain_stale()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.selectors.is_empty()
            && self.ports.is_empty()
            && self.classes.is_empty()
            && self.postings.is_empty()
    }

    fn change(&mut self, things: &mut impl Things, thing: u32, class: Option<u32>) {
        let old = things.class(thing);
        things.set_class(thing, class);
        self.journal.record(things.id(thing), self.classes.id(old), self.classes.id(class));
        self.forget(old);
    }

    fn forget(&mut self, class: Option<u32>) {
        for (name, number) in self.classes.leave(class) {
            if let Some(port) = self.ports.get_mut(&name) {
                port.tags.remove(&number);
            }
        }
    }

    fn port_tag(&mut self, strings: &Strings, (name, number): Pair) -> Option<u32> {
        let port = self.ports.get_mut(&name)?;
        let tag = port.tags.entry(number).or_insert_with(|| {
            let digest = Digest::new("port").text(strings.text(name)).text(strings.text(number));
            self.classes.add_tag(digest.finish(), port.owner, Some((name, number)))
        });
        Some(*tag)
    }

    fn matching(&self, things: &impl Things, selectors: &Selectors, selector: u32) -> Vec<u32> {
        let candidates = self.postings.candidates(selectors.get(selector));
        let mut candidates = candidates.unwrap_or_else(|| things.all());
        candidates.retain(|thing| selectors.matches(selector, things.pairs(*thing)));
        candidates
    }
}
