//! Manifests of pods.

use serde_json::{Value, json};

/// Image of all pods' containers. It does nothing, which the lab takes as leave to serve the ports that they declare; simulated
/// pods run no images at all.
pub const IMAGE: &str = "registry.k8s.io/pause:3.10.1";

/// A pod that serves TCP port 80 on a node.
#[must_use]
pub fn pod(name: &str, node: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": format!("node-{node}"), "containers": [
            {"name": "c", "image": IMAGE, "ports": [{"containerPort": 80}]}]},
    })
}

/// Several pods.
#[must_use]
pub fn pods<'a>(places: impl IntoIterator<Item = (&'a str, u16)>) -> Value {
    let items: Vec<Value> = places.into_iter().map(|(name, node)| pod(name, node)).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}
