//! What the server serves: one [`Resource`] per (group, version, plural name), built in or defined by a CRD.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde_json::Value;

use crate::{schema::Schema, strategy::Strategy};

/// Names a resource as URLs do: API group (empty for the core group), version and plural name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvr<'a> {
    /// The API group, e.g. `apps`; empty for the core group.
    pub group: &'a str,
    /// The version, e.g. `v1`.
    pub version: &'a str,
    /// The plural name, e.g. `deployments`.
    pub resource: &'a str,
}

impl<'a> Gvr<'a> {
    /// A resource of the group `group`.
    #[must_use]
    pub const fn new(group: &'a str, version: &'a str, resource: &'a str) -> Self {
        Self { group, version, resource }
    }

    /// A resource of the core group's `v1`.
    #[must_use]
    pub const fn core(resource: &'a str) -> Self {
        Self::new("", "v1", resource)
    }
}

/// How an object looks at this endpoint, as against how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// As stored.
    Stored,
    /// As stored, under another `apiVersion`.
    Version,
    /// `events.k8s.io/v1`, which names the fields of a core event differently.
    Events,
}

/// Where the `scale` subresource finds its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) replicas: Vec<String>,
    pub(crate) status_replicas: Vec<String>,
    /// A label selector in text form (CRDs) or a `LabelSelector` (built-in workloads).
    pub(crate) selector: Option<Vec<String>>,
}

/// A column of a CRD's `additionalPrinterColumns`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PrinterColumn {
    pub(crate) definition: Value,
    pub(crate) path: crate::table::JsonPath,
}

/// Which object names are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// An RFC 1123 subdomain.
    Subdomain,
    /// An RFC 1123 label.
    Label,
    /// An RFC 1035 label.
    Label1035,
    /// Anything that can stand in a URL's path segment.
    PathSegment,
}

/// One resource at one version.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    /// The table of the store that holds its objects.
    pub(crate) storage: Arc<str>,
    pub(crate) view: View,
    pub(crate) names: NameRule,
    /// Field selectors it understands beside `metadata.name` and `metadata.namespace`: dotted paths.
    pub(crate) selectable: Vec<String>,
    pub(crate) strategy: &'static dyn Strategy,
    pub(crate) schema: Arc<Schema>,
    /// The schema's name in the OpenAPI documents; `None` for resources that a CRD defines.
    pub(crate) schema_name: Option<String>,
    pub(crate) columns: Vec<PrinterColumn>,
}

impl Resource {
    pub(crate) fn gvr(&self) -> Gvr<'_> {
        Gvr::new(&self.group, &self.version, &self.plural)
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.schema_name.is_none()
    }

    /// `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// `pods` or `deployments.apps`, as messages name it.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

type Key = (String, String, String);

/// All resources that are served now.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    resources: RwLock<BTreeMap<Key, Arc<Resource>>>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<Resource>>> {
        self.resources.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Arc<Resource>>> {
        self.resources.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn find(&self, gvr: Gvr<'_>) -> Option<Arc<Resource>> {
        let key = (gvr.group.to_owned(), gvr.version.to_owned(), gvr.resource.to_owned());
        self.read().get(&key).cloned()
    }

    /// The resource whose objects lie in `storage` as they are.
    pub(crate) fn by_storage(&self, storage: &str) -> Option<Arc<Resource>> {
        self.read().values().find(|r| &*r.storage == storage && r.view == View::Stored).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Resource>> {
        self.read().values().cloned().collect()
    }

    pub(crate) fn add(&self, resource: Arc<Resource>) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        self.write().insert(key, resource);
    }

    /// Serves these versions of `plural` in `group`, and no others; there is no moment without them.
    pub(crate) fn replace(&self, group: &str, plural: &str, versions: Vec<Arc<Resource>>) {
        let mut resources = self.write();
        resources.retain(|(g, _, p), _| g != group || p != plural);
        for resource in versions {
            let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
            resources.insert(key, resource);
        }
    }
}
