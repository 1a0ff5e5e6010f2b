//! The cluster view: the one seam through which everything a daemon learns of the cluster comes in.
//!
//! What stands behind it (watches on the API, in [`kubernetes`]) is nobody else's business. A source sends changes
//! in order, says when its first list is complete, and turns whatever happens to its connection into more changes:
//! after a gap it sends what differs. When the source cannot be reached, nothing comes, and the last view holds.

pub mod kubernetes;

use std::collections::HashMap;

use api::NodeConfig;
use policy::spec::{Labels, Name, NetworkPolicySpec};

use crate::host_ports::HostPort;

/// A change of the view.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewEvent {
    /// A node's configuration is new or changed.
    Node(Box<NodeConfig>),
    /// A node's configuration cannot be used, for the reason given.
    NodeUnusable(String, String),
    /// A node is gone.
    NodeGone(String),
    /// A pod of the cluster is new or changed.
    Pod(Box<ClusterPod>),
    /// A pod is gone.
    PodGone(PodRef),
    /// A namespace is new, or its labels changed.
    Namespace(String, Labels),
    /// A namespace is gone.
    NamespaceGone(String),
    /// A NetworkPolicy is new or changed.
    Policy(PodRef, Box<NetworkPolicySpec>),
    /// A NetworkPolicy is gone.
    PolicyGone(PodRef),
    /// A Service is new or changed.
    Service(PodRef, Box<service::spec::Service>),
    /// A Service is gone.
    ServiceGone(PodRef),
    /// An EndpointSlice is new or changed.
    Slice(PodRef, Box<service::spec::Slice>),
    /// An EndpointSlice is gone.
    SliceGone(PodRef),
    /// The zone of this node.
    Zone(Option<String>),
    /// All objects of one part have been sent once.
    Synced(Part),
    /// The answer to a [`Question`]: every policy of the namespace that was there when it was asked has been sent.
    UpToDate(Question),
}

/// "Does the view have all policies that this namespace has now, and this pod?"
///
/// Each kind of object comes in its own time. A pod may be known, and started, before a policy that is older than it; or
/// started before it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The namespace.
    pub namespace: String,
    /// A pod in it that is not known.
    pub unknown: Option<String>,
    /// Which question it is; an answer to a later one answers those before it.
    pub ticket: u64,
}

/// The parts of the view that are listed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Configurations of all nodes.
    Nodes,
    /// Pods.
    Pods,
    /// Namespaces.
    Namespaces,
    /// NetworkPolicies.
    Policies,
    /// Services.
    Services,
    /// EndpointSlices.
    Slices,
    /// This node's Node object.
    Zone,
}

impl Part {
    /// What only a proxy of Services looks at.
    pub const PROXY: [Self; 3] = [Self::Zone, Self::Services, Self::Slices];

    /// What every daemon looks at, in the order in which it is asked for.
    pub const ALL: [Self; 4] = [Self::Nodes, Self::Namespaces, Self::Policies, Self::Pods];

    /// Name of the objects' kind, in the plural.
    #[must_use]
    pub const fn kinds(self) -> &'static str {
        match self {
            Self::Nodes => "VSwitchConfigs",
            Self::Pods => "Pods",
            Self::Namespaces => "Namespaces",
            Self::Policies => "NetworkPolicies",
            Self::Services => "Services",
            Self::Slices => "EndpointSlices",
            Self::Zone => "Nodes",
        }
    }
}

/// A pod's, or another object's, name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl From<&PodRef> for Name {
    fn from(reference: &PodRef) -> Self {
        Self { namespace: reference.namespace.clone(), name: reference.name.clone() }
    }
}

/// A pod of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPod {
    /// Its name.
    pub pod: PodRef,
    /// What the runtime may call it: its uid, or for the mirror of a static pod the hash the kubelet uses instead.
    pub uids: Vec<String>,
    /// The node it is assigned to; empty before that.
    pub node: String,
    /// It is on its node's network: policies neither select it nor match it as a pod.
    pub host_network: bool,
    /// It has succeeded or failed: its addresses may be others' already.
    pub ended: bool,
    /// Ports of its node that lead to it.
    pub host_ports: Vec<HostPort>,
    /// What policies look at.
    pub facts: policy::spec::Pod,
}

/// Which pods this node has.
#[derive(Debug, Default)]
pub struct LocalPods {
    present: HashMap<PodRef, ClusterPod>,
}

impl LocalPods {
    /// Takes a pod in.
    pub fn insert(&mut self, pod: ClusterPod) {
        self.present.insert(pod.pod.clone(), pod);
    }

    /// Takes a pod out.
    pub fn remove(&mut self, pod: &PodRef) -> Option<ClusterPod> {
        self.present.remove(pod)
    }

    /// The pod with this name and, where known, this uid.
    #[must_use]
    pub fn get(&self, pod: &PodRef, uid: Option<&str>) -> Option<&ClusterPod> {
        self.present.get(pod).filter(|p| uid.is_none_or(|uid| p.uids.iter().any(|u| u == uid)))
    }

    /// Whether the pod with this name and, where known, this uid is there.
    #[must_use]
    pub fn contains(&self, pod: &PodRef, uid: Option<&str>) -> bool {
        self.get(pod, uid).is_some()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_its_name_and_any_of_its_uids() {
        let pod = PodRef { namespace: "a".into(), name: "x".into() };
        let mut pods = LocalPods::default();
        pods.insert(ClusterPod {
            pod: pod.clone(),
            uids: vec!["1".into(), "hash".into()],
            ..ClusterPod::default()
        });
        assert!(pods.contains(&pod, Some("hash")));
        assert!(pods.contains(&pod, None));
        assert!(!pods.contains(&pod, Some("2")));
        pods.remove(&pod);
        assert!(!pods.contains(&pod, None));
    }
}
