//! Pods, and the pod templates of workloads.

use serde_json::{Value, json};

use super::{Strategy, names};
use crate::{
    object,
    status::{Errors, Problem},
};

#[derive(Debug)]
pub(crate) struct Pods;

const CONTAINER_LISTS: [&str; 2] = ["containers", "initContainers"];

impl Strategy for Pods {
    fn default(&self, object: &mut Value) {
        default_spec(object, &["spec"]);
    }

    fn on_create(&self, object: &mut Value) {
        let class = qos_class(object);
        object::set(object, &["status"], json!({"phase": "Pending", "qosClass": class}));
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        validate_spec(object::at(object, &["spec"]).unwrap_or(&Value::Null), "spec", errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        let mut allowed = new.clone();
        for path in [["spec", "activeDeadlineSeconds"], ["spec", "tolerations"], ["spec", "schedulingGates"]]
        {
            object::copy(&mut allowed, old, &path);
        }
        for list in CONTAINER_LISTS {
            let olds = object::list(old, &["spec", list]);
            let news = object::list_mut(&mut allowed, &["spec", list]);
            news.iter_mut().zip(olds).for_each(|(new, old)| object::copy(new, old, &["image"]));
        }
        if object::int(old, &["spec", "terminationGracePeriodSeconds"]).is_some_and(|s| s < 0) {
            object::copy(&mut allowed, old, &["spec", "terminationGracePeriodSeconds"]);
        }
        if allowed.get("spec") != old.get("spec") {
            let detail = "pod updates may not change fields other than `spec.containers[*].image`,\
                `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                previously negative)";
            errors.forbidden("spec", detail);
        }
    }

    fn grace(&self, object: &Value, asked: Option<i64>) -> i64 {
        let phase = object::text(object, &["status", "phase"]);
        if object::text(object, &["spec", "nodeName"]).is_empty() || matches!(phase, "Succeeded" | "Failed") {
            return 0;
        }
        let own = object::int(object, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
        asked.unwrap_or(own).max(0)
    }
}

/// Writes the defaults of a pod specification.
pub(super) fn default_spec(object: &mut Value, path: &[&str]) {
    let Some(spec) = object::at_mut(object, path).filter(|spec| spec.is_object()) else { return };
    object::default(spec, &["restartPolicy"], "Always");
    object::default(spec, &["terminationGracePeriodSeconds"], 30);
    object::default(spec, &["dnsPolicy"], "ClusterFirst");
    object::default(spec, &["schedulerName"], "default-scheduler");
    object::default(spec, &["securityContext"], json!({}));
    object::default(spec, &["enableServiceLinks"], true);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in CONTAINER_LISTS {
        for container in object::list_mut(spec, &[list]) {
            default_container(container, host_network);
        }
    }
    for volume in object::list_mut(spec, &["volumes"]) {
        for (source, mode) in [("configMap", 420), ("secret", 420), ("projected", 420), ("downwardAPI", 420)]
        {
            if volume.get(source).is_some() {
                object::default(volume, &[source, "defaultMode"], mode);
            }
        }
        if volume.get("hostPath").is_some() {
            object::default(volume, &["hostPath", "type"], "");
        }
        if volume.as_object().is_some_and(|v| v.len() == 1) {
            object::set(volume, &["emptyDir"], json!({}));
        }
    }
}

fn default_container(container: &mut Value, host_network: bool) {
    let image = object::text(container, &["image"]);
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map_or("latest", |(_, tag)| tag);
    let policy = if tag == "latest" && !image.contains('@') { "Always" } else { "IfNotPresent" };
    object::default(container, &["imagePullPolicy"], policy);
    object::default(container, &["terminationMessagePath"], "/dev/termination-log");
    object::default(container, &["terminationMessagePolicy"], "File");
    object::default(container, &["resources"], json!({}));
    for port in object::list_mut(container, &["ports"]) {
        object::default(port, &["protocol"], "TCP");
        if let (true, Some(number)) = (host_network, object::int(port, &["containerPort"])) {
            object::default(port, &["hostPort"], number);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object::at_mut(container, &[probe]) {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                object::default(probe, &[field], value);
            }
            if probe.get("httpGet").is_some() {
                object::default(probe, &["httpGet", "scheme"], "HTTP");
                object::default(probe, &["httpGet", "path"], "/");
            }
        }
    }
    for env in object::list_mut(container, &["env"]) {
        if object::at(env, &["valueFrom", "fieldRef"]).is_some() {
            object::default(env, &["valueFrom", "fieldRef", "apiVersion"], "v1");
        }
    }
    if let Some(Value::Object(limits)) = object::at(container, &["resources", "limits"]).cloned() {
        for (name, limit) in limits {
            object::default(container, &["resources", "requests", &name], limit);
        }
    }
}

/// Adds what is wrong with a pod specification.
pub(super) fn validate_spec(spec: &Value, path: &str, errors: &mut Errors) {
    let containers = object::list(spec, &["containers"]);
    if containers.is_empty() {
        errors.required(format!("{path}.containers"), "");
    }
    let mut seen = Vec::new();
    for list in CONTAINER_LISTS {
        for (i, container) in object::list(spec, &[list]).iter().enumerate() {
            let path = format!("{path}.{list}[{i}]");
            let name = object::text(container, &["name"]);
            if name.is_empty() {
                errors.required(format!("{path}.name"), "");
            } else if let Some(problem) = names::label(name) {
                errors.invalid(format!("{path}.name"), name, problem);
            } else if seen.contains(&name) {
                errors.push(format!("{path}.name"), Problem::Duplicate(name.into()));
            }
            seen.push(name);
            if object::text(container, &["image"]).is_empty() {
                errors.required(format!("{path}.image"), "");
            }
            validate_ports(container, &path, errors);
        }
    }
    let policy = spec.get("restartPolicy").unwrap_or(&Value::Null);
    errors.one_of(format!("{path}.restartPolicy"), policy, &["Always", "OnFailure", "Never"]);
    let dns = spec.get("dnsPolicy").unwrap_or(&Value::Null);
    errors.one_of(
        format!("{path}.dnsPolicy"),
        dns,
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    );
}

fn validate_ports(container: &Value, path: &str, errors: &mut Errors) {
    let mut names = Vec::new();
    for (i, port) in object::list(container, &["ports"]).iter().enumerate() {
        let path = format!("{path}.ports[{i}]");
        for field in ["containerPort", "hostPort"] {
            match object::int(port, &[field]) {
                Some(1..=65535) => {}
                Some(number) => errors.invalid(format!("{path}.{field}"), number, PORT_RANGE),
                None if field == "containerPort" => errors.required(format!("{path}.{field}"), ""),
                None => {}
            }
        }
        let protocol = port.get("protocol").unwrap_or(&Value::Null);
        errors.one_of(format!("{path}.protocol"), protocol, &PROTOCOLS);
        let name = object::text(port, &["name"]);
        if !name.is_empty() {
            if let Some(problem) = port_name(name) {
                errors.invalid(format!("{path}.name"), name, problem);
            } else if names.contains(&name) {
                errors.push(format!("{path}.name"), Problem::Duplicate(name.into()));
            }
            names.push(name);
        }
    }
}

pub(super) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";
pub(super) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What is wrong with the name of a container's port (`IANA_SVC_NAME`).
pub(super) fn port_name(name: &str) -> Option<&'static str> {
    if name.len() > 15 {
        return Some("must be no more than 15 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        return Some("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        return Some("must not contain consecutive hyphens");
    }
    (name.starts_with('-') || name.ends_with('-')).then_some("must not begin or end with a hyphen")
}

fn qos_class(pod: &Value) -> &'static str {
    let containers = CONTAINER_LISTS.iter().flat_map(|list| object::list(pod, &["spec", list]));
    let (mut any, mut all) = (false, true);
    for container in containers {
        for name in ["cpu", "memory"] {
            let request = object::at(container, &["resources", "requests", name]);
            let limit = object::at(container, &["resources", "limits", name]);
            any |= request.is_some() || limit.is_some();
            all &= limit.is_some() && request == limit;
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
