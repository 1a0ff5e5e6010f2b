//! Things with a name in a namespace.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::pool::Slab;

pub(crate) struct Named<T> {
    items: Slab<Item<T>>,
    table: HashTable<u32>,
    hasher: RandomState,
}

struct Item<T> {
    namespace: u32,
    name: Box<str>,
    thing: T,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { items: Slab::default(), table: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<T> Named<T> {
    pub(crate) fn find(&self, namespace: u32, name: &str) -> Option<u32> {
        let is_it = |index: &u32| {
            self.items.get(*index).is_some_and(|item| item.namespace == namespace && &*item.name == name)
        };
        self.table.find(self.hasher.hash_one((namespace, name)), is_it).copied()
    }

    /// Adds one; none may have its name.
    pub(crate) fn insert(&mut self, namespace: u32, name: &str, thing: T) -> u32 {
        let Self { items, table, hasher } = self;
        let index = items.insert(Item { namespace, name: name.into(), thing });
        let hash_of =
            |index: &u32| items.get(*index).map_or(0, |item| hasher.hash_one((item.namespace, &*item.name)));
        table.insert_unique(hasher.hash_one((namespace, name)), index, hash_of);
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let item = self.items.remove(index)?;
        let hash = self.hasher.hash_one((item.namespace, &*item.name));
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        Some(item.thing)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.items.get(index).map(|item| &item.thing)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.items.get_mut(index).map(|item| &mut item.thing)
    }

    pub(crate) fn namespace(&self, index: u32) -> Option<u32> {
        self.items.get(index).map(|item| item.namespace)
    }

    pub(crate) fn name(&self, index: u32) -> &str {
        self.items.get(index).map_or("", |item| &item.name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.items.iter().map(|(index, item)| (index, &item.thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_in_its_namespace_only() {
        let mut named = Named::default();
        let (a, b) = (named.insert(1, "x", 'a'), named.insert(2, "x", 'b'));
        assert_eq!((named.find(1, "x"), named.find(2, "x"), named.find(1, "y")), (Some(a), Some(b), None));
        assert_eq!((named.remove(a), named.find(1, "x")), (Some('a'), None));
        assert_eq!((named.name(b), named.namespace(b), named.get(b)), ("x", Some(2), Some(&'b')));
    }
}
