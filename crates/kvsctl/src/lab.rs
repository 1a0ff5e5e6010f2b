//! `kvsctl lab`: its arguments, and what each command does.

mod control;
mod demo;
mod exec;
mod lifecycle;
mod manifests;
mod matrix;
mod probe;

use std::path::PathBuf;
use std::process::ExitCode;

use ::lab::layout::Layout;
use ::lab::spec::{ApiSource, Datapath, Families, LabName, Overlay, OvsSite};
use clap::{Args, Subcommand};

use crate::output::{self, Form};

/// Whole clusters in network namespaces on this machine.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What every command takes.
#[derive(Args, Clone)]
struct Common {
    /// Name of the lab
    #[arg(long, global = true, env = "KVS_LAB", default_value = "default")]
    name: LabName,
    /// Form of the output
    #[arg(long, short, global = true, value_enum, default_value = "text")]
    output: Form,
}

impl Common {
    fn layout(&self) -> Layout {
        Layout::new(&self.name)
    }

    fn json(&self) -> bool {
        self.output == Form::Json
    }
}

#[derive(Subcommand)]
enum Command {
    /// Bring a lab up; what an earlier one of this name left is removed first
    Up(Up),
    /// Take a lab down, without a trace
    Down,
    /// All labs of this machine
    List,
    /// How the lab is
    Status,
    /// Path of the lab's kubeconfig
    Kubeconfig,
    /// Make the cluster agree with manifests
    Apply(manifests::Files),
    /// Delete what manifests describe
    Delete(manifests::Files),
    /// Execute a command in a pod's network namespace
    Exec(exec::InPod),
    /// Execute a command in a node's network namespace
    NodeExec(exec::InNode),
    /// Start a stopped program
    Start(control::Which),
    /// Stop a program
    Stop(control::Which),
    /// Stop a program and start it again
    Restart(control::Which),
    /// What a program has logged
    Logs(control::Logs),
    /// Probe one target from one source
    Probe(probe::Arguments),
    /// Probe all pods from all pods
    Matrix(matrix::Arguments),
    /// Show all of it: a cluster over VXLAN, then one over GRE, every pair of pods, nodes and the outside
    Demo(demo::Arguments),
    /// The process behind a lab
    #[command(hide = true)]
    Supervise,
    /// The first process of a machine in a lab
    #[command(hide = true)]
    Machine {
        /// File that says what the machine has on its disk
        disk: PathBuf,
    },
}

/// What a lab is to be.
#[derive(Args, Clone)]
struct Up {
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(::lab::spec::MAX_NODES)))]
    nodes: u16,
    /// Encapsulation between nodes: vxlan or gre
    #[arg(long, default_value = "vxlan")]
    overlay: Overlay,
    /// Address families of pods and Services, the preferred one first
    #[arg(long, default_value = "ipv4,ipv6")]
    families: Families,
    /// The Kubernetes API: embedded; or kubernetes, a whole real one in the lab (see `make kube`); or the kubeconfig of one
    /// that is elsewhere
    #[arg(long, default_value = "embedded", value_name = "embedded|kubernetes|KUBECONFIG")]
    api: ApiSource,
    /// Datapath of the nodes' switches: auto, system or netdev
    #[arg(long, default_value = "auto")]
    datapath: Datapath,
    /// Where the nodes' Open vSwitch comes from: host, or pods (with --api kubernetes)
    #[arg(long, default_value = "host", value_name = "host|pods")]
    ovs: OvsSite,
    /// Folder of k-vswitchd, k-vswitch-controller and k-vswitch-cni; by default that of kvsctl
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// A further argument for each k-vswitchd, such as --agent-arg=--service-proxy=off; may be given several times
    #[arg(long = "agent-arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    agent_args: Vec<String>,
}

/// Runs a command.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let common = arguments.common;
    ::lab::patience::check().map_err(anyhow::Error::msg)?;
    match arguments.command {
        Command::Up(up) => lifecycle::up(&common, &up)?,
        Command::Down => lifecycle::down(&common)?,
        Command::List => lifecycle::list(&common)?,
        Command::Status => lifecycle::status(&common)?,
        Command::Kubeconfig => lifecycle::kubeconfig(&common)?,
        Command::Apply(files) => return manifests::apply(&common, &files),
        Command::Delete(files) => return manifests::delete(&common, &files),
        Command::Exec(what) => exec::in_pod(&common, &what)?,
        Command::NodeExec(what) => exec::in_node(&common, &what)?,
        Command::Start(which) => control::start(&common, &which)?,
        Command::Stop(which) => control::stop(&common, &which)?,
        Command::Restart(which) => control::restart(&common, &which)?,
        Command::Logs(what) => control::logs(&common, &what)?,
        Command::Probe(what) => probe::run(&common, &what)?,
        Command::Matrix(what) => matrix::run(&common, &what)?,
        Command::Demo(what) => demo::run(&common, &what)?,
        Command::Supervise => lifecycle::supervise(&common)?,
        Command::Machine { disk } => lifecycle::machine(&disk)?,
    }
    Ok(ExitCode::SUCCESS)
}
