//! Columns and cells of the built-in kinds.

use serde_json::{Value, json};

use super::{age_of, pod};
use crate::{
    object::{self, at, int, list, text},
    resource::Resource,
    strategy::selector_text,
};

type Columns = &'static [(&'static str, i64)];

/// The columns of a kind: name and priority; those with priority 1 are shown by `-o wide`.
pub(super) fn columns(resource: &Resource) -> Columns {
    match &*resource.kind {
        "Pod" => &[
            ("Name", 0),
            ("Ready", 0),
            ("Status", 0),
            ("Restarts", 0),
            ("Age", 0),
            ("IP", 1),
            ("Node", 1),
            ("Nominated Node", 1),
            ("Readiness Gates", 1),
        ],
        "Node" => &[
            ("Name", 0),
            ("Status", 0),
            ("Roles", 0),
            ("Age", 0),
            ("Version", 0),
            ("Internal-IP", 1),
            ("External-IP", 1),
            ("OS-Image", 1),
            ("Kernel-Version", 1),
            ("Container-Runtime", 1),
        ],
        "Namespace" => &[("Name", 0), ("Status", 0), ("Age", 0)],
        "Service" => &[
            ("Name", 0),
            ("Type", 0),
            ("Cluster-IP", 0),
            ("External-IP", 0),
            ("Port(s)", 0),
            ("Age", 0),
            ("Selector", 1),
        ],
        "Endpoints" => &[("Name", 0), ("Endpoints", 0), ("Age", 0)],
        "EndpointSlice" => &[("Name", 0), ("AddressType", 0), ("Ports", 0), ("Endpoints", 0), ("Age", 0)],
        "Deployment" => &[
            ("Name", 0),
            ("Ready", 0),
            ("Up-to-date", 0),
            ("Available", 0),
            ("Age", 0),
            ("Containers", 1),
            ("Images", 1),
            ("Selector", 1),
        ],
        "ReplicaSet" => &[
            ("Name", 0),
            ("Desired", 0),
            ("Current", 0),
            ("Ready", 0),
            ("Age", 0),
            ("Containers", 1),
            ("Images", 1),
            ("Selector", 1),
        ],
        "DaemonSet" => &[
            ("Name", 0),
            ("Desired", 0),
            ("Current", 0),
            ("Ready", 0),
            ("Up-to-date", 0),
            ("Available", 0),
            ("Node Selector", 0),
            ("Age", 0),
            ("Containers", 1),
            ("Images", 1),
            ("Selector", 1),
        ],
        "Event" => &[
            ("Last Seen", 0),
            ("Type", 0),
            ("Reason", 0),
            ("Object", 0),
            ("Subobject", 1),
            ("Source", 1),
            ("Message", 0),
            ("First Seen", 1),
            ("Count", 1),
            ("Name", 1),
        ],
        "ConfigMap" => &[("Name", 0), ("Data", 0), ("Age", 0)],
        "Secret" => &[("Name", 0), ("Type", 0), ("Data", 0), ("Age", 0)],
        "ServiceAccount" => &[("Name", 0), ("Secrets", 0), ("Age", 0)],
        "Lease" => &[("Name", 0), ("Holder", 0), ("Age", 0)],
        "NetworkPolicy" => &[("Name", 0), ("Pod-Selector", 0), ("Age", 0)],
        "Ingress" => &[("Name", 0), ("Class", 0), ("Hosts", 0), ("Address", 0), ("Ports", 0), ("Age", 0)],
        "PodDisruptionBudget" => &[
            ("Name", 0),
            ("Min Available", 0),
            ("Max Unavailable", 0),
            ("Allowed Disruptions", 0),
            ("Age", 0),
        ],
        "PriorityClass" => &[("Name", 0), ("Value", 0), ("Global-Default", 0), ("Age", 0)],
        "RoleBinding" | "ClusterRoleBinding" => &[("Name", 0), ("Role", 0), ("Age", 0)],
        "Role" | "ClusterRole" | "CustomResourceDefinition" => &[("Name", 0), ("Created At", 0)],
        _ => &[("Name", 0), ("Age", 0)],
    }
}

