//! Services. Cluster addresses and node ports are allocated by whoever embeds the server.

use serde_json::{Value, json};

use super::{
    Strategy, names,
    pod::{PORT_RANGE, PROTOCOLS, port_name},
};
use crate::{
    object,
    status::{Errors, Problem},
};

#[derive(Debug)]
pub(crate) struct Services;

fn ty(service: &Value) -> &str {
    object::text(service, &["spec", "type"])
}

fn has_node_ports(service: &Value) -> bool {
    matches!(ty(service), "NodePort" | "LoadBalancer")
}

impl Strategy for Services {
    fn default(&self, object: &mut Value) {
        object::default(object, &["spec", "type"], "ClusterIP");
        object::default(object, &["spec", "sessionAffinity"], "None");
        if object::text(object, &["spec", "sessionAffinity"]) == "ClientIP" {
            object::default(object, &["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"], 10800);
        }
        if ty(object) != "ExternalName" {
            object::default(object, &["spec", "internalTrafficPolicy"], "Cluster");
        }
        if has_node_ports(object) {
            object::default(object, &["spec", "externalTrafficPolicy"], "Cluster");
        }
        if ty(object) == "LoadBalancer" {
            object::default(object, &["spec", "allocateLoadBalancerNodePorts"], true);
        }
        for port in object::list_mut(object, &["spec", "ports"]) {
            object::default(port, &["protocol"], "TCP");
            let empty = |target: &Value| target == "" || target == 0;
            if port.get("targetPort").is_none_or(empty)
                && let Some(number) = port.get("port").cloned()
            {
                object::set(port, &["targetPort"], number);
            }
        }
        // One address and the list of addresses say the same.
        let first = object::list(object, &["spec", "clusterIPs"]).first().cloned();
        let single = object::at(object, &["spec", "clusterIP"]).filter(|ip| **ip != "").cloned();
        match (single, first) {
            (Some(ip), None) => object::set(object, &["spec", "clusterIPs"], json!([ip])),
            (None, Some(ip)) => object::set(object, &["spec", "clusterIP"], ip),
            _ => {}
        }
    }

    fn on_create(&self, object: &mut Value) {
        object::set(object, &["status"], json!({"loadBalancer": {}}));
    }

    /// What was allocated stays when an update does not mention it.
    fn on_update(&self, new: &mut Value, old: &Value) {
        if ty(new) == "ExternalName" || ty(old) == "ExternalName" {
            return;
        }
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let absent = object::at(new, &["spec", field]).is_none_or(|v| v == "" || *v == json!([]));
            if absent {
                object::copy(new, old, &["spec", field]);
            }
        }
        if !has_node_ports(new) || !has_node_ports(old) {
            return;
        }
        object::default(
            new,
            &["spec", "healthCheckNodePort"],
            object::at(old, &["spec", "healthCheckNodePort"]).cloned().unwrap_or_default(),
        );
        if object::at(new, &["spec", "healthCheckNodePort"]).is_some_and(Value::is_null) {
            object::remove(new, &["spec", "healthCheckNodePort"]);
        }
        let olds = object::list(old, &["spec", "ports"]);
        for port in object::list_mut(new, &["spec", "ports"]) {
            let same =
                |o: &&Value| o.get("port") == port.get("port") && o.get("protocol") == port.get("protocol");
            if port.get("nodePort").is_none_or(|n| *n == 0)
                && let Some(number) = olds.iter().find(same).and_then(|o| o.get("nodePort")).cloned()
            {
                object::set(port, &["nodePort"], number);
            }
        }
    }

    fn validate(&self, object: &Value, errors: &mut Errors) {
        let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        errors.one_of("spec.type", object::at(object, &["spec", "type"]).unwrap_or(&Value::Null), &types);
        let affinity = object::at(object, &["spec", "sessionAffinity"]).unwrap_or(&Value::Null);
        errors.one_of("spec.sessionAffinity", affinity, &["ClientIP", "None"]);
        for field in ["internalTrafficPolicy", "externalTrafficPolicy"] {
            if let Some(policy) = object::at(object, &["spec", field]) {
                errors.one_of(format!("spec.{field}"), policy, &["Cluster", "Local"]);
            }
        }
        super::meta::labels(object, &["spec", "selector"], "spec.selector", errors);
        let external = ty(object) == "ExternalName";
        if external && object::text(object, &["spec", "externalName"]).is_empty() {
            errors.required("spec.externalName", "");
        }
        let ports = object::list(object, &["spec", "ports"]);
        let headless = object::text(object, &["spec", "clusterIP"]) == "None";
        if ports.is_empty() && !headless && !external {
            errors.required("spec.ports", "");
        }
        validate_addresses(object, errors);
        validate_ports(ports, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        if ty(new) == "ExternalName" || ty(old) == "ExternalName" {
            return;
        }
        let before = object::text(old, &["spec", "clusterIP"]);
        let now = object::text(new, &["spec", "clusterIP"]);
        if !before.is_empty() && before != now {
            errors.invalid("spec.clusterIPs[0]", now, "may not change once set");
        }
    }
}

fn validate_addresses(service: &Value, errors: &mut Errors) {
    for (i, ip) in object::list(service, &["spec", "clusterIPs"]).iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if ip != "None" && ip.parse::<std::net::IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.invalid(format!("spec.clusterIPs[{i}]"), ip, detail);
        }
    }
    for (i, ip) in object::list(service, &["spec", "externalIPs"]).iter().enumerate() {
        let ip = ip.as_str().unwrap_or_default();
        if ip.parse::<std::net::IpAddr>().is_err() {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.invalid(format!("spec.externalIPs[{i}]"), ip, detail);
        }
    }
}

fn validate_ports(ports: &[Value], errors: &mut Errors) {
    let (mut seen, mut seen_names) = (Vec::new(), Vec::new());
    for (i, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        let name = object::text(port, &["name"]);
        if name.is_empty() {
            if ports.len() > 1 {
                errors.required(format!("{path}.name"), "");
            }
        } else if let Some(problem) = names::label(name) {
            errors.invalid(format!("{path}.name"), name, problem);
        } else if seen_names.contains(&name) {
            errors.push(format!("{path}.name"), Problem::Duplicate(name.into()));
        }
        seen_names.push(name);
        match object::int(port, &["port"]) {
            Some(1..=65535) => {}
            other => errors.invalid(format!("{path}.port"), other.unwrap_or_default(), PORT_RANGE),
        }
        let protocol = port.get("protocol").unwrap_or(&Value::Null);
        errors.one_of(format!("{path}.protocol"), protocol, &PROTOCOLS);
        match port.get("targetPort") {
            Some(Value::Number(n)) if !n.as_i64().is_some_and(|n| (1..=65535).contains(&n)) => {
                errors.invalid(format!("{path}.targetPort"), n.clone(), PORT_RANGE);
            }
            Some(Value::String(name)) => {
                if let Some(problem) = port_name(name) {
                    errors.invalid(format!("{path}.targetPort"), name.as_str(), problem);
                }
            }
            _ => {}
        }
        let identity = (port.get("port"), port.get("protocol"));
        if seen.contains(&identity) {
            let duplicate = json!({"port": identity.0, "protocol": identity.1});
            errors.push(path, Problem::Duplicate(duplicate));
        }
        seen.push(identity);
    }
}
