//! Custom resource definitions: their own validation, and the resources they define.

use std::{collections::VecDeque, sync::Arc};

use serde_json::{Value, json};

use crate::{
    builtin::BUILTIN,
    core::{Core, DeleteOptions, collect::drop_finalizer},
    object,
    resource::{NameRule, PrinterColumn, Resource, ScalePaths, View},
    schema::{CompileError, Compiler, Schema},
    status::Errors,
    store::{Change, Key},
    strategy::{Custom, Strategy, names},
    table::JsonPath,
};

/// Where definitions are stored.
pub(crate) const STORAGE: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// Keeps a definition until the objects of its kind are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

#[derive(Debug)]
pub(crate) struct Crds;

impl Strategy for Crds {
    fn default(&self, object: &mut Value) {
        let kind = object::text(object, &["spec", "names", "kind"]).to_owned();
        object::default(object, &["spec", "names", "singular"], kind.to_lowercase());
        object::default(object, &["spec", "names", "listKind"], format!("{kind}List"));
        object::default(object, &["spec", "conversion", "strategy"], "None");
    }

    /// The real server looks at a new definition in the background; here it is served at once.
    fn on_create(&self, object: &mut Value) {
        object::set(object, &["metadata", "finalizers"], json!([CLEANUP]));
        let now = object::now();
        let condition = |ty: &str, reason: &str, message: &str| {
            json!({
                "type": ty, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now,
            })
        };
        let names = object::at(object, &["spec", "names"]).cloned().unwrap_or_default();
        let stored: Vec<&str> = object::list(object, &["spec", "versions"])
            .iter()
            .filter(|v| v.get("storage") == Some(&Value::Bool(true)))
            .map(|v| object::text(v, &["name"]))
            .collect();
        let status = json!({
            "acceptedNames": names,
            "storedVersions": stored,
            "conditions": [
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ],
        });
        object::set(object, &["status"], status);
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        let group = object::text(object, &["spec", "group"]);
        let plural = object::text(object, &["spec", "names", "plural"]);
        for (path, text) in [("spec.group", group), ("spec.names.plural", plural)] {
            if text.is_empty() {
                errors.required(path, "");
            }
        }
        if let Some(problem) = names::label_1035(plural).filter(|_| !plural.is_empty()) {
            errors.invalid("spec.names.plural", plural, problem);
        }
        let name = object::name(object);
        if name != format!("{plural}.{group}") {
            errors.invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
        }
        let scope = object::at(object, &["spec", "scope"]).unwrap_or(&Value::Null);
        errors.one_of("spec.scope", scope, &["Cluster", "Namespaced"]);
        let versions = object::list(object, &["spec", "versions"]);
        let storage = versions.iter().filter(|v| v.get("storage") == Some(&Value::Bool(true))).count();
        if storage != 1 {
            let detail = "must have exactly one version marked as storage version";
            errors.invalid("spec.versions", Value::Null, detail);
        }
        for (i, version) in versions.iter().enumerate() {
            let path = format!("spec.versions[{i}].schema.openAPIV3Schema");
            match object::at(version, &["schema", "openAPIV3Schema"]) {
                None => errors.required(path, "schemas are required"),
                Some(document) => {
                    if object::text(document, &["type"]) != "object" {
                        errors.invalid(
                            format!("{path}.type"),
                            document.get("type").cloned().unwrap_or_default(),
                            "must be object at the root",
                        );
                    }
                    if let Err(error) = schema(document, &path) {
                        errors.invalid(error.path, Value::Null, error.message);
                    }
                }
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        for path in [
            ["spec", "group"].as_slice(),
            &["spec", "scope"],
            &["spec", "names", "plural"],
            &["spec", "names", "kind"],
        ] {
            super::strategy::immutable(new, old, path, errors);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// The schema of a custom resource, with what every object has.
fn schema(document: &Value, path: &str) -> Result<Schema, CompileError> {
    let mut schema = Compiler::default().compile(document, path)?;
    let text = || Arc::new(Schema::text());
    schema.properties.insert("apiVersion".to_owned(), text());
    schema.properties.insert("kind".to_owned(), text());
    schema.properties.insert("metadata".to_owned(), BUILTIN.object_meta.clone());
    Ok(schema)
}

/// Serves, or no longer serves, what a changed definition defines.
pub(crate) fn follow(core: &Core, change: &Change, queue: &mut VecDeque<Arc<Change>>) {
    let definition = change.object.value();
    let group = object::text(&definition, &["spec", "group"]);
    let plural = object::text(&definition, &["spec", "names", "plural"]);
    if change.removed {
        core.registry.replace(group, plural, Vec::new());
        return;
    }
    let storage = storage(group, plural);
    if !change.object.deleting {
        let versions: Vec<Arc<Resource>> = resources(&definition).into_iter().map(Arc::new).collect();
        for resource in &versions {
            core.store.ensure_table(&resource.storage, &resource.selectable);
        }
        core.registry.replace(group, plural, versions);
        return;
    }
    if let Some(resource) = core.registry.by_storage(&storage) {
        let all = core.store.snapshot(&storage, None, None).map(|s| s.objects).unwrap_or_default();
        for object in all.iter().filter(|object| !object.deleting) {
            // It may be gone already, which is what is wanted.
            if let Ok((_, change)) = core.delete_step(&resource, &object.key, &DeleteOptions::default()) {
                queue.extend(change);
            }
        }
    }
    finish(core, &change.object.key, &storage, queue);
}

/// After an object is gone: lets its definition go if it was the last one it waited for.
pub(crate) fn follow_instance(core: &Core, storage: &str, queue: &mut VecDeque<Arc<Change>>) {
    let Some(resource) = core.registry.by_storage(storage).filter(|r| r.is_custom()) else { return };
    let key = Key::cluster(&resource.qualified());
    if core.store.get(STORAGE, &key).is_some_and(|definition| definition.deleting) {
        finish(core, &key, storage, queue);
    }
}

fn finish(core: &Core, definition: &Key, storage: &str, queue: &mut VecDeque<Arc<Change>>) {
    if core.store.count(storage) == 0 {
        core.touch(&(STORAGE.into(), definition.clone()), queue, |value| drop_finalizer(value, CLEANUP));
    }
}

fn storage(group: &str, plural: &str) -> String {
    format!("{group}/{plural}")
}

/// One resource for each served version.
fn resources(definition: &Value) -> Vec<Resource> {
    let text = |path: &[&str]| object::text(definition, path).to_owned();
    let texts = |path: &[&str]| -> Vec<String> {
        object::list(definition, path).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
    let versions = object::list(definition, &["spec", "versions"]);
    let served = versions.iter().filter(|v| v.get("served") == Some(&Value::Bool(true)));
    served
        .filter_map(|version| {
            let document = object::at(version, &["schema", "openAPIV3Schema"])?;
            let stored = version.get("storage") == Some(&Value::Bool(true));
            let selectable = object::list(version, &["selectableFields"]);
            Some(Resource {
                group: group.clone(),
                version: object::text(version, &["name"]).to_owned(),
                kind: text(&["spec", "names", "kind"]),
                list_kind: text(&["spec", "names", "listKind"]),
                plural: plural.clone(),
                singular: text(&["spec", "names", "singular"]),
                short_names: texts(&["spec", "names", "shortNames"]),
                categories: texts(&["spec", "names", "categories"]),
                namespaced: text(&["spec", "scope"]) == "Namespaced",
                status: object::at(version, &["subresources", "status"]).is_some(),
                scale: object::at(version, &["subresources", "scale"]).map(scale),
                storage: storage(&group, &plural).into(),
                view: if stored { View::Stored } else { View::Version },
                names: NameRule::Subdomain,
                selectable: selectable.iter().map(|f| dotted(object::text(f, &["jsonPath"]))).collect(),
                strategy: &Custom,
                // Validated when the definition was written.
                schema: Arc::new(schema(document, "").ok()?),
                schema_name: None,
                columns: columns(version),
            })
        })
        .collect()
}

fn dotted(path: &str) -> String {
    path.trim_start_matches('.').to_owned()
}

fn scale(scale: &Value) -> ScalePaths {
    let path = |field: &str| -> Vec<String> {
        dotted(object::text(scale, &[field])).split('.').map(str::to_owned).collect()
    };
    ScalePaths {
        replicas: path("specReplicasPath"),
        status_replicas: path("statusReplicasPath"),
        selector: scale.get("labelSelectorPath").map(|_| path("labelSelectorPath")),
    }
}

fn columns(version: &Value) -> Vec<PrinterColumn> {
    let columns = object::list(version, &["additionalPrinterColumns"]).iter();
    let given = columns.filter_map(|column| {
        let definition = json!({
            "name": column.get("name"), "type": column.get("type"),
            "format": object::text(column, &["format"]),
            "description": object::text(column, &["description"]),
            "priority": object::int(column, &["priority"]).unwrap_or(0),
        });
        Some(PrinterColumn { definition, path: JsonPath::parse(object::text(column, &["jsonPath"]))? })
    });
    given.collect()
}