/// The cells of an object, one for each of its kind's columns.
pub(super) fn cells(resource: &Resource, o: &Value) -> Vec<Value> {
    let created = text(o, &["metadata", "creationTimestamp"]);
    let name = json!(object::name(o));
    let age = json!(age_of(created));
    let number = |path: &[&str]| json!(int(o, path).unwrap_or(0));
    let count = |path: &[&str]| at(o, path).and_then(Value::as_object).map_or(0, serde_json::Map::len);
    let shown = |path: &[&str]| json!(text(o, path));
    let selector = || {
        let selector = at(o, &["spec", "selector"]).and_then(selector_text).unwrap_or_default();
        json!(pod::or_none(&selector))
    };
    match &*resource.kind {
        "Pod" => pod::cells(o),
        "Node" => node(o, age),
        "Namespace" => vec![name, shown(&["status", "phase"]), age],
        "Service" => service(o, age),
        "Endpoints" => vec![name, json!(endpoints(o)), age],
        "EndpointSlice" => endpoint_slice(o, age),
        "Deployment" => {
            let ready = int(o, &["status", "readyReplicas"]).unwrap_or(0);
            let wanted = int(o, &["spec", "replicas"]).unwrap_or(0);
            let (containers, images) = containers(o);
            vec![
                name,
                json!(format!("{ready}/{wanted}")),
                number(&["status", "updatedReplicas"]),
                number(&["status", "availableReplicas"]),
                age,
                containers,
                images,
                selector(),
            ]
        }
        "ReplicaSet" => {
            let (containers, images) = containers(o);
            vec![
                name,
                number(&["spec", "replicas"]),
                number(&["status", "replicas"]),
                number(&["status", "readyReplicas"]),
                age,
                containers,
                images,
                selector(),
            ]
        }
        "DaemonSet" => {
            let (containers, images) = containers(o);
            vec![
                name,
                number(&["status", "desiredNumberScheduled"]),
                number(&["status", "currentNumberScheduled"]),
                number(&["status", "numberReady"]),
                number(&["status", "updatedNumberScheduled"]),
                number(&["status", "numberAvailable"]),
                json!(labels(at(o, &["spec", "template", "spec", "nodeSelector"]))),
                age,
                containers,
                images,
                selector(),
            ]
        }
        "Event" => event(o),
        "ConfigMap" => vec![name, json!(count(&["data"]) + count(&["binaryData"])), age],
        "Secret" => vec![name, shown(&["type"]), json!(count(&["data"])), age],
        "ServiceAccount" => vec![name, json!(list(o, &["secrets"]).len()), age],
        "Lease" => vec![name, shown(&["spec", "holderIdentity"]), age],
        "NetworkPolicy" => {
            let selector = at(o, &["spec", "podSelector"]).and_then(selector_text).unwrap_or_default();
            vec![name, json!(pod::or_none(&selector)), age]
        }
        "Ingress" => ingress(o, age),
        "PodDisruptionBudget" => {
            let limit = |field: &str| match at(o, &["spec", field]) {
                None => json!("N/A"),
                Some(Value::String(text)) => json!(text),
                Some(other) => json!(other.to_string()),
            };
            let allowed = number(&["status", "disruptionsAllowed"]);
            vec![name, limit("minAvailable"), limit("maxUnavailable"), allowed, age]
        }
        "PriorityClass" => {
            let default = o.get("globalDefault") == Some(&Value::Bool(true));
            vec![name, number(&["value"]), json!(default.to_string()), age]
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = format!("{}/{}", text(o, &["roleRef", "kind"]), text(o, &["roleRef", "name"]));
            vec![name, json!(role), age]
        }
        "Role" | "ClusterRole" | "CustomResourceDefinition" => vec![name, json!(created)],
        _ => vec![name, age],
    }
}

