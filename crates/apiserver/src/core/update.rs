//! Replacement of an object or of its status.

use serde_json::Value;

use super::{Core, Operation, WriteOptions, Written, check_kind, create::set_namespace, decode};
use crate::{
    object,
    resource::Resource,
    status::ApiError,
    store::{Key, Raced, Stored},
    strategy::meta,
    view,
};

/// Which part of an object a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status, if that is a subresource.
    Main,
    /// The status alone.
    Status,
}

/// What is to become of an object.
pub(super) struct Proposal {
    pub(super) object: Value,
    pub(super) warnings: Vec<String>,
}

impl Core {
    pub(crate) fn update(
        &self,
        resource: &Resource,
        part: Part,
        key: &Key,
        value: &Value,
        options: &WriteOptions,
    ) -> Result<Written, ApiError> {
        self.modify(resource, part, key, options, |_| {
            let mut object = value.clone();
            check_kind(resource, &mut object)?;
            let warnings = decode(resource, &mut object, options)?;
            let named = object::text(&object, &["metadata", "resourceVersion"]);
            if named.is_empty() && !resource.strategy.allows_unconditional_update() {
                let mut errors = crate::status::Errors::default();
                errors.invalid("metadata.resourceVersion", 0, "must be specified for an update");
                let name = object::name(&object);
                return Err(ApiError::invalid(&resource.group, &resource.kind, name, &errors.0));
            }
            Ok(Proposal { object, warnings })
        })
    }

    /// Replaces the object by what `propose` makes of it, again if another write came between. A proposal
    /// that names a version is refused where the object is not, or no longer, at that version.
    pub(super) fn modify(
        &self,
        resource: &Resource,
        part: Part,
        key: &Key,
        options: &WriteOptions,
        propose: impl Fn(&Value) -> Result<Proposal, ApiError>,
    ) -> Result<Written, ApiError> {
        loop {
            let current = self.stored(resource, key)?;
            let old = current.value();
            let old_seen = view::outward(resource, old.clone());
            let Proposal { object, warnings } = propose(&old_seen)?;
            check_identity(resource, key, &current, &object)?;
            let managers =
                object::at(&object, &["metadata", "managedFields"]).filter(|_| options.applying).cloned();
            let mut new = self.prepare(resource, part, (&old_seen, &old), object, options)?;
            match managers {
                Some(managers) => object::set(&mut new, &["metadata", "managedFields"], managers),
                None => object::copy(&mut new, &old, &["metadata", "managedFields"]),
            }
            let written = |stored: Value| Written {
                object: view::outward(resource, stored),
                created: false,
                warnings: warnings.clone(),
            };
            if options.dry_run || new == old {
                return Ok(written(new));
            }
            if is_finished(&new) {
                match self.store.remove(&resource.storage, key, current.version) {
                    Err(Raced) => continue,
                    Ok(change) => {
                        self.settle(change);
                        return Ok(written(new));
                    }
                }
            }
            match self.store.replace(&resource.storage, current.version, new) {
                Err(Raced) => {}
                Ok(change) => {
                    let stored = change.object.value();
                    self.settle(change);
                    return Ok(written(stored));
                }
            }
        }
    }

    /// The object that is to be stored in place of `old` (as seen and as stored).
    fn prepare(
        &self,
        resource: &Resource,
        part: Part,
        old: (&Value, &Value),
        mut proposal: Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        let (old_seen, old) = old;
        let strategy = resource.strategy;
        set_namespace(resource, object::namespace(old), &mut proposal)?;
        match part {
            Part::Status => {
                let status = object::remove(&mut proposal, &["status"]);
                proposal = old_seen.clone();
                match status {
                    Some(status) => object::set(&mut proposal, &["status"], status),
                    None => {
                        object::remove(&mut proposal, &["status"]);
                    }
                }
            }
            Part::Main if resource.status => object::copy(&mut proposal, old_seen, &["status"]),
            Part::Main => {}
        }
        resource.schema.fill_defaults(&mut proposal);
        let mut new = view::inward(resource, proposal);
        meta::on_update(&mut new, old);
        object::copy(&mut new, old, &["metadata", "resourceVersion"]);
        let operation = match part {
            Part::Main => Operation::Update,
            Part::Status => Operation::UpdateStatus,
        };
        if part == Part::Main {
            strategy.default(&mut new);
            strategy.on_update(&mut new, old);
        }
        self.admit(operation, resource, Some(old), &mut new)?;
        if part == Part::Main && strategy.has_generation() && differs(resource, &new, old) {
            let generation = object::int(old, &["metadata", "generation"]).unwrap_or(0);
            object::set(&mut new, &["metadata", "generation"], generation.saturating_add(1));
        }
        let seen = view::outward(resource, new.clone());
        if !options.unchecked {
            Self::validate(resource, &seen, &new, Some((old_seen, old)))?;
        }
        Ok(new)
    }
}

fn check_identity(
    resource: &Resource,
    key: &Key,
    current: &Stored,
    proposal: &Value,
) -> Result<(), ApiError> {
    let name = object::name(proposal);
    if name != key.name {
        let message =
            format!("the name of the object ({name}) does not match the name on the URL ({})", key.name);
        return Err(ApiError::bad_request(message));
    }
    let version = object::text(proposal, &["metadata", "resourceVersion"]);
    if !version.is_empty() && version != "0" && version != current.version.to_string() {
        return Err(ApiError::stale(resource, &key.name));
    }
    let uid = object::uid(proposal);
    if !uid.is_empty() && uid != current.uid {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", current.uid);
        return Err(ApiError::conflict(resource, &key.name, &why));
    }
    Ok(())
}

/// Whether an object that is being deleted has nothing left to wait for.
pub(super) fn is_finished(object: &Value) -> bool {
    object::is_deleting(object)
        && object::finalizers(object).next().is_none()
        && object::int(object, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
        && !waits_for_contents(object)
}

/// A namespace has finalizers in its specification, too: `kubernetes` until it is empty.
fn waits_for_contents(object: &Value) -> bool {
    object::text(object, &["kind"]) == "Namespace"
        && object::text(object, &["apiVersion"]) == "v1"
        && !object::list(object, &["spec", "finalizers"]).is_empty()
}

/// Whether what a user specifies has changed: everything but the metadata and the status.
fn differs(resource: &Resource, new: &Value, old: &Value) -> bool {
    let specified = |value: &Value| {
        let mut value = value.clone();
        object::remove(&mut value, &["metadata"]);
        if resource.status {
            object::remove(&mut value, &["status"]);
        }
        value
    };
    specified(new) != specified(old)
}
