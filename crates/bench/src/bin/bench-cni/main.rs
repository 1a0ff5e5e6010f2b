//! `bench-cni`: what adding and removing a pod costs, and what the programs cost a machine.
//!
//! - [`attach`]: CNI ADD and DEL beside other plugins, one by one and many at once. The [`contestant`]s are executed as a
//!   runtime does ([`plugin`]), in network namespaces made here ([`places`]).
//! - [`start`]: time until a lab is ready; [`memory`]: what each program holds; [`binary`]: the plugin as a file.
//!
//! Labs are brought up by the shipped `kvsctl` ([`labs`]).

// Output is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod attach;
mod binary;
mod contestant;
mod memory;
mod plugin;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bench::{Interrupt, Machine, Report};
use clap::Parser;

/// CNI ADD and DEL beside bridge + host-local; time to a ready lab; memory of each program.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Folder of the programs as they are shipped
    #[arg(long, default_value = "target/dist")]
    dist: PathBuf,
    /// Folder that cni.json is written to
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Folder of Debian's containernetworking-plugins
    #[arg(long, default_value = "/usr/lib/cni")]
    debian: PathBuf,
    /// A build of the original plugin, github.com/k-vswitch/k-vswitch
    #[arg(long, env = "KVSWITCH_GO_PLUGIN")]
    go_plugin: Option<PathBuf>,
    /// Rounds in which pods come and go one by one, ten in each
    #[arg(long, default_value_t = 5)]
    serial_rounds: usize,
    /// Rounds in which pods come and go at once
    #[arg(long, default_value_t = 3)]
    crowd_rounds: usize,
    /// Pods that come at once
    #[arg(long, default_value_t = 50)]
    crowd: usize,
    /// Labs brought up for their time to ready
    #[arg(long, default_value_t = 3)]
    labs: usize,
}

fn main() -> ExitCode {
    bench::ended(run(Arguments::parse()))
}

/// A benchmark's part: prints its table, adds its figures.
type Part = fn(&Arguments, &Interrupt, &mut Report) -> anyhow::Result<()>;

fn run(mut arguments: Arguments) -> anyhow::Result<()> {
    let interrupt = Interrupt::listen()?;
    let dist = arguments.dist.canonicalize();
    arguments.dist = dist.with_context(|| {
        format!("no programs in {}: build them with scripts/build", arguments.dist.display())
    })?;
    let machine = Machine::this();
    println!("kernel {}, {} processors, load {:.2}", machine.kernel, machine.processors, machine.load);
    let mut report = Report::new("cni", machine);
    let parts: [(&str, bool, Part); 4] = [
        ("the plugin's binary", false, binary::measure),
        ("CNI ADD and DEL", true, attach::measure),
        ("time to a ready lab", true, start::measure),
        ("memory", true, memory::measure),
    ];
    let is_root = rustix::process::geteuid().is_root();
    for (name, needs_root, part) in parts {
        println!("\n{name}");
        let done = match (is_root, needs_root) {
            (false, true) => {
                Err(anyhow::anyhow!("only root may create network namespaces: run this as root"))
            }
            _ => part(&arguments, &interrupt, &mut report),
        };
        // A child that was hit by the same signal is no news.
        interrupt.check()?;
        if let Err(error) = done {
            skip(&mut report, name, &format!("{error:#}"));
        }
    }
    let path = report.write(&arguments.out).context("the figures cannot be written")?;
    println!("\nfigures and ratios: {}", path.display());
    Ok(())
}

/// Says what could not be measured here, and why.
fn skip(report: &mut Report, what: &str, why: &str) {
    println!("  not measured: {what}: {why}");
    report.skip(format!("{what}: {why}"));
}
