//! Starting and stopping the lab's programs, and their logs.

use std::io;

use ::lab::client::request;
use ::lab::protocol::{Action, ProgramName, Request};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, output};
use crate::style::{bold, green};

/// A program of the lab.
#[derive(Args)]
pub(super) struct Which {
    /// A node, or `controller`
    #[arg(value_name = "NODE|controller")]
    place: String,
    /// The node's program
    #[arg(value_enum)]
    program: Option<NodeProgram>,
}

#[derive(Clone, Copy, ValueEnum)]
enum NodeProgram {
    /// k-vswitchd
    Agent,
    /// Open vSwitch: ovsdb-server and ovs-vswitchd
    Ovs,
    /// The kubelet, where Kubernetes is real
    Kubelet,
    /// The container runtime, where Kubernetes is real
    Containerd,
    /// All of the node at once, as by its power switch, where Kubernetes is real
    Machine,
}

impl Which {
    fn program(&self) -> anyhow::Result<ProgramName> {
        let node = self.place.clone();
        Ok(match (self.place.as_str(), self.program) {
            ("controller", None) => ProgramName::Controller,
            ("controller", Some(_)) => bail!("the controller is one program: write `controller` alone"),
            (_, Some(NodeProgram::Agent)) => ProgramName::Agent { node },
            (_, Some(NodeProgram::Ovs)) => ProgramName::Ovs { node },
            (_, Some(NodeProgram::Kubelet)) => ProgramName::Kubelet { node },
            (_, Some(NodeProgram::Containerd)) => ProgramName::Containerd { node },
            (_, Some(NodeProgram::Machine)) => ProgramName::Machine { node },
            (_, None) => bail!("which program of {node}? write `{node} agent` or `{node} ovs`"),
        })
    }
}

/// `kvsctl lab start`.
pub(super) fn start(common: &Common, which: &Which) -> anyhow::Result<()> {
    control(common, which, Action::Start)
}

/// `kvsctl lab stop`.
pub(super) fn stop(common: &Common, which: &Which) -> anyhow::Result<()> {
    control(common, which, Action::Stop)
}

/// `kvsctl lab restart`.
pub(super) fn restart(common: &Common, which: &Which) -> anyhow::Result<()> {
    control(common, which, Action::Restart)
}

fn control(common: &Common, which: &Which, action: Action) -> anyhow::Result<()> {
    let program = which.program()?;
    request(&common.layout(), &Request::Control { action, program: program.clone() }, |_| {})?;
    if common.json() {
        return output::json(&json!({"action": action, "program": program, "done": true}));
    }
    let program = match program {
        ProgramName::Controller => "controller".to_owned(),
        ProgramName::Agent { node } => format!("{node} agent"),
        ProgramName::Ovs { node } => format!("{node} ovs"),
        ProgramName::Kubelet { node } => format!("{node} kubelet"),
        ProgramName::Containerd { node } => format!("{node} containerd"),
        ProgramName::Machine { node } => node,
    };
    Ok(output::line(&format!("{} {action} {}", green("✔"), bold(&program)))?)
}

/// A program's log.
#[derive(Args)]
pub(super) struct Logs {
    /// A node, or `controller` or `supervisor`; where Kubernetes is real, `etcd` and those whose names begin with kube-
    #[arg(value_name = "NODE|controller|supervisor|PROGRAM")]
    place: String,
    /// The node's program
    #[arg(value_parser = ["agent", "ovs-vswitchd", "ovsdb-server", "kubelet", "containerd", "machine"])]
    program: Option<String>,
}

/// `kvsctl lab logs`.
pub(super) fn logs(common: &Common, what: &Logs) -> anyhow::Result<()> {
    let layout = common.layout();
    let log = match (what.place.as_str(), &what.program) {
        (program @ ("controller" | "supervisor" | "etcd"), None) => layout.log(program),
        (program, None) if program.starts_with("kube-") => layout.log(program),
        (place @ ("controller" | "supervisor" | "etcd"), Some(_)) => bail!("write `{place}` alone"),
        (node, Some(program)) => layout.node(node).log(program),
        (node, None) => {
            bail!("which program of {node}? write `{node}` and one of agent, ovs-vswitchd, ovsdb-server")
        }
    };
    let mut file = std::fs::File::open(&log).with_context(|| {
        let pods = "where Kubernetes is real, k-vswitch's programs are pods: `kubectl -n kube-system logs`";
        format!("there is no log {}: see `kvsctl lab status`; {pods}", log.display())
    })?;
    if common.json() {
        let text = io::read_to_string(file)?;
        return output::json(&json!({"log": log, "lines": text.lines().collect::<Vec<_>>()}));
    }
    io::copy(&mut file, &mut io::stdout().lock())?;
    Ok(())
}
