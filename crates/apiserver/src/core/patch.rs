//! Patches of every kind.

use serde_json::Value;

use super::{Core, Part, WriteOptions, Written, decode, update::Proposal};
use crate::{object, patch, resource::Resource, status::ApiError, store::Key};

/// A change of an object, as `PATCH` requests carry it.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7386: what is to be different.
    Merge(Value),
    /// As `Merge`, with lists merged by the keys of their elements; built-in kinds only.
    Strategic(Value),
    /// Server-side apply: what the field manager wants to be there.
    Apply(Value),
}

impl Core {
    pub(crate) fn patch(
        &self,
        resource: &Resource,
        part: Part,
        key: &Key,
        change: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        if matches!(change, Patch::Strategic(_)) && resource.is_custom() {
            let accepted =
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(ApiError::unsupported_media_type(accepted));
        }
        if let Patch::Apply(wanted) = change {
            return self.apply(resource, part, key, wanted, options);
        }
        self.modify(resource, part, key, options, |old| {
            let mut object = patched(old, change, resource, key)?;
            let warnings = decode(resource, &mut object, options)?;
            Ok(Proposal { object, warnings })
        })
    }

    fn apply(
        &self,
        resource: &Resource,
        part: Part,
        key: &Key,
        wanted: &Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        if options.manager.is_empty() {
            return Err(ApiError::bad_request("fieldManager is required for apply patch"));
        }
        let mut wanted = wanted.clone();
        super::check_kind(resource, &mut wanted)?;
        super::create::set_namespace(resource, &key.namespace, &mut wanted)?;
        object::default(&mut wanted, &["metadata", "name"], key.name.as_str());
        if !object::list(&wanted, &["metadata", "managedFields"]).is_empty() {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        let warnings = decode(resource, &mut wanted, options)?;
        let options = &WriteOptions { applying: true, ..options.clone() };
        let manager = patch::apply::Manager { name: &options.manager, resource, force: options.force };
        if part == Part::Main && self.store.get(&resource.storage, key).is_none() {
            if !object::uid(&wanted).is_empty() {
                return Err(ApiError::conflict(
                    resource,
                    &key.name,
                    "uid mismatch: the object does not exist",
                ));
            }
            let mut first = wanted.clone();
            manager.own(&mut first, &wanted);
            match self.create(resource, &key.namespace, first, options) {
                Err(error) if error.is_already_exists() => {}
                other => return other.map(|written| Written { warnings, ..written }),
            }
        }
        self.modify(resource, part, key, options, |old| {
            let object = manager.apply(old, &wanted)?;
            Ok(Proposal { object, warnings: warnings.clone() })
        })
    }
}

fn patched(old: &Value, change: &Patch, resource: &Resource, key: &Key) -> Result<Value, ApiError> {
    let mut object = old.clone();
    match change {
        Patch::Json(operations) => {
            let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
            json_patch::patch(&mut object, &operations).map_err(|e| {
                let message = format!("the server rejected our request due to an error in our request: {e}");
                ApiError::new(422, "Invalid", message)
            })?;
        }
        Patch::Merge(wanted) => {
            if !wanted.is_object() {
                return Err(ApiError::bad_request("a merge patch is an object"));
            }
            json_patch::merge(&mut object, wanted);
        }
        Patch::Strategic(wanted) => {
            object = patch::strategic::merge(&object, wanted, &resource.kind)
                .map_err(|e| ApiError::bad_request(e.to_string()))?;
        }
        Patch::Apply(_) => {}
    }
    if object::name(&object).is_empty() {
        object::set(&mut object, &["metadata", "name"], key.name.as_str());
    }
    Ok(object)
}
