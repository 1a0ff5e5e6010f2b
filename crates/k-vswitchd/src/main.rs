//! `k-vswitchd`: the node's daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent::{Datapath, InstallOptions, Metrics, Options, Services};
use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use ops::{Health, Listener, LogFormat};
use ovs::Address;
use tracing::info;

/// Programs this node's Open vSwitch from the state of the cluster.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Name of this node, which its VSwitchConfig carries too
    #[arg(long, env = "NODE_NAME", required_unless_present = "cleanup")]
    node_name: Option<String>,
    /// Take away what k-vswitch has put on this node, say what that was, and end: for after the daemon and the node's pods are gone
    #[arg(long)]
    cleanup: bool,
    /// Kubeconfig of the cluster; without it, the service account of the pod this runs in
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where the Kubernetes API is reached, https://HOST:PORT, if not where the kubeconfig or the service account has it:
    /// this daemon is what makes the API's Service reachable, so it must not need it
    #[arg(long, env = "KUBERNETES_API")]
    kubernetes_api: Option<String>,
    /// Where ovsdb-server listens
    #[arg(long, env = "OVSDB", default_value = "unix:/run/openvswitch/db.sock")]
    ovsdb: Address,
    /// Directory in which ovs-vswitchd makes its bridges' management sockets
    #[arg(long, env = "OVS_RUNDIR", default_value = "/run/openvswitch")]
    ovs_rundir: PathBuf,
    /// The bridge
    #[arg(long, env = "BRIDGE", default_value = "k-vswitch0")]
    bridge: String,
    /// OVS's datapath: the kernel's (system), its own in userspace (netdev), or what the bridge has, and the kernel's
    /// where there is one for a new bridge (auto)
    #[arg(long, env = "DATAPATH", value_enum, default_value = "auto")]
    datapath: DatapathChoice,
    /// Whether the bridge is the node's proxy of Services, in place of kube-proxy
    #[arg(long, env = "SERVICE_PROXY", value_enum, default_value = "on")]
    service_proxy: Switch,
    /// CIDRs of the node's addresses that have node ports, separated by commas; all of its addresses without it
    #[arg(long, env = "NODEPORT_ADDRESSES", value_delimiter = ',')]
    nodeport_addresses: Vec<IpNet>,
    /// Where the host's sysctls can be written, if not in /proc/sys, which containers have read-only
    #[arg(long, env = "SYSCTL_DIR", default_value = "/proc/sys")]
    sysctl_dir: PathBuf,
    /// The CNI plugin to install
    #[arg(long, env = "CNI_PLUGIN", default_value = "/usr/bin/k-vswitch-cni")]
    cni_plugin: PathBuf,
    /// Where the container runtime looks for plugins
    #[arg(long, env = "CNI_BIN_DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// Where the container runtime looks for network configurations
    #[arg(long, env = "CNI_CONF_DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
    /// Socket of ovsdb-server as the plugin sees it, when that differs from --ovsdb
    #[arg(long, env = "CNI_OVSDB_SOCKET")]
    cni_ovsdb_socket: Option<PathBuf>,
    /// Seconds between audits of the switch
    #[arg(long, env = "AUDIT_INTERVAL", default_value = "60", value_parser = seconds)]
    audit_interval: Duration,
    /// Address of /healthz, /readyz, /metrics, /policies and /services
    #[arg(long, env = "HEALTH_ADDR", default_value = "127.0.0.1:9410")]
    health_addr: SocketAddr,
    /// Form of the log lines
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged: a level, or levels per target
    #[arg(long, env = "LOG", default_value = "info")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum DatapathChoice {
    Auto,
    System,
    Netdev,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(Duration::from_secs(n)),
        _ => Err("write a whole number of seconds above zero".to_owned()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Arguments = ops::arguments();
    ops::init_logs(arguments.log_format, &arguments.log)?;
    let socket = match (arguments.cni_ovsdb_socket, &arguments.ovsdb) {
        (Some(path), _) => path,
        (None, Address::Unix(path)) => path.clone(),
        (None, Address::Tcp(_)) => {
            anyhow::bail!(
                "--ovsdb is not a Unix socket: pass --cni-ovsdb-socket, which the CNI plugin will use"
            );
        }
    };
    let install = InstallOptions {
        plugin: arguments.cni_plugin,
        bin_dir: arguments.cni_bin_dir,
        conf_dir: arguments.cni_conf_dir,
        ovsdb_socket: socket,
        bridge: arguments.bridge.clone(),
    };
    if arguments.cleanup {
        return cleanup(&install);
    }
    let listener = Listener::bind(arguments.health_addr).await?;
    let client = ops::client(arguments.kubeconfig.as_deref(), arguments.kubernetes_api.as_deref()).await?;
    let options = Options {
        node: arguments.node_name.context("--node-name is missing")?,
        bridge: arguments.bridge,
        ovsdb: arguments.ovsdb,
        ovs_rundir: arguments.ovs_rundir,
        datapath: match arguments.datapath {
            DatapathChoice::Auto => None,
            DatapathChoice::System => Some(Datapath::System),
            DatapathChoice::Netdev => Some(Datapath::Netdev),
        },
        sysctls: agent::Sysctls::at(arguments.sysctl_dir),
        install,
        proxy: (arguments.service_proxy == Switch::On)
            .then_some(Services { node_port_addresses: arguments.nodeport_addresses }),
        audit: arguments.audit_interval,
        grace: agent::sweep::Grace::default(),
    };
    let health = Health::default();
    let metrics = Metrics::default();
    let registry = metrics.registry();
    info!(health = %listener.address()?, "k-vswitchd started");
    let (inspector, requests) = agent::inspect::channel();
    let daemon = agent::run(client, options, &health, metrics, requests);
    tokio::select! {
        served = ops::serve(listener, health.clone(), registry, inspector.routes()) => {
            served.context("serving health and metrics")
        }
        result = daemon => result.map_err(Into::into),
        signal = ops::terminated() => {
            info!(signal = signal?, "stopping: the datapath goes on with what it has");
            Ok(())
        }
    }
}

/// `k-vswitchd --cleanup`.
// Output is what it is for.
#[allow(clippy::print_stdout)]
fn cleanup(options: &InstallOptions) -> anyhow::Result<()> {
    let outcomes = agent::cleanup::run(options);
    for outcome in &outcomes {
        println!("{outcome}");
    }
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, agent::cleanup::Outcome::Failed(_)));
    match failed.count() {
        0 => Ok(()),
        _ => anyhow::bail!("something of k-vswitch is still on this node: see above"),
    }
}
