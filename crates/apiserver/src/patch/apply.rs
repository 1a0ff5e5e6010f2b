//! Server-side apply.
//!
//! Ownership is kept in `metadata.managedFields`, as in Kubernetes, but only of managers that apply: what
//! others write owns nothing, so it never conflicts with an applied configuration and is overwritten by it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::rules::{self, Strategy};
use crate::{
    object,
    resource::Resource,
    schema::{ListType, Schema},
    status::ApiError,
};

/// Who applies.
pub(crate) struct Manager<'a> {
    pub(crate) name: &'a str,
    pub(crate) resource: &'a Resource,
    /// Take over fields that others own.
    pub(crate) force: bool,
}

/// One step to a field, as `FieldsV1` writes it: `f:name`, `k:{"name":"x"}` or `v:"x"`.
type Step = String;
type FieldSet = BTreeSet<Vec<Step>>;

/// How a list is owned.
enum Elements {
    Atomic,
    Set,
    Keyed(Vec<String>),
}

impl Manager<'_> {
    /// Writes into `object` that this manager owns what `wanted` has.
    pub(crate) fn own(&self, object: &mut Value, wanted: &Value) {
        let fields = self.fields(wanted);
        self.record(object, &fields);
    }

    /// `old` with `wanted` applied to it.
    ///
    /// # Errors
    /// A conflict that names the fields other managers own with other values.
    pub(crate) fn apply(&self, old: &Value, wanted: &Value) -> Result<Value, ApiError> {
        let fields = self.fields(wanted);
        let mut new = old.clone();
        let mut path = Vec::new();
        self.merge(&mut new, wanted, self.schema(), &mut path);
        let others = self.others(old);
        let mut conflicts = Vec::new();
        for (name, owned) in &others {
            for field in owned.intersection(&fields) {
                if lookup(old, field) != lookup(&new, field) {
                    conflicts.push((name.clone(), show(field)));
                }
            }
        }
        if !conflicts.is_empty() && !self.force {
            return Err(conflict_error(&conflicts));
        }
        let before = self.owned(old);
        for field in before.difference(&fields) {
            if !others.iter().any(|(_, owned)| owned.contains(field)) {
                remove(&mut new, field);
            }
        }
        if self.force {
            self.disown(&mut new, &fields, &conflicts);
        }
        self.record(&mut new, &fields);
        Ok(new)
    }

    fn schema(&self) -> Option<&Schema> {
        self.resource.is_custom().then_some(&*self.resource.schema)
    }

    fn elements(&self, schema: Option<&Schema>, path: &[String]) -> Elements {
        if let Some(schema) = schema {
            return match &schema.list {
                ListType::Atomic => Elements::Atomic,
                ListType::Set => Elements::Set,
                ListType::Map(keys) => Elements::Keyed(keys.clone()),
            };
        }
        match rules::of(&self.resource.kind, path) {
            Some(Strategy::MergeByKey(key @ ("containerPort" | "port"))) => {
                Elements::Keyed(vec![key.to_owned(), "protocol".to_owned()])
            }
            Some(Strategy::MergeByKey(key)) => Elements::Keyed(vec![key.to_owned()]),
            Some(Strategy::MergeSet) => Elements::Set,
            _ => Elements::Atomic,
        }
    }

    /// The leaves of an applied configuration, without what identifies the object.
    fn fields(&self, wanted: &Value) -> FieldSet {
        let mut set = FieldSet::new();
        let mut wanted = wanted.clone();
        for path in [["apiVersion"].as_slice(), &["kind"]] {
            object::remove(&mut wanted, path);
        }
        for field in ["name", "namespace", "uid", "resourceVersion", "managedFields", "creationTimestamp"] {
            object::remove(&mut wanted, &["metadata", field]);
        }
        self.leaves(&wanted, self.schema(), &mut Vec::new(), &mut Vec::new(), &mut set);
        set
    }

    fn leaves(
        &self,
        value: &Value,
        schema: Option<&Schema>,
        names: &mut Vec<String>,
        steps: &mut Vec<Step>,
        set: &mut FieldSet,
    ) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (name, value) in map {
                    names.push(name.clone());
                    steps.push(format!("f:{name}"));
                    let below = schema.and_then(|s| s.property(name)).map(|s| &**s);
                    self.leaves(value, below, names, steps, set);
                    steps.pop();
                    names.pop();
                }
            }
            Value::Array(items) => {
                let elements = self.elements(schema, names);
                if matches!(elements, Elements::Atomic) {
                    set.insert(steps.clone());
                    return;
                }
                for item in items {
                    match step(&elements, item) {
                        Some(step) if step.starts_with("k:") => {
                            steps.push(step);
                            set.insert(steps.clone());
                            let below = schema.and_then(|s| s.items.as_deref());
                            self.leaves(item, below, names, steps, set);
                            steps.pop();
                        }
                        Some(step) => {
                            steps.push(step);
                            set.insert(steps.clone());
                            steps.pop();
                        }
                        None => {}
                    }
                }
            }
            _ => {
                if !steps.is_empty() {
                    set.insert(steps.clone());
                }
            }
        }
    }

    fn merge(&self, into: &mut Value, wanted: &Value, schema: Option<&Schema>, names: &mut Vec<String>) {
        match wanted {
            Value::Object(map) => {
                let fields = object::object(into);
                for (name, value) in map {
                    names.push(name.clone());
                    let below = schema.and_then(|s| s.property(name)).map(|s| &**s);
                    self.merge(fields.entry(name.clone()).or_insert(Value::Null), value, below, names);
                    names.pop();
                }
            }
            Value::Array(items) => {
                let elements = self.elements(schema, names);
                if matches!(elements, Elements::Atomic) || !into.is_array() {
                    *into = wanted.clone();
                    return;
                }
                let below = schema.and_then(|s| s.items.as_deref());
                let Value::Array(list) = into else { return };
                for item in items {
                    let wanted_step = step(&elements, item);
                    match list.iter_mut().find(|old| step(&elements, old) == wanted_step) {
                        Some(old) => self.merge(old, item, below, names),
                        None => list.push(item.clone()),
                    }
                }
            }
            scalar => *into = scalar.clone(),
        }
    }

    fn entries(object: &Value) -> &[Value] {
        object::list(object, &["metadata", "managedFields"])
    }

    fn is_own(&self, entry: &Value) -> bool {
        object::text(entry, &["manager"]) == self.name
    }

    fn owned(&self, object: &Value) -> FieldSet {
        let own = Self::entries(object).iter().find(|entry| self.is_own(entry));
        own.map(|entry| read(entry.get("fieldsV1"))).unwrap_or_default()
    }

    fn others(&self, object: &Value) -> Vec<(String, FieldSet)> {
        let others = Self::entries(object).iter().filter(|entry| !self.is_own(entry));
        others
            .map(|entry| (object::text(entry, &["manager"]).to_owned(), read(entry.get("fieldsV1"))))
            .collect()
    }

    /// Takes fields that are now this manager's away from the others.
    fn disown(&self, object: &mut Value, fields: &FieldSet, conflicts: &[(String, String)]) {
        for entry in object::list_mut(object, &["metadata", "managedFields"]) {
            let name = object::text(entry, &["manager"]).to_owned();
            let lost = |field: &Vec<Step>| {
                fields.contains(field) && conflicts.iter().any(|(m, f)| *m == name && *f == show(field))
            };
            let kept: FieldSet = read(entry.get("fieldsV1")).into_iter().filter(|f| !lost(f)).collect();
            object::set(entry, &["fieldsV1"], write(&kept));
        }
    }

    fn record(&self, object: &mut Value, fields: &FieldSet) {
        let mut entries: Vec<Value> =
            Self::entries(object).iter().filter(|entry| !self.is_own(entry)).cloned().collect();
        let unchanged = Self::entries(object)
            .iter()
            .find(|entry| self.is_own(entry) && read(entry.get("fieldsV1")) == *fields);
        entries.push(unchanged.cloned().unwrap_or_else(|| {
            json!({
                "manager": self.name, "operation": "Apply", "apiVersion": self.resource.api_version(),
                "time": object::now(), "fieldsType": "FieldsV1", "fieldsV1": write(fields),
            })
        }));
        entries.sort_by(|a, b| object::text(a, &["manager"]).cmp(object::text(b, &["manager"])));
        object::set(object, &["metadata", "managedFields"], entries);
    }
}

