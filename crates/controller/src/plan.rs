//! Which node holds which pod CIDR, and what its `VSwitchConfig` must say. Pure.

mod claims;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::{CidrsError, DualStack, OverlayType, VSwitchConfigSpec};
use ipnet::IpNet;
use kube::ResourceExt as _;

use crate::node::Node;
use claims::Claims;

/// What holds for the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterParams {
    /// Addresses of all pods.
    pub cluster_cidr: DualStack,
    /// Addresses of Services.
    pub service_cidr: DualStack,
    /// Encapsulation between nodes.
    pub overlay_type: OverlayType,
}

/// Why a node's addresses cannot be used. The text tells the operator what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// `spec.podCIDRs` is empty.
    #[error(
        "Node has no spec.podCIDRs: run kube-controller-manager with --allocate-node-cidrs and --cluster-cidr={0}"
    )]
    NoPodCidr(DualStack),
    /// `spec.podCIDRs` does not parse.
    #[error("Node's spec.podCIDRs cannot be used: {0}")]
    Malformed(CidrsError),
    /// A pod CIDR is not part of the cluster's.
    #[error(
        "Node's pod CIDR {cidr} lies outside the cluster CIDR {cluster}: make k-vswitch-controller's cluster CIDR \
         equal to kube-controller-manager's --cluster-cidr, or delete and re-register the Node"
    )]
    Outside {
        /// The pod CIDR.
        cidr: IpNet,
        /// The cluster's.
        cluster: DualStack,
    },
    /// Another node holds (a part of) it.
    #[error(
        "Node's pod CIDR {cidr} overlaps {other_cidr} of Node {other}: delete and re-register one of the two Nodes, \
         so that it is given a CIDR of its own"
    )]
    Overlap {
        /// This node's.
        cidr: IpNet,
        /// The other's.
        other_cidr: IpNet,
        /// The node that holds it.
        other: String,
    },
    /// No InternalIP among `status.addresses`.
    #[error("Node has no address of type InternalIP in status.addresses: start its kubelet with --node-ip")]
    NoInternalIp,
}

impl Rejection {
    /// The condition's and the Event's reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoPodCidr(_) => "NoPodCIDR",
            Self::Malformed(_) => "MalformedPodCIDR",
            Self::Outside { .. } => "PodCIDROutsideClusterCIDR",
            Self::Overlap { .. } => "PodCIDROverlap",
            Self::NoInternalIp => "NoInternalIP",
        }
    }
}

/// What one node's `VSwitchConfig` must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The spec; `mtu` is always `None`, since it is not the controller's.
    pub spec: VSwitchConfigSpec,
    /// Why the condition `Accepted` is `False`.
    pub rejection: Option<Rejection>,
}

/// What the plan needs of a Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// `spec.podCIDRs` (or the older `spec.podCIDR`).
    pub pod_cidrs: Vec<String>,
    /// The first InternalIP.
    pub internal_ip: Option<IpAddr>,
}

impl From<&Node> for NodeFacts {
    fn from(node: &Node) -> Self {
        let spec = &node.spec;
        let pod_cidrs = spec.pod_cidrs.clone().filter(|all| !all.is_empty());
        let pod_cidrs = pod_cidrs.or_else(|| Some(vec![spec.pod_cidr.clone()?])).unwrap_or_default();
        let addresses = node.status.addresses.as_deref().unwrap_or_default();
        let internal_ip =
            addresses.iter().filter(|a| a.kind == "InternalIP").find_map(|a| a.address.parse().ok());
        Self { pod_cidrs, internal_ip }
    }
}

/// All nodes, and who holds what. The work for one event depends on the nodes it concerns, not on how many there are.
#[derive(Debug)]
pub struct Plan {
    params: ClusterParams,
    nodes: BTreeMap<String, NodeFacts>,
    claims: Claims,
    /// Nodes that wait for what another one holds: holder -> those that wait.
    waiting: BTreeMap<String, BTreeSet<String>>,
}

