//! `kvsctl`, the operator's tool.
//!
//! - [`lab`]: whole clusters in network namespaces on one machine. The crate `lab` does the work; here are the arguments
//!   and what people see.
//! - [`check`]: whether nodes are fit for k-vswitch, and what to do if not; [`in_pod`] is its part in pods.
//! - [`policy`], [`service`] and [`status`]: what nodes' daemons tell of policies, of Services and of themselves;
//!   [`agents`] asks them.
//! - [`output`]: JSON and tables; [`style`]: colours, where a terminal shows them.

// Output is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod agents;
mod check;
mod in_pod;
mod lab;
mod output;
mod policy;
mod service;
mod status;
mod style;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The operator's tool of k-vswitch.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Whether a node is fit for k-vswitch, before and after installation, and what to do if not
    Check(check::Arguments),
    /// What `kvsctl check --pods` runs in pods
    #[command(hide = true, subcommand)]
    InPod(in_pod::Command),
    /// Whole clusters in network namespaces on this machine
    Lab(lab::Arguments),
    /// NetworkPolicies as they are in force on nodes, with packet counters
    Policy(policy::Arguments),
    /// Services as nodes serve them, with counters of connections
    Service(service::Arguments),
    /// Nodes: whether they are in order, what is on them, what they cannot do
    Status(status::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::InPod(command) => in_pod::run(&command),
        Command::Lab(arguments) => lab::run(arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Service(arguments) => service::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // A reader that has gone away (`| head`) is no error worth a message.
            if !is_broken_pipe(&error) {
                eprintln!("{} {}", style::red("error:"), describe(&error));
            }
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, each once, and what the Kubernetes API has answered in its own words.
fn describe(error: &anyhow::Error) -> String {
    ops::reason(error.as_ref())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
