//! Applying and deleting manifests, as far as a lab needs it without `kubectl`.
//!
//! `apply` is `kubectl apply` with merge patches: what the manifest says is written, and what an earlier apply wrote
//! and this one no longer says is removed. The manifest is kept in the annotation that `kubectl` uses, so that both can
//! be used on the same objects.

mod merge;
mod read;

pub use read::{ReadError, documents, read};

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::discovery::{ApiCapabilities, Scope, pinned_kind};
use kube::{Api, Client, Resource, ResourceExt as _};
use ops::reason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where `kubectl apply` keeps what it wrote last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Namespace of namespaced objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// Why an object was not applied or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It has no apiVersion, kind or name.
    #[error("an object without {0}: every object needs apiVersion, kind and metadata.name")]
    Incomplete(&'static str),
    /// It is not JSON that the API takes.
    #[error("{object}: {source}")]
    Json {
        /// The object.
        object: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The API has no such kind, or said no.
    #[error("{object}: {}", reason(source.as_ref()))]
    Api {
        /// The object.
        object: String,
        /// What the API said.
        source: Box<kube::Error>,
    },
}

/// What was done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// It was not there before.
    Created,
    /// It was changed.
    Configured,
    /// It was as it should be.
    Unchanged,
    /// It was deleted.
    Deleted,
    /// It was not there.
    Absent,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
            Self::Absent => "not found",
        })
    }
}

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    value: Value,
    kind: GroupVersionKind,
    name: String,
}

impl Object {
    /// Checks that the value has what every object has.
    ///
    /// # Errors
    /// [`ManifestError::Incomplete`].
    pub fn new(value: Value) -> Result<Self, ManifestError> {
        let text = |pointer: &str, what| {
            let found = value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
            found.map(str::to_owned).ok_or(ManifestError::Incomplete(what))
        };
        let types =
            TypeMeta { api_version: text("/apiVersion", "apiVersion")?, kind: text("/kind", "kind")? };
        let name = text("/metadata/name", "metadata.name")?;
        let kind = GroupVersionKind::try_from(&types)
            .map_err(|_| ManifestError::Incomplete("a usable apiVersion"))?;
        Ok(Self { value, kind, name })
    }

    /// The object of a typed resource.
    ///
    /// # Errors
    /// [`ManifestError`] when it has no name.
    pub fn from_resource<K>(resource: &K) -> Result<Self, ManifestError>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let json = |source| ManifestError::Json { object: K::kind(&()).into_owned(), source };
        let mut value = serde_json::to_value(resource).map_err(json)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("apiVersion".to_owned(), K::api_version(&()).into_owned().into());
            fields.insert("kind".to_owned(), K::kind(&()).into_owned().into());
        }
        Self::new(value)
    }

    async fn api(&self, client: &Client) -> Result<(Api<DynamicObject>, Outline), ManifestError> {
        let (resource, capabilities) =
            pinned_kind(client, &self.kind).await.map_err(|source| ManifestError::Api {
                object: format!("{}/{}", self.kind.kind, self.name),
                source: Box::new(source),
            })?;
        Ok(self.api_of(client, &resource, &capabilities))
    }

    fn api_of(
        &self,
        client: &Client,
        resource: &ApiResource,
        capabilities: &ApiCapabilities,
    ) -> (Api<DynamicObject>, Outline) {
        let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
        let title = format!("{}{group}/{}", resource.kind.to_lowercase(), self.name);
        if capabilities.scope == Scope::Cluster {
            return (Api::all_with(client.clone(), resource), Outline { title, namespace: None });
        }
        let namespace = self.value.pointer("/metadata/namespace").and_then(Value::as_str);
        let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned();
        (
            Api::namespaced_with(client.clone(), &namespace, resource),
            Outline { title, namespace: Some(namespace) },
        )
    }
}

/// How an object is called in messages.
struct Outline {
    title: String,
    namespace: Option<String>,
}

/// What was done with which object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Kind and name: `pod/web`.
    pub object: String,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// What was done.
    pub result: Done,
}

/// Makes the API's object agree with the manifest's.
///
/// # Errors
/// [`ManifestError`].
pub async fn apply(client: &Client, object: &Object) -> Result<Report, ManifestError> {
    let (api, outline) = object.api(client).await?;
    let failed = |source| ManifestError::Api { object: outline.title.clone(), source: Box::new(source) };
    let report =
        |result| Report { object: outline.title.clone(), namespace: outline.namespace.clone(), result };
    let json = |source| ManifestError::Json { object: outline.title.clone(), source };
    let wanted = annotated(&object.value).map_err(json)?;
    let Some(held) = api.get_opt(&object.name).await.map_err(failed)? else {
        let new: DynamicObject = serde_json::from_value(wanted).map_err(json)?;
        api.create(&PostParams::default(), &new).await.map_err(failed)?;
        return Ok(report(Done::Created));
    };
    let last = held.annotations().get(LAST_APPLIED).and_then(|text| serde_json::from_str(text).ok());
    let held = serde_json::to_value(&held).map_err(json)?;
    match merge::patch(&wanted, &held, &last.unwrap_or(Value::Null)) {
        None => Ok(report(Done::Unchanged)),
        Some(patch) => {
            let patched = api.patch(&object.name, &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map_err(failed)?;
            Ok(report(Done::Configured))
        }
    }
}

/// Deletes the manifest's object.
///
/// # Errors
/// [`ManifestError`]; that it is not there is none.
pub async fn delete(client: &Client, object: &Object) -> Result<Report, ManifestError> {
    let (api, outline) = object.api(client).await?;
    let result = match api.delete(&object.name, &DeleteParams::default()).await {
        Ok(_) => Done::Deleted,
        Err(kube::Error::Api(status)) if status.code == 404 => Done::Absent,
        Err(source) => return Err(ManifestError::Api { object: outline.title, source: Box::new(source) }),
    };
    Ok(Report { object: outline.title, namespace: outline.namespace, result })
}

/// The object with itself in its annotation.
fn annotated(value: &Value) -> Result<Value, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations =
            metadata.entry("annotations").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(LAST_APPLIED.to_owned(), text.into());
        }
    }
    Ok(value)
}
