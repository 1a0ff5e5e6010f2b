//! A Node, as far as the controller looks at it.
//!
//! Nodes are big (images, managed fields, the kubelet's conditions) and all of them are kept: what is not used is not
//! even decoded.
// The derive macro wraps a copy of the type in a private scope.
#![allow(unreachable_pub)]

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};

/// A Node.
#[derive(Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = v1::Node)]
#[serde(default)]
pub struct Node {
    /// Name, uid, version and time of creation; nothing else.
    #[serde(deserialize_with = "identity")]
    pub metadata: ObjectMeta,
    /// What the cluster gave it.
    pub spec: Spec,
    /// What its kubelet says.
    pub status: Status,
}

/// A Node's spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// The addresses of its pods, in versions before IPv6.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
    /// The addresses of its pods.
    #[serde(rename = "podCIDRs")]
    pub pod_cidrs: Option<Vec<String>>,
}

/// A Node's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its own addresses.
    pub addresses: Option<Vec<Address>>,
}

/// One of a Node's own addresses.
#[derive(Clone, Debug, Deserialize)]
pub struct Address {
    /// `InternalIP`, `Hostname`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        name: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        creation_timestamp: Option<Time>,
    }
    let Identity { name, uid, resource_version, creation_timestamp } = Identity::deserialize(deserializer)?;
    Ok(ObjectMeta { name, uid, resource_version, creation_timestamp, ..ObjectMeta::default() })
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_used_is_not_kept() {
        let node: Node = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": "a", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"x": "y"}, "annotations": {"x": "y"}, "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"], "taints": []},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                "images": [{"names": ["i"], "sizeBytes": 1}], "nodeInfo": {"architecture": "amd64"},
            },
        }))
        .unwrap();
        assert_eq!((node.name_any().as_str(), node.uid().as_deref()), ("a", Some("u")));
        assert!(
            node.labels().is_empty() && node.annotations().is_empty() && node.managed_fields().is_empty()
        );
        assert!(node.creation_timestamp().is_some() && node.resource_version().is_some());
        let owner = node.owner_ref(&()).unwrap();
        assert_eq!(
            (owner.kind.as_str(), owner.api_version.as_str(), owner.uid.as_str()),
            ("Node", "v1", "u")
        );
        assert_eq!(node.spec.pod_cidrs.unwrap(), ["10.0.1.0/24"]);
        assert_eq!(node.status.addresses.unwrap()[0].address, "192.0.2.1");
    }

    #[test]
    fn a_node_that_has_only_a_name_is_one() {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
        assert_eq!(crate::plan::NodeFacts::from(&node).internal_ip, None);
    }
}
