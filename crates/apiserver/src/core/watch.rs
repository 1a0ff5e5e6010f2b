//! Watches: the initial state, then changes, with bookmarks in between.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Core, list::Selection};
use crate::{
    resource::{Resource, View},
    status::ApiError,
    store::{Change, Cursor, Forgotten, Progress, event_line},
    view,
};

/// The kind of a watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
            EventKind::Bookmark => "BOOKMARK",
            EventKind::Error => "ERROR",
        }
    }
}

/// One event of a watch.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// The object in the form of the endpoint, or a `Status`.
    pub(crate) object: Bytes,
    /// The event as it is on the wire, where other watchers share it.
    shared: Option<Bytes>,
}

impl Event {
    fn new(kind: EventKind, object: Bytes) -> Self {
        Self { kind, object, shared: None }
    }

    /// The event on the wire.
    pub(crate) fn line(&self) -> Bytes {
        self.shared.clone().unwrap_or_else(|| event_line(self.kind.name(), &self.object))
    }

    fn error(error: &ApiError) -> Self {
        Self::new(EventKind::Error, error.status().to_string().into())
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct WatchOptions {
    pub(crate) selection: Selection,
    /// Changes after this version; absent or 0: first the state there is.
    pub(crate) version: Option<u64>,
    /// Whether the state there is comes first, ended by a bookmark that says so.
    pub(crate) send_initial: Option<bool>,
    pub(crate) bookmarks: bool,
    pub(crate) timeout: Option<Duration>,
    /// Whether it goes on when watches are dropped as a fault.
    pub(crate) steadfast: bool,
}

/// A running watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    core: Arc<Core>,
    resource: Arc<Resource>,
    selection: Selection,
    cursor: Option<Cursor>,
    ready: VecDeque<Event>,
    bookmarks: Option<Duration>,
    next_bookmark: Instant,
    /// What the last event or bookmark told of.
    told: u64,
    deadline: Option<Instant>,
}

impl Core {
    pub(crate) fn watch(
        self: &Arc<Self>,
        resource: &Arc<Resource>,
        options: WatchOptions,
    ) -> Result<Watcher, ApiError> {
        let current = self.store.version();
        let mut ready = VecDeque::new();
        let initial = options.send_initial.unwrap_or(options.version.unwrap_or(0) == 0);
        let mut from = options.version.filter(|v| *v > 0).unwrap_or(current);
        if initial {
            if from > current {
                return Err(ApiError::future_version(from, current));
            }
            let namespace = options.selection.namespace.as_deref();
            let snapshot = self.store.snapshot(&resource.storage, namespace, None);
            let snapshot = snapshot.map_err(|Forgotten| ApiError::expired("too old resource version"))?;
            from = snapshot.version;
            let matching = snapshot.objects.iter().filter(|object| options.selection.matches(object));
            ready.extend(
                matching.map(|o| Event::new(EventKind::Added, view::outward_json(resource, &o.json))),
            );
            if options.send_initial == Some(true) && options.bookmarks {
                ready.push_back(bookmark(resource, from, true));
            }
        }
        let cursor = self.store.watch_from(&resource.storage, from);
        let cursor = if options.steadfast { cursor.map(Cursor::steadfast) } else { cursor };
        if cursor.is_err() {
            ready.clear();
            ready.push_back(Event::error(&too_old(from, current)));
        }
        let now = Instant::now();
        let interval = self.settings.bookmark_interval;
        Ok(Watcher {
            core: self.clone(),
            resource: resource.clone(),
            selection: options.selection,
            cursor: cursor.ok(),
            ready,
            bookmarks: options.bookmarks.then_some(interval),
            next_bookmark: now.checked_add(interval).unwrap_or(now),
            told: from,
            deadline: options.timeout.and_then(|timeout| now.checked_add(timeout)),
        })
    }
}

fn too_old(from: u64, current: u64) -> ApiError {
    ApiError::expired(format!("too old resource version: {from} ({current})"))
}

impl Watcher {
    /// The next event; `None` when the watch has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let cursor = self.cursor.as_mut()?;
            match self.core.store.progress(cursor) {
                Progress::Changes(changes) => {
                    for change in changes {
                        self.told = change.version;
                        let event = self.event(&change);
                        self.ready.extend(event);
                    }
                }
                Progress::UpToDate(version) => self.wait(version).await,
                Progress::Forgotten => {
                    self.cursor = None;
                    return Some(Event::error(&too_old(self.told, self.core.store.version())));
                }
                Progress::Dropped => return None,
            }
        }
    }

    /// Waits for something new, up to the next bookmark or the end.
    async fn wait(&mut self, version: u64) {
        let Some(cursor) = &mut self.cursor else { return };
        let far = Instant::now().checked_add(Duration::from_secs(86_400)).unwrap_or(self.next_bookmark);
        let deadline = self.deadline.unwrap_or(far);
        let bookmark_at = if self.bookmarks.is_some() { self.next_bookmark } else { far };
        tokio::select! {
            alive = cursor.wait() => {
                if !alive {
                    self.cursor = None;
                }
            }
            () = tokio::time::sleep_until(deadline) => {
                self.cursor = None;
                if self.bookmarks.is_some() {
                    // So that the next watch resumes where this one ends.
                    self.ready.push_back(bookmark(&self.resource, version, false));
                }
            }
            () = tokio::time::sleep_until(bookmark_at) => {
                let now = Instant::now();
                let interval = self.bookmarks.unwrap_or(Duration::from_secs(60));
                self.next_bookmark = now.checked_add(interval).unwrap_or(now);
                self.ready.push_back(bookmark(&self.resource, version, false));
            }
        }
    }

    /// What this watcher sees of a change.
    fn event(&self, change: &Change) -> Option<Event> {
        let before = change.previous.as_ref().is_some_and(|object| self.selection.matches(object));
        let after = !change.removed && self.selection.matches(&change.object);
        let stored = self.resource.view == View::Stored;
        let shown = |json: &Bytes| view::outward_json(&self.resource, json);
        let natural = match (change.previous.is_some(), change.removed) {
            (false, _) => EventKind::Added,
            (true, false) => EventKind::Modified,
            (true, true) => EventKind::Deleted,
        };
        let (kind, object) = match (before, after) {
            (false, false) => return None,
            (false, true) => (EventKind::Added, shown(&change.object.json)),
            (true, true) => (EventKind::Modified, shown(&change.object.json)),
            (true, false) => (EventKind::Deleted, shown(&change.tombstone())),
        };
        let shared = (stored && kind == natural).then(|| change.line());
        Some(Event { kind, object, shared })
    }
}

fn bookmark(resource: &Resource, version: u64, initial_end: bool) -> Event {
    let mut metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": Value::Null});
    if initial_end {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        crate::object::set(&mut metadata, &["annotations"], annotations);
    }
    let object = json!({
        "apiVersion": resource.api_version(), "kind": resource.kind, "metadata": metadata,
    });
    Event::new(EventKind::Bookmark, object.to_string().into())
}