impl Plan {
    /// A plan for no nodes.
    #[must_use]
    pub fn new(params: ClusterParams) -> Self {
        Self { params, nodes: BTreeMap::new(), claims: Claims::default(), waiting: BTreeMap::new() }
    }

    /// Takes a node's present state in and returns the nodes whose [`Desired`] may have changed, this one included.
    pub fn upsert(&mut self, node: &Node) -> BTreeSet<String> {
        let name = node.name_any();
        let facts = NodeFacts::from(node);
        let mut touched = BTreeSet::from([name.clone()]);
        if self.nodes.get(&name) == Some(&facts) {
            return touched;
        }
        self.nodes.insert(name.clone(), facts);
        if self.claims.holds(&name).is_some_and(|held| Some(held) != self.wanted(&name).ok()) {
            touched.extend(self.release(&name));
        }
        self.settle(&mut touched);
        touched
    }

    /// Forgets a node and returns the nodes whose [`Desired`] may have changed.
    pub fn remove(&mut self, name: &str) -> BTreeSet<String> {
        self.nodes.remove(name);
        let mut touched = self.release(name);
        touched.insert(name.to_owned());
        self.settle(&mut touched);
        touched
    }

    /// What the node's `VSwitchConfig` must say; `None` when there is no such node.
    #[must_use]
    pub fn desired(&self, name: &str) -> Option<Desired> {
        let facts = self.nodes.get(name)?;
        let verdict = self.verdict(name);
        let rejection = match (&verdict, facts.internal_ip) {
            (Err(rejection), _) => Some(rejection.clone()),
            (Ok(_), None) => Some(Rejection::NoInternalIp),
            (Ok(_), Some(_)) => None,
        };
        let spec = VSwitchConfigSpec {
            cluster_cidr: self.params.cluster_cidr.to_string(),
            pod_cidr: verdict.ok().map(|cidrs| cidrs.to_string()),
            service_cidr: self.params.service_cidr.to_string(),
            overlay_type: self.params.overlay_type,
            overlay_ip: facts.internal_ip.map(|ip| ip.to_string()),
            mtu: None,
        };
        Some(Desired { spec, rejection })
    }

    /// Names of all nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The CIDRs that the node asks for, if they can be any node's.
    fn wanted(&self, name: &str) -> Result<DualStack, Rejection> {
        let cluster = self.params.cluster_cidr;
        let listed = self.nodes.get(name).map(|n| n.pod_cidrs.as_slice()).unwrap_or_default();
        if listed.is_empty() {
            return Err(Rejection::NoPodCidr(cluster));
        }
        let cidrs = DualStack::parse(listed).map_err(Rejection::Malformed)?;
        match cluster.first_outside(&cidrs) {
            Some(cidr) => Err(Rejection::Outside { cidr, cluster }),
            None => Ok(cidrs),
        }
    }

    fn verdict(&self, name: &str) -> Result<DualStack, Rejection> {
        let wanted = self.wanted(name)?;
        match self.claims.conflict(name, &wanted) {
            Some((cidr, other_cidr, other)) => {
                Err(Rejection::Overlap { cidr, other_cidr, other: other.to_owned() })
            }
            None => Ok(wanted),
        }
    }

    /// Lets each of the `touched` nodes claim what it wants, in order of their names.
    fn settle(&mut self, touched: &mut BTreeSet<String>) {
        for name in touched.iter() {
            for waiters in self.waiting.values_mut() {
                waiters.remove(name);
            }
            match self.verdict(name) {
                Ok(cidrs) => self.claims.take(name, cidrs),
                Err(Rejection::Overlap { other, .. }) => {
                    self.waiting.entry(other).or_default().insert(name.clone());
                }
                Err(_) => {}
            }
        }
        self.waiting.retain(|_, waiters| !waiters.is_empty());
    }

    fn release(&mut self, name: &str) -> BTreeSet<String> {
        self.claims.release(name);
        self.waiting.remove(name).unwrap_or_default()
    }
}
