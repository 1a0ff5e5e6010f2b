//! `ObjectMeta`: what the server writes there, what it keeps from change, and what it validates.

use serde_json::Value;

use super::names;
use crate::{
    object,
    resource::{NameRule, Resource},
    status::Errors,
};

const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Fields of the metadata that only the server writes.
const SERVERS: [&str; 6] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/// Writes what a new object gets from the server.
pub(crate) fn on_create(object: &mut Value, generation: bool) {
    for field in SERVERS {
        object::remove(object, &["metadata", field]);
    }
    object::set(object, &["metadata", "uid"], object::new_uid());
    object::set(object, &["metadata", "creationTimestamp"], object::now());
    if generation {
        object::set(object, &["metadata", "generation"], 1);
    }
    normalise(object);
}

/// Keeps what a client may not change.
pub(crate) fn on_update(new: &mut Value, old: &Value) {
    for field in SERVERS {
        object::copy(new, old, &["metadata", field]);
    }
    normalise(new);
}

/// Empty maps and lists are absent, as the Go types write them.
fn normalise(object: &mut Value) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "managedFields"] {
        let empty = match object::at(object, &["metadata", field]) {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            _ => false,
        };
        if empty {
            object::remove(object, &["metadata", field]);
        }
    }
}

pub(crate) fn validate(resource: &Resource, object: &Value, errors: &mut Errors) {
    let name = object::name(object);
    if name.is_empty() {
        errors.required("metadata.name", "name or generateName is required");
    } else {
        let problem = match resource.names {
            NameRule::Subdomain => names::subdomain(name),
            NameRule::Label => names::label(name),
            NameRule::Label1035 => names::label_1035(name),
            NameRule::PathSegment => names::path_segment(name),
        };
        if let Some(problem) = problem {
            errors.invalid("metadata.name", name, problem);
        }
    }
    labels(object, &["metadata", "labels"], "metadata.labels", errors);
    let annotations = object::at(object, &["metadata", "annotations"]).and_then(Value::as_object);
    let mut size = 0_usize;
    for (key, value) in annotations.into_iter().flatten() {
        if let Some(problem) = names::qualified_name(&key.to_lowercase()) {
            errors.invalid("metadata.annotations", key.as_str(), problem);
        }
        size = size.saturating_add(key.len()).saturating_add(value.as_str().map_or(0, str::len));
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push("metadata.annotations", crate::status::Problem::TooLong(ANNOTATIONS_LIMIT));
    }
    for (i, finalizer) in object::finalizers(object).enumerate() {
        let field = format!("metadata.finalizers[{i}]");
        if let Some(problem) = names::qualified_name(finalizer) {
            errors.invalid(field, finalizer, problem);
        }
    }
    let mut controllers = 0_usize;
    for (i, owner) in object::list(object, &["metadata", "ownerReferences"]).iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if object::text(owner, &[field]).is_empty() {
                errors.invalid(format!("metadata.ownerReferences[{i}].{field}"), "", "must not be empty");
            }
        }
        let controller = owner.get("controller") == Some(&Value::Bool(true));
        controllers = controllers.saturating_add(usize::from(controller));
    }
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true";
        errors.invalid("metadata.ownerReferences", Value::Null, detail);
    }
}

pub(crate) fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    if object::is_deleting(old)
        && let Some(added) = object::finalizers(new).find(|f| !object::finalizers(old).any(|o| o == *f))
    {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{added}\"}}"
        );
        errors.forbidden("metadata.finalizers", &detail);
    }
}

/// Validates the labels at `path`.
pub(crate) fn labels(object: &Value, path: &[&str], field: &str, errors: &mut Errors) {
    for (key, value) in object::at(object, path).and_then(Value::as_object).into_iter().flatten() {
        if let Some(problem) = names::qualified_name(key) {
            errors.invalid(field, key.as_str(), problem);
        }
        let value = value.as_str().unwrap_or_default();
        if let Some(problem) = names::label_value(value) {
            errors.invalid(field, value, problem);
        }
    }
}
