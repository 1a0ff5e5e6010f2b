//! `k-vswitch-controller`: keeps one `VSwitchConfig` per node.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use api::{DualStack, OverlayType};
use clap::Parser;
use controller::leader::Elector;
use controller::{ClusterParams, Options};
use ops::{Health, Listener, LogFormat};
use tracing::info;

/// Keeps one VSwitchConfig per node, made from the Node and the cluster's parameters.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Kubeconfig of the cluster; without it, the service account of the pod this runs in
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where the Kubernetes API is reached, https://HOST:PORT, if not where the kubeconfig or the service account has it
    #[arg(long, env = "KUBERNETES_API")]
    kubernetes_api: Option<String>,
    /// Addresses of all pods: one CIDR, or one of each family separated by a comma; equal to
    /// kube-controller-manager's --cluster-cidr
    #[arg(long, env = "CLUSTER_CIDR")]
    cluster_cidr: DualStack,
    /// Addresses of Services: one CIDR, or one of each family separated by a comma
    #[arg(long, env = "SERVICE_CIDR")]
    service_cidr: DualStack,
    /// Encapsulation between nodes: gre or vxlan
    #[arg(long, env = "OVERLAY_TYPE", default_value = "vxlan")]
    overlay_type: OverlayType,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, env = "HEALTH_ADDR", default_value = "127.0.0.1:9411")]
    health_addr: SocketAddr,
    /// Namespace of the Lease by which one replica leads
    #[arg(long, env = "LEASE_NAMESPACE", default_value = "kube-system")]
    lease_namespace: String,
    /// This replica's name, unlike any other's; by default the host's name and the process id
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// Form of the log lines
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// What is logged: a level, or levels per target
    #[arg(long, env = "LOG", default_value = "info")]
    log: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Arguments = ops::arguments();
    ops::init_logs(arguments.log_format, &arguments.log)?;
    let client = ops::client(arguments.kubeconfig.as_deref(), arguments.kubernetes_api.as_deref()).await?;
    let identity = match arguments.identity {
        Some(identity) => identity,
        None => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
                .context("cannot read the host's name: pass --identity")?;
            format!("{}_{}", host.trim(), std::process::id())
        }
    };
    let options = Options {
        params: ClusterParams {
            cluster_cidr: arguments.cluster_cidr,
            service_cidr: arguments.service_cidr,
            overlay_type: arguments.overlay_type,
        },
        lease_namespace: arguments.lease_namespace,
        identity: identity.clone(),
    };
    let health = Health::default();
    let check = health.check("controller", "starting");
    let listener = Listener::bind(arguments.health_addr).await?;
    info!(health = %listener.address()?, identity, "k-vswitch-controller started");
    let elector = Elector::new(client.clone(), &options.lease_namespace, identity);
    let metrics = prometheus_client::registry::Registry::default();
    tokio::select! {
        served = ops::serve(listener, health, metrics, ops::Router::new()) => {
            served.context("serving health and metrics")
        }
        result = controller::run(client, &elector, &options, &check) => result.map_err(Into::into),
        signal = ops::terminated() => {
            info!(signal = signal?, "stopping");
            elector.release().await;
            Ok(())
        }
    }
}
