//! OpenAPI v3 documents, as far as `kubectl` reads them.
//!
//! `kubectl apply` and `create` look whether the server validates fields (the parameter `fieldValidation` of
//! the patch operation of a kind), and `explain` reads schemas by kind. Strategic merge patches are not
//! offered here, so that `kubectl` computes them from the types it was built with.

use std::{collections::BTreeSet, sync::Arc};

use axum::{http::StatusCode, response::Response};
use serde_json::{Map, Value, json};

use super::respond;
use crate::{
    builtin::{BUILTIN, OBJECT_META},
    core::Core,
    object,
    resource::Resource,
    status::ApiError,
    store::Key,
};

pub(super) fn answer(core: &Core, segments: &[&str]) -> Result<Response, ApiError> {
    let value = match *segments {
        [] => index(core),
        ["api", version] => document(core, "", version)?,
        ["apis", group, version] => document(core, group, version)?,
        _ => return Err(ApiError::no_such_path()),
    };
    Ok(respond::json(StatusCode::OK, &value))
}

fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The documents there are. The hash tells clients that cache them when one has changed.
fn index(core: &Core) -> Value {
    let mut paths = Map::new();
    for resource in core.registry.all() {
        let prefix = prefix(&resource.group, &resource.version);
        let hash = if resource.is_custom() { core.store.version() } else { 0 };
        paths.insert(
            prefix.clone(),
            json!({"serverRelativeURL": format!("/openapi/v3/{prefix}?hash={hash}")}),
        );
    }
    json!({"paths": paths})
}

fn document(core: &Core, group: &str, version: &str) -> Result<Value, ApiError> {
    let resources: Vec<Arc<Resource>> =
        core.registry.all().into_iter().filter(|r| r.group == group && r.version == version).collect();
    if resources.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in &resources {
        let name = match &resource.schema_name {
            Some(name) => {
                add_definition(name, &mut schemas);
                name.clone()
            }
            None => {
                let name = format!("{}.{}.{}", resource.group, resource.version, resource.kind);
                add_definition(OBJECT_META, &mut schemas);
                schemas.insert(name.clone(), custom_schema(core, resource));
                name
            }
        };
        add_paths(resource, &name, &mut paths);
    }
    Ok(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Adds a built-in schema with everything it refers to.
fn add_definition(name: &str, schemas: &mut Map<String, Value>) {
    let mut wanted = BTreeSet::from([name.to_owned()]);
    while let Some(name) = wanted.pop_first() {
        if schemas.contains_key(&name) {
            continue;
        }
        if let Some(definition) = BUILTIN.definitions.get(&name) {
            references(definition, &mut wanted);
            schemas.insert(name, definition.clone());
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                found.extend(reference.rsplit('/').next().map(str::to_owned));
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The schema a CRD gives, with what every object has.
fn custom_schema(core: &Core, resource: &Resource) -> Value {
    let definition = core.store.get(crate::crd::STORAGE, &Key::cluster(&resource.qualified()));
    let definition = definition.map(|d| d.value()).unwrap_or_default();
    let versions = object::list(&definition, &["spec", "versions"]);
    let version = versions.iter().find(|v| object::text(v, &["name"]) == resource.version);
    let mut schema =
        version.and_then(|v| object::at(v, &["schema", "openAPIV3Schema"])).cloned().unwrap_or_default();
    let text = |description: &str| json!({"type": "string", "description": description});
    let version_text = "The versioned schema of this representation of an object.";
    object::set(&mut schema, &["properties", "apiVersion"], text(version_text));
    object::set(&mut schema, &["properties", "kind"], text("The REST resource this object represents."));
    let metadata = json!({
        "description": "Standard object's metadata.",
        "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}],
    });
    object::set(&mut schema, &["properties", "metadata"], metadata);
    object::set(&mut schema, &["x-kubernetes-group-version-kind"], json!([gvk(resource)]));
    schema
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn add_paths(resource: &Resource, schema: &str, paths: &mut Map<String, Value>) {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    let operation = |action: &str, parameters: Value| {
        json!({
            "parameters": parameters,
            "responses": {"200": {
                "description": "OK", "content": {"application/json": {"schema": schema}},
            }},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource),
        })
    };
    let none = || json!([]);
    let writes = || {
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        json!([parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")])
    };
    let mut patch = operation("patch", writes());
    let content = json!({"schema": {"type": "object"}});
    object::set(
        &mut patch,
        &["requestBody"],
        json!({"content": {"application/json-patch+json": content, "application/merge-patch+json": content}}),
    );
    let scope = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
    let collection = format!("/{}/{scope}{}", prefix(&resource.group, &resource.version), resource.plural);
    let one = json!({
        "get": operation("get", none()), "put": operation("put", writes()), "patch": patch,
        "delete": operation("delete", none()),
    });
    paths.insert(format!("{collection}/{{name}}"), one);
    let all = json!({"get": operation("list", none()), "post": operation("post", writes())});
    paths.insert(collection, all);
}
