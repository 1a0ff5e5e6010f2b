//! What the programs of a node and of the control plane hold, idle and with pods.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::{Interrupt, Report, Table, ratio};
use lab::protocol::LabStatus;
use serde::Serialize;
use serde_json::json;

use crate::Arguments;
use bench::labs::{Lab, NODE};

const PODS: usize = 50;

/// How long pods may take to run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Programs that have just been busy give memory back for a moment.
const SETTLE: Duration = Duration::from_secs(3);

/// Memory of one process, KiB (proc(5), `smaps_rollup`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Memory {
    /// Resident, shared pages included.
    rss_kib: u64,
    /// Resident, shared pages divided by those who share them.
    pss_kib: u64,
}

type PerProgram = BTreeMap<&'static str, Memory>;

pub(crate) fn measure(
    arguments: &Arguments,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let lab = Lab::up(&arguments.dist, "mem", &["--nodes", "1"])?;
    settle(interrupt)?;
    let idle = look(&lab.status()?)?;
    report.figures("memory_idle", &idle);
    start_pods(&lab, interrupt)?;
    settle(interrupt)?;
    let busy = look(&lab.status()?)?;
    report.figures(&format!("memory_{PODS}_pods"), &busy);

    let pods = format!("with {PODS} pods: RSS");
    let mut table = Table::new(["MiB", "idle: RSS", "PSS", &pods, "PSS"]);
    let mib = |kib: u64| format!("{:.1}", f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0);
    for (program, idle) in &idle {
        let busy = busy.get(program).unwrap_or(idle);
        let cells = [idle.rss_kib, idle.pss_kib, busy.rss_kib, busy.pss_kib].map(mib);
        table.row([(*program).to_owned()].into_iter().chain(cells));
    }
    print!("{table}");
    println!("  the supervisor holds the embedded API, and serves what the pods declare");
    let growth = |program: &str| {
        let pss = |memory: &PerProgram| memory.get(program).and_then(|m| u32::try_from(m.pss_kib).ok());
        ratio(pss(&busy)?.into(), pss(&idle)?.into())
    };
    let growth: BTreeMap<_, _> = idle.keys().map(|program| (*program, growth(program))).collect();
    report.ratios(&format!("memory PSS {PODS} pods / idle"), &growth);
    Ok(())
}

/// Waits, and ends early when that is wanted.
fn settle(interrupt: &Interrupt) -> anyhow::Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < SETTLE {
        interrupt.check()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn look(status: &LabStatus) -> anyhow::Result<PerProgram> {
    let mut found = PerProgram::new();
    found.insert("supervisor", of_process(status.supervisor)?);
    let node = status.nodes.iter().find(|node| node.name == NODE).context("the lab has lost its node")?;
    let programs = status.controller.iter().chain(&node.programs);
    for program in programs {
        let name = match program.program.as_str() {
            "agent" => "k-vswitchd",
            "ovsdb-server" => "ovsdb-server",
            "ovs-vswitchd" => "ovs-vswitchd",
            _ => "k-vswitch-controller",
        };
        let pid = program.state.pid().with_context(|| format!("{name} does not run"))?;
        found.insert(name, of_process(pid)?);
    }
    Ok(found)
}

fn of_process(pid: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse(&text).with_context(|| format!("{path} does not say Rss and Pss"))
}

fn parse(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory { rss_kib: field("Rss:")?, pss_kib: field("Pss:")? })
}

fn start_pods(lab: &Lab, interrupt: &Interrupt) -> anyhow::Result<()> {
    let labels = json!({"app": "bench"});
    let manifest = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench", "namespace": "default"},
        "spec": {
            "replicas": PODS,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web", "ports": [{"containerPort": 80}]}]},
            },
        },
    });
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pods.json");
    std::fs::write(&file, manifest.to_string())?;
    lab.kvsctl(&["apply", "-f", &file.display().to_string()])?;
    let begin = Instant::now();
    loop {
        interrupt.check()?;
        let running = lab.status()?.pods;
        if running == PODS {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "of {PODS} pods only {running} run");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_shares_some_of_it() {
        let own = of_process(std::process::id()).unwrap();
        assert!(0 < own.pss_kib && own.pss_kib <= own.rss_kib, "{own:?}");
        assert_eq!(parse("00-ff ---p\nRss:  12 kB\nPss:   3 kB\n"), Some(Memory { rss_kib: 12, pss_kib: 3 }));
        assert_eq!(parse("Rss: 12 kB\n"), None);
        assert!(of_process(0).unwrap_err().to_string().contains("/proc/0/"));
    }
}
