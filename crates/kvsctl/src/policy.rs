//! `kvsctl policy`: NetworkPolicies as nodes have them in force.

mod list;
mod objects;
mod show;
mod text;
mod view;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::agents::Ask;

/// NetworkPolicies as they are in force on nodes.
///
/// Counters are of packets that policies were asked about since their flows were last changed: not of replies, which
/// pass unasked, nor of what pods exchange with their own node. A packet is counted by the first policy and rule that
/// allows it; a rule counts those of all pods of the node that its policy selects, a drop is one pod's.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Subcommand)]
enum Command {
    /// Policies that select pods of the node (with --lab: of any node), and invalid ones
    List,
    /// What isolates a pod: its policies and their rules with the packets they allowed, and what was dropped
    Show(show::Which),
}

/// Runs a command. It fails, after showing what there is, if a daemon did not answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (inspections, silent) = arguments.ask.inspections()?;
    if !inspections.is_empty() {
        match &arguments.command {
            Command::List => list::run(&arguments.ask, &inspections)?,
            Command::Show(which) => show::run(&arguments.ask, which, &inspections)?,
        }
    }
    Ok(if silent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
