//! `bench-datapath`: what packets between pods cost, beside Open vSwitch that only forwards and a Linux bridge.
//!
//! - [`contender`]s are three pods on two machines: [`ours`], labs without and with the objects of [`cluster`]; [`normal`],
//!   Open vSwitch with a single flow; [`linux`], a bridge with routes and kube-proxy's rules. The latter two on
//!   [`machines`] as a lab's.
//! - [`load`] measures one of them once, [`rounds`] all in turns, and [`tell`] says what became of it.

// Output is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cluster;
mod contender;
mod linux;
mod load;
mod machines;
mod normal;
mod ours;
mod rounds;
mod tell;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench::{Interrupt, Machine, Report};
use clap::{Parser, ValueEnum as _};

use crate::contender::{Contender, Overlay, Path};
use crate::load::Measure;
use crate::machines::Conditions;

/// Packets between pods: throughput, connections, latency, on one node and between nodes.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the programs as they are shipped
    #[arg(long, default_value = "target/dist")]
    dist: PathBuf,
    /// Folder that datapath.json is written to
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of one measurement; of streams four times as many
    #[arg(long, default_value_t = 1600)]
    time: u64,
    /// `rp_filter` of machines and pods: 0 as the kernel has it, 1 strict, 2 loose as systemd has it
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(..=2))]
    rp_filter: u8,
    /// Measure this overlay alone
    #[arg(long, value_parser = ["vxlan", "gre"])]
    only: Option<String>,
    /// Measure this alone
    #[arg(long, value_enum)]
    measure: Option<Measure>,
    /// Leave out the contender with policies and Services
    #[arg(long)]
    without_load: bool,
}

fn main() -> ExitCode {
    bench::ended(run(Arguments::parse()))
}

fn run(mut arguments: Arguments) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let dist = arguments.dist.canonicalize();
    arguments.dist = dist.with_context(|| {
        format!("no programs in {}: build them with scripts/build", arguments.dist.display())
    })?;
    let netdev = !host::kernel::has_openvswitch()?;
    let machine = Machine::this();
    println!("kernel {}, {} processors, load {:.2}", machine.kernel, machine.processors, machine.load);
    println!("Open vSwitch's datapath: {}", if netdev { "userspace" } else { "the kernel's" });
    println!("reverse path filter: {}", arguments.rp_filter);
    let mut report = Report::new("datapath", machine);
    report.figures("rp_filter", &arguments.rp_filter);
    for overlay in Overlay::ALL {
        if arguments.only.as_ref().is_some_and(|only| only != overlay.name()) {
            continue;
        }
        let done = measure(&arguments, overlay, netdev, &interrupt, &mut report);
        interrupt.check()?;
        if let Err(error) = done {
            println!("\n  not measured: {}: {error:#}", overlay.name());
            report.skip(format!("{}: {error:#}", overlay.name()));
        }
    }
    let path = report.write(&arguments.out).context("the figures cannot be written")?;
    println!("\nfigures and ratios: {}", path.display());
    Ok(())
}

/// Everything with one overlay; with the first, what stays on one node as well.
fn measure(
    arguments: &Arguments,
    overlay: Overlay,
    netdev: bool,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    let contenders = contenders(arguments, overlay, netdev, interrupt, report)?;
    contenders.iter().try_for_each(|contender| contender.filter_reverse_paths(arguments.rp_filter))?;
    println!("\n{}: {} contenders after {:.0?}", overlay.name(), contenders.len(), begin.elapsed());
    let paths = [Path::Near, Path::Far(overlay)];
    let paths = if overlay == Overlay::Vxlan { &paths[..] } else { paths.get(1..).unwrap_or_default() };
    let time = Duration::from_millis(arguments.time);
    let measures = arguments.measure.as_ref().map_or(Measure::value_variants(), std::slice::from_ref);
    let all = rounds::play(&contenders, paths, measures, arguments.rounds, time, interrupt)?;
    tell::tell(report, &all);
    Ok(())
}

fn contenders(
    arguments: &Arguments,
    overlay: Overlay,
    netdev: bool,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<Vec<Contender>> {
    let datapath = if netdev { "netdev" } else { "system" };
    let first = ours::contender(&arguments.dist, overlay, datapath, false, interrupt, report)?;
    interrupt.check()?;
    let conditions = Conditions { mtu: ours::mtu(&first.client)?, netdev };
    let mut all = vec![first];
    if !arguments.without_load {
        all.push(ours::contender(&arguments.dist, overlay, datapath, true, interrupt, report)?);
        interrupt.check()?;
    }
    let others = [
        (contender::NORMAL, normal::contender(overlay, conditions, false)),
        (contender::TRACKED, normal::contender(overlay, conditions, true)),
        (contender::BRIDGE, linux::contender(overlay, conditions)),
    ];
    for (name, other) in others {
        match other {
            Ok(other) => all.push(other),
            Err(error) => {
                println!("\n  not measured: {name}, {}: {error:#}", overlay.name());
                report.skip(format!("{name}, {}: {error:#}", overlay.name()));
            }
        }
    }
    Ok(all)
}
