//! The recent history of one table.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{Key, Stored};

/// One committed change: creation (no `previous`), update, or removal.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) storage: Arc<str>,
    pub(crate) version: u64,
    pub(crate) previous: Option<Arc<Stored>>,
    /// The object after the change or, if it is gone, before.
    pub(crate) object: Arc<Stored>,
    pub(crate) removed: bool,
    /// The watch event of a watcher that sees all of it, made when the first one asks.
    line: OnceLock<Bytes>,
    /// The last state of the object under the version of its removal.
    tombstone: OnceLock<Bytes>,
}

impl Change {
    pub(super) fn written(
        storage: Arc<str>,
        version: u64,
        previous: Option<Arc<Stored>>,
        object: Arc<Stored>,
    ) -> Self {
        let (line, tombstone) = (OnceLock::new(), OnceLock::new());
        Self { storage, version, previous, object, removed: false, line, tombstone }
    }

    pub(super) fn removed(storage: Arc<str>, version: u64, object: Arc<Stored>) -> Self {
        let (line, tombstone) = (OnceLock::new(), OnceLock::new());
        Self { storage, version, previous: Some(object.clone()), object, removed: true, line, tombstone }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.object.key
    }

    /// The JSON of the object before the change, marked with the version of the change: what a watcher
    /// receives when the object goes out of its sight.
    pub(crate) fn tombstone(&self) -> Bytes {
        let make = || {
            let mut value = self.previous.as_ref().unwrap_or(&self.object).value();
            crate::object::set(&mut value, &["metadata", "resourceVersion"], self.version.to_string());
            Bytes::from(value.to_string())
        };
        self.tombstone.get_or_init(make).clone()
    }

    /// The watch event with its end of line, for those who see the change as what it is.
    pub(crate) fn line(&self) -> Bytes {
        let make = || match &self.previous {
            _ if self.removed => event_line("DELETED", &self.tombstone()),
            Some(_) => event_line("MODIFIED", &self.object.json),
            None => event_line("ADDED", &self.object.json),
        };
        self.line.get_or_init(make).clone()
    }
}

/// A watch event as it is on the wire.
pub(crate) fn event_line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len().saturating_add(40));
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}

/// Changes in the order they were committed; the oldest are forgotten.
#[derive(Debug)]
pub(crate) struct Log {
    changes: VecDeque<Arc<Change>>,
    /// Position of the first change that is kept, counted from the table's beginning.
    base: u64,
    /// Every change after this version is kept.
    floor: u64,
}

impl Log {
    pub(super) fn new(floor: u64) -> Self {
        Self { changes: VecDeque::new(), base: 0, floor }
    }

    pub(super) fn push(&mut self, change: Arc<Change>, keep: usize) {
        self.changes.push_back(change);
        while self.changes.len() > keep.max(1) {
            if let Some(oldest) = self.changes.pop_front() {
                self.base = self.base.saturating_add(1);
                self.floor = oldest.version;
            }
        }
    }

    pub(super) fn forget(&mut self, now: u64) {
        self.base = self.base.saturating_add(self.changes.len() as u64);
        self.changes.clear();
        self.floor = now;
    }

    /// The position of the first change after `version`; `None` if changes after it are forgotten.
    pub(super) fn position_after(&self, version: u64) -> Option<u64> {
        let known = version >= self.floor;
        known.then(|| self.base.saturating_add(self.index_after(version) as u64))
    }

    fn index_after(&self, version: u64) -> usize {
        self.changes.partition_point(|change| change.version <= version)
    }

    pub(super) fn after(&self, version: u64) -> Option<impl DoubleEndedIterator<Item = &Arc<Change>>> {
        let known = version >= self.floor;
        known.then(|| self.changes.range(self.index_after(version)..))
    }

    /// The changes from `position` on; `None` if the first of them is forgotten.
    pub(super) fn from(&self, position: u64) -> Option<impl Iterator<Item = &Arc<Change>>> {
        let index = usize::try_from(position.checked_sub(self.base)?).ok()?;
        Some(self.changes.range(index.min(self.changes.len())..))
    }
}