fn node(o: &Value, age: Value) -> Vec<Value> {
    let conditions = list(o, &["status", "conditions"]);
    let ready = conditions.iter().find(|c| text(c, &["type"]) == "Ready");
    let mut status = match ready.map(|c| text(c, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if at(o, &["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = at(o, &["metadata", "labels"]).and_then(Value::as_object).into_iter().flatten();
    let roles: Vec<&str> = labels
        .filter_map(|(key, value)| match key.as_str() {
            "kubernetes.io/role" => value.as_str(),
            _ => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .collect();
    let address = |ty: &str| {
        let addresses = list(o, &["status", "addresses"]);
        let address = addresses.iter().find(|a| text(a, &["type"]) == ty);
        json!(pod::or_none(address.map_or("", |a| text(a, &["address"]))))
    };
    let info = |field: &str| {
        let text = text(o, &["status", "nodeInfo", field]);
        json!(if text.is_empty() { "<unknown>" } else { text })
    };
    vec![
        json!(object::name(o)),
        json!(status),
        json!(pod::or_none(&roles.join(","))),
        age,
        json!(text(o, &["status", "nodeInfo", "kubeletVersion"])),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn service(o: &Value, age: Value) -> Vec<Value> {
    let ty = text(o, &["spec", "type"]);
    let ports: Vec<String> = list(o, &["spec", "ports"])
        .iter()
        .map(|port| {
            let (number, protocol) = (int(port, &["port"]).unwrap_or(0), text(port, &["protocol"]));
            match int(port, &["nodePort"]).filter(|n| *n != 0) {
                Some(node) => format!("{number}:{node}/{protocol}"),
                None => format!("{number}/{protocol}"),
            }
        })
        .collect();
    let strings = |path: &[&str]| -> Vec<&str> { list(o, path).iter().filter_map(Value::as_str).collect() };
    let mut external = strings(&["spec", "externalIPs"]);
    let ingress = list(o, &["status", "loadBalancer", "ingress"]);
    if ty == "LoadBalancer" {
        external.extend(ingress.iter().map(|i| {
            let ip = text(i, &["ip"]);
            if ip.is_empty() { text(i, &["hostname"]) } else { ip }
        }));
    }
    let external = match (ty, external.is_empty()) {
        ("ExternalName", _) => text(o, &["spec", "externalName"]).to_owned(),
        ("LoadBalancer", true) => "<pending>".to_owned(),
        (_, true) => "<none>".to_owned(),
        (_, false) => external.join(","),
    };
    vec![
        json!(object::name(o)),
        json!(ty),
        json!(pod::or_none(text(o, &["spec", "clusterIP"]))),
        json!(external),
        json!(pod::or_none(&ports.join(","))),
        age,
        json!(labels(at(o, &["spec", "selector"]))),
    ]
}

/// Some elements of a list, and how many more there are.
fn some(items: &[String], most: usize) -> String {
    let first: Vec<&str> = items.iter().take(most).map(String::as_str).collect();
    match items.len().saturating_sub(most) {
        0 if items.is_empty() => "<none>".to_owned(),
        0 => first.join(","),
        more => format!("{} + {more} more...", first.join(",")),
    }
}

fn endpoints(o: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(o, &["subsets"]) {
        let ports = list(subset, &["ports"]);
        for address in list(subset, &["addresses"]) {
            let ip = text(address, &["ip"]);
            let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            all.extend(ports.iter().map(|p| format!("{ip}:{}", int(p, &["port"]).unwrap_or(0))));
        }
    }
    some(&all, 3)
}

fn endpoint_slice(o: &Value, age: Value) -> Vec<Value> {
    let ports: Vec<String> = list(o, &["ports"])
        .iter()
        .map(|p| int(p, &["port"]).map_or_else(|| text(p, &["name"]).to_owned(), |n| n.to_string()))
        .collect();
    let addresses: Vec<String> = list(o, &["endpoints"])
        .iter()
        .flat_map(|e| list(e, &["addresses"]))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let unset = |items: &[String]| {
        let shown = some(items, 3);
        if shown == "<none>" { "<unset>".to_owned() } else { shown }
    };
    vec![
        json!(object::name(o)),
        json!(text(o, &["addressType"])),
        json!(unset(&ports)),
        json!(unset(&addresses)),
        age,
    ]
}

fn event(o: &Value) -> Vec<Value> {
    let core = at(o, &["involvedObject"]).is_some();
    let pick = |core_path: &[&'static str], events: &[&'static str]| {
        text(o, if core { core_path } else { events }).to_owned()
    };
    let regarding = if core { "involvedObject" } else { "regarding" };
    let kind = text(o, &[regarding, "kind"]).to_lowercase();
    let object = format!("{kind}/{}", text(o, &[regarding, "name"]));
    let time = text(o, &["eventTime"]);
    let or_time = |text: String| if text.is_empty() { time.to_owned() } else { text };
    let first = or_time(pick(&["firstTimestamp"], &["deprecatedFirstTimestamp"]));
    let mut last = or_time(pick(&["lastTimestamp"], &["deprecatedLastTimestamp"]));
    let series = text(o, &["series", "lastObservedTime"]);
    if !series.is_empty() {
        last = series.to_owned();
    }
    let count = int(o, &["series", "count"]).or(int(o, &[if core { "count" } else { "deprecatedCount" }]));
    let component = pick(&["source", "component"], &["deprecatedSource", "component"]);
    let reporter = pick(&["reportingComponent"], &["reportingController"]);
    let host = pick(&["source", "host"], &["deprecatedSource", "host"]);
    let component = if component.is_empty() { reporter } else { component };
    let source = if host.is_empty() { component } else { format!("{component}, {host}") };
    vec![
        json!(age_of(&last)),
        json!(text(o, &["type"])),
        json!(text(o, &["reason"])),
        json!(object),
        json!(text(o, &[regarding, "fieldPath"])),
        json!(source),
        json!(pick(&["message"], &["note"]).trim()),
        json!(age_of(&first)),
        json!(count.unwrap_or(1)),
        json!(object::name(o)),
    ]
}

fn ingress(o: &Value, age: Value) -> Vec<Value> {
    let hosts: Vec<String> = list(o, &["spec", "rules"])
        .iter()
        .map(|rule| text(rule, &["host"]))
        .map(|host| if host.is_empty() { "*" } else { host }.to_owned())
        .collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { some(&hosts, 3) };
    let addresses: Vec<&str> =
        list(o, &["status", "loadBalancer", "ingress"]).iter().map(|i| text(i, &["ip"])).collect();
    let ports = if list(o, &["spec", "tls"]).is_empty() { "80" } else { "80, 443" };
    vec![
        json!(object::name(o)),
        json!(pod::or_none(text(o, &["spec", "ingressClassName"]))),
        json!(hosts),
        json!(addresses.join(",")),
        json!(ports),
        age,
    ]
}

fn containers(o: &Value) -> (Value, Value) {
    let containers = list(o, &["spec", "template", "spec", "containers"]);
    let joined = |field: &str| {
        let texts: Vec<&str> = containers.iter().map(|c| text(c, &[field])).collect();
        json!(texts.join(","))
    };
    (joined("name"), joined("image"))
}

fn labels(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pod::or_none(&pairs.join(",")).to_owned()
}
