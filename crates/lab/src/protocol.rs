//! What `kvsctl lab` and a lab's supervisor say to each other: one JSON value per line on the lab's Unix socket.
//!
//! The client sends one [`Request`] per connection. The supervisor answers with [`Reply::Step`]s as far as there is
//! progress to tell, and one final reply.

mod status;

pub use status::{LabStatus, NodeStatus, ProgramStatus, Stage};

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::probe::{Probe, ProbeResult};
use crate::spec::Family;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Steps until the lab is ready ([`Reply::Status`]) or has failed ([`Reply::Error`]).
    Follow,
    /// How the lab is.
    Status,
    /// Take the lab down; the connection ends when nothing is left of it.
    Down,
    /// Probe one target.
    Probe {
        /// From where.
        from: Source,
        /// Whom.
        to: Target,
        /// How.
        #[serde(flatten)]
        ask: Ask,
    },
    /// Probe many targets from many sources.
    Matrix {
        /// Whether nodes are sources too.
        from_nodes: bool,
        /// The targets.
        to: MatrixTargets,
        /// Only pods of this namespace; those of all but `kube-system`, otherwise.
        namespace: Option<String>,
        /// How.
        #[serde(flatten)]
        ask: Ask,
    },
    /// Start, stop or restart a program.
    Control {
        /// What to do.
        action: Action,
        /// With which program.
        program: ProgramName,
    },
    /// Where a pod or a node is, for executing something there.
    Find {
        /// The pod, the node or the outside.
        place: Source,
    },
}

/// How to probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Protocols and ports.
    pub probes: Vec<Probe>,
    /// One address family, or all that the target has.
    pub family: Option<Family>,
    /// How long to wait for an answer, milliseconds.
    pub timeout_ms: u64,
    /// Whether to tell what targets said.
    pub answers: bool,
}

/// The targets of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatrixTargets {
    /// All pods.
    Pods,
    /// All nodes.
    Nodes,
    /// The outside.
    Outside,
}

impl FromStr for MatrixTargets {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text {
            "pods" => Ok(Self::Pods),
            "nodes" => Ok(Self::Nodes),
            "outside" => Ok(Self::Outside),
            _ => Err(PlaceError { given: text.to_owned(), choices: "pods, nodes or outside" }),
        }
    }
}

/// Why a text names no place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} names no place: write {choices}")]
pub struct PlaceError {
    given: String,
    choices: &'static str,
}

/// A network namespace to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A node.
    Node(String),
    /// The world outside the cluster.
    Outside,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Node(name) => write!(f, "node:{name}"),
            Self::Outside => f.write_str("outside"),
        }
    }
}

impl FromStr for Source {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = || PlaceError { given: text.to_owned(), choices: "NAMESPACE/POD, node:NAME or outside" };
        if text == "outside" {
            return Ok(Self::Outside);
        }
        if let Some(name) = text.strip_prefix("node:").filter(|name| !name.is_empty()) {
            return Ok(Self::Node(name.to_owned()));
        }
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(wrong()),
        }
    }
}

/// Somebody to probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// A pod, a node or the outside.
    Place(Source),
    /// An address.
    Ip(IpAddr),
    /// The cluster addresses of a Service.
    Service {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Ip(address) => address.fmt(f),
            Self::Service { name, namespace } => write!(f, "{name}.{namespace}"),
        }
    }
}

impl FromStr for Target {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        if let Ok(place) = text.parse() {
            return Ok(Self::Place(place));
        }
        match text.split_once('.') {
            Some((name, namespace))
                if !name.is_empty() && !namespace.is_empty() && !text.contains(['/', ':']) =>
            {
                Ok(Self::Service { name: name.to_owned(), namespace: namespace.to_owned() })
            }
            _ => Err(PlaceError {
                given: text.to_owned(),
                choices: "NAMESPACE/POD, an IP address, SERVICE.NAMESPACE, node:NAME or outside",
            }),
        }
    }
}

/// Serde's view of a type is its text.
macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = PlaceError;

            fn try_from(text: String) -> Result<Self, PlaceError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(Source);
as_text!(Target);

/// What to do with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Start it where it does not run.
    Start,
    /// Stop it.
    Stop,
    /// Stop it and start it.
    Restart,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        })
    }
}

/// A program of the lab that can be started and stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgramName {
    /// A node's `k-vswitchd`.
    Agent {
        /// The node.
        node: String,
    },
    /// A node's Open vSwitch.
    Ovs {
        /// The node.
        node: String,
    },
    /// A node's kubelet, where Kubernetes is real.
    Kubelet {
        /// The node.
        node: String,
    },
    /// A node's container runtime, where Kubernetes is real.
    Containerd {
        /// The node.
        node: String,
    },
    /// All of a node, where Kubernetes is real.
    Machine {
        /// The node.
        node: String,
    },
    /// The cluster's `k-vswitch-controller`.
    Controller,
}

/// What the supervisor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Something has been done on the way.
    Step {
        /// What.
        text: String,
    },
    /// How the lab is.
    Status(Box<LabStatus>),
    /// What became of probes.
    Results {
        /// In the order of sources, targets, probes, families.
        results: Vec<ProbeResult>,
    },
    /// Where a place is.
    Place {
        /// File of its network namespace.
        netns: PathBuf,
        /// Variables for what is executed there.
        environment: Vec<(String, String)>,
    },
    /// It has been done.
    Done,
    /// It could not be done.
    Error {
        /// Why, and what to look at.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_targets_are_read_as_they_are_written() {
        for text in ["ns/pod", "ns/pod.with.dots", "node:node-1", "outside"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
            assert_eq!(text.parse::<Target>().unwrap(), Target::Place(text.parse().unwrap()));
        }
        for text in ["10.0.0.1", "fd00::1", "svc.ns"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
            assert!(text.parse::<Source>().is_err());
        }
        for bad in ["", "pod", "/pod", "ns/", "a/b/c", "node:", ".ns", "svc."] {
            let error = bad.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("NAMESPACE/POD"), "{error}");
        }
    }

    #[test]
    fn requests_and_replies_are_one_line_of_json() {
        let request = Request::Probe {
            from: "ns/a".parse().unwrap(),
            to: "10.0.0.1".parse().unwrap(),
            ask: Ask {
                probes: vec!["TCP/80".parse().unwrap()],
                family: None,
                timeout_ms: 1000,
                answers: false,
            },
        };
        let line = serde_json::to_string(&request).unwrap();
        assert!(
            line.starts_with(r#"{"request":"probe","from":"ns/a","to":"10.0.0.1","#) && !line.contains('\n')
        );
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        let control =
            Request::Control { action: Action::Restart, program: ProgramName::Ovs { node: "node-1".into() } };
        let line = serde_json::to_string(&control).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), control);
    }
}
