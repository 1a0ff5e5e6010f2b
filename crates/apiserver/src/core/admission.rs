//! Validation of a complete object, and the hook through which an embedder takes part.

use std::fmt::Debug;

use serde_json::Value;

use super::Core;
use crate::{
    resource::{Gvr, Resource},
    schema::cel,
    status::{ApiError, Errors},
    strategy::meta,
};

/// What is about to be done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is created.
    Create,
    /// It is replaced by a changed one.
    Update,
    /// It is replaced by one whose status alone has changed.
    UpdateStatus,
}

/// A mutating admission plugin of the process that embeds the server: it sees every object after defaulting
/// and before validation. It runs without locks held and may run again for the same request when another
/// write came first, so what it hands out (an address, a port) must be its own to take back.
pub trait Admit: Debug + Send + Sync {
    /// Changes `new` in place; `old` is there unless it is created.
    ///
    /// # Errors
    /// Refuses the request with a message for the client.
    fn admit(
        &self,
        operation: Operation,
        resource: Gvr<'_>,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), String>;
}

impl Core {
    pub(super) fn admit(
        &self,
        operation: Operation,
        resource: &Resource,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), ApiError> {
        for plugin in &self.admit {
            plugin
                .admit(operation, resource.gvr(), old, new)
                .map_err(|why| ApiError::forbidden(resource, crate::object::name(new), &why))?;
        }
        Ok(())
    }

    /// Validates `stored`, seen at the endpoint as `seen`, against what it replaces.
    pub(super) fn validate(
        resource: &Resource,
        seen: &Value,
        stored: &Value,
        old: Option<(&Value, &Value)>,
    ) -> Result<(), ApiError> {
        let mut errors = Errors::default();
        meta::validate(resource, stored, &mut errors);
        if let Some((_, old)) = old {
            meta::validate_update(stored, old, &mut errors);
        }
        resource.schema.validate(seen, "", &mut errors);
        if errors.0.is_empty() {
            cel::validate(&resource.schema, seen, old.map(|(seen, _)| seen), &mut errors);
        }
        resource.strategy.validate(stored, &mut errors);
        if let Some((_, old)) = old {
            resource.strategy.validate_update(stored, old, &mut errors);
        }
        let mut distinct = Vec::new();
        for error in errors.0 {
            let told = |e: &crate::status::FieldError| e.field == error.field && e.problem == error.problem;
            if !distinct.iter().any(told) {
                distinct.push(error);
            }
        }
        if distinct.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(&resource.group, &resource.kind, crate::object::name(stored), &distinct))
    }
}
