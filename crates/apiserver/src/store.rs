//! The data: tables of objects under one lock and one version counter, with the recent history of each table.
//!
//! An object is kept as the JSON bytes a client receives, serialised once when it is committed and shared by
//! every list and watcher, beside the few facts that selection and garbage collection need. The store knows
//! nothing of kinds: what may be written is decided above it, and committed here only if the object is still
//! at the version that decision was based on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::object;

mod log;
mod stored;

use log::Log;
pub(crate) use log::{Change, event_line};
pub(crate) use stored::{Key, Stored};

/// A write lost a race: the object is not at the version it was expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raced;

/// The version asked for is no longer known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forgotten;

/// Why a new object cannot be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InsertError {
    Exists,
    NoNamespace,
    NamespaceTerminating,
}

/// Where an object is: its table and its key there.
pub(crate) type Place = (Arc<str>, Key);

#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    history: usize,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    tables: HashMap<Arc<str>, Table>,
    /// Objects by uid, to find owners.
    by_uid: HashMap<String, Place>,
    /// Objects by the uids of their owners.
    dependents: HashMap<String, BTreeSet<Place>>,
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Key, Arc<Stored>>,
    log: Log,
    selectable: Vec<String>,
    /// Tells watchers that there is something to look at.
    wake: watch::Sender<()>,
    /// Counts the times all watches were dropped.
    epoch: u64,
}

impl Table {
    fn new(selectable: Vec<String>, floor: u64) -> Self {
        let wake = watch::Sender::new(());
        Self { objects: BTreeMap::new(), log: Log::new(floor), selectable, wake, epoch: 0 }
    }

    fn publish(&mut self, change: Arc<Change>, history: usize) {
        self.log.push(change, history);
        self.wake.send_replace(());
    }
}

/// A consistent view of one table.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) objects: Vec<Arc<Stored>>,
}

/// Where a watcher stands in the history of a table.
#[derive(Debug)]
pub(crate) struct Cursor {
    storage: Arc<str>,
    position: u64,
    /// `None`: goes on when watches are dropped.
    epoch: Option<u64>,
    wake: watch::Receiver<()>,
}

/// What a watcher finds when it looks.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Changes, oldest first, up to some limit.
    Changes(Vec<Arc<Change>>),
    /// Nothing happened up to this version.
    UpToDate(u64),
    /// The history it would need next is gone.
    Forgotten,
    /// The watch was dropped on purpose.
    Dropped,
}

impl Cursor {
    /// The same place for a watch that is never dropped on purpose.
    pub(crate) fn steadfast(self) -> Self {
        Self { epoch: None, ..self }
    }

    /// Waits until there may be something to look at. False when the store is gone.
    pub(crate) async fn wait(&mut self) -> bool {
        self.wake.changed().await.is_ok()
    }
}

