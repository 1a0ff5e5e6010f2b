//! The lab's Kubernetes API.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod, Service, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{Lab, until};

/// Condition without which a pod that has a [`gate`] is not ready.
const GATE: &str = "lab.kvswitch.io/open";

/// What the `spec` of a pod has for [`Api::set_pod_ready`] to count everywhere. Such a pod is not ready before it is told to be.
#[must_use]
pub fn gate() -> Value {
    json!({"readinessGates": [{"conditionType": GATE}]})
}

/// A client that blocks.
pub struct Api {
    runtime: Runtime,
    client: Client,
    nodes: kube::Api<Node>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    /// Of a lab.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let path = lab.ok(&["kubeconfig"]);
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(path.trim()).unwrap();
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            Client::try_from(config).unwrap()
        });
        Self { runtime, nodes: kube::Api::all(client.clone()), client }
    }

    /// Deletes a Node.
    pub fn delete_node(&self, name: &str) {
        self.runtime.block_on(self.nodes.delete(name, &DeleteParams::default())).unwrap();
    }

    /// Creates a Node with these pod CIDRs and InternalIPs.
    pub fn create_node(&self, name: &str, pod_cidrs: &[&str], addresses: &[&str]) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "spec": {"podCIDR": pod_cidrs.first(), "podCIDRs": pod_cidrs},
        });
        let node: Node = serde_json::from_value(node).unwrap();
        self.runtime.block_on(self.nodes.create(&PostParams::default(), &node)).unwrap();
        self.set_addresses(name, addresses);
    }

    /// Changes a Node's InternalIPs.
    pub fn set_addresses(&self, name: &str, addresses: &[&str]) {
        let addresses: Vec<Value> =
            addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
        let patch = Patch::Merge(json!({"status": {"addresses": addresses}}));
        self.runtime.block_on(self.nodes.patch_status(name, &PatchParams::default(), &patch)).unwrap();
    }

    fn pods(&self, namespace: &str) -> kube::Api<Pod> {
        kube::Api::namespaced(self.client.clone(), namespace)
    }

    /// Whether a Pod is there, if only to end.
    #[must_use]
    pub fn has_pod(&self, namespace: &str, name: &str) -> bool {
        self.runtime.block_on(self.pods(namespace).get_opt(name)).unwrap().is_some()
    }

    /// Whether a namespace has the account of its pods, which a real control plane makes.
    #[must_use]
    pub fn has_account(&self, namespace: &str) -> bool {
        let accounts: kube::Api<ServiceAccount> = kube::Api::namespaced(self.client.clone(), namespace);
        self.runtime.block_on(accounts.get_opt("default")).unwrap().is_some()
    }

    /// Deletes a Pod: its kubelet is to end it. With `now` nobody is asked.
    pub fn delete_pod(&self, namespace: &str, name: &str, now: bool) {
        let params = DeleteParams { grace_period_seconds: now.then_some(0), ..DeleteParams::default() };
        self.runtime.block_on(self.pods(namespace).delete(name, &params)).unwrap();
    }

    /// Changes a Pod's status, as its kubelet would.
    pub fn set_pod_status(&self, namespace: &str, name: &str, status: &Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.runtime
            .block_on(self.pods(namespace).patch_status(name, &PatchParams::default(), &patch))
            .unwrap();
    }

    /// Sets a Pod's Ready condition, as its kubelet would after a probe. A real kubelet goes by what it has of readiness itself:
    /// there the Pod needs a [`gate`].
    pub fn set_pod_ready(&self, namespace: &str, name: &str, ready: bool) {
        let ready = if ready { "True" } else { "False" };
        let conditions = ["Ready", GATE].map(|kind| json!({"type": kind, "status": ready}));
        let patch = Patch::Strategic(json!({"status": {"conditions": conditions}}));
        self.runtime
            .block_on(self.pods(namespace).patch_status(name, &PatchParams::default(), &patch))
            .unwrap();
    }

    /// Puts a Node into a zone.
    pub fn set_zone(&self, node: &str, zone: &str) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}));
        self.runtime.block_on(self.nodes.patch(node, &PatchParams::default(), &patch)).unwrap();
    }

    fn services(&self) -> kube::Api<Service> {
        kube::Api::namespaced(self.client.clone(), "default")
    }

    /// A Service of the namespace `default`.
    fn service(&self, name: &str) -> Service {
        self.runtime.block_on(self.services().get(name)).unwrap()
    }

    /// The ClusterIPs of a Service of the namespace `default`, IPv4's first, once it has been given both.
    #[must_use]
    pub fn cluster_ips(&self, name: &str) -> [IpAddr; 2] {
        let mut ips = Vec::new();
        until(&format!("{name} to be given addresses"), || {
            let spec = self.service(name).spec.unwrap();
            ips = spec.cluster_ips.into_iter().flatten().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
            ips.len() == 2
        });
        ips.sort_unstable();
        [ips[0], ips[1]]
    }

    /// The node port of a port of a Service of the namespace `default`, once there is one.
    #[must_use]
    pub fn node_port(&self, name: &str, port: &str) -> u16 {
        let mut number = None;
        until(&format!("{name} to be given node ports"), || {
            let ports = self.service(name).spec.unwrap().ports.unwrap();
            number = ports.iter().find(|p| p.name.as_deref() == Some(port)).unwrap().node_port;
            number.is_some()
        });
        number.unwrap().try_into().unwrap()
    }

    /// Gives a Service of the namespace `default` a load balancer's addresses, as a cloud would.
    pub fn set_load_balancer(&self, name: &str, addresses: &[IpAddr]) {
        let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip, "ipMode": "VIP"})).collect();
        let patch = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": ingress}}}));
        self.runtime.block_on(self.services().patch_status(name, &PatchParams::default(), &patch)).unwrap();
    }
}
