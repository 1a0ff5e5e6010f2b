//! The prefixes of the CIDR sets in use, of one direction, and the class of each: the sets that contain what is its own.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::cidrs::{CidrSet, Prefix};
use super::classes::{Classes, User};
use crate::rules::{CidrEntry, ClassId};

pub(crate) struct CidrTable {
    nodes: BTreeMap<Prefix, Node>,
    /// How many nodes have a prefix of this length.
    lengths: [u32; 129],
    sets: HashMap<u32, Used>,
    classes: Classes,
    /// What entries said that may say something else now.
    touched: BTreeMap<Prefix, Option<CidrEntry>>,
}

/// A prefix that sets in use need.
struct Node {
    sets: u32,
    class: Option<u32>,
}

struct Used {
    tag: u32,
    owner: u32,
}

impl Default for CidrTable {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            lengths: [0; 129],
            sets: HashMap::new(),
            classes: Classes::default(),
            touched: BTreeMap::new(),
        }
    }
}

impl CidrTable {
    /// A policy uses a set.
    pub(crate) fn add(&mut self, index: u32, set: &CidrSet, user: User) {
        if let Some(used) = self.sets.get(&index) {
            self.classes.add_user(used.owner, user);
            return;
        }
        let owner = self.classes.add_owner();
        self.classes.add_user(owner, user);
        let tag = self.classes.add_tag(set.digest(), owner, None);
        self.sets.insert(index, Used { tag, owner });
        let marks = set.marks();
        for (prefix, _) in &marks {
            self.add_node(*prefix);
        }
        for prefix in self.touch(&marks) {
            let Some(node) = self.nodes.get_mut(&prefix) else { continue };
            let old = node.class;
            node.class = self.classes.join_with(old, tag);
            self.classes.leave(old);
        }
    }

    /// A policy no longer uses a set.
    pub(crate) fn remove(&mut self, index: u32, set: &CidrSet, user: User) {
        let Some(used) = self.sets.get(&index) else { return };
        if !self.classes.remove_user(used.owner, user) {
            return;
        }
        let Some(Used { tag, owner }) = self.sets.remove(&index) else { return };
        let marks = set.marks();
        for prefix in self.touch(&marks) {
            let Some(node) = self.nodes.get_mut(&prefix) else { continue };
            let old = node.class;
            node.class = self.classes.join_without(old, tag);
            self.classes.leave(old);
        }
        for (prefix, _) in &marks {
            self.remove_node(*prefix);
        }
        self.classes.remove_tag(tag);
        self.classes.remove_owner(owner);
    }

    /// The classes of a set.
    pub(crate) fn of(&self, set: u32) -> impl Iterator<Item = ClassId> {
        self.sets.get(&set).into_iter().flat_map(|used| self.classes.of(used.tag))
    }

    /// The entries that differ since the last call.
    pub(crate) fn drain(&mut self) -> Vec<(IpNet, Option<CidrEntry>)> {
        let touched = std::mem::take(&mut self.touched).into_iter();
        let entries = touched.map(|(prefix, before)| (prefix, before, self.entry(prefix)));
        let differing = entries.filter(|(_, before, after)| before != after);
        differing.map(|(prefix, _, after)| (prefix.into(), after)).collect()
    }

    /// The users for whom classes have come or gone since the last call.
    pub(crate) fn drain_stale(&mut self) -> impl Iterator<Item = User> {
        self.classes.drain_stale()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.lengths.iter().all(|count| *count == 0) && self.classes.is_empty()
    }

    /// A new node says what covers it said, until a set says otherwise.
    fn add_node(&mut self, prefix: Prefix) {
        if let Some(node) = self.nodes.get_mut(&prefix) {
            node.sets += 1;
            return;
        }
        let class = self.covering(prefix);
        self.classes.retain(class);
        self.nodes.insert(prefix, Node { sets: 1, class });
        self.count(prefix, |count| count + 1);
    }

    fn remove_node(&mut self, prefix: Prefix) {
        let Some(node) = self.nodes.get_mut(&prefix) else { return };
        node.sets -= 1;
        if node.sets == 0 {
            let class = node.class;
            self.classes.leave(class);
            self.nodes.remove(&prefix);
            self.count(prefix, |count| count - 1);
        }
    }

    fn count(&mut self, prefix: Prefix, change: impl FnOnce(u32) -> u32) {
        if let Some(count) = self.lengths.get_mut(usize::from(prefix.length())) {
            *count = change(*count);
        }
    }