impl Store {
    /// `history`: how many changes of each table are remembered for watchers that resume.
    pub(crate) fn new(history: usize) -> Self {
        Self { state: Mutex::new(State { version: 1, ..State::default() }), history }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the table `storage` if there is none; `selectable` are the fields its selectors understand.
    pub(crate) fn ensure_table(&self, storage: &Arc<str>, selectable: &[String]) {
        let mut state = self.lock();
        let floor = state.version;
        state.tables.entry(storage.clone()).or_insert_with(|| Table::new(selectable.to_vec(), floor));
    }

    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    pub(crate) fn get(&self, storage: &str, key: &Key) -> Option<Arc<Stored>> {
        self.lock().tables.get(storage)?.objects.get(key).cloned()
    }

    pub(crate) fn insert(&self, storage: &str, object: Value) -> Result<Arc<Change>, InsertError> {
        let key = Key::of(&object);
        let mut state = self.lock();
        if !key.namespace.is_empty() {
            let namespaces = state.tables.get("namespaces");
            let namespace = namespaces.and_then(|t| t.objects.get(&Key::cluster(&key.namespace)));
            let namespace = namespace.ok_or(InsertError::NoNamespace)?;
            if namespace.deleting {
                return Err(InsertError::NamespaceTerminating);
            }
        }
        if state.tables.get(storage).is_some_and(|table| table.objects.contains_key(&key)) {
            return Err(InsertError::Exists);
        }
        Ok(state.commit(storage, None, object, self.history))
    }

    /// Puts `object` in place of the version `expected` of the same object.
    pub(crate) fn replace(&self, storage: &str, expected: u64, object: Value) -> Result<Arc<Change>, Raced> {
        let mut state = self.lock();
        let previous = state.expect(storage, &Key::of(&object), expected)?;
        Ok(state.commit(storage, Some(previous), object, self.history))
    }

    /// Takes the version `expected` of an object away.
    pub(crate) fn remove(&self, storage: &str, key: &Key, expected: u64) -> Result<Arc<Change>, Raced> {
        let mut state = self.lock();
        let previous = state.expect(storage, key, expected)?;
        Ok(state.commit_removal(storage, previous, self.history))
    }

    /// All objects of a table, or of one namespace in it, now or as they were at version `at`.
    pub(crate) fn snapshot(
        &self,
        storage: &str,
        namespace: Option<&str>,
        at: Option<u64>,
    ) -> Result<Snapshot, Forgotten> {
        let state = self.lock();
        let version = at.unwrap_or(state.version);
        let Some(table) = state.tables.get(storage) else {
            return Ok(Snapshot { version, objects: Vec::new() });
        };
        let start = namespace.map_or(Bound::Unbounded, |ns| Bound::Included(Key::new(ns, "")));
        let range = table
            .objects
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| namespace.is_none_or(|ns| key.namespace == ns));
        if version >= state.version {
            let objects = range.map(|(_, object)| object.clone()).collect();
            return Ok(Snapshot { version, objects });
        }
        let mut past: BTreeMap<&Key, Arc<Stored>> = range.map(|(k, o)| (k, o.clone())).collect();
        for change in table.log.after(version).ok_or(Forgotten)?.rev() {
            if namespace.is_some_and(|ns| change.key().namespace != ns) {
                continue;
            }
            match &change.previous {
                Some(previous) => past.insert(change.key(), previous.clone()),
                None => past.remove(change.key()),
            };
        }
        Ok(Snapshot { version, objects: past.into_values().collect() })
    }

    /// A cursor from which the changes after version `from` can be read, with the version that is current.
    pub(crate) fn watch_from(&self, storage: &str, from: u64) -> Result<Cursor, Forgotten> {
        let state = self.lock();
        let (storage, table) = state.tables.get_key_value(storage).ok_or(Forgotten)?;
        if from > state.version {
            // The client knows a future: another server's past. It must start over.
            return Err(Forgotten);
        }
        let position = table.log.position_after(from).ok_or(Forgotten)?;
        Ok(Cursor {
            storage: storage.clone(),
            position,
            epoch: Some(table.epoch),
            wake: table.wake.subscribe(),
        })
    }

    /// Reads on from `cursor`, which moves past what is returned.
    pub(crate) fn progress(&self, cursor: &mut Cursor) -> Progress {
        const BATCH: usize = 256;
        let state = self.lock();
        let Some(table) = state.tables.get(&cursor.storage) else { return Progress::Dropped };
        if cursor.epoch.is_some_and(|epoch| epoch != table.epoch) {
            return Progress::Dropped;
        }
        let Some(changes) = table.log.from(cursor.position) else { return Progress::Forgotten };
        let changes: Vec<_> = changes.take(BATCH).cloned().collect();
        if changes.is_empty() {
            return Progress::UpToDate(state.version);
        }
        cursor.position = cursor.position.saturating_add(changes.len() as u64);
        Progress::Changes(changes)
    }

