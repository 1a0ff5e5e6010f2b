//! New connections from pod to pod: through a ClusterIP among few and many Services, and direct ones in turns with them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use bench::switch::Switch;
use bench::{Report, Samples, Table, Target, ratio};
use serde::Serialize;

use crate::cluster::{self, PORT, TARGET};
use crate::node::{self, Node};
use crate::pods::Pod;

/// How many Services there are.
const SIZES: [usize; 4] = [1, 1_000, 10_000, 30_000];
/// What many Services may cost a connection, as a multiple of what one costs.
const AT_MOST: f64 = 1.02;
/// Turns of each kind.
const TURNS: usize = 50;
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 10);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 11);

#[derive(Clone, Copy, Serialize)]
struct Figures {
    services: usize,
    service: Rate,
    direct: Rate,
    /// The median time of a connection through the ClusterIP, as a multiple of a direct one's: the median of all turns.
    of_direct: f64,
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The same with kube-proxy's rules in place of the switch.
pub(crate) fn beside(client: &Pod, services: usize, connections: usize) -> anyhow::Result<(Rate, Rate, f64)> {
    let through = SocketAddr::from((cluster::cluster_ip(0), PORT));
    let direct = SocketAddr::from((SERVER, TARGET));
    client.connect(through, 200)?;
    client.connect(direct, 200)?;
    let figures = alternate(client, services, through, direct, connections)?;
    Ok((figures.service, figures.direct, figures.of_direct))
}

pub(crate) async fn measure(report: &mut Report, connections: usize) -> anyhow::Result<()> {
    let switch = Switch::start("connections")?;
    let mut node = Node::new(switch.session().await?)?;
    let (client, client_port) = Pod::new(&switch, "client", CLIENT)?;
    let (server, server_port) = Pod::new(&switch, "server", SERVER)?;
    node.port(&client, client_port)?;
    node.port(&server, server_port)?;
    // The one Service that is used, whose endpoint is here.
    node::service(&mut node.state, 0);
    node::slice(&mut node.state, 0, cluster::slice(0, &[SERVER.into()], 1));
    server.serve(TARGET)?;
    let (through, direct) =
        (SocketAddr::from((cluster::cluster_ip(0), PORT)), SocketAddr::from((SERVER, TARGET)));
    let mut all: Vec<Figures> = Vec::new();
    let mut last = 1;
    for services in SIZES {
        (last..services).for_each(|number| node::service(&mut node.state, number));
        last = services;
        node.settle().await?;
        // A port that is used again while its old connection is remembered is another matter.
        switch.appctl(&["dpctl/flush-conntrack"])?;
        client.connect(through, 200)?;
        client.connect(direct, 200)?;
        all.push(alternate(&client, services, through, direct, connections)?);
    }
    tell(&all);
    report.figures("new connections", &all);
    let one = all.first().map_or(0.0, |figures| figures.of_direct);
    for figures in all.iter().skip(1) {
        let Some(ratio) = ratio(figures.of_direct, one) else { continue };
        let what = format!("time of a connection with {} Services to one", figures.services);
        let target = Target::new(&what, ratio, AT_MOST);
        let verdict = if target.met { "met" } else { "missed" };
        println!("  target: {what}: at most {AT_MOST}: {verdict} ({ratio:.3})");
        report.target(target);
    }
    Ok(())
}

fn alternate(
    client: &Pod,
    services: usize,
    through: SocketAddr,
    direct: SocketAddr,
    connections: usize,
) -> anyhow::Result<Figures> {
    let each = (connections / TURNS).max(1);
    let mut kinds = [(Samples::default(), 0.0), (Samples::default(), 0.0)];
    let mut ratios = Vec::new();
    for _ in 0..TURNS {
        let mut turn = [0.0; 2];
        for (((samples, seconds), to), turn) in kinds.iter_mut().zip([through, direct]).zip(&mut turn) {
            let begin = Instant::now();
            let times = client.connect(to, each)?;
            *seconds += begin.elapsed().as_secs_f64();
            *turn = times.summary().map_or(0.0, |summary| summary.p50_ms);
            samples.merge(times);
        }
        ratios.extend(ratio(turn[0], turn[1]));
    }
    ratios.sort_by(f64::total_cmp);
    let total = f64::from(u32::try_from(each * TURNS)?);
    let rate = |(samples, seconds): &(Samples, f64)| {
        let summary = samples.summary().ok_or_else(|| anyhow::anyhow!("no connections were asked for"))?;
        let per_second = (total / seconds).round();
        anyhow::Ok(Rate { per_second, p50_ms: summary.p50_ms, p99_ms: summary.p99_ms })
    };
    let [service, straight] = &kinds;
    let of_direct = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
    Ok(Figures { services, service: rate(service)?, direct: rate(straight)?, of_direct })
}

fn tell(all: &[Figures]) {
    let head = [
        "new connections among so many Services",
        "through, /s",
        "p50 ms",
        "p99",
        "direct, /s",
        "p50 ms",
        "p99",
        "of direct",
    ];
    let mut table = Table::new(head);
    for figures in all {
        let mut row = vec![figures.services.to_string()];
        for rate in [figures.service, figures.direct] {
            row.extend([
                format!("{:.0}", rate.per_second),
                format!("{:.3}", rate.p50_ms),
                format!("{:.3}", rate.p99_ms),
            ]);
        }
        row.push(format!("{:.3}", figures.of_direct));
        table.row(row);
    }
    println!("\n{table}");
}
