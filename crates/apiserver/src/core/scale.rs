//! The `scale` subresource: `autoscaling/v1` `Scale` in front of the replicas of an object.

use serde_json::{Value, json};

use super::{Core, Part, Patch, WriteOptions, update::Proposal};
use crate::{
    object,
    resource::{Resource, ScalePaths},
    status::ApiError,
    store::Key,
    strategy::selector_text,
};

impl Core {
    pub(crate) fn get_scale(&self, resource: &Resource, key: &Key) -> Result<Value, ApiError> {
        let paths = resource.scale.as_ref().ok_or_else(ApiError::no_such_path)?;
        Ok(shown(paths, &self.stored(resource, key)?.value()))
    }

    /// Replaces the scale.
    pub(crate) fn update_scale(
        &self,
        resource: &Resource,
        key: &Key,
        scale: &Value,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        self.rescale(resource, key, options, |_| Ok(scale.clone()))
    }

    pub(crate) fn patch_scale(
        &self,
        resource: &Resource,
        key: &Key,
        change: &Patch,
        options: &WriteOptions,
    ) -> Result<Value, ApiError> {
        self.rescale(resource, key, options, |scale| {
            let mut scale = scale.clone();
            match change {
                Patch::Merge(wanted) | Patch::Strategic(wanted) | Patch::Apply(wanted) => {
                    json_patch::merge(&mut scale, wanted);
                }
                Patch::Json(operations) => {
                    let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                        .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
                    json_patch::patch(&mut scale, &operations)
                        .map_err(|e| ApiError::bad_request(e.to_string()))?;
                }
            }
            Ok(scale)
        })
    }

    fn rescale(
        &self,
        resource: &Resource,
        key: &Key,
        options: &WriteOptions,
        new: impl Fn(&Value) -> Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        let paths = resource.scale.as_ref().ok_or_else(ApiError::no_such_path)?;
        let written = self.modify(resource, Part::Main, key, options, |old| {
            let scale = new(&shown(paths, old))?;
            let replicas = object::int(&scale, &["spec", "replicas"]).unwrap_or(0);
            if replicas < 0 {
                let mut errors = crate::status::Errors::default();
                errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0");
                return Err(ApiError::invalid("autoscaling", "Scale", &key.name, &errors.0));
            }
            let mut object = old.clone();
            object::set(&mut object, &borrowed(&paths.replicas), replicas);
            object::copy(&mut object, &scale, &["metadata", "resourceVersion"]);
            Ok(Proposal { object, warnings: Vec::new() })
        })?;
        Ok(shown(paths, &written.object))
    }
}

fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn shown(paths: &ScalePaths, object: &Value) -> Value {
    let number = |path: &[String]| object::int(object, &borrowed(path)).unwrap_or(0);
    let selector = paths.selector.as_ref().and_then(|path| object::at(object, &borrowed(path)));
    let selector = match selector {
        Some(Value::String(text)) => text.clone(),
        Some(selector) => selector_text(selector).unwrap_or_default(),
        None => String::new(),
    };
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::at(object, &["metadata", field]) {
            object::set(&mut metadata, &[field], value.clone());
        }
    }
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata,
        "spec": {"replicas": number(&paths.replicas)},
        "status": {"replicas": number(&paths.status_replicas), "selector": selector},
    })
}
