//! Where a lab keeps its things: files below one folder, and named network namespaces with one prefix.
//!
//! Both are derived from the lab's name alone, so that a lab whose supervisor died can be found and removed.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::spec::LabName;

/// Folder that holds one folder per lab.
pub const LABS_DIR: &str = "/run/kvs-lab";

/// Folder of named network namespaces, where `ip netns` looks for them (ip-netns(8)).
pub const NETNS_DIR: &str = "/run/netns";

/// Files, folders and namespaces of one lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    name: LabName,
    root: PathBuf,
}

impl Layout {
    /// Of the lab of this name.
    #[must_use]
    pub fn new(name: &LabName) -> Self {
        Self { name: name.clone(), root: Path::new(LABS_DIR).join(name.as_str()) }
    }

    /// The lab's name.
    #[must_use]
    pub const fn name(&self) -> &LabName {
        &self.name
    }

    /// The lab's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the lab was asked to be, as JSON.
    #[must_use]
    pub fn spec(&self) -> PathBuf {
        self.root.join("spec.json")
    }

    /// Socket on which the supervisor answers.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("lab.sock")
    }

    /// Locked by the supervisor for as long as it lives; holds its process id.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("supervisor.pid")
    }

    /// Kubeconfig for people: the API's loopback address.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Kubeconfig for programs inside the lab: the API's underlay address.
    #[must_use]
    pub fn inner_kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig.inner")
    }

    /// Log of a program that belongs to no node: `supervisor`, `controller`.
    #[must_use]
    pub fn log(&self, program: &str) -> PathBuf {
        self.root.join("log").join(format!("{program}.log"))
    }

    /// Files of one node.
    #[must_use]
    pub fn node(&self, node: &str) -> NodeLayout {
        NodeLayout { root: self.root.join("nodes").join(node) }
    }

    /// What all names of this lab's network namespaces begin with. The dot cannot be part of a lab's name, so no
    /// lab's prefix is the beginning of another's.
    #[must_use]
    pub fn netns_prefix(&self) -> String {
        format!("kvsl-{}.", self.name)
    }

    /// One of the lab's network namespaces.
    #[must_use]
    pub fn netns(&self, place: &Place<'_>) -> PathBuf {
        Path::new(NETNS_DIR).join(format!("{}{place}", self.netns_prefix()))
    }
}

/// What a network namespace of a lab stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The wire between the machines: nothing but a bridge.
    Wire,
    /// The machine of the API server and the controller.
    ControlPlane,
    /// The world outside the cluster.
    Outside,
    /// A node.
    Node(&'a str),
    /// A pod's sandbox, by its id.
    Sandbox(&'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire => f.write_str("wire"),
            Self::ControlPlane => f.write_str("cp"),
            Self::Outside => f.write_str("out"),
            Self::Node(name) => f.write_str(name),
            Self::Sandbox(id) => write!(f, "p-{id}"),
        }
    }
}

/// Files of one node: what would be under `/` on a machine of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLayout {
    root: PathBuf,
}

impl NodeLayout {
    /// The node's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `OVS_RUNDIR`: sockets, pid files and the database of the node's switch.
    #[must_use]
    pub fn ovs(&self) -> PathBuf {
        self.root.join("ovs")
    }

    /// The database socket.
    #[must_use]
    pub fn ovsdb_socket(&self) -> PathBuf {
        self.ovs().join("db.sock")
    }

    /// CNI plugins (`/opt/cni/bin`).
    #[must_use]
    pub fn cni_bin(&self) -> PathBuf {
        self.root.join("cni/bin")
    }

    /// CNI configuration (`/etc/cni/net.d`).
    #[must_use]
    pub fn cni_conf(&self) -> PathBuf {
        self.root.join("cni/net.d")
    }

    /// Log of one of the node's programs: `agent`, `ovsdb-server`, `ovs-vswitchd`.
    #[must_use]
    pub fn log(&self, program: &str) -> PathBuf {
        self.root.join("log").join(format!("{program}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lab_has_a_prefix_of_anothers_namespaces() {
        let short = Layout::new(&"a".parse().unwrap());
        let long = Layout::new(&"a-node-1".parse().unwrap());
        assert!(!long.netns_prefix().starts_with(&short.netns_prefix()));
        assert_eq!(short.netns(&Place::Node("node-1")), Path::new("/run/netns/kvsl-a.node-1"));
        assert_eq!(long.netns(&Place::Wire), Path::new("/run/netns/kvsl-a-node-1.wire"));
    }
}
