//! `bench-policy`: what compiling policies for one node costs, and what comes of it, beside two ways that others go.
//!
//! - [`cluster`]s are generated: [`plain`] ones, of evenly spread labels, and ones of [`shapes`] that clusters have.
//! - [`compile`]: one node's view from nothing: time, memory, and the [`entries`] a switch would hold. [`events`]: what
//!   one event costs then. [`baselines`]: what the same policies are as one flow per (pod, peer, port), and as lists of
//!   addresses in conjunctions.
//! - Every cluster has a process of its own ([`case`]), so that memory is that of one engine.
//! - [`switch`] is where figures that need a switch belong.

// Output is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod baselines;
mod case;
mod cluster;
mod compile;
mod entries;
mod events;
mod plain;
mod print;
mod random;
mod shapes;
mod switch;
mod times;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use bench::{Machine, Report};
use clap::Parser;

use crate::case::{CASES, Case, Figures};

/// NetworkPolicy compiled for one node: time, memory, entries, cost of an event.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the programs as they are shipped
    #[arg(long, default_value = "target/dist")]
    dist: PathBuf,
    /// Folder that policy.json is written to
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Measure only clusters whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Events of each kind
    #[arg(long, default_value_t = 1000)]
    events: usize,
    /// Measures one cluster in this process and prints its figures as JSON
    #[arg(long, hide = true)]
    case: Option<String>,
}

fn main() -> ExitCode {
    bench::ended(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(name) = &arguments.case {
        let case = CASES.iter().find(|case| case.name == name).context("there is no such case")?;
        println!("{}", serde_json::to_string(&case.measure(arguments.events)?)?);
        return Ok(());
    }
    let machine = Machine::this();
    println!("kernel {}, {} processors, load {:.2}", machine.kernel, machine.processors, machine.load);
    let mut report = Report::new("policy", machine);
    let wanted = |case: &&Case| arguments.only.as_ref().is_none_or(|only| case.name.contains(only.as_str()));
    let mut all: Vec<(&Case, Figures)> = Vec::new();
    for case in CASES.iter().filter(wanted) {
        match in_a_process(case, arguments.events) {
            Ok(figures) => {
                report.figures(case.name, &figures);
                all.push((case, figures));
            }
            Err(error) => {
                println!("  not measured: {}: {error:#}", case.name);
                report.skip(format!("{}: {error:#}", case.name));
            }
        }
    }
    print::tables(&all);
    print::judge(&all, &mut report);
    switch::measure(&mut report, arguments.events);
    let path = report.write(&arguments.out).context("the figures cannot be written")?;
    println!("\nfigures and ratios: {}", path.display());
    Ok(())
}

fn in_a_process(case: &Case, events: usize) -> anyhow::Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["--case", case.name, "--events", &events.to_string()]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
