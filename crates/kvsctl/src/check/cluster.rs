//! The cluster, as its API has it: every node must have addresses for pods, and its daemon must be done.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use api::{DualStack, NodeConfig, VSwitchConfig, condition};
use k8s_openapi::api::core::v1::{Node as NodeObject, Service};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use super::finding::{Check, Finding};

const CHECK: Check = Check("cluster");

/// Time for the API to answer everything.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What the API has.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The nodes.
    pub(super) nodes: Vec<Node>,
    /// Whether the API knows VSwitchConfigs: k-vswitch has been installed.
    pub(super) installed: bool,
    /// The address of the Service `kubernetes`, which is one of the Service CIDR.
    pub(super) api_service: Option<IpAddr>,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Its name.
    pub(super) name: String,
    /// Its addresses of the type InternalIP.
    pub(super) addresses: Vec<IpAddr>,
    /// Its pod CIDRs.
    pub(super) pod_cidrs: Vec<String>,
    /// Its container runtime: `containerd://1.7.24`.
    pub(super) runtime: Option<String>,
    /// Its VSwitchConfig.
    pub(super) config: Option<VSwitchConfig>,
}

impl Node {
    /// What its VSwitchConfig says, if it can be used.
    pub(super) fn parsed(&self) -> Option<NodeConfig> {
        self.config.as_ref().and_then(|config| NodeConfig::try_from(config).ok())
    }

    /// The MTU of its pods, as its daemon has told it.
    pub(super) fn pod_mtu(&self) -> Option<u32> {
        self.config.as_ref()?.status.as_ref()?.mtu.map(u32::from)
    }

    /// Its addresses on the overlay: the first of each pod CIDR.
    pub(super) fn gateways(&self) -> Vec<IpAddr> {
        let cidrs = self.parsed().map(|config| config.pod_cidr);
        cidrs
            .iter()
            .flat_map(DualStack::iter)
            .filter_map(|net| net.hosts().find(|ip| *ip != net.network()))
            .collect()
    }
}

/// Reads what there is.
pub(super) fn gather(kubeconfig: Option<&Path>, server: Option<&str>) -> anyhow::Result<Facts> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reading = async { read(ops::client(kubeconfig, server).await?).await };
    runtime
        .block_on(async { tokio::time::timeout(TIMEOUT, reading).await })
        .context("the Kubernetes API does not answer")?
}

async fn read(client: Client) -> anyhow::Result<Facts> {
    let all = ListParams::default();
    let nodes = Api::<NodeObject>::all(client.clone()).list(&all).await.context("cannot list Nodes")?;
    let configs = match Api::<VSwitchConfig>::all(client.clone()).list(&all).await {
        Ok(configs) => Some(configs.items),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => return Err(error).context("cannot list VSwitchConfigs"),
    };
    // Where this may not be read, there is one check less.
    let named = all.fields("metadata.name=kubernetes");
    let services = Api::<Service>::namespaced(client, "default").list(&named).await;
    let services = services.map(|services| services.items).unwrap_or_default();
    let service = services.into_iter().find(|service| service.name_any() == "kubernetes");
    let api_service = service.and_then(|service| service.spec?.cluster_ip?.parse().ok());
    let installed = configs.is_some();
    let mut configs = configs.unwrap_or_default();
    let node = |node: NodeObject| {
        let name = node.name_any();
        let status = node.status.unwrap_or_default();
        let addresses = status.addresses.unwrap_or_default().into_iter();
        let at = configs.iter().position(|config| config.name_any() == name);
        Node {
            addresses: addresses
                .filter(|a| a.type_ == "InternalIP")
                .filter_map(|a| a.address.parse().ok())
                .collect(),
            pod_cidrs: node.spec.and_then(|spec| spec.pod_cidrs).unwrap_or_default(),
            runtime: status.node_info.map(|info| info.container_runtime_version),
            config: at.map(|at| configs.swap_remove(at)),
            name,
        }
    };
    Ok(Facts { nodes: nodes.items.into_iter().map(node).collect(), installed, api_service })
}

/// Judges the facts.
pub(super) fn check(facts: &Facts, services: Option<&DualStack>) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        facts.nodes.iter().filter_map(|node| judge(node, facts.installed)).collect();
    let configured = facts.nodes.iter().find_map(|node| Some(node.parsed()?.service_cidr));
    if let (Some(address), Some(services)) = (facts.api_service, configured.as_ref().or(services))
        && !services.contains(address)
    {
        findings.push(CHECK.problem(
            format!("the Service kubernetes has the address {address}, which is not in the Service CIDR {services}"),
            "set serviceCIDR to what kube-apiserver has as --service-cluster-ip-range",
        ));
    }
    let mut mtus: Vec<u32> = facts.nodes.iter().filter_map(Node::pod_mtu).collect();
    mtus.sort_unstable();
    if let (Some(least), Some(most)) = (mtus.first(), mtus.last())
        && least != most
    {
        findings.push(CHECK.note(
            format!("pods have an MTU of {least} on some nodes and of {most} on others"),
            "if larger packets are lost between them: the same spec.mtu on all VSwitchConfigs, or uplinks with the same MTU",
        ));
    }
    let nodes = match facts.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    CHECK.or_ok(
        findings,
        match facts.installed {
            true => format!("{nodes}, with pod CIDRs, accepted and ready"),
            false => format!("{nodes}, with pod CIDRs; k-vswitch is not installed"),
        },
    )
}

fn judge(node: &Node, installed: bool) -> Option<Finding> {
    let name = &node.name;
    if node.pod_cidrs.is_empty() {
        return Some(CHECK.problem(
            format!("Node {name} has no pod CIDR"),
            "run kube-controller-manager with --allocate-node-cidrs and --cluster-cidr (kubeadm: networking.podSubnet); is \
             there a CIDR left?",
        ));
    }
    let Some(config) = &node.config else {
        return installed.then(|| {
            CHECK.problem(
                format!("Node {name} has no VSwitchConfig"),
                "the controller makes it: kubectl -n kube-system rollout status deployment/k-vswitch-controller, and its log",
            )
        });
    };
    let conditions = config.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let state = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    match state(condition::ACCEPTED) {
        Some(accepted) if accepted.status == "True" => {}
        Some(accepted) => {
            return Some(CHECK.problem(
                format!("VSwitchConfig {name} is not accepted: {}", accepted.message),
                "put right what it says; the Node has an Event that says more",
            ));
        }
        None => {
            return Some(CHECK.problem(
                format!("VSwitchConfig {name} has not been judged"),
                "is k-vswitch-controller running and leading?",
            ));
        }
    }
    match state(condition::READY) {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(CHECK.problem(
            format!("VSwitchConfig {name} is not ready: {}", ready.message),
            format!("put right what it says; kvsctl check and kvsctl status on {name} say more"),
        )),
        None => Some(CHECK.problem(
            format!("no daemon has told that it serves {name}"),
            format!(
                "does k-vswitchd run there? kubectl -n kube-system get pods -o wide; kvsctl check on {name}"
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
