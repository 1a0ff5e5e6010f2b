//! Creation.

use serde_json::Value;

use super::{Core, Operation, WriteOptions, Written, check_kind, decode};
use crate::{object, resource::Resource, status::ApiError, store::InsertError, strategy::meta, view};

/// How often another generated name is tried when one is taken.
const NAME_TRIES: usize = 8;

impl Core {
    pub(crate) fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        mut value: Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        check_kind(resource, &mut value)?;
        let warnings = decode(resource, &mut value, options)?;
        set_namespace(resource, namespace, &mut value)?;
        if !object::text(&value, &["metadata", "resourceVersion"]).is_empty() {
            return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let generate = object::text(&value, &["metadata", "generateName"]).to_owned();
        let generated = object::name(&value).is_empty() && !generate.is_empty();
        for attempt in 1.. {
            let mut value = value.clone();
            if generated {
                let prefix: String = generate.chars().take(58).collect();
                object::set(&mut value, &["metadata", "name"], format!("{prefix}{}", object::name_suffix()));
            }
            match self.create_named(resource, value, options) {
                Err(error) if generated && error.is_already_exists() && attempt < NAME_TRIES => {}
                Ok(object) => return Ok(Written { object, created: true, warnings }),
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::already_exists(resource, &generate))
    }

    fn create_named(
        &self,
        resource: &Resource,
        mut value: Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        let strategy = resource.strategy;
        if resource.status && !strategy.keeps_status() {
            object::remove(&mut value, &["status"]);
        }
        resource.schema.fill_defaults(&mut value);
        let mut stored = view::inward(resource, value);
        meta::on_create(&mut stored, strategy.has_generation());
        if !options.applying {
            object::remove(&mut stored, &["metadata", "managedFields"]);
        }
        strategy.default(&mut stored);
        strategy.on_create(&mut stored);
        self.admit(Operation::Create, resource, None, &mut stored)?;
        let seen = view::outward(resource, stored.clone());
        if !options.unchecked {
            Self::validate(resource, &seen, &stored, None)?;
        }
        let name = object::name(&stored).to_owned();
        let namespace = object::namespace(&stored).to_owned();
        if options.dry_run {
            return Ok(seen);
        }
        let change = self.store.insert(&resource.storage, stored).map_err(|error| match error {
            InsertError::Exists => ApiError::already_exists(resource, &name),
            InsertError::NoNamespace => ApiError::namespace_not_found(&namespace),
            InsertError::NamespaceTerminating => ApiError::namespace_terminating(resource, &name, &namespace),
        })?;
        let object = view::outward(resource, change.object.value());
        self.settle(change);
        Ok(object)
    }
}

/// Writes the namespace of the request into the object, unless the object says another.
pub(super) fn set_namespace(resource: &Resource, namespace: &str, value: &mut Value) -> Result<(), ApiError> {
    if !resource.namespaced {
        object::remove(value, &["metadata", "namespace"]);
        return Ok(());
    }
    let own = object::namespace(value);
    let namespace = if namespace.is_empty() { own } else { namespace };
    if namespace.is_empty() {
        return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
    }
    if !own.is_empty() && own != namespace {
        let message = format!(
            "the namespace of the provided object does not match the namespace sent on the request ({own} != {namespace})"
        );
        return Err(ApiError::bad_request(message));
    }
    let namespace = namespace.to_owned();
    object::set(value, &["metadata", "namespace"], namespace);
    Ok(())
}
