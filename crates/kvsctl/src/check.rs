//! `kvsctl check`: whether nodes are fit for k-vswitch, before and after installation, and what to do if not.
//!
//! Facts are gathered first and judged afterwards, by functions that only see facts. Nothing is changed on the node.
//!
//! - On the node: [`switch`], [`kernel`], [`cni`], [`addresses`], [`mtu`], [`firewall`], [`others`].
//! - Of the cluster: [`cluster`], as the API has it.
//! - Between nodes: [`reach`], by [`echo`]. Between pods: [`pods`], which deploys some.
//! - [`node`] puts together what is asked of one node; [`finding`] is what comes out, and how it is shown.

mod addresses;
mod cluster;
mod cni;
mod echo;
mod finding;
mod firewall;
mod kernel;
mod mtu;
mod node;
mod others;
mod pods;
mod reach;
mod switch;
mod tunnel_routes;
mod vswitchd;

use std::path::PathBuf;
use std::process::ExitCode;

use ::lab::layout::Layout;
use anyhow::Context as _;
use api::{DualStack, OverlayType};
use clap::{Args, ValueEnum};

use crate::agents::{Ask, each};
use finding::{About, Check, Verdict};

/// Whether a node is fit for k-vswitch, before and after installation, and what to do if not.
///
/// Runs on a node as root, or in the daemon's pod by kubectl exec, and changes nothing. It fails if there is a problem.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    options: Options,
    /// Kubeconfig of the cluster; with --lab it is the lab's, in a pod the service account. Without any, nothing is said of
    /// the cluster and of other nodes
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where the Kubernetes API is reached, https://HOST:PORT, if not where the kubeconfig or the service account has it
    #[arg(long, env = "KUBERNETES_API")]
    kubernetes_api: Option<String>,
    /// Instead of looking at a node: have a pod on every node ask one on every node and a Service, for about half a minute, in a
    /// namespace of their own, which is removed again. Runs anywhere, with an administrator's kubeconfig
    #[arg(long)]
    pods: bool,
    /// Image of these pods, which has kvsctl in it; that of k-vswitchd's pods if not said
    #[arg(long, requires = "pods")]
    image: Option<String>,
}

/// What a node has, or will have, and where.
#[derive(Args, Clone, Debug)]
struct Options {
    /// Name of this node; without it, the name that its switch or its host has
    #[arg(long, env = "NODE_NAME")]
    node: Option<String>,
    /// Where ovsdb-server listens
    #[arg(long, env = "OVSDB", default_value = "unix:/run/openvswitch/db.sock")]
    ovsdb: String,
    /// The bridge
    #[arg(long, env = "BRIDGE", default_value = "k-vswitch0")]
    bridge: String,
    /// Where the container runtime looks for network configurations
    #[arg(long, env = "CNI_CONF_DIR", default_value = "/etc/cni/net.d")]
    cni_conf_dir: PathBuf,
    /// Where the container runtime looks for plugins
    #[arg(long, env = "CNI_BIN_DIR", default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// Where the host's sysctls can be written, if not in /proc/sys
    #[arg(long, env = "SYSCTL_DIR", default_value = "/proc/sys")]
    sysctl_dir: PathBuf,
    /// Addresses of pods, before installation; after it, those of the VSwitchConfig count
    #[arg(long, value_name = "CIDRS")]
    cluster_cidr: Option<DualStack>,
    /// Addresses of Services, before installation
    #[arg(long, value_name = "CIDRS")]
    service_cidr: Option<DualStack>,
    /// Encapsulation between nodes, before installation
    #[arg(long, value_enum, default_value = "vxlan")]
    overlay_type: Overlay,
    /// Whether k-vswitch is, or will be, the proxy of Services
    #[arg(long, env = "SERVICE_PROXY", value_enum, default_value = "on")]
    service_proxy: Proxy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Overlay {
    Vxlan,
    Gre,
}

impl From<Overlay> for OverlayType {
    fn from(overlay: Overlay) -> Self {
        match overlay {
            Overlay::Vxlan => Self::Vxlan,
            Overlay::Gre => Self::Gre,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxy {
    On,
    Off,
}

/// Checks, and shows what was found.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (ask, options) = (&arguments.ask, &arguments.options);
    // What is empty counts as absent, as in the ConfigMap.
    let server = arguments.kubernetes_api.as_deref().filter(|server| !server.is_empty());
    let kubeconfig =
        ask.kubeconfig().or_else(|| arguments.kubeconfig.clone().filter(|path| !path.as_os_str().is_empty()));
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let cluster = (kubeconfig.is_some() || in_pod).then(|| cluster::gather(kubeconfig.as_deref(), server));
    let known = cluster.as_ref().and_then(|cluster| cluster.as_ref().ok());

    if arguments.pods {
        let findings = pods::check(kubeconfig.as_deref(), server, arguments.image.as_deref())?;
        let mut all = vec![About { about: "pods".to_owned(), findings }];
        if let Some(facts) = known {
            all.push(About {
                about: "cluster".to_owned(),
                findings: cluster::check(facts, options.service_cidr.as_ref()),
            });
        }
        return show(ask, &all);
    }
    let agents = ask.agents()?;
    let answers = each(&agents, |agent| {
        let options = match ask.lab() {
            Some(lab) => options.of_lab_node(&Layout::new(lab), &agent.name),
            None => options.clone(),
        };
        node::check(&options, agent, known)
    });
    let mut all = Vec::new();
    for (agent, answer) in agents.iter().zip(answers) {
        all.push(answer.with_context(|| format!("cannot look at {}", agent.name))?);
    }
    let findings = match &cluster {
        Some(Ok(facts)) => cluster::check(facts, options.service_cidr.as_ref()),
        Some(Err(error)) => vec![Check("cluster").problem(
            format!("the Kubernetes API cannot be asked: {}", crate::describe(error)),
            "see that the API server runs and is reached from here: --kubeconfig, --kubernetes-api",
        )],
        None => vec![Check("cluster").note(
            "not looked at, nor are other nodes: there is no kubeconfig",
            "say where it is: --kubeconfig (kubeadm: /etc/kubernetes/admin.conf, or on workers kubelet.conf)",
        )],
    };
    all.push(About { about: "cluster".to_owned(), findings });
    show(ask, &all)
}

fn show(ask: &Ask, all: &[About]) -> anyhow::Result<ExitCode> {
    if ask.json() {
        finding::json(all)?;
    } else {
        finding::text(all)?;
    }
    let worst = all.iter().map(About::worst).max();
    Ok(if worst == Some(Verdict::Problem) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Options {
    /// What a node of a lab has, which is a machine only as far as its network goes.
    fn of_lab_node(&self, layout: &Layout, node: &str) -> Self {
        let files = layout.node(node);
        Self {
            node: Some(node.to_owned()),
            ovsdb: format!("unix:{}", files.ovsdb_socket().display()),
            cni_conf_dir: files.cni_conf(),
            cni_bin_dir: files.cni_bin(),
            ..self.clone()
        }
    }
}
