//! What the daemon is started with, and what it ends by.

use std::path::PathBuf;
use std::time::Duration;

use host::sysctl::Sysctls;
use ovs::Address;

use crate::bridge::Datapath;
use crate::host_setup::Services;
use crate::install::{self, InstallOptions};
use crate::sweep::Grace;

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this node.
    pub node: String,
    /// The bridge.
    pub bridge: String,
    /// The database server.
    pub ovsdb: Address,
    /// Directory in which ovs-vswitchd makes the bridge's management socket.
    pub ovs_rundir: PathBuf,
    /// The datapath; `None`: what the bridge has, and for a new one the kernel's where there is one.
    pub datapath: Option<Datapath>,
    /// The bridge as proxy of Services; `None`: it is none.
    pub proxy: Option<Services>,
    /// Where sysctls can be written.
    pub sysctls: Sysctls,
    /// What is installed for the container runtime.
    pub install: InstallOptions,
    /// Time between audits of the switch.
    pub audit: Duration,
    /// When a port counts as abandoned.
    pub grace: Grace,
}

/// Why the daemon cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The plugin cannot be installed.
    #[error(transparent)]
    Install(#[from] install::InstallError),
    /// The kernel cannot be asked for its datapath.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// The kernel's datapath was asked for, and there is none.
    #[error(
        "--datapath system: this kernel has no openvswitch module: install the kernel's modules (modprobe openvswitch \
         must succeed), or use --datapath auto or netdev"
    )]
    NoModule,
    /// A blocking task did not end as it should.
    #[error("a task on the host failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A task that never ends has ended.
    #[error("{0} ended")]
    Ended(&'static str),
}
