//! Time from `kvsctl lab up` until three nodes are ready.

use bench::{Interrupt, Report, Samples, Table};

use crate::Arguments;
use bench::labs::Lab;

const NODES: &str = "3";

pub(crate) fn measure(
    arguments: &Arguments,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut times = Samples::default();
    for number in 0..arguments.labs {
        interrupt.check()?;
        times.push(Lab::up(&arguments.dist, &format!("up{number}"), &["--nodes", NODES])?.took);
    }
    if let Some(summary) = times.summary() {
        let mut table = Table::new(["", "labs", "s: p50", "min", "max"]);
        let seconds = |ms: f64| format!("{:.2}", ms / 1000.0);
        table.row([
            format!("kvsctl lab up --nodes {NODES}"),
            summary.n.to_string(),
            seconds(summary.p50_ms),
            seconds(summary.min_ms),
            seconds(summary.max_ms),
        ]);
        print!("{table}");
        report.figures("lab_up_3_nodes", &summary);
    }
    Ok(())
}