    /// Ends the watches of one table, or of all.
    pub(crate) fn drop_watches(&self, storage: Option<&str>) {
        for (name, table) in &mut self.lock().tables {
            if storage.is_none_or(|wanted| &**name == wanted) {
                table.epoch = table.epoch.wrapping_add(1);
                table.wake.send_replace(());
            }
        }
    }

    /// Forgets the history of one table, or of all: watches that resume from before now must start over.
    pub(crate) fn forget_history(&self, storage: Option<&str>) {
        let mut state = self.lock();
        let version = state.version;
        for (name, table) in &mut state.tables {
            if storage.is_none_or(|wanted| &**name == wanted) {
                table.log.forget(version);
            }
        }
    }

    /// The object with this uid.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<(Place, Arc<Stored>)> {
        let state = self.lock();
        let place = state.by_uid.get(uid)?.clone();
        let object = state.tables.get(&place.0)?.objects.get(&place.1)?.clone();
        Some((place, object))
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Place> {
        self.lock().dependents.get(uid).map(|places| places.iter().cloned().collect()).unwrap_or_default()
    }

    /// Everything inside a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Place> {
        let state = self.lock();
        let mut places = Vec::new();
        for (storage, table) in &state.tables {
            let start = Key::new(namespace, "");
            let keys = table.objects.range(start..).take_while(|(key, _)| key.namespace == namespace);
            places.extend(keys.map(|(key, _)| (storage.clone(), key.clone())));
        }
        places
    }

    /// How many objects a table holds.
    pub(crate) fn count(&self, storage: &str) -> usize {
        self.lock().tables.get(storage).map_or(0, |table| table.objects.len())
    }
}

impl State {
    fn expect(&self, storage: &str, key: &Key, version: u64) -> Result<Arc<Stored>, Raced> {
        let object = self.tables.get(storage).and_then(|table| table.objects.get(key)).ok_or(Raced)?;
        if object.version == version { Ok(object.clone()) } else { Err(Raced) }
    }

    /// Gives the change the next version, keeps the indices and tells the watchers.
    fn commit(
        &mut self,
        storage: &str,
        previous: Option<Arc<Stored>>,
        new: Value,
        history: usize,
    ) -> Arc<Change> {
        let (storage, version) = self.next(storage);
        if let Some(previous) = &previous {
            self.unindex(&storage, previous);
        }
        let table = self.tables.entry(storage.clone()).or_insert_with(|| Table::new(Vec::new(), version));
        let mut new = new;
        object::set(&mut new, &["metadata", "resourceVersion"], version.to_string());
        let object = Arc::new(Stored::new(&new, version, &table.selectable));
        table.objects.insert(object.key.clone(), object.clone());
        let place = (storage.clone(), object.key.clone());
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(place.clone());
        }
        self.by_uid.insert(object.uid.clone(), place);
        let change = Arc::new(Change::written(storage, version, previous, object));
        table.publish(change.clone(), history);
        change
    }

    fn commit_removal(&mut self, storage: &str, object: Arc<Stored>, history: usize) -> Arc<Change> {
        let (storage, version) = self.next(storage);
        self.unindex(&storage, &object);
        let change = Arc::new(Change::removed(storage.clone(), version, object));
        if let Some(table) = self.tables.get_mut(&storage) {
            table.objects.remove(change.key());
            table.publish(change.clone(), history);
        }
        change
    }

    fn next(&mut self, storage: &str) -> (Arc<str>, u64) {
        self.version = self.version.saturating_add(1);
        let name =
            self.tables.get_key_value(storage).map_or_else(|| Arc::from(storage), |(name, _)| name.clone());
        (name, self.version)
    }

    fn unindex(&mut self, storage: &Arc<str>, object: &Stored) {
        self.by_uid.remove(&object.uid);
        let place = (storage.clone(), object.key.clone());
        for owner in &object.owners {
            if let Some(places) = self.dependents.get_mut(owner) {
                places.remove(&place);
                if places.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}
