//! From a change of one endpoint until the switch has acknowledged it: the daemon's way, without the API's.

use std::time::Instant;

use bench::switch::Switch;
use bench::{Report, Samples, Table};
use serde::Serialize;

use crate::cluster::{self, ENDPOINTS};
use crate::node::{self, Node};

/// How many Services there are.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Endpoints of the large Service.
const LARGE: usize = 1_000;

#[derive(Serialize)]
struct Figures {
    services: usize,
    /// Seconds from an empty switch to one that has all Services.
    sync_s: f64,
    /// Resident memory of ovs-vswitchd then, MiB.
    vswitchd_mib: f64,
    /// One of ten endpoints.
    small: Change,
    /// One of a thousand.
    large: Change,
}

#[derive(Serialize)]
struct Change {
    p50_ms: f64,
    p99_ms: f64,
    /// Flows and groups that a change sends, on average.
    sent: f64,
}

pub(crate) async fn measure(report: &mut Report, changes: usize) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for services in SIZES {
        all.push(one(services, changes).await?);
    }
    let mut table = Table::new([
        "Services, until the switch has it",
        "all, s",
        "vswitchd MiB",
        "1 of 10 endpoints p50 ms",
        "p99",
        "1 of 1,000 p50",
        "p99",
    ]);
    for one in &all {
        table.row([
            one.services.to_string(),
            format!("{:.2}", one.sync_s),
            format!("{:.0}", one.vswitchd_mib),
            format!("{:.2}", one.small.p50_ms),
            format!("{:.2}", one.small.p99_ms),
            format!("{:.2}", one.large.p50_ms),
            format!("{:.2}", one.large.p99_ms),
        ]);
    }
    println!("\n{table}");
    report.figures("until the switch has it", &all);
    Ok(())
}

async fn one(services: usize, changes: usize) -> anyhow::Result<Figures> {
    let switch = Switch::start("change")?;
    let mut node = Node::new(switch.session().await?)?;
    node.settle().await?;
    let begin = Instant::now();
    (0..services).for_each(|number| node::service(&mut node.state, number));
    node.settle().await?;
    let sync_s = begin.elapsed().as_secs_f64();
    let vswitchd_mib = switch.memory()?;
    let small = change(&mut node, services / 2, ENDPOINTS, changes).await?;
    let large = change(&mut node, services / 3, LARGE, changes).await?;
    Ok(Figures { services, sync_s, vswitchd_mib, small, large })
}

/// The last of a Service's endpoints comes and goes.
async fn change(node: &mut Node, number: usize, endpoints: usize, changes: usize) -> anyhow::Result<Change> {
    let addresses = cluster::elsewhere(number, endpoints);
    node::slice(&mut node.state, number, cluster::slice(number, &addresses, endpoints));
    node.settle().await?;
    let (mut times, mut sent) = (Samples::default(), 0);
    for turn in 0..changes {
        let slice = cluster::slice(number, &addresses, endpoints - 1 + turn % 2);
        let begin = Instant::now();
        node::slice(&mut node.state, number, slice);
        sent += node.settle().await?;
        times.push(begin.elapsed());
    }
    let summary = times.summary().ok_or_else(|| anyhow::anyhow!("no changes were asked for"))?;
    let per_change = f64::from(u32::try_from(sent)?) / f64::from(u32::try_from(changes)?);
    Ok(Change { p50_ms: summary.p50_ms, p99_ms: summary.p99_ms, sent: per_change })
}
