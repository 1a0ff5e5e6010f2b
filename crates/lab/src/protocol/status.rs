//! How a lab is.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::program::ProgramState;
use crate::spec::Family;

/// How far a lab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It is coming up.
    Starting,
    /// It is up.
    Ready,
    /// It did not come up. What there is stays, to be looked at.
    Failed,
    /// It is going down.
    Stopping,
    /// Its supervisor died.
    Dead,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::Dead => "dead",
        })
    }
}

/// How a lab is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabStatus {
    /// The lab's name.
    pub name: String,
    /// How far it is.
    pub stage: Stage,
    /// The overlay.
    pub overlay: String,
    /// The address families, in order of preference.
    pub families: Vec<Family>,
    /// `system` or `netdev`, once it is known.
    pub datapath: Option<String>,
    /// Where people find the API.
    pub kubeconfig: PathBuf,
    /// Milliseconds from the start of the supervisor until the lab was ready.
    pub ready_after_ms: Option<u64>,
    /// Process id of the supervisor.
    pub supervisor: u32,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// The controller, unless it is a pod of a real cluster.
    pub controller: Option<ProgramStatus>,
    /// The control plane's programs, where Kubernetes is real.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_plane: Vec<ProgramStatus>,
    /// The pods that run.
    pub pods: usize,
}

/// How a node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Whether Kubernetes calls it ready.
    pub ready: bool,
    /// What its Ready condition says.
    pub message: String,
    /// Its underlay addresses.
    pub addresses: Vec<IpAddr>,
    /// Pods that run on it.
    pub pods: usize,
    /// Its programs.
    pub programs: Vec<ProgramStatus>,
}

/// How a program is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// Its name.
    pub program: String,
    /// What it is doing.
    #[serde(flatten)]
    pub state: ProgramState,
    /// Its log.
    pub log: PathBuf,
}
