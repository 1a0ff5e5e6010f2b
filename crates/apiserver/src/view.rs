//! Objects as an endpoint shows them, where that is not how they are stored.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    object,
    resource::{Resource, View},
};

/// Fields of a core event and what `events.k8s.io/v1` calls them.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The stored form of an object that came in at `resource`.
pub(crate) fn inward(resource: &Resource, mut value: Value) -> Value {
    if resource.view == View::Events {
        for (core, events) in EVENT_FIELDS {
            if let Some(field) = object::remove(&mut value, &[events]) {
                object::set(&mut value, &[core], field);
            }
        }
        object::set(&mut value, &["apiVersion"], "v1");
    }
    value
}

/// The form in which `resource` shows a stored object.
pub(crate) fn outward(resource: &Resource, mut value: Value) -> Value {
    match resource.view {
        View::Stored => {}
        View::Version => object::set(&mut value, &["apiVersion"], resource.api_version()),
        View::Events => {
            for (core, events) in EVENT_FIELDS {
                if let Some(field) = object::remove(&mut value, &[core]) {
                    object::set(&mut value, &[events], field);
                }
            }
            object::set(&mut value, &["apiVersion"], json!("events.k8s.io/v1"));
        }
    }
    value
}

/// [`outward`] on bytes; free where nothing changes.
pub(crate) fn outward_json(resource: &Resource, stored: &Bytes) -> Bytes {
    if resource.view == View::Stored {
        return stored.clone();
    }
    match serde_json::from_slice(stored) {
        Ok(value) => outward(resource, value).to_string().into(),
        Err(_) => stored.clone(),
    }
}
