//! `bench-service`: what the proxy of Services costs: from nothing, per change, and per connection.
//!
//! - [`cluster`] makes Services. [`compile`]: time and memory from nothing, without a switch.
//! - [`change`]: one endpoint's change until the switch has acknowledged it. [`connections`]: new connections through a
//!   ClusterIP among few and many Services, beside direct ones.
//! - [`kube_proxy`]: the same figures for kube-proxy, where `KUBE_PROXY` names one.
//! - [`node`] is the daemon's own state, fed by hand and settled into a switch of this benchmark's own; [`pods`] are two
//!   network namespaces on it.

// Output is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod change;
mod cluster;
mod compile;
mod connections;
mod kube_proxy;
mod node;
mod pods;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use bench::{Machine, Report};
use clap::Parser;

/// Services on OpenFlow: time, memory, cost of a change and of a connection.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the programs as they are shipped
    #[arg(long, default_value = "target/dist")]
    dist: PathBuf,
    /// Folder that service.json is written to
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Changes of each kind
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Connections of each kind
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Measure this part alone
    #[arg(long, value_parser = ["from-nothing", "changes", "connections", "kube-proxy"])]
    only: Option<String>,
    /// kube-proxy, to be measured beside
    #[arg(long, env = "KUBE_PROXY")]
    kube_proxy: Option<PathBuf>,
    /// Compiles so many Services in this process and prints the figures as JSON
    #[arg(long, hide = true)]
    compile: Option<usize>,
}

fn main() -> ExitCode {
    bench::ended(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(services) = arguments.compile {
        println!("{}", serde_json::to_string(&compile::measure(services)?)?);
        return Ok(());
    }
    let machine = Machine::this();
    println!("kernel {}, {} processors, load {:.2}", machine.kernel, machine.processors, machine.load);
    let mut report = Report::new("service", machine);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let beside = |report: &mut Report| match &arguments.kube_proxy {
        Some(program) => kube_proxy::measure(report, program, arguments.connections),
        None => {
            anyhow::bail!("KUBE_PROXY is not set: give it the path of a kube-proxy to have it measured too")
        }
    };
    type Part<'a> = (&'static str, Box<dyn Fn(&mut Report) -> anyhow::Result<()> + 'a>);
    let parts: [Part<'_>; 4] = [
        ("from-nothing", Box::new(compile_all)),
        ("changes", Box::new(|report| runtime.block_on(change::measure(report, arguments.changes)))),
        (
            "connections",
            Box::new(|report| runtime.block_on(connections::measure(report, arguments.connections))),
        ),
        ("kube-proxy", Box::new(beside)),
    ];
    for (what, measure) in parts {
        if arguments.only.as_ref().is_some_and(|only| only != what) {
            continue;
        }
        if let Err(error) = measure(&mut report) {
            println!("\n  not measured: {what}: {error:#}");
            report.skip(format!("{what}: {error:#}"));
        }
    }
    let path = report.write(&arguments.out).context("the figures cannot be written")?;
    println!("\nfigures and ratios: {}", path.display());
    Ok(())
}

/// Each size in a process of its own, so that memory is that of one.
fn compile_all(report: &mut Report) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for services in [1_000, 10_000, 30_000] {
        let mut command = Command::new(std::env::current_exe()?);
        let output = command.args(["--compile", &services.to_string()]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        all.push(serde_json::from_slice::<compile::FromNothing>(&output.stdout)?);
    }
    compile::tell(&all);
    report.figures("from nothing, without a switch", &all);
    Ok(())
}
