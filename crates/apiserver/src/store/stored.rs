//! An object as the store keeps it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::object;

/// The key of an object in its table; ordered as lists are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn cluster(name: &str) -> Self {
        Self::new("", name)
    }

    pub(crate) fn of(object: &Value) -> Self {
        Self::new(object::namespace(object), object::name(object))
    }
}

/// One version of an object.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: Key,
    pub(crate) version: u64,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Values of the selectable fields, in the order of the table's list.
    pub(crate) fields: Vec<(String, String)>,
    /// The uids of its owners.
    pub(crate) owners: Vec<String>,
    pub(crate) deleting: bool,
    /// The object as JSON, `metadata.resourceVersion` included.
    pub(crate) json: Bytes,
}

impl Stored {
    pub(super) fn new(object: &Value, version: u64, selectable: &[String]) -> Self {
        let labels = object::at(object, &["metadata", "labels"]).and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let owners = object::list(object, &["metadata", "ownerReferences"]);
        Self {
            key: Key::of(object),
            version,
            uid: object::uid(object).to_owned(),
            labels: labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
            fields: selectable.iter().map(|field| (field.clone(), field_value(object, field))).collect(),
            owners: owners.iter().map(|o| object::text(o, &["uid"]).to_owned()).collect(),
            deleting: object::is_deleting(object),
            json: object.to_string().into(),
        }
    }

    /// The object, parsed.
    pub(crate) fn value(&self) -> Value {
        // The bytes were written from a `Value` and are never changed.
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// The value of a selectable field; empty where there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        match name {
            "metadata.name" => &self.key.name,
            "metadata.namespace" => &self.key.namespace,
            _ => self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value),
        }
    }
}

fn field_value(object: &Value, field: &str) -> String {
    let path: Vec<&str> = field.split('.').collect();
    match object::at(object, &path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => {
            let boolean = matches!(field, "spec.unschedulable" | "spec.hostNetwork");
            if boolean { "false".to_owned() } else { String::new() }
        }
        Some(other) => other.to_string(),
    }
}
