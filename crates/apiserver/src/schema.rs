//! Schemas of objects: the structural OpenAPI v3 schemas of CRDs and those of the built-in types.
//!
//! A schema is compiled once. An object that comes in is [decoded](Schema::decode) (nulls and unknown fields
//! are taken out), gets its [defaults](Schema::fill_defaults) and is [validated](Schema::validate); rules in CEL
//! come last and are in [`cel`].

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde_json::Value;

pub(crate) mod cel;
mod compile;
mod decode;
mod format;
#[cfg(test)]
mod tests;
mod validate;

pub(crate) use compile::{CompileError, Compiler};

/// A JSON type, as OpenAPI names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Object => "object",
            Type::Array => "array",
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
        }
    }
}

/// How the elements of a list are told apart (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What a map without fixed properties holds.
#[derive(Debug, Clone)]
pub(crate) enum Additional {
    Any,
    Of(Arc<Schema>),
}

/// A compiled schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) ty: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) properties: BTreeMap<String, Arc<Schema>>,
    pub(crate) additional: Option<Additional>,
    pub(crate) items: Option<Arc<Schema>>,
    pub(crate) required: Vec<String>,
    pub(crate) default: Option<Value>,
    pub(crate) int_or_string: bool,
    /// A `resource.Quantity`: numbers are taken for their text.
    pub(crate) quantity: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded: bool,
    pub(crate) list: ListType,
    pub(crate) format: Option<String>,
    limits: Limits,
    all_of: Vec<Schema>,
    any_of: Vec<Schema>,
    one_of: Vec<Schema>,
    not: Option<Box<Schema>>,
    pub(crate) rules: Vec<cel::Rule>,
    /// Whether there are rules here or anywhere below.
    ruled: bool,
}

/// The value validations of a schema.
#[derive(Debug, Clone, Default)]
struct Limits {
    allowed: Vec<Value>,
    pattern: Option<Regex>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    unique_items: bool,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
}

impl Schema {
    /// A schema that keeps everything and refuses nothing.
    pub(crate) fn anything() -> Self {
        Self { preserve_unknown: true, ..Self::default() }
    }

    /// Any text.
    pub(crate) fn text() -> Self {
        Self { ty: Some(Type::String), ..Self::default() }
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(match &self.additional {
            Some(Additional::Of(schema)) => Some(schema),
            _ => None,
        })
    }

    /// Whether there are rules here or in the parts, which are compiled already.
    fn has_rules(&self) -> bool {
        !self.rules.is_empty()
            || self.properties.values().any(|property| property.ruled)
            || self.items.as_ref().is_some_and(|items| items.ruled)
            || matches!(&self.additional, Some(Additional::Of(schema)) if schema.ruled)
    }
}

/// `a.b`, or `b` at the root.
fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The path of a map's entry: `a[key]`.
fn entry(path: &str, key: &str) -> String {
    format!("{path}[{key}]")
}
