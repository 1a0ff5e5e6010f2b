//! The cluster view: the one seam through which everything a daemon learns of the cluster comes in.
//!
//! What stands behind it (watches on the API, in [`kubernetes`]) is nobody else's business. A source sends changes
//! in order, says when its first list is complete, and turns whatever happens to its connection into more changes:
//! after a gap it sends what differs. When the source cannot be reached, nothing comes, and the last view holds.

pub mod kubernetes;

use std::collections::HashMap;

use api::NodeConfig;

/// A change of the view.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewEvent {
    /// A node's configuration is new or changed.
    Node(Box<NodeConfig>),
    /// A node's configuration cannot be used, for the reason given.
    NodeUnusable(String, String),
    /// A node is gone.
    NodeGone(String),
    /// A pod is assigned to this node.
    Pod(LocalPod),
    /// A pod of this node is gone.
    PodGone(PodRef),
    /// All nodes, or all pods, have been sent once.
    Synced(Part),
}

/// The parts of the view that are listed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Configurations of all nodes.
    Nodes,
    /// Pods of this node.
    Pods,
}

/// A pod's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPod {
    /// Its name.
    pub pod: PodRef,
    /// What the runtime may call it: its uid, or for the mirror of a static pod the hash the kubelet uses instead.
    pub uids: Vec<String>,
}

/// Which pods this node has, and which it had.
#[derive(Debug, Default)]
pub struct LocalPods {
    present: HashMap<PodRef, LocalPod>,
}

impl LocalPods {
    /// Takes a pod in.
    pub fn insert(&mut self, pod: LocalPod) {
        self.present.insert(pod.pod.clone(), pod);
    }

    /// Takes a pod out.
    pub fn remove(&mut self, pod: &PodRef) -> Option<LocalPod> {
        self.present.remove(pod)
    }

    /// Whether the pod with this name and, where known, this uid is there.
    #[must_use]
    pub fn contains(&self, pod: &PodRef, uid: Option<&str>) -> bool {
        self.present.get(pod).is_some_and(|p| uid.is_none_or(|uid| p.uids.iter().any(|u| u == uid)))
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
        pods.insert(LocalPod { pod: pod.clone(), uids: vec!["1".into(), "hash".into()] });
        assert!(pods.contains(&pod, Some("hash")));
        assert!(pods.contains(&pod, None));
        assert!(!pods.contains(&pod, Some("2")));
        pods.remove(&pod);
        assert!(!pods.contains(&pod, None));
    }
}
