//! The API for code in the same process, without HTTP and without faults.

use std::{marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    core::{Core, DeleteOptions, EventKind, ListOptions, Part, Patch, WatchOptions, Watcher, WriteOptions},
    faults::Faults,
    resource::Gvr,
    selector::{FieldSelector, LabelSelector},
    status::ApiError,
    store::Key,
};

/// Access to the objects of a server. Clones share the server.
///
/// Objects are of any type that serialises as the API's JSON: `serde_json::Value`, those of `k8s-openapi`, or
/// a type with only the fields one needs (for reading). `namespace` is empty for cluster-scoped resources.
#[derive(Debug, Clone)]
pub struct Handle {
    core: Arc<Core>,
}

/// Which objects a list or watch is about, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Select {
    /// `None`: all namespaces.
    pub namespace: Option<String>,
    /// A label selector in text form; empty for all.
    pub labels: String,
    /// A field selector in text form; empty for all.
    pub fields: String,
    /// Watches only: begin after this version instead of with the state there is.
    pub after: Option<String>,
}

impl Select {
    /// Objects in one namespace.
    #[must_use]
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::default() }
    }
}

/// A list with the version it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// Begin a watch after this version to miss nothing.
    pub resource_version: String,
    /// The objects, by namespace and name.
    pub items: Vec<T>,
}

/// One event of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent<T> {
    /// The object exists, or has come to match the selection.
    Added(T),
    /// The object has changed.
    Modified(T),
    /// The object is gone, or no longer matches the selection.
    Deleted(T),
}

/// A running watch.
#[derive(Debug)]
pub struct Watch<T> {
    watcher: Watcher,
    _type: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Watch<T> {
    /// The next event; `None` when the watch has ended, which it does only after an error.
    ///
    /// # Errors
    /// An object is not a `T`, or the history the watch needs is gone.
    pub async fn next(&mut self) -> Option<Result<WatchEvent<T>, ApiError>> {
        loop {
            let event = self.watcher.next().await?;
            let wrap = match event.kind {
                EventKind::Added => WatchEvent::Added,
                EventKind::Modified => WatchEvent::Modified,
                EventKind::Deleted => WatchEvent::Deleted,
                EventKind::Bookmark => continue,
                EventKind::Error => return Some(Err(ApiError::expired("the watch fell too far behind"))),
            };
            return Some(read(&event.object).map(wrap));
        }
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(json)
        .map_err(|e| ApiError::bad_request(format!("the object has another type: {e}")))
}

fn convert<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value)
        .map_err(|e| ApiError::bad_request(format!("the object has another type: {e}")))
}

fn write(object: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(object).map_err(|e| ApiError::bad_request(format!("the object is not JSON: {e}")))
}

