//! Nodes and namespaces.

use serde_json::{Value, json};

use super::Strategy;
use crate::{
    object,
    status::{Errors, Problem},
};

#[derive(Debug)]
pub(crate) struct Nodes;

impl Strategy for Nodes {
    /// `podCIDR` is the first of `podCIDRs`.
    fn default(&self, object: &mut Value) {
        let first = object::list(object, &["spec", "podCIDRs"]).first().cloned();
        let single = object::at(object, &["spec", "podCIDR"]).filter(|cidr| **cidr != "").cloned();
        match (single, first) {
            (Some(cidr), None) => object::set(object, &["spec", "podCIDRs"], json!([cidr])),
            (None, Some(cidr)) => object::set(object, &["spec", "podCIDR"], cidr),
            _ => {}
        }
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        let cidrs = object::list(object, &["spec", "podCIDRs"]);
        for (i, cidr) in cidrs.iter().enumerate() {
            if cidrs.iter().take(i).any(|earlier| earlier == cidr) {
                errors.push(format!("spec.podCIDRs[{i}]"), Problem::Duplicate(cidr.clone()));
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        let before = object::list(old, &["spec", "podCIDRs"]);
        if !before.is_empty() && before != object::list(new, &["spec", "podCIDRs"]) {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            errors.forbidden("spec.podCIDRs", detail);
        }
    }

    fn keeps_status(&self) -> bool {
        true
    }
}

#[derive(Debug)]
pub(crate) struct Namespaces;

impl Strategy for Namespaces {
    /// Every namespace carries its name as a label, for selectors.
    fn default(&self, object: &mut Value) {
        let name = object::name(object).to_owned();
        object::set(object, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }

    fn on_create(&self, object: &mut Value) {
        object::set(object, &["spec"], json!({"finalizers": ["kubernetes"]}));
        object::set(object, &["status"], json!({"phase": "Active"}));
    }

    fn on_update(&self, new: &mut Value, old: &Value) {
        object::copy(new, old, &["spec", "finalizers"]);
    }
}
