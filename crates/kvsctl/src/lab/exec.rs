//! Executing commands in a pod's or a node's network namespace.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use ::lab::client::request;
use ::lab::netns;
use ::lab::protocol::{Reply, Request, Source};
use anyhow::{Context as _, bail};
use clap::Args;

use super::Common;

/// A command in a pod.
#[derive(Args)]
pub(super) struct InPod {
    /// The pod's namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The pod
    pod: String,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// A command on a node. OVS's tools talk to the node's switch.
#[derive(Args)]
pub(super) struct InNode {
    /// The node
    node: String,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// `kvsctl lab exec`.
pub(super) fn in_pod(common: &Common, what: &InPod) -> anyhow::Result<()> {
    let place = Source::Pod { namespace: what.namespace.clone(), name: what.pod.clone() };
    let never = execute(common, place, &what.command)?;
    match never {}
}

/// `kvsctl lab node-exec`.
pub(super) fn in_node(common: &Common, what: &InNode) -> anyhow::Result<()> {
    let never = execute(common, Source::Node(what.node.clone()), &what.command)?;
    match never {}
}

/// Becomes the command: standard streams, signals and the exit code are its own.
fn execute(common: &Common, place: Source, command: &[OsString]) -> anyhow::Result<Infallible> {
    let (program, arguments) = command.split_first().context("no command")?;
    let Reply::Place { netns, environment } = request(&common.layout(), &Request::Find { place }, |_| {})?
    else {
        bail!("the supervisor answered something else than a place");
    };
    netns::move_into(&netns)?;
    let error = Command::new(program).args(arguments).envs(environment).exec();
    Err(error).with_context(|| format!("cannot execute {}", program.display()))
}
