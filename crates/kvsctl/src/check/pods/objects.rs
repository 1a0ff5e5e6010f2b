//! What is deployed: a namespace, a pod that serves on every node, a Service of them, and pods that ask.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::in_pod::PORT;

/// Pods end by themselves after this many seconds, whatever becomes of who made them.
const DEADLINE: u32 = 600;

/// Names of pods begin so, and a number follows.
pub(super) const SERVER: &str = "server";
pub(super) const CLIENT: &str = "client";

/// Its name is the API's to choose.
pub(super) fn namespace() -> Result<Namespace, serde_json::Error> {
    object(json!({"metadata": {"generateName": "k-vswitch-check-", "labels": {
        "app.kubernetes.io/name": "k-vswitch-check",
        // What the pods may is as little as it gets.
        "pod-security.kubernetes.io/enforce": "restricted",
    }}}))
}

/// All servers by one address of each family.
pub(super) fn service() -> Result<Service, serde_json::Error> {
    let port = |protocol: &str| json!({"name": protocol.to_lowercase(), "protocol": protocol, "port": PORT});
    object(json!({
        "metadata": {"name": SERVER},
        "spec": {"selector": {"app": SERVER}, "ipFamilyPolicy": "PreferDualStack", "ports": [port("TCP"), port("UDP")]},
    }))
}

/// The pod that serves on a node.
pub(super) fn server(number: usize, node: &str, image: &str) -> Result<Pod, serde_json::Error> {
    pod(SERVER, number, node, image, vec!["serve".to_owned()])
}

/// The pod that asks from a node.
pub(super) fn client(
    number: usize,
    node: &str,
    image: &str,
    targets: &[IpAddr],
) -> Result<Pod, serde_json::Error> {
    let words = ["probe".to_owned()].into_iter().chain(targets.iter().map(ToString::to_string));
    pod(CLIENT, number, node, image, words.collect())
}

fn pod(
    role: &str,
    number: usize,
    node: &str,
    image: &str,
    words: Vec<String>,
) -> Result<Pod, serde_json::Error> {
    let args: Vec<String> = ["in-pod".to_owned()].into_iter().chain(words).collect();
    // By the scheduler, unlike nodeName: it knows whether there is room.
    let here = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    object(json!({
        "metadata": {"name": format!("{role}-{number}"), "labels": {"app": role}},
        "spec": {
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}},
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": DEADLINE,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": role, "image": image, "imagePullPolicy": "IfNotPresent",
                "command": ["/usr/bin/kvsctl"], "args": args,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    }))
}

fn object<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(value)
}
