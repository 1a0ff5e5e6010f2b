//! From an event until the switch has acknowledged its flows: the daemon's way, without the API's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bench::{Report, Table, Target, ratio};
use policy::spec::{LabelSelector, Name};
use serde::Serialize;

use super::node::Node;
use crate::cluster::{Cluster, Placed, Size, address};
use crate::plain;
use crate::random::Random;
use crate::times::Times;
use bench::switch::Switch;

/// 10,000 pods on 100 nodes, 1,000 policies.
const SMALL: Size = Size { namespaces: 100, pods_per_namespace: 100, nodes: 100, policies_per_namespace: 10 };
/// Ten times that, with as many pods on each node.
const TENFOLD: Size =
    Size { namespaces: 1_000, pods_per_namespace: 100, nodes: 1_000, policies_per_namespace: 10 };
/// What an event may cost there, as a multiple.
const TENFOLD_AT_MOST: f64 = 1.5;
/// What is aimed at for the 99th percentile, milliseconds.
const AT_MOST_MS: f64 = 5.0;

#[derive(Serialize)]
struct Figures {
    flows: usize,
    /// Seconds from an empty switch to one that is up to date.
    from_nothing_s: f64,
    /// Resident memory of ovs-vswitchd with these flows, MiB.
    vswitchd_mib: f64,
    events: BTreeMap<&'static str, Event>,
}

#[derive(Serialize)]
struct Event {
    #[serde(flatten)]
    times: Times,
    /// Flows changed per event, on average.
    flows: f64,
}

struct Meter {
    node: Node,
    times: BTreeMap<&'static str, (Vec<Duration>, usize)>,
}

impl Meter {
    async fn event(&mut self, kind: &'static str, event: impl FnOnce(&mut Node)) -> anyhow::Result<()> {
        let begin = Instant::now();
        event(&mut self.node);
        let changed = self.node.settle().await?;
        let took = begin.elapsed();
        let (times, flows) = self.times.entry(kind).or_default();
        times.push(took);
        *flows += changed;
        Ok(())
    }
}

pub(super) fn measure(report: &mut Report, events: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measure = |size| runtime.block_on(run(&plain::cluster(1, size), events.min(200)));
    let (small, tenfold) = (measure(SMALL)?, measure(TENFOLD)?);
    for (figures, pods) in [(&small, "10,000 pods"), (&tenfold, "100,000 pods")] {
        tell(figures, pods);
        report.figures(&format!("until the switch has it, {pods}"), figures);
    }
    let worst = small.events.values().map(|event| event.times.p99_us / 1e3).fold(0.0, f64::max);
    let mut targets = vec![Target::new("p99 of any event until the switch has it, ms", worst, AT_MOST_MS)];
    for (kind, event) in &tenfold.events {
        let before = small.events.get(kind).map_or(0.0, |event| event.times.p50_us);
        if let Some(ratio) = ratio(event.times.p50_us, before) {
            targets.push(Target::new(
                &format!("{kind} in a cluster ten times as large, p50"),
                ratio,
                TENFOLD_AT_MOST,
            ));
        }
    }
    for target in targets {
        let verdict = if target.met { "met" } else { "missed" };
        let at_most = target.at_most.unwrap_or_default();
        println!("  target: {}: at most {at_most}: {verdict} ({:.2})", target.what, target.ratio);
        report.target(target);
    }
    Ok(())
}

fn tell(figures: &Figures, pods: &str) {
    let head = format!("{pods}: until the switch has it, ms");
    let mut table = Table::new([head.as_str(), "p50", "p99", "max", "flows per event"]);
    for (kind, event) in &figures.events {
        let ms = |us: f64| format!("{:.2}", us / 1e3);
        let Times { p50_us, p99_us, max_us, .. } = event.times;
        table.row([(*kind).to_owned(), ms(p50_us), ms(p99_us), ms(max_us), format!("{:.1}", event.flows)]);
    }
    println!("\n{table}");
    println!(
        "  {} flows, from nothing in {:.2} s; ovs-vswitchd holds {:.0} MiB",
        figures.flows, figures.from_nothing_s, figures.vswitchd_mib
    );
}

