//! What both the HTTP interface and the in-process [`Handle`](crate::Handle) do: the verbs.
//!
//! A write is computed outside the store's lock from the object as it was read, and committed only if the
//! object is still that one; otherwise it is computed again, or refused where the client named a version.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    builtin::BUILTIN,
    faults::Faults,
    object,
    resource::{Gvr, Registry, Resource},
    status::ApiError,
    store::{Change, Key, Store},
};

mod admission;
mod bind;
pub(crate) mod collect;
mod create;
mod delete;
mod list;
mod patch;
mod scale;
mod update;
mod watch;

pub use admission::{Admit, Operation};
pub(crate) use delete::Deleted;
pub use delete::{DeleteOptions, Propagation};
pub(crate) use list::{ListOptions, Page, Selection, VersionMatch};
pub use patch::Patch;
pub(crate) use update::Part;
pub(crate) use watch::{Event, EventKind, WatchOptions, Watcher};

/// How a request wants unknown fields treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// What a write request says beside the object.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) fields: FieldValidation,
    pub(crate) manager: String,
    /// For server-side apply: take fields over from other managers.
    pub(crate) force: bool,
    /// The object carries the field managers it is to have.
    pub(crate) applying: bool,
    /// What is wrong with the object does not count.
    pub(crate) unchecked: bool,
}

/// An object after a write, in the form of the endpoint.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) object: Value,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

/// Knobs of a server.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) history: usize,
    pub(crate) bookmark_interval: Duration,
}

/// The server without its network side.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) faults: Faults,
    pub(crate) settings: Settings,
    pub(crate) admit: Vec<Arc<dyn Admit>>,
}

impl Core {
    pub(crate) fn new(settings: Settings, admit: Vec<Arc<dyn Admit>>) -> Arc<Self> {
        let store = Store::new(settings.history);
        let core = Arc::new(Self {
            store,
            registry: Registry::default(),
            faults: Faults::default(),
            settings,
            admit,
        });
        core.faults.attach(&core);
        for resource in &BUILTIN.resources {
            core.serve(resource.clone());
        }
        let namespaces = core.resource(Gvr::core("namespaces"));
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let namespace = serde_json::json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            });
            let made = namespaces
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|r| core.create(r, "", namespace, &WriteOptions::default()));
            if let Err(error) = made {
                tracing::error!(%error, name, "a default namespace cannot be made");
            }
        }
        core
    }

    /// Serves a resource from now on.
    pub(crate) fn serve(&self, resource: Arc<Resource>) {
        self.store.ensure_table(&resource.storage, &resource.selectable);
        self.registry.add(resource);
    }

    pub(crate) fn resource(&self, gvr: Gvr<'_>) -> Result<Arc<Resource>, ApiError> {
        self.registry.find(gvr).ok_or_else(ApiError::no_such_path)
    }

    pub(crate) fn get(&self, resource: &Resource, key: &Key) -> Result<bytes::Bytes, ApiError> {
        let stored = self.stored(resource, key)?;
        Ok(crate::view::outward_json(resource, &stored.json))
    }

    fn stored(&self, resource: &Resource, key: &Key) -> Result<Arc<crate::store::Stored>, ApiError> {
        self.store.get(&resource.storage, key).ok_or_else(|| ApiError::not_found(resource, &key.name))
    }

    /// Does what follows from a committed change: garbage collection, namespaces, resource definitions.
    fn settle(&self, change: Arc<Change>) {
        let mut queue = VecDeque::from([change]);
        while let Some(change) = queue.pop_front() {
            self.collect(&change, &mut queue);
            if &*change.storage == crate::crd::STORAGE {
                crate::crd::follow(self, &change, &mut queue);
            } else if change.removed {
                crate::crd::follow_instance(self, &change.storage, &mut queue);
            }
        }
    }
}

/// Checks that an object is of the endpoint's kind; what it does not say is written into it.
fn check_kind(resource: &Resource, value: &mut Value) -> Result<(), ApiError> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body is not an object"));
    }
    let expected = resource.api_version();
    object::default(value, &["apiVersion"], expected.as_str());
    object::default(value, &["kind"], resource.kind.as_str());
    let (version, kind) = (object::text(value, &["apiVersion"]), object::text(value, &["kind"]));
    if version != expected {
        let message = format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        );
        return Err(ApiError::bad_request(message));
    }
    if kind != resource.kind {
        let message =
            format!("the kind in the data ({kind}) does not match the expected kind ({})", resource.kind);
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

/// Takes out what the schema does not know; answers with warnings or refuses, as the request wants.
fn decode(resource: &Resource, value: &mut Value, options: &WriteOptions) -> Result<Vec<String>, ApiError> {
    let mut unknown = Vec::new();
    resource.schema.decode(value, &mut unknown);
    if !resource.is_custom() {
        builtin_types(resource, value)?;
    }
    let problems: Vec<String> = unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    match options.fields {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(problems),
        FieldValidation::Strict if problems.is_empty() => Ok(Vec::new()),
        FieldValidation::Strict => {
            let kind = &resource.kind;
            let list = problems.join(", ");
            let message = format!(
                "{kind} in version \"{}\" cannot be handled as a {kind}: strict decoding error: {list}",
                resource.version
            );
            Err(ApiError::bad_request(message))
        }
    }
}

/// Values of the wrong type in a built-in object cannot even be read by the real server.
fn builtin_types(resource: &Resource, value: &Value) -> Result<(), ApiError> {
    let mut errors = crate::status::Errors::default();
    resource.schema.validate(value, "", &mut errors);
    let wrong = errors.0.into_iter().find_map(|e| match e.problem {
        crate::status::Problem::TypeInvalid(_, detail) => Some(detail),
        _ => None,
    });
    match wrong {
        None => Ok(()),
        Some(detail) => {
            let kind = &resource.kind;
            let message =
                format!("{kind} in version \"{}\" cannot be handled as a {kind}: {detail}", resource.version);
            Err(ApiError::bad_request(message))
        }
    }
}