impl Handle {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The switch for faults of the HTTP interface.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.core.faults.clone()
    }

    /// Reads one object.
    ///
    /// # Errors
    /// `NotFound`, or the object is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, gvr: Gvr<'_>, namespace: &str, name: &str) -> Result<T, ApiError> {
        let resource = self.core.resource(gvr)?;
        read(&self.core.get(&resource, &Key::new(namespace, name))?)
    }

    /// Lists objects.
    ///
    /// # Errors
    /// A selector is malformed, or an object is not a `T`.
    pub fn list<T: DeserializeOwned>(&self, gvr: Gvr<'_>, select: &Select) -> Result<Listed<T>, ApiError> {
        let resource = self.core.resource(gvr)?;
        let options =
            ListOptions { selection: select.selection(&resource.selectable)?, ..ListOptions::default() };
        let page = self.core.list(&resource, &options)?;
        let items = page.objects.iter().map(|o| read(&crate::view::outward_json(&resource, &o.json)));
        Ok(Listed { resource_version: page.version.to_string(), items: items.collect::<Result<_, _>>()? })
    }

    /// Creates an object and answers with it as the server has completed it.
    ///
    /// # Errors
    /// `AlreadyExists`, `Invalid`, or a namespace that does not exist or terminates.
    pub fn create<T: Serialize + DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        namespace: &str,
        object: &T,
    ) -> Result<T, ApiError> {
        let resource = self.core.resource(gvr)?;
        convert(self.core.create(&resource, namespace, write(object)?, &WriteOptions::default())?.object)
    }

    /// Stores an object as if it had got past this server, in place of one that is there: written before a rule
    /// existed that it breaks, or by a server that did not know the rule. Only its types must be right.
    ///
    /// # Errors
    /// A value has another type than its field, or a namespace does not exist or terminates.
    pub fn store_unchecked<T: Serialize + DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        namespace: &str,
        object: &T,
    ) -> Result<T, ApiError> {
        let resource = self.core.resource(gvr)?;
        let mut value = write(object)?;
        let options = WriteOptions { unchecked: true, ..WriteOptions::default() };
        let written = match self.core.create(&resource, namespace, value.clone(), &options) {
            Err(error) if error.is_already_exists() => {
                crate::object::default(&mut value, &["metadata", "namespace"], namespace);
                let key = Key::of(&value);
                self.core.update(&resource, Part::Main, &key, &value, &options)
            }
            other => other,
        };
        convert(written?.object)
    }

    /// Replaces an object; its status too, unless that is a subresource.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, and `Conflict` where the object has a `resourceVersion` that is not the newest.
    pub fn update<T: Serialize + DeserializeOwned>(&self, gvr: Gvr<'_>, object: &T) -> Result<T, ApiError> {
        self.put(gvr, Part::Main, object)
    }

    /// Replaces the status of an object.
    ///
    /// # Errors
    /// As [`Handle::update`].
    pub fn update_status<T: Serialize + DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        object: &T,
    ) -> Result<T, ApiError> {
        self.put(gvr, Part::Status, object)
    }

    fn put<T: Serialize + DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        part: Part,
        object: &T,
    ) -> Result<T, ApiError> {
        let resource = self.core.resource(gvr)?;
        let value = write(object)?;
        let key = Key::of(&value);
        convert(self.core.update(&resource, part, &key, &value, &WriteOptions::default())?.object)
    }

    /// Patches an object. A patch without a `resourceVersion` never conflicts.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, or a patch that does not fit.
    pub fn patch<T: DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        namespace: &str,
        name: &str,
        patch: &Patch,
    ) -> Result<T, ApiError> {
        self.patch_part(gvr, Part::Main, &Key::new(namespace, name), patch)
    }

    /// Patches the status of an object: the patch is of the whole object, and only its status counts.
    ///
    /// # Errors
    /// As [`Handle::patch`].
    pub fn patch_status<T: DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        namespace: &str,
        name: &str,
        patch: &Patch,
    ) -> Result<T, ApiError> {
        self.patch_part(gvr, Part::Status, &Key::new(namespace, name), patch)
    }

    fn patch_part<T: DeserializeOwned>(
        &self,
        gvr: Gvr<'_>,
        part: Part,
        key: &Key,
        patch: &Patch,
    ) -> Result<T, ApiError> {
        let resource = self.core.resource(gvr)?;
        let options =
            WriteOptions { manager: "in-process".to_owned(), force: true, ..WriteOptions::default() };
        convert(self.core.patch(&resource, part, key, patch, &options)?.object)
    }

    /// Assigns a pod to a node, as a scheduler does.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` where the pod is on a node or being deleted.
    pub fn bind(&self, namespace: &str, pod: &str, node: &str) -> Result<(), ApiError> {
        self.core.bind(&Key::new(namespace, pod), node)
    }

    /// Deletes an object; whether it is gone at once or waits (for its grace period or finalizers) shows in
    /// the store.
    ///
    /// # Errors
    /// `NotFound`, or a precondition that is not met.
    pub fn delete(
        &self,
        gvr: Gvr<'_>,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), ApiError> {
        let resource = self.core.resource(gvr)?;
        self.core.delete(&resource, &Key::new(namespace, name), options).map(|_| ())
    }

    /// Follows changes, beginning with the objects there are unless `select.after` is given.
    ///
    /// # Errors
    /// A selector is malformed.
    pub fn watch<T: DeserializeOwned>(&self, gvr: Gvr<'_>, select: &Select) -> Result<Watch<T>, ApiError> {
        let resource = self.core.resource(gvr)?;
        let version = select.after.as_deref().map(str::parse).transpose();
        let version = version.map_err(|_| ApiError::bad_request("the version is not a number"))?;
        let options = WatchOptions {
            selection: select.selection(&resource.selectable)?,
            version,
            steadfast: true,
            ..WatchOptions::default()
        };
        Ok(Watch { watcher: self.core.watch(&resource, options)?, _type: PhantomData })
    }
}

impl Select {
    fn selection(&self, selectable: &[String]) -> Result<crate::core::Selection, ApiError> {
        Ok(crate::core::Selection {
            namespace: self.namespace.clone(),
            labels: LabelSelector::parse(&self.labels)?,
            fields: FieldSelector::parse(&self.fields, selectable)?,
        })
    }
}