    /// Notes what all entries say that a set bears on; returns those whose own part belongs to it.
    fn touch(&mut self, marks: &[(Prefix, bool)]) -> Vec<Prefix> {
        let says: HashMap<Prefix, bool> = marks.iter().copied().collect();
        let (mut touched, mut belonging) = (Vec::new(), Vec::new());
        let mut top: Option<Prefix> = None;
        for (mark, _) in marks {
            if top.is_some_and(|top| top.covers(*mark)) {
                continue;
            }
            top = Some(*mark);
            let mut covering: Vec<(Prefix, bool)> = Vec::new();
            for prefix in self.nodes.range(*mark..=mark.end()).map(|(prefix, _)| *prefix) {
                while covering.last().is_some_and(|(last, _)| !last.covers(prefix)) {
                    covering.pop();
                }
                if let Some(belongs) = says.get(&prefix) {
                    covering.push((prefix, *belongs));
                }
                touched.push(prefix);
                if covering.last().is_some_and(|(_, belongs)| *belongs) {
                    belonging.push(prefix);
                }
            }
        }
        for prefix in touched {
            if !self.touched.contains_key(&prefix) {
                let before = self.entry(prefix);
                self.touched.insert(prefix, before);
            }
        }
        belonging
    }

    /// What the entry says; `None` where there is none because it would say what covers it says.
    fn entry(&self, prefix: Prefix) -> Option<CidrEntry> {
        let class = self.nodes.get(&prefix)?.class;
        (class != self.covering(prefix)).then(|| CidrEntry { class: self.classes.id(class) })
    }

    /// The class of the next shorter prefix.
    fn covering(&self, prefix: Prefix) -> Option<u32> {
        let shorter = (0..prefix.length()).rev();
        let mut used =
            shorter.filter(|length| self.lengths.get(usize::from(*length)).is_some_and(|count| *count > 0));
        used.find_map(|length| self.nodes.get(&prefix.shortened(length))).and_then(|node| node.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Direction;
    use crate::spec::IpBlock;

    const USER: User = User { policy: 1, direction: Direction::Ingress };

    fn set(cidrs: &[&str]) -> CidrSet {
        let blocks: Vec<_> =
            cidrs.iter().map(|cidr| IpBlock { cidr: (*cidr).to_owned(), except: None }).collect();
        CidrSet::new(blocks.iter()).0
    }

    fn text(changes: &[(IpNet, Option<CidrEntry>)]) -> String {
        let text = |(cidr, entry): &(IpNet, Option<CidrEntry>)| match entry {
            None => format!("-{cidr}"),
            Some(CidrEntry { class: None }) => format!("{cidr} none"),
            Some(CidrEntry { class: Some(_) }) => cidr.to_string(),
        };
        changes.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_wider_set_changes_the_classes_inside_it() {
        let (inner, outer) = (set(&["10.0.0.0/24", "10.0.2.0/24"]), set(&["10.0.0.0/8"]));
        let mut table = CidrTable::default();
        table.add(1, &inner, USER);
        assert_eq!(text(&table.drain()), "10.0.0.0/24, 10.0.2.0/24");
        table.add(2, &outer, USER);
        assert_eq!(text(&table.drain()), "10.0.0.0/8, 10.0.0.0/24, 10.0.2.0/24");
        assert_eq!((table.of(1).count(), table.of(2).count()), (1, 2));
        table.remove(1, &inner, USER);
        assert_eq!(text(&table.drain()), "-10.0.0.0/24, -10.0.2.0/24");
        table.remove(2, &outer, USER);
        assert_eq!(text(&table.drain()), "-10.0.0.0/8");
        assert!(table.is_empty());
    }

    #[test]
    fn a_prefix_that_says_what_covers_it_says_is_no_entry() {
        // The second set's mark inside the first one's block is the same as the block, for the first set.
        let (a, b) = (set(&["10.0.0.0/8"]), set(&["10.0.0.0/8", "11.0.0.0/24"]));
        let mut table = CidrTable::default();
        table.add(1, &a, USER);
        table.add(2, &b, USER);
        assert_eq!(text(&table.drain()), "10.0.0.0/8, 11.0.0.0/24");
        assert_eq!(
            table.covering(Prefix::parse("10.1.0.0/16").unwrap()),
            table.nodes.values().next().unwrap().class
        );
    }

    #[test]
    fn a_set_counts_as_often_as_it_is_used() {
        let one = set(&["10.0.0.0/8"]);
        let mut table = CidrTable::default();
        table.add(1, &one, USER);
        table.add(1, &one, USER);
        table.remove(1, &one, USER);
        assert_eq!(text(&table.drain()), "10.0.0.0/8");
        table.remove(1, &one, USER);
        assert_eq!(text(&table.drain()), "-10.0.0.0/8");
    }
}
