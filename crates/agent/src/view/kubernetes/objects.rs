//! What is decoded of the API's objects: these fields and no others.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use policy::rules::Protocol;
use policy::spec::{NamedPort, NetworkPolicySpec};
use serde::{Deserialize, Serialize};

use super::super::ClusterPod;
use crate::host_ports::HostPort;

/// The kubelet's name for a static pod, which its mirror in the API carries.
const STATIC_POD_HASH: &str = "kubernetes.io/config.hash";

/// A namespace.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Namespace)]
pub(super) struct NamespaceMeta {
    pub(super) metadata: ObjectMeta,
}

/// A NetworkPolicy.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = NetworkPolicy)]
pub(super) struct PolicyView {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: NetworkPolicySpec,
}

/// A pod.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Pod)]
pub(super) struct PodView {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    host_network: Option<bool>,
    containers: Vec<Container>,
    init_containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    ports: Option<Vec<ContainerPort>>,
    /// `Always` makes an init container a sidecar, which runs as long as the pod.
    restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    name: Option<String>,
    protocol: Option<String>,
    container_port: i32,
    host_port: Option<i32>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: String,
}

impl PodView {
    pub(super) fn into_pod(self) -> ClusterPod {
        let Self { metadata, spec, status } = self;
        let hash = metadata.annotations.and_then(|mut annotations| annotations.remove(STATIC_POD_HASH));
        let sidecars = spec.init_containers.into_iter().flatten();
        let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports = spec.containers.into_iter().chain(sidecars).flat_map(|c| c.ports.unwrap_or_default());
        let ports: Vec<ContainerPort> = ports.collect();
        // A list that is there includes the single address.
        let addresses: Vec<String> = match status.pod_ips {
            Some(addresses) => addresses.into_iter().map(|address| address.ip).collect(),
            None => status.pod_ip.into_iter().collect(),
        };
        let namespace = metadata.namespace.unwrap_or_default();
        ClusterPod {
            pod: super::PodRef { namespace: namespace.clone(), name: metadata.name.unwrap_or_default() },
            uids: metadata.uid.into_iter().chain(hash).collect(),
            node: spec.node_name.unwrap_or_default(),
            host_network: spec.host_network.unwrap_or_default(),
            ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
            host_ports: ports.iter().filter_map(on_host).collect(),
            facts: policy::spec::Pod {
                namespace,
                labels: metadata.labels.unwrap_or_default(),
                ports: ports.into_iter().filter_map(named).collect(),
                addresses: addresses.iter().filter_map(|address| address.parse().ok()).collect(),
            },
        }
    }
}

/// The port, if policies can name it.
fn named(port: ContainerPort) -> Option<NamedPort> {
    let protocol = protocol(&port)?;
    Some(NamedPort { name: port.name?, protocol, port: u16::try_from(port.container_port).ok()? })
}

/// The port, if the node is to have it.
fn on_host(port: &ContainerPort) -> Option<HostPort> {
    let address = port.host_ip.as_deref().filter(|address| !address.is_empty());
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number != 0);
    Some(HostPort {
        // What is no address is the API server's to refuse.
        address: address.map(str::parse).transpose().ok()?,
        port: number(port.host_port?)?,
        protocol: protocol(port)?,
        target: number(port.container_port)?,
    })
}

fn protocol(port: &ContainerPort) -> Option<Protocol> {
    Some(match port.protocol.as_deref() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_what_policies_look_at() {
        let pod: PodView = serde_json::from_value(json!({
            "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "u1", "labels": {"app": "web"},
                "annotations": {STATIC_POD_HASH: "h1"},
            },
            "spec": {
                "nodeName": "node-1",
                "containers": [
                    {"name": "a", "ports": [
                        {"name": "http", "containerPort": 80, "hostPort": 8080, "hostIP": "192.0.2.1"},
                        {"containerPort": 81, "hostPort": 0},
                    ]},
                    {"name": "b"},
                ],
                "initContainers": [
                    {"name": "c", "ports": [{"name": "once", "containerPort": 90}]},
                    {"name": "d", "restartPolicy": "Always",
                     "ports": [{"name": "dns", "protocol": "UDP", "containerPort": 53}]},
                ],
            },
            "status": {"phase": "Running", "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}, {"ip": "fd00::9"}]},
        }))
        .unwrap();
        let pod = pod.into_pod();
        assert_eq!(pod.uids, ["u1", "h1"]);
        assert_eq!((pod.node.as_str(), pod.host_network, pod.ended), ("node-1", false, false));
        let port = |name: &str, protocol, port| NamedPort { name: name.into(), protocol, port };
        assert_eq!(pod.facts.ports, [port("http", Protocol::Tcp, 80), port("dns", Protocol::Udp, 53)]);
        assert_eq!(pod.facts.addresses.len(), 2);
        let address = Some("192.0.2.1".parse().unwrap());
        assert_eq!(pod.host_ports, [HostPort { address, port: 8080, protocol: Protocol::Tcp, target: 80 }]);
    }

    #[test]
    fn a_pod_that_has_only_a_name_decodes() {
        let pod: PodView = serde_json::from_value(json!({"metadata": {"name": "x"}})).unwrap();
        let pod = pod.into_pod();
        assert!(pod.facts.addresses.is_empty() && pod.node.is_empty());
    }
}
