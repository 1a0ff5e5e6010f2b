//! The plugin as a file: its size, and how long the kernel takes to start and end it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bench::{Interrupt, Report, Samples, Summary, Table, ratio};
use serde::Serialize;
use serde_json::json;

use crate::plugin::Plugin;
use crate::{Arguments, skip};

const CALLS: usize = 200;

#[derive(Debug, Serialize)]
struct Binary {
    bytes: u64,
    /// Of VERSION, which touches nothing.
    exec: Summary,
}

pub(crate) fn measure(
    arguments: &Arguments,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let ours = arguments.dist.join("k-vswitch-cni");
    let theirs = arguments.debian.join("bridge");
    let mut candidates = vec![("k-vswitch-cni", ours)];
    if theirs.is_file() {
        candidates.push(("bridge", theirs));
    } else {
        skip(report, "bridge's binary", "install containernetworking-plugins");
    }
    candidates.extend(arguments.go_plugin.clone().map(|path| ("original", path)));

    let mut samples = vec![Samples::default(); candidates.len()];
    for _ in 0..CALLS {
        interrupt.check()?;
        for ((_, path), samples) in candidates.iter().zip(&mut samples) {
            let call = version(path)?;
            samples.push(call);
        }
    }
    let mut table = Table::new(["", "KiB", "VERSION ms: p50", "p99"]);
    let mut baseline = None;
    for ((name, path), samples) in candidates.iter().zip(&samples) {
        let bytes = path.metadata().with_context(|| path.display().to_string())?.len();
        let Some(exec) = samples.summary() else { continue };
        let cells =
            [(bytes / 1024).to_string(), format!("{:.2}", exec.p50_ms), format!("{:.2}", exec.p99_ms)];
        table.row([(*name).to_owned()].into_iter().chain(cells));
        report.figures(&format!("binary {name}"), &Binary { bytes, exec });
        match baseline {
            None => baseline = Some(exec.p50_ms),
            Some(ours) => {
                report.ratios(&format!("exec k-vswitch-cni / {name}"), &ratio(ours, exec.p50_ms));
            }
        }
    }
    print!("{table}");
    Ok(())
}

fn version(path: &Path) -> anyhow::Result<std::time::Duration> {
    let plugin = Plugin {
        path: path.to_owned(),
        folder: PathBuf::new(),
        request: json!({"cniVersion": "1.0.0"}),
        environment: Vec::new(),
    };
    let call = plugin.call("VERSION", None, None)?;
    Ok(call.end - call.begin)
}