async fn run(cluster: &Cluster, events: usize) -> anyhow::Result<Figures> {
    let switch = Switch::start("ack")?;
    let mut node = Node::new(switch.session().await?)?;
    let begin = Instant::now();
    cluster.namespaces.iter().for_each(|(name, labels)| node.namespace(name, labels));
    cluster.policies.iter().for_each(|(name, spec)| node.policy(name, spec));
    cluster.pods.iter().for_each(|placed| node.pod(&placed.name, &placed.pod, placed.node));
    for (number, (_, placed)) in (1000..).zip(cluster.local()) {
        node.port(&placed.name, &placed.pod, number)?;
    }
    let flows = node.settle().await?;
    let from_nothing_s = (begin.elapsed().as_secs_f64() * 1e3).round() / 1e3;
    let mut meter = Meter { node, times: BTreeMap::new() };
    let mut random = Random::new(99);
    for number in 0..events {
        pods(&mut meter, cluster, &mut random, number).await?;
        namespaces(&mut meter, cluster, &mut random).await?;
        policies(&mut meter, cluster, &mut random, number).await?;
    }
    let per_event = |(times, flows): (Vec<Duration>, usize)| {
        let average = crate::compile::count(flows) / crate::compile::count(times.len()).max(1.0);
        Event { times: Times::of(times), flows: (average * 10.0).round() / 10.0 }
    };
    let events = meter.times.into_iter().map(|(kind, all)| (kind, per_event(all))).collect();
    Ok(Figures { flows, from_nothing_s, vswitchd_mib: switch.memory()?, events })
}

/// A replica more somewhere, which then gets the labels of another pod, and goes.
async fn pods(
    meter: &mut Meter,
    cluster: &Cluster,
    random: &mut Random,
    number: usize,
) -> anyhow::Result<()> {
    let mut others = || random.pick(&cluster.pods);
    let (Some(like), Some(other)) = (others(), others()) else { return Ok(()) };
    let name = Name { namespace: like.name.namespace.clone(), name: format!("added-{number}") };
    let mut pod = like.pod.clone();
    pod.addresses = vec![address(cluster.pods.len() + number)];
    meter.event("pod added", |node| node.pod(&name, &pod, 1)).await?;
    pod.labels.clone_from(&other.pod.labels);
    meter.event("pod relabelled", |node| node.pod(&name, &pod, 1)).await?;
    meter.event("pod deleted", |node| node.pod_gone(&name)).await
}

/// A namespace gets the labels of another one, and its own again.
async fn namespaces(meter: &mut Meter, cluster: &Cluster, random: &mut Random) -> anyhow::Result<()> {
    let mut others = || random.pick(&cluster.namespaces);
    let (Some((name, own)), Some((_, other))) = (others(), others()) else { return Ok(()) };
    meter.event("namespace relabelled", |node| node.namespace(name, other)).await?;
    meter.event("namespace relabelled", |node| node.namespace(name, own)).await
}

/// A policy more for pods of this node, which then goes.
async fn policies(
    meter: &mut Meter,
    cluster: &Cluster,
    random: &mut Random,
    number: usize,
) -> anyhow::Result<()> {
    let local: Vec<&Placed> = cluster.local().map(|(_, placed)| placed).collect();
    let Some(subject) = random.pick(&local) else { return Ok(()) };
    let mut spec = plain::policy(random, number % 11);
    spec.pod_selector = LabelSelector::default();
    let name = Name { namespace: subject.name.namespace.clone(), name: format!("added-{number}") };
    meter.event("policy added", |node| node.policy(&name, &spec)).await?;
    meter.event("policy deleted", |node| node.policy_gone(&name)).await
}