/// The step to an element of a list, or `None` where it lacks a key.
fn step(elements: &Elements, item: &Value) -> Option<Step> {
    match elements {
        Elements::Atomic => None,
        Elements::Set => Some(format!("v:{item}")),
        Elements::Keyed(keys) => {
            let mut identity = Map::new();
            for key in keys {
                let value = match item.get(key) {
                    Some(value) => value.clone(),
                    None if key == "protocol" => json!("TCP"),
                    None => return None,
                };
                identity.insert(key.clone(), value);
            }
            Some(format!("k:{}", Value::Object(identity)))
        }
    }
}

fn is_element(step: &str, item: &Value) -> bool {
    if let Some(value) = step.strip_prefix("v:") {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let keys: Option<Map<String, Value>> = step.strip_prefix("k:").and_then(|k| serde_json::from_str(k).ok());
    keys.is_some_and(|keys| {
        keys.iter().all(|(key, value)| match item.get(key) {
            Some(have) => have == value,
            None => key == "protocol" && *value == "TCP",
        })
    })
}

fn lookup<'a>(value: &'a Value, field: &[Step]) -> Option<&'a Value> {
    field.iter().try_fold(value, |value, step| match step.strip_prefix("f:") {
        Some(name) => value.get(name),
        None => value.as_array()?.iter().find(|item| is_element(step, item)),
    })
}

