//! What the server knows of each kind beyond its schema: defaults, validation, and what may not change.

use std::fmt::Debug;

use serde_json::Value;

use crate::{object, status::Errors};

pub(crate) mod meta;
pub(crate) mod names;
mod network_policy;
mod node;
mod pod;
mod service;
#[cfg(test)]
mod tests;
mod workload;

pub(crate) use network_policy::NetworkPolicies;
pub(crate) use node::{Namespaces, Nodes};
pub(crate) use pod::Pods;
pub(crate) use service::Services;
pub(crate) use workload::{Workloads, label_selector_errors, selector_text};

/// The behaviour of one kind. All objects are in their stored form.
pub(crate) trait Strategy: Debug + Send + Sync {
    /// Writes the defaults that the schema does not have.
    fn default(&self, _object: &mut Value) {}

    /// Prepares an object that is about to be created.
    fn on_create(&self, _object: &mut Value) {}

    /// Prepares `new`, which is about to replace `old`.
    fn on_update(&self, _new: &mut Value, _old: &Value) {}

    /// What is wrong with the object by itself.
    fn validate(&self, _object: &Value, _errors: &mut Errors) {}

    /// What is wrong with the change from `old` to `new`.
    fn validate_update(&self, _new: &Value, _old: &Value, _errors: &mut Errors) {}

    /// Whether `metadata.generation` counts the changes of the specification.
    fn has_generation(&self) -> bool {
        false
    }

    /// Whether a creator may set the status although there is a status subresource.
    fn keeps_status(&self) -> bool {
        false
    }

    /// Whether an update may leave out the version it is based on.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// How many seconds an object that is deleted may live on; `asked` is what the request says.
    fn grace(&self, _object: &Value, _asked: Option<i64>) -> i64 {
        0
    }
}

/// Kinds that are stored as they come.
#[derive(Debug)]
pub(crate) struct Plain;
impl Strategy for Plain {}

/// Kinds that are stored as they come, with a specification whose changes are counted.
#[derive(Debug)]
pub(crate) struct Counted;
impl Strategy for Counted {
    fn has_generation(&self) -> bool {
        true
    }
}

/// Leases, events and what else is always written on top of a known version.
#[derive(Debug)]
pub(crate) struct Versioned;
impl Strategy for Versioned {
    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Custom resources: their schema says the rest.
#[derive(Debug)]
pub(crate) struct Custom;
impl Strategy for Custom {
    fn has_generation(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// Config maps and secrets: `immutable` is kept.
#[derive(Debug)]
pub(crate) struct Data;
impl Strategy for Data {
    fn default(&self, object: &mut Value) {
        if object::text(object, &["kind"]) == "Secret" {
            object::default(object, &["type"], "Opaque");
            let texts = object::remove(object, &["stringData"]);
            for (key, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
                let encoded = base64(text.as_str().unwrap_or_default().as_bytes());
                object::set(object, &["data", key], encoded);
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        if object::at(old, &["immutable"]) == Some(&Value::Bool(true)) {
            for field in ["immutable", "data", "binaryData"] {
                if new.get(field) != old.get(field) {
                    errors.forbidden(field, "field is immutable when `immutable` is set");
                }
            }
        }
        immutable(new, old, &["type"], errors);
    }
}

/// Endpoint slices: their address type never changes.
#[derive(Debug)]
pub(crate) struct EndpointSlices;
impl Strategy for EndpointSlices {
    fn default(&self, object: &mut Value) {
        for port in object::list_mut(object, &["ports"]) {
            object::default(port, &["name"], "");
            object::default(port, &["protocol"], "TCP");
        }
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        let ty = object::at(object, &["addressType"]).unwrap_or(&Value::Null);
        errors.one_of("addressType", ty, &["FQDN", "IPv4", "IPv6"]);
        for (i, endpoint) in object::list(object, &["endpoints"]).iter().enumerate() {
            let addresses = object::list(endpoint, &["addresses"]);
            if addresses.is_empty() {
                errors.required(format!("endpoints[{i}].addresses"), "must contain at least 1 address");
            }
            for (j, address) in addresses.iter().enumerate() {
                let text = address.as_str().unwrap_or_default();
                let right = match ty.as_str() {
                    Some("IPv4") => text.parse::<std::net::Ipv4Addr>().is_ok(),
                    Some("IPv6") => text.parse::<std::net::Ipv6Addr>().is_ok(),
                    _ => !text.is_empty(),
                };
                if !right {
                    let field = format!("endpoints[{i}].addresses[{j}]");
                    errors.invalid(field, text, "must be a valid address of the slice's type");
                }
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        immutable(new, old, &["addressType"], errors);
    }

    fn has_generation(&self) -> bool {
        true
    }
}

/// Refuses a change of what stands at `path`.
pub(crate) fn immutable(new: &Value, old: &Value, path: &[&str], errors: &mut Errors) {
    let (now, before) = (object::at(new, path), object::at(old, path));
    if now != before {
        errors.invalid(path.join("."), now.cloned().unwrap_or_default(), "field is immutable");
    }
}

/// Standard base64 (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &b| (bits << 8) | u32::from(b));
        let bits = bits << (8 * (3_usize.saturating_sub(chunk.len())));
        for i in 0..4_usize {
            let digit = usize::try_from((bits >> (18_usize.saturating_sub(6 * i))) & 63).unwrap_or_default();
            let digit = DIGITS.get(digit).filter(|_| i <= chunk.len()).copied();
            out.push(digit.map_or('=', char::from));
        }
    }
    out
}
