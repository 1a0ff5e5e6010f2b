//! Errors as the Kubernetes API words them: a `meta/v1` `Status` with a reason, a message and causes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::resource::Resource;

/// Why a request was refused.
///
/// Displays as the message `kubectl` would print; [`ApiError::status`] is the body on the wire.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, e.g. `NotFound`.
    pub reason: &'static str,
    /// What to tell a person.
    pub message: String,
    /// How long a client should wait before it tries again; sent as `Retry-After`.
    pub retry_after: Option<Duration>,
    details: Value,
}

impl ApiError {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), retry_after: None, details: Value::Null }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = json!({"name": name, "group": resource.group, "kind": resource.plural});
        self
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    pub(crate) fn namespace_not_found(name: &str) -> Self {
        let mut error = Self::new(404, "NotFound", format!("namespaces \"{name}\" not found"));
        error.details = json!({"name": name, "kind": "namespaces"});
        error
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::new(409, "Conflict", message).about(resource, name)
    }

    pub(crate) fn stale(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    pub(crate) fn namespace_terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut error = Self::forbidden(resource, name, &why);
        let cause = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        crate::object::set(&mut error.details, &["causes"], cause);
        error
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// A request that only a kubelet could serve.
    pub(crate) fn no_kubelet() -> Self {
        let message = "this server runs no containers: logs, exec, attach and port-forward are not available";
        Self::new(501, "NotImplemented", message)
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json";
        Self::new(406, "NotAcceptable", message)
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_many_requests(retry_after: Duration, message: &str) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.details = json!({"retryAfterSeconds": retry_after.as_secs()});
        error.retry_after = Some(retry_after);
        error
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "the server is currently unable to handle the request")
    }

    /// A list or watch that asks for a version this server has not reached.
    pub(crate) fn future_version(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let mut error = Self::new(504, "Timeout", format!("Timeout: {message}"));
        error.retry_after = Some(Duration::from_secs(1));
        error.details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        error
    }

    /// Field errors of one object.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let what = match errors {
            [one] => one.to_string(),
            many => {
                let list: Vec<String> = many.iter().map(ToString::to_string).collect();
                format!("[{}]", list.join(", "))
            }
        };
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.problem.reason(), "message": e.body(), "field": e.field}))
            .collect();
        let mut error = Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {what}"));
        error.details = json!({"name": name, "group": group, "kind": kind, "causes": causes});
        error
    }

    pub(crate) fn with_causes(mut self, causes: Vec<Value>) -> Self {
        crate::object::set(&mut self.details, &["causes"], causes);
        self
    }

    /// The `Status` object that a client receives.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            crate::object::set(&mut status, &["details"], self.details.clone());
        }
        status
    }

    /// Whether the object the request named does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether somebody else changed the object first.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// Whether the object to create exists.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }
}

/// One wrong field of an object.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {}", self.body())]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) problem: Problem,
}

/// What is wrong with a field, in the vocabulary of `k8s.io/apimachinery/pkg/util/validation/field`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Problem {
    Required(String),
    Invalid(Value, String),
    /// Invalid, where the value is named by its type (`"object"`) rather than shown.
    TypeInvalid(String, String),
    /// As `TypeInvalid`, refused by a rule rather than for its type.
    TypeRule(String, String),
    NotSupported(Value, Vec<String>),
    Duplicate(Value),
    Forbidden(String),
    TooLong(usize),
    TooMany(usize, usize),
}

impl Problem {
    fn reason(&self) -> &'static str {
        match self {
            Problem::Required(_) => "FieldValueRequired",
            Problem::Invalid(..) => "FieldValueInvalid",
            Problem::TypeInvalid(..) => "FieldValueTypeInvalid",
            Problem::TypeRule(..) => "FieldValueInvalid",
            Problem::NotSupported(..) => "FieldValueNotSupported",
            Problem::Duplicate(_) => "FieldValueDuplicate",
            Problem::Forbidden(_) => "FieldValueForbidden",
            Problem::TooLong(_) => "FieldValueTooLong",
            Problem::TooMany(..) => "FieldValueTooMany",
        }
    }
}

impl FieldError {
    fn body(&self) -> String {
        match &self.problem {
            Problem::Required(detail) if detail.is_empty() => "Required value".to_owned(),
            Problem::Required(detail) => format!("Required value: {detail}"),
            Problem::Invalid(value, detail) => format!("Invalid value: {value}: {detail}"),
            Problem::TypeInvalid(ty, detail) | Problem::TypeRule(ty, detail) => {
                format!("Invalid value: \"{ty}\": {detail}")
            }
            Problem::NotSupported(value, supported) => {
                let list: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
                format!("Unsupported value: {value}: supported values: {}", list.join(", "))
            }
            Problem::Duplicate(value) => format!("Duplicate value: {value}"),
            Problem::Forbidden(detail) => format!("Forbidden: {detail}"),
            Problem::TooLong(most) => format!("Too long: may not be more than {most} bytes"),
            Problem::TooMany(have, most) => format!("Too many: {have}: must have at most {most} items"),
        }
    }
}

/// Collects the field errors of one object.
#[derive(Debug, Default)]
pub(crate) struct Errors(pub(crate) Vec<FieldError>);

impl Errors {
    pub(crate) fn push(&mut self, field: impl Into<String>, problem: Problem) {
        self.0.push(FieldError { field: field.into(), problem });
    }

    pub(crate) fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.push(field, Problem::Required(detail.to_owned()));
    }

    pub(crate) fn invalid(
        &mut self,
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) {
        self.push(field, Problem::Invalid(value.into(), detail.into()));
    }

    pub(crate) fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.push(field, Problem::Forbidden(detail.to_owned()));
    }

    pub(crate) fn one_of(&mut self, field: impl Into<String>, value: &Value, supported: &[&str]) {
        if value.as_str().is_none_or(|v| !supported.contains(&v)) {
            let supported = supported.iter().map(|&s| s.to_owned()).collect();
            self.push(field, Problem::NotSupported(value.clone(), supported));
        }
    }
}
