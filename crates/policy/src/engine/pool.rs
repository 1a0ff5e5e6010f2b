//! Things with small numbers: [`Slab`], and [`Pool`], which holds each content once and counts who uses it.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Things under numbers; the numbers of those that are gone are used again.
pub(crate) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

fn place(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(index) = self.free.pop()
            && let Some(free) = self.items.get_mut(place(index))
        {
            *free = Some(item);
            return index;
        }
        let index = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.items.push(Some(item));
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let item = self.items.get_mut(place(index))?.take()?;
        self.free.push(index);
        Some(item)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.items.get(place(index))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.items.get_mut(place(index))?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.items).filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }
}

/// Each content once, with what belongs to it, for as long as somebody uses it.
pub(crate) struct Pool<K, V> {
    items: Slab<Item<K, V>>,
    table: HashTable<u32>,
    hasher: RandomState,
}

struct Item<K, V> {
    key: K,
    value: V,
    users: u32,
}

impl<K, V> Default for Pool<K, V> {
    fn default() -> Self {
        Self { items: Slab::default(), table: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<K: Hash + Eq, V> Pool<K, V> {
    /// One user more of a content, which is made if it is new. Says whether it is.
    pub(crate) fn acquire<Q>(&mut self, key: &Q, make: impl FnOnce() -> (K, V)) -> (u32, bool)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let Self { items, table, hasher } = self;
        let is_it = |index: &u32| items.get(*index).is_some_and(|item| Borrow::<Q>::borrow(&item.key) == key);
        let hash_of =
            |index: &u32| items.get(*index).map_or(0, |item| hasher.hash_one(Borrow::<Q>::borrow(&item.key)));
        match table.entry(hasher.hash_one(key), is_it, hash_of) {
            Entry::Occupied(entry) => {
                let index = *entry.get();
                if let Some(item) = items.get_mut(index) {
                    item.users += 1;
                }
                (index, false)
            }
            Entry::Vacant(entry) => {
                let (key, value) = make();
                let index = items.insert(Item { key, value, users: 1 });
                entry.insert(index);
                (index, true)
            }
        }
    }

    pub(crate) fn find<Q>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let is_it = |index: &u32| self.key(*index).is_some_and(|found| Borrow::<Q>::borrow(found) == key);
        self.table.find(self.hasher.hash_one(key), is_it).copied()
    }

    /// One user more of a content that is there.
    pub(crate) fn retain(&mut self, index: u32) {
        if let Some(item) = self.items.get_mut(index) {
            item.users += 1;
        }
    }

    /// One user less; the content itself if that was the last one.
    pub(crate) fn release(&mut self, index: u32) -> Option<(K, V)> {
        let item = self.items.get_mut(index)?;
        item.users -= 1;
        if item.users > 0 {
            return None;
        }
        let hash = self.hasher.hash_one(&item.key);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        self.items.remove(index).map(|item| (item.key, item.value))
    }

    /// How many users a content has.
    pub(crate) fn users(&self, index: u32) -> u32 {
        self.items.get(index).map_or(0, |item| item.users)
    }

    pub(crate) fn key(&self, index: u32) -> Option<&K> {
        self.items.get(index).map(|item| &item.key)
    }

    pub(crate) fn value(&self, index: u32) -> Option<&V> {
        self.items.get(index).map(|item| &item.value)
    }

    pub(crate) fn value_mut(&mut self, index: u32) -> Option<&mut V> {
        self.items.get_mut(index).map(|item| &mut item.value)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty() && self.items.iter().next().is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &V)> {
        self.items.iter().map(|(index, item)| (index, &item.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_lives_as_long_as_somebody_uses_it() {
        let mut pool: Pool<Box<str>, u8> = Pool::default();
        let (a, new) = pool.acquire("a", || ("a".into(), 1));
        assert!(new);
        assert_eq!(pool.acquire("a", || unreachable!()), (a, false));
        assert_eq!(pool.release(a), None);
        assert_eq!((pool.find("a"), pool.value(a)), (Some(a), Some(&1)));
        assert_eq!(pool.release(a), Some(("a".into(), 1)));
        assert_eq!((pool.find("a"), pool.key(a)), (None, None));
        assert_eq!(pool.acquire("b", || ("b".into(), 2)), (a, true), "the number is used again");
    }
}