fn remove(value: &mut Value, field: &[Step]) {
    let Some((step, rest)) = field.split_first() else { return };
    match (value, step.strip_prefix("f:")) {
        (Value::Object(map), Some(name)) => {
            if rest.is_empty() {
                map.remove(name);
            } else if let Some(below) = map.get_mut(name) {
                remove(below, rest);
                if below.as_object().is_some_and(Map::is_empty) || below.as_array().is_some_and(Vec::is_empty)
                {
                    map.remove(name);
                }
            }
        }
        (Value::Array(list), None) => {
            if rest.is_empty() {
                list.retain(|item| !is_element(step, item));
            } else if let Some(item) = list.iter_mut().find(|item| is_element(step, item)) {
                remove(item, rest);
            }
        }
        _ => {}
    }
}

fn write(fields: &FieldSet) -> Value {
    let mut root = Map::new();
    for field in fields {
        let mut here = &mut root;
        for step in field {
            here = object::object(here.entry(step.clone()).or_insert(Value::Null));
        }
        if field.last().is_some_and(|step| step.starts_with("k:")) {
            here.insert(".".to_owned(), json!({}));
        }
    }
    Value::Object(root)
}

fn read(fields: Option<&Value>) -> FieldSet {
    fn walk(value: &Value, steps: &mut Vec<Step>, set: &mut FieldSet) {
        let Some(map) = value.as_object() else { return };
        if map.is_empty() && !steps.is_empty() {
            set.insert(steps.clone());
        }
        for (step, below) in map {
            if step == "." {
                set.insert(steps.clone());
                continue;
            }
            steps.push(step.clone());
            walk(below, steps, set);
            steps.pop();
        }
    }
    let mut set = FieldSet::new();
    walk(fields.unwrap_or(&Value::Null), &mut Vec::new(), &mut set);
    set
}

/// `.spec.containers[name="a"].image`
fn show(field: &[Step]) -> String {
    let mut text = String::new();
    for step in field {
        if let Some(name) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(name);
        } else if let Some(keys) = step.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            text.push_str(&format!("[{}]", keys.join(",")));
        } else {
            text.push_str(&format!("[={}]", step.strip_prefix("v:").unwrap_or(step)));
        }
    }
    text
}

fn conflict_error(conflicts: &[(String, String)]) -> ApiError {
    let noun = if conflicts.len() == 1 { "conflict" } else { "conflicts" };
    let list: Vec<String> =
        conflicts.iter().map(|(manager, field)| format!("conflict with \"{manager}\": {field}")).collect();
    let message = format!("Apply failed with {} {noun}: {}", conflicts.len(), list.join("\n"));
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(manager, field)| {
            json!({
                "reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\""), "field": field,
            })
        })
        .collect();
    ApiError::new(409, "Conflict", message).with_causes(causes)
}
