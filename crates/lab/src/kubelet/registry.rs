//! Where running pods are: what probes and `exec` need to know.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

/// Where a pod is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodPlace {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// File of its network namespace.
    pub netns: PathBuf,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// All running pods.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<BTreeMap<(String, String), PodPlace>>>);

impl Registry {
    /// Enters a pod; it leaves when the entry is dropped.
    #[must_use]
    pub fn enter(&self, place: PodPlace) -> Entry {
        let key = (place.namespace.clone(), place.name.clone());
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), place.clone());
        Entry { registry: self.clone(), place }
    }

    /// The pod of this name.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Option<PodPlace> {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// All pods, by namespace and name.
    #[must_use]
    pub fn all(&self) -> Vec<PodPlace> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// A pod's place in the registry.
#[derive(Debug)]
pub struct Entry {
    registry: Registry,
    place: PodPlace,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let key = (self.place.namespace.clone(), self.place.name.clone());
        let mut places = self.registry.0.write().unwrap_or_else(PoisonError::into_inner);
        // A pod of the same name may have come after a deletion by force.
        if places.get(&key) == Some(&self.place) {
            places.remove(&key);
        }
    }
}
