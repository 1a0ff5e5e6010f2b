//! Labs with a real Kubernetes: etcd, a control plane, and nodes with containerd and a kubelet, each on a machine of its
//! own ([`machine`]). k-vswitch comes to it as it comes to any cluster: by its manifest.
//!
//! - [`control_plane`] runs etcd, the API and the controllers, makes the API reachable for people, and gives nodes their pod networks.
//! - [`node`] is a machine with its programs; [`cgroup`] its control groups.
//! - [`install`] applies k-vswitch's manifest, edited as an operator edits it, and handles its pods.
//! - [`routes`] is the API server's way to pods.
//! - [`pods`] finds pods' network namespaces, so that they can be probed as on any lab, and serves what containers declare that do nothing.

pub(crate) mod cgroup;
pub(crate) mod control_plane;
pub(crate) mod install;
pub(crate) mod node;
pub(crate) mod pods;
pub(crate) mod routes;

use std::path::PathBuf;

use crate::api::ApiError;
use crate::program::ProgramError;

/// Why a real Kubernetes does not come up.
#[derive(Debug, thiserror::Error)]
pub enum RealError {
    /// Something is missing, or a file cannot be written.
    #[error(transparent)]
    Prepare(#[from] kubernetes::Error),
    /// The API cannot be reached.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A program does not start.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A file or folder could not be used.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Something did not happen.
    #[error("{what} in {seconds} s; see {log}")]
    Late {
        /// What did not happen.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// Log that says why.
        log: PathBuf,
    },
    /// A command failed.
    #[error("{command} failed: {said}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// The API refuses an object.
    #[error("the Kubernetes API refused {what}: {said}")]
    Refused {
        /// The object.
        what: String,
        /// What it said.
        said: String,
    },
    /// The manifest is not what it should be, or was refused.
    #[error("k-vswitch's manifest: {0}")]
    Manifest(String),
}
