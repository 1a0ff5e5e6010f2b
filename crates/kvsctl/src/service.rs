//! `kvsctl service`: Services as nodes serve them.

mod list;
mod merge;
mod show;
mod text;

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::agents::Ask;

/// Services as nodes serve them.
///
/// Connections are counted by the switches, each by its first packet: one that is sent again while nobody answers counts
/// again. A counter begins anew when what it counts for is changed, such as the endpoints of the Service.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Subcommand)]
enum Command {
    /// All Services: addresses, ports, endpoints, and whether anything is wrong
    List(list::Which),
    /// One Service: what leads to it, what becomes of connections, and its endpoints with the connections they got
    Show(show::Which),
}

/// Runs a command. It fails, after showing what there is, if a daemon did not answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let silent = match &arguments.command {
        Command::List(which) => list::run(&arguments.ask, which)?,
        Command::Show(which) => show::run(&arguments.ask, which)?,
    };
    Ok(if silent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Those answers that are of the node, if one is asked for.
fn of_node<T>(answers: Vec<T>, node: Option<&str>, name: impl Fn(&T) -> &str) -> anyhow::Result<Vec<T>> {
    let Some(node) = node else { return Ok(answers) };
    let all: Vec<&str> = answers.iter().map(&name).collect();
    if !all.is_empty() && !all.contains(&node) {
        bail!("no node {node} among those that answered: {}", all.join(", "));
    }
    Ok(answers.into_iter().filter(|answer| name(answer) == node).collect())
}
