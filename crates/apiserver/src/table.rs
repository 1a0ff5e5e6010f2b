//! `Table` responses: what `kubectl get` prints.

use serde_json::{Value, json};

use crate::{object, resource::Resource};

mod age;
mod cells;
mod json_path;
mod pod;

pub(crate) use age::age_of;
pub(crate) use json_path::JsonPath;

/// How much of each object a row carries (`includeObject`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// A table of `objects`. `definitions`: whether the columns are described (only a watch's first event needs it).
pub(crate) fn table(
    resource: &Resource,
    version: &str,
    list_metadata: &Value,
    objects: Vec<Value>,
    include: Include,
    definitions: bool,
) -> Value {
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let cells = row_cells(resource, &object);
            let carried = match include {
                Include::Nothing => Value::Null,
                Include::Object => object,
                Include::Metadata => partial(object, version),
            };
            json!({"cells": cells, "object": carried})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": list_metadata,
        "columnDefinitions": if definitions { Value::Array(column_definitions(resource)) } else { Value::Null },
        "rows": rows,
    })
}

/// The metadata alone, as `PartialObjectMetadata`.
pub(crate) fn partial(mut object: Value, version: &str) -> Value {
    let metadata = object::remove(&mut object, &["metadata"]).unwrap_or_default();
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata})
}

fn column_definitions(resource: &Resource) -> Vec<Value> {
    let definition = |name: &str, ty: &str, format: &str, priority: i64| json!({"name": name, "type": ty, "format": format, "description": "", "priority": priority});
    if !resource.is_custom() {
        let columns = cells::columns(resource).iter();
        let format = |name: &str| if name == "Name" { "name" } else { "" };
        return columns.map(|(name, priority)| definition(name, "string", format(name), *priority)).collect();
    }
    let mut columns = vec![definition("Name", "string", "name", 0)];
    columns.extend(resource.columns.iter().map(|column| column.definition.clone()));
    if resource.columns.is_empty() {
        columns.push(definition("Age", "date", "", 0));
    }
    columns
}

fn row_cells(resource: &Resource, object: &Value) -> Vec<Value> {
    if !resource.is_custom() {
        return cells::cells(resource, object);
    }
    let mut row = vec![json!(object::name(object))];
    for column in &resource.columns {
        let value = column.path.first(object);
        let ty = object::text(&column.definition, &["type"]);
        row.push(match (ty, value) {
            (_, None) => Value::Null,
            ("date", Some(time)) => json!(age_of(time.as_str().unwrap_or_default())),
            ("string", Some(Value::String(text))) => json!(text),
            ("string", Some(other)) => json!(other.to_string()),
            (_, Some(other)) => other.clone(),
        });
    }
    if resource.columns.is_empty() {
        row.push(json!(age_of(object::text(object, &["metadata", "creationTimestamp"]))));
    }
    row
}
