//! The objects of one kind as the API has them.

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Changes that come together are looked at together.
const BATCH: Duration = Duration::from_millis(5);

/// Pause after a step that failed.
const RETRY: Duration = Duration::from_millis(500);

/// All objects of one kind, kept up to date, and a counter that moves when one changes.
#[derive(Clone)]
pub struct Mirror<K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Hash + Eq,
{
    store: Store<K>,
    changes: watch::Receiver<u64>,
}

impl<K> Mirror<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Hash + Eq + Clone + Default + Send + Sync,
{
    /// Begins to watch.
    #[must_use]
    pub fn start(api: Api<K>, tasks: &mut JoinSet<()>) -> Self {
        let (store, writer) = reflector::store();
        let (counter, changes) = watch::channel(0_u64);
        let config = watcher::Config::default();
        tasks.spawn(async move {
            let mut events = watcher(api, config).default_backoff().reflect(writer).boxed();
            while let Some(event) = events.next().await {
                match event {
                    // The parts of a list come one by one; the store is complete at its end.
                    Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
                    Ok(_) => counter.send_modify(|count| *count = count.wrapping_add(1)),
                    Err(error) => tracing::info!(%error, "a watch was interrupted"),
                }
            }
        });
        Self { store, changes }
    }

    /// The objects.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// The object of this name and namespace.
    #[must_use]
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        let key = reflector::ObjectRef::new(name);
        self.store.get(&match namespace {
            Some(namespace) => key.within(namespace),
            None => key,
        })
    }

    /// Returns when the first list has arrived. (Of the store's own `wait_until_ready`, only one of several waiters
    /// is woken.)
    pub async fn ready(&self) {
        // Fails only when the watch has ended with the lab.
        let _ = self.changes.clone().wait_for(|count| *count > 0).await;
    }

    /// A receiver of changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

/// Takes `step` now and after every change, for ever; a step that failed is taken again after a pause.
pub async fn whenever<F, Fut>(name: &'static str, mut changes: Vec<watch::Receiver<u64>>, mut step: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), kube::Error>>,
{
    loop {
        for change in &mut changes {
            change.mark_unchanged();
        }
        if let Err(error) = step().await {
            tracing::warn!(%error, "{name}: a step failed and will be taken again");
            tokio::time::sleep(RETRY).await;
            continue;
        }
        let waits = changes.iter_mut().map(|change| Box::pin(change.changed()));
        let (woken, ..) = futures::future::select_all(waits).await;
        if woken.is_err() {
            return;
        }
        tokio::time::sleep(BATCH).await;
    }
}
