//! What became of entries since somebody last asked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Per entry what it said at first and what it says now.
#[derive(Debug)]
pub struct Journal<K, V> {
    entries: BTreeMap<K, (Option<V>, Option<V>)>,
}

impl<K, V> Default for Journal<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<K: Ord, V: PartialEq> Journal<K, V> {
    /// An entry said `before`, unless something else is recorded of it, and says `after`.
    pub fn record(&mut self, key: K, before: Option<V>, after: Option<V>) {
        match self.entries.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().1 = after,
            Entry::Vacant(entry) if before != after => drop(entry.insert((before, after))),
            Entry::Vacant(_) => {}
        }
    }

    /// The entries that say something else than at first, in ascending order.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, Option<V>)> + use<K, V> {
        let entries = std::mem::take(&mut self.entries).into_iter();
        entries.filter(|(_, (before, after))| before != after).map(|(key, (_, after))| (key, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_in_the_end_is_told() {
        let mut journal = Journal::default();
        journal.record(1, None, Some('a'));
        journal.record(1, Some('a'), None);
        journal.record(2, Some('a'), Some('b'));
        journal.record(2, Some('b'), Some('c'));
        journal.record(0, None, Some('d'));
        journal.record(3, Some('e'), None);
        journal.record(3, Some('e'), Some('e'));
        assert_eq!(journal.drain().collect::<Vec<_>>(), [(0, Some('d')), (2, Some('c'))]);
        assert_eq!(journal.drain().count(), 0);
    }
}
