//! Flows and groups of a node's Services from nothing, without a switch.

use std::time::Instant;

use anyhow::Context as _;
use bench::Table;
use serde::{Deserialize, Serialize};

use crate::cluster::ENDPOINTS;
use crate::node;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FromNothing {
    pub(crate) services: usize,
    pub(crate) endpoints: usize,
    /// Seconds from the objects to all flows and groups.
    pub(crate) seconds: f64,
    /// What the process holds more than before, MiB: Services, and flows and groups as they are wanted and present.
    pub(crate) resident_mib: f64,
    pub(crate) flows: usize,
    pub(crate) groups: usize,
}

pub(crate) fn measure(services: usize) -> anyhow::Result<FromNothing> {
    let mut state = node::state()?;
    let before = resident()?;
    let begin = Instant::now();
    (0..services).for_each(|number| node::service(&mut state, number));
    state.compile();
    let seconds = begin.elapsed().as_secs_f64();
    let steps = state.steps();
    state.acknowledge(steps);
    let resident_mib = (resident()? - before).round();
    let (flows, groups) = (state.store().len(), state.groups().len());
    Ok(FromNothing { services, endpoints: services * ENDPOINTS, seconds, resident_mib, flows, groups })
}

pub(crate) fn tell(all: &[FromNothing]) {
    let head = ["Services from nothing, without a switch", "endpoints", "s", "MiB", "flows", "groups"];
    let mut table = Table::new(head);
    for one in all {
        table.row([
            one.services.to_string(),
            one.endpoints.to_string(),
            format!("{:.2}", one.seconds),
            format!("{:.0}", one.resident_mib),
            one.flows.to_string(),
            one.groups.to_string(),
        ]);
    }
    println!("\n{table}");
}

/// Resident memory of this process, MiB (proc(5)).
fn resident() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().next().context("no number")?.parse()?;
    Ok(kib / 1024.0)
}
