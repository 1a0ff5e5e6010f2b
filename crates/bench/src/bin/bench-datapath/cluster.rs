//! The objects of a cluster: the measured pods, policies, Services and their endpoints.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

pub(crate) const POLICIES: usize = 1_000;
pub(crate) const SERVICES: usize = 1_000;

/// First of the ports that the measured pods serve, and how many are allowed.
pub(crate) const FIRST_PORT: u16 = 5_000;
pub(crate) const LAST_PORT: u16 = 5_099;

/// A pod that nothing runs in.
pub(crate) fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"role": "measured"}},
        "spec": {"nodeName": node, "containers": [{"name": "none", "image": "none"}]},
    })
}

/// Policies of all measured pods in both directions. One allows what is measured: the last one that is asked is as likely as
/// the first. The others are about other ports, other peers, and blocks of addresses.
pub(crate) fn policies() -> Vec<Value> {
    (0..POLICIES).map(policy).collect()
}

fn policy(number: usize) -> Value {
    let (peer, port) = match number % 4 {
        _ if number == POLICIES / 2 => {
            (json!({"podSelector": {"matchLabels": {"role": "measured"}}}), usize::from(FIRST_PORT))
        }
        0 => (json!({"podSelector": {"matchLabels": {"app": format!("app-{number}")}}}), 80),
        1 => (json!({"podSelector": {}}), 10_000 + number),
        2 => {
            let cidr = format!("192.{}.0.0/{}", number % 256, 9 + number % 20);
            (json!({"ipBlock": {"cidr": cidr}}), 443)
        }
        _ => (json!({"namespaceSelector": {"matchLabels": {"team": format!("team-{number}")}}}), 8080),
    };
    let end = if number == POLICIES / 2 { usize::from(LAST_PORT) } else { port };
    let ports: Vec<Value> =
        ["TCP", "UDP"].map(|protocol| json!({"protocol": protocol, "port": port, "endPort": end})).into();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": format!("policy-{number}"), "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"role": "measured"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [peer.clone()], "ports": ports.clone()}],
            "egress": [{"to": [peer], "ports": ports}],
        },
    })
}

/// Services and their slices. Their endpoints are nobody's.
pub(crate) fn services() -> Vec<Value> {
    (0..SERVICES).flat_map(|number| [service(number), slice(number)]).collect()
}

/// A Service's ClusterIP.
pub(crate) fn cluster_ip(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    Ipv4Addr::new(10, 96, 0x10 | high, low)
}

/// A Service's endpoints.
pub(crate) fn elsewhere(number: usize) -> [Ipv4Addr; 3] {
    let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    [100, 101, 102].map(|net| Ipv4Addr::new(10, net, high, low))
}

fn service(number: usize) -> Value {
    let address = cluster_ip(number).to_string();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("service-{number}"), "namespace": "default"},
        "spec": {
            "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    })
}

fn slice(number: usize) -> Value {
    let name = format!("service-{number}");
    let endpoints: Vec<Value> = elsewhere(number)
        .map(|address| json!({"addresses": [address.to_string()], "conditions": {"ready": true}}))
        .into();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": endpoints, "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    })
}

/// A list of objects.
pub(crate) fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}
