//! The node's own object: its registration and its readiness.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::layout::NodeLayout;
use crate::runtime::Runtime;
use crate::serve::SctpResponder;

/// How often a node that is not ready is looked at, and one that is.
const LOOK_SOON: Duration = Duration::from_millis(100);
const LOOK_LATER: Duration = Duration::from_secs(2);

/// A ready node says so again after this time: real control planes give nodes up after 40 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// A node as its kubelet knows it.
pub struct LabNode {
    /// Its name.
    pub name: String,
    /// File of its network namespace.
    pub netns: PathBuf,
    /// Its files.
    pub layout: NodeLayout,
    /// Its underlay addresses, the cluster's preferred family first.
    pub addresses: Vec<IpAddr>,
    /// Its container runtime.
    pub runtime: Runtime,
    /// Answers SCTP in the node's namespace.
    pub sctp: Arc<SctpResponder>,
}

/// Creates the node's object. `pod_cidrs` are set where no control plane allocates them.
///
/// # Errors
/// When the API refuses.
pub async fn register(
    client: &Client,
    name: &str,
    addresses: &[IpAddr],
    pod_cidrs: &[IpNet],
) -> Result<(), kube::Error> {
    let cidrs: Vec<String> = pod_cidrs.iter().map(ToString::to_string).collect();
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": std::env::consts::ARCH,
        }},
    });
    if let (Some(first), Some(object)) = (cidrs.first(), node.as_object_mut()) {
        object.insert("spec".to_owned(), json!({"podCIDR": first, "podCIDRs": cidrs}));
    }
    let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
    let api: Api<Node> = Api::all(client.clone());
    match api.create(&PostParams::default(), &node).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(error),
    }
    let mut listed: Vec<Value> =
        addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
    listed.push(json!({"type": "Hostname", "address": name}));
    let capacity = json!({"cpu": "64", "memory": "256Gi", "pods": "10000"});
    let status = json!({
        "addresses": listed,
        "capacity": capacity,
        "allocatable": capacity,
        "nodeInfo": {
            "kubeletVersion": concat!("kvs-lab/", env!("CARGO_PKG_VERSION")),
            "containerRuntimeVersion": "kvs-lab://netns",
            "operatingSystem": "linux",
            "architecture": std::env::consts::ARCH,
            "osImage": "kvs-lab",
            "kernelVersion": kernel_version(),
            "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": "",
        },
    });
    // As a whole: a strategic merge would keep one address of each type.
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.map(|_| ())
}

fn kernel_version() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Keeps the node's Ready condition: it is ready when its network is configured and the plugin says so.
pub async fn watch_readiness(client: Client, name: String, runtime: Runtime) {
    let api: Api<Node> = Api::all(client);
    let mut shown: Option<(bool, String)> = None;
    let mut since = Timestamp::now();
    let mut told = tokio::time::Instant::now();
    loop {
        let now = match runtime.status().await {
            Ok(()) => (true, "the network plugin is ready".to_owned()),
            Err(error) => (false, format!("the network plugin is not ready: {error}")),
        };
        if shown.as_ref() != Some(&now) || told.elapsed() > HEARTBEAT {
            if shown.as_ref().map(|shown| shown.0) != Some(now.0) {
                since = Timestamp::now();
            }
            match patch_conditions(&api, &name, &conditions(now.0, &now.1, since)).await {
                Ok(()) => {
                    shown = Some(now);
                    told = tokio::time::Instant::now();
                }
                Err(error) => tracing::warn!(%error, node = name, "the node's status was not written"),
            }
        }
        let ready = shown.as_ref().is_some_and(|shown| shown.0);
        tokio::time::sleep(if ready { LOOK_LATER } else { LOOK_SOON }).await;
    }
}

fn conditions(ready: bool, message: &str, since: Timestamp) -> Value {
    let (now, since) = (Timestamp::now().to_string(), since.to_string());
    let mut conditions = vec![json!({
        "type": "Ready",
        "status": if ready { "True" } else { "False" },
        "reason": if ready { "KubeletReady" } else { "KubeletNotReady" },
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": since,
    })];
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        conditions.push(json!({
            "type": kind, "status": "False", "reason": "KubeletHasSufficientResources", "message": "",
            "lastHeartbeatTime": now, "lastTransitionTime": since,
        }));
    }
    json!({"conditions": conditions})
}

async fn patch_conditions(api: &Api<Node>, name: &str, status: &Value) -> Result<(), kube::Error> {
    // A strategic merge keeps conditions that others have set, such as NetworkUnavailable.
    let patch = Patch::Strategic(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.map(|_| ())
}
