//! JSON schema documents made into [`Schema`]s.

use std::{collections::HashMap, sync::Arc};

use regex::Regex;
use serde_json::{Map, Value};

use super::{Additional, Limits, ListType, Schema, Type, cel::Rule};

/// Why a schema cannot be used; `path` is where in the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub(crate) struct CompileError {
    pub(crate) path: String,
    pub(crate) message: String,
}

/// Compiles schemas that may refer to each other by name.
#[derive(Debug, Default)]
pub(crate) struct Compiler<'a> {
    definitions: Option<&'a Map<String, Value>>,
    done: HashMap<String, Arc<Schema>>,
    under_way: Vec<String>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn with_definitions(definitions: &'a Map<String, Value>) -> Self {
        Self { definitions: Some(definitions), ..Self::default() }
    }

    /// The schema with this name among the definitions. A schema that contains itself keeps everything below
    /// the point where it does.
    pub(crate) fn named(&mut self, name: &str) -> Result<Arc<Schema>, CompileError> {
        if let Some(schema) = self.done.get(name) {
            return Ok(schema.clone());
        }
        let known = self.definitions.and_then(|definitions| definitions.get(name));
        let Some(document) = known.filter(|_| !self.under_way.iter().any(|n| n == name)) else {
            return Ok(Arc::new(Schema::anything()));
        };
        self.under_way.push(name.to_owned());
        let schema = self.compile(document, name);
        self.under_way.pop();
        let mut schema = schema?;
        let open = schema.properties.is_empty() && schema.additional.is_none();
        if schema.ty == Some(Type::Object) && open {
            // `FieldsV1` and its like: any object.
            schema.preserve_unknown = true;
        }
        if name.ends_with(".resource.Quantity") {
            schema.quantity = true;
            schema.int_or_string = true;
            schema.ty = None;
        }
        let schema = Arc::new(schema);
        self.done.insert(name.to_owned(), schema.clone());
        Ok(schema)
    }

    pub(crate) fn compile(&mut self, document: &Value, path: &str) -> Result<Schema, CompileError> {
        let error = |message: String| CompileError { path: path.to_owned(), message };
        if let Some(reference) = document.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next().unwrap_or(reference);
            return self.named(name).map(|schema| (*schema).clone());
        }
        if let Some(Value::Array(parts)) = document.get("allOf")
            && let [only] = parts.as_slice()
            && only.get("$ref").is_some()
        {
            // How OpenAPI 3.0 gives a reference a description of its own.
            return self.compile(only, path);
        }
        let ty = match document.get("type") {
            None => None,
            Some(ty) => Some(type_of(ty).ok_or_else(|| error(format!("Unsupported value: {ty}")))?),
        };
        let flag = |name: &str| document.get(name).and_then(Value::as_bool).unwrap_or(false);
        let mut schema = Schema {
            ty,
            nullable: flag("nullable"),
            int_or_string: flag("x-kubernetes-int-or-string")
                || document.get("format").and_then(Value::as_str) == Some("int-or-string"),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            required: strings(document.get("required")),
            default: document.get("default").cloned(),
            format: document.get("format").and_then(Value::as_str).map(str::to_owned),
            list: list_type(document),
            limits: limits(document).map_err(error)?,
            ..Schema::default()
        };
        for (name, property) in document.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{path}.properties[{name}]");
            schema.properties.insert(name.clone(), Arc::new(self.compile(property, &path)?));
        }
        if let Some(items) = document.get("items") {
            schema.items = Some(Arc::new(self.compile(items, &format!("{path}.items"))?));
        }
        schema.additional = match document.get("additionalProperties") {
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(Additional::Any),
            Some(of) => {
                let of = self.compile(of, &format!("{path}.additionalProperties"))?;
                Some(Additional::Of(Arc::new(of)))
            }
        };
        for (name, list) in
            [("allOf", &mut schema.all_of), ("anyOf", &mut schema.any_of), ("oneOf", &mut schema.one_of)]
        {
            for (i, part) in document.get(name).and_then(Value::as_array).into_iter().flatten().enumerate() {
                list.push(self.compile(part, &format!("{path}.{name}[{i}]"))?);
            }
        }
        if let Some(not) = document.get("not") {
            schema.not = Some(Box::new(self.compile(not, &format!("{path}.not"))?));
        }
        let rules = document.get("x-kubernetes-validations").and_then(Value::as_array);
        for (i, rule) in rules.into_iter().flatten().enumerate() {
            let path = format!("{path}.x-kubernetes-validations[{i}].rule");
            schema.rules.push(Rule::compile(rule).map_err(|message| CompileError { path, message })?);
        }
        schema.ruled = schema.has_rules();
        Ok(schema)
    }
}

fn type_of(ty: &Value) -> Option<Type> {
    Some(match ty.as_str()? {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => return None,
    })
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn list_type(document: &Value) -> ListType {
    match document.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(strings(document.get("x-kubernetes-list-map-keys"))),
        _ => ListType::Atomic,
    }
}

fn limits(document: &Value) -> Result<Limits, String> {
    let number = |name: &str| document.get(name).and_then(Value::as_f64);
    let count = |name: &str| document.get(name).and_then(Value::as_u64);
    let flag = |name: &str| document.get(name).and_then(Value::as_bool).unwrap_or(false);
    let pattern = document.get("pattern").and_then(Value::as_str);
    let pattern =
        pattern.map(|p| Regex::new(p).map_err(|e| format!("must be a valid regular expression: {e}")));
    Ok(Limits {
        allowed: document.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        pattern: pattern.transpose()?,
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: flag("uniqueItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
    })
}
