//! Deployments, replica sets and daemon sets: a selector, a pod template and a number of replicas.

use serde_json::{Value, json};

use super::{Strategy, immutable, meta, names, pod};
use crate::{object, selector, status::Errors};

#[derive(Debug)]
pub(crate) struct Workloads;

fn kind(object: &Value) -> &str {
    object::text(object, &["kind"])
}

impl Strategy for Workloads {
    fn default(&self, object: &mut Value) {
        pod::default_spec(object, &["spec", "template", "spec"]);
        if kind(object) != "DaemonSet" {
            object::default(object, &["spec", "replicas"], 1);
        }
        match kind(object) {
            "Deployment" => {
                object::default(object, &["spec", "revisionHistoryLimit"], 10);
                object::default(object, &["spec", "progressDeadlineSeconds"], 600);
                object::default(object, &["spec", "strategy", "type"], "RollingUpdate");
                if object::text(object, &["spec", "strategy", "type"]) == "RollingUpdate" {
                    object::default(object, &["spec", "strategy", "rollingUpdate", "maxSurge"], "25%");
                    object::default(object, &["spec", "strategy", "rollingUpdate", "maxUnavailable"], "25%");
                }
            }
            "DaemonSet" => {
                object::default(object, &["spec", "revisionHistoryLimit"], 10);
                object::default(object, &["spec", "updateStrategy", "type"], "RollingUpdate");
                if object::text(object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
                    object::default(object, &["spec", "updateStrategy", "rollingUpdate", "maxSurge"], 0);
                    object::default(
                        object,
                        &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"],
                        1,
                    );
                }
            }
            _ => {}
        }
    }

    fn on_create(&self, object: &mut Value) {
        let status = match kind(object) {
            "ReplicaSet" => json!({"replicas": 0}),
            "DaemonSet" => json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
            }),
            _ => json!({}),
        };
        object::set(object, &["status"], status);
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        if let Some(replicas) = object::int(object, &["spec", "replicas"]).filter(|r| *r < 0) {
            errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        }
        let selector = object::at(object, &["spec", "selector"]);
        match selector {
            None => errors.required("spec.selector", ""),
            Some(selector) => {
                label_selector_errors(selector, "spec.selector", errors);
                if selector.as_object().is_some_and(serde_json::Map::is_empty) {
                    let detail = "empty selector is invalid for deployment";
                    errors.invalid("spec.selector", json!({}), detail);
                }
                let labels = object::at(object, &["spec", "template", "metadata", "labels"]);
                if !matches(selector, labels) {
                    let shown = labels.cloned().unwrap_or_else(|| json!({}));
                    let detail = "`selector` does not match template `labels`";
                    errors.invalid("spec.template.metadata.labels", shown, detail);
                }
            }
        }
        meta::labels(
            object,
            &["spec", "template", "metadata", "labels"],
            "spec.template.metadata.labels",
            errors,
        );
        let spec = object::at(object, &["spec", "template", "spec"]).unwrap_or(&Value::Null);
        pod::validate_spec(spec, "spec.template.spec", errors);
        if object::text(spec, &["restartPolicy"]) != "Always" {
            let policy = spec.get("restartPolicy").unwrap_or(&Value::Null);
            errors.one_of("spec.template.spec.restartPolicy", policy, &["Always"]);
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        immutable(new, old, &["spec", "selector"], errors);
    }

    fn has_generation(&self) -> bool {
        true
    }
}

/// Whether a `LabelSelector` selects these labels.
fn matches(selector: &Value, labels: Option<&Value>) -> bool {
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    selector_text(selector)
        .and_then(|text| selector::LabelSelector::parse(&text).ok())
        .is_some_and(|selector| selector.matches(&labels))
}

/// A `LabelSelector` in its text form; `None` where it has an operator that does not exist.
pub(crate) fn selector_text(selector: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for (key, value) in
        object::at(selector, &["matchLabels"]).and_then(Value::as_object).into_iter().flatten()
    {
        parts.push(format!("{key}={}", value.as_str()?));
    }
    for expression in object::list(selector, &["matchExpressions"]) {
        let key = object::text(expression, &["key"]);
        let values: Vec<&str> =
            object::list(expression, &["values"]).iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        parts.push(match object::text(expression, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    Some(parts.join(","))
}

/// Adds what is wrong with a `LabelSelector`.
pub(crate) fn label_selector_errors(selector: &Value, path: &str, errors: &mut Errors) {
    meta::labels(selector, &["matchLabels"], &format!("{path}.matchLabels"), errors);
    for (i, expression) in object::list(selector, &["matchExpressions"]).iter().enumerate() {
        let path = format!("{path}.matchExpressions[{i}]");
        let key = object::text(expression, &["key"]);
        if let Some(problem) = names::qualified_name(key) {
            errors.invalid(format!("{path}.key"), key, problem);
        }
        let values = object::list(expression, &["values"]);
        match object::text(expression, &["operator"]) {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.required(format!("{path}.values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(format!("{path}.values"), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(format!("{path}.operator"), other, "not a valid selector operator"),
        }
        for (j, value) in values.iter().enumerate() {
            let value = value.as_str().unwrap_or_default();
            if let Some(problem) = names::label_value(value) {
                errors.invalid(format!("{path}.values[{j}]"), value, problem);
            }
        }
    }
}
