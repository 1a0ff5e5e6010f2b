//! `kvsctl lab demo`: everything at once, with a verdict.
//!
//! Brings a cluster up, starts pods on every node through the CNI plugin, and probes every pair of pods, pods and nodes,
//! and pods and the outside, in every family: over VXLAN, then over GRE. Each cluster is taken down again, and it is an
//! error if anything is left of it, or if a single probe is not answered.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::lab::layout::Layout;
use ::lab::manifest::Object;
use ::lab::patience::patience;
use ::lab::probe::{Outcome, Probe, ProbeResult, Protocol};
use ::lab::protocol::{Ask, MatrixTargets, Request};
use ::lab::spec::{ApiSource, Datapath, Families, Overlay, OvsSite};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::json;

use super::probe::results;
use super::{Common, Up, lifecycle, manifests, matrix, output};
use crate::style::{bold, dim, green, red};

/// How long pods may take to run, and the cluster to answer every probe once they do.
const PODS_PATIENCE: Duration = Duration::from_secs(60);
const PROBES_PATIENCE: Duration = Duration::from_secs(15);

/// Port that the demo's pods serve.
const PORT: u16 = 80;

/// Port that the lab's machines serve.
const MACHINE_PORT: u16 = 7;

/// What the demo's clusters are to be.
#[derive(Args)]
pub(super) struct Arguments {
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    nodes: u16,
    /// Pods per node
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
    pods: u16,
    /// Only this encapsulation, in place of one after the other
    #[arg(long)]
    overlay: Option<Overlay>,
    /// Address families of pods and Services
    #[arg(long, default_value = "ipv4,ipv6")]
    families: Families,
    /// Datapath of the nodes' switches: auto, system or netdev
    #[arg(long, default_value = "auto")]
    datapath: Datapath,
    /// How long to wait for an answer: 500ms, 1s
    #[arg(long, default_value = "1s", value_parser = super::probe::duration)]
    timeout: Duration,
    /// Folder of the programs; by default that of kvsctl
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// Runs the demo. Its exit code tells whether all is well.
pub(super) fn run(common: &Common, arguments: &Arguments) -> anyhow::Result<()> {
    let mut common = common.clone();
    if common.name.as_str() == "default" {
        common.name = "demo".parse()?;
    }
    let overlays = match arguments.overlay {
        Some(overlay) => vec![overlay],
        None => vec![Overlay::Vxlan, Overlay::Gre],
    };
    // A demo that was interrupted left its cluster.
    lifecycle::take_down(&common)?;
    let begin = Instant::now();
    let mut rounds = Vec::new();
    for overlay in overlays {
        let round = one_cluster(&common, arguments, overlay);
        let saved = if round.is_err() { save_logs(&common.layout()) } else { None };
        let down = lifecycle::take_down(&common).context("the cluster could not be taken down");
        if let Some(folder) = saved {
            eprintln!("{}", dim(&format!("  the logs of all programs are in {}", folder.display())));
        }
        rounds.push(json!({"overlay": overlay, "probes": round?}));
        down?;
        say(&common, &format!("{} taken down; nothing is left", green("✔")))?;
    }
    if common.json() {
        return output::json(&rounds);
    }
    let seconds = begin.elapsed().as_secs();
    Ok(output::line(&format!("\n{} everything reached everything ({seconds} s)", green("✔")))?)
}

/// Brings one cluster up and probes it; it stays up. Returns how many probes were answered.
fn one_cluster(common: &Common, arguments: &Arguments, overlay: Overlay) -> anyhow::Result<usize> {
    let title = format!(
        "{} nodes, {} pods, over {}",
        arguments.nodes,
        arguments.nodes * arguments.pods,
        overlay.as_str().to_uppercase()
    );
    say(common, &format!("\n{}", bold(&title)))?;
    let up = Up {
        nodes: arguments.nodes,
        overlay,
        families: arguments.families.clone(),
        api: ApiSource::Embedded,
        datapath: arguments.datapath,
        ovs: OvsSite::Host,
        bin_dir: arguments.bin_dir.clone(),
        agent_args: Vec::new(),
    };
    lifecycle::bring_up(common, &up, |text| {
        let _ = say(common, &format!("{} {text}", green("✔")));
    })?;
    let count = usize::from(arguments.nodes) * usize::from(arguments.pods);
    manifests::apply_objects(common, &objects(count)?)?;
    wait_for_pods(common, count)?;
    say(common, &format!("{} {count} pods run, each added by k-vswitch-cni", green("✔")))?;

    let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let pods = all.map(|protocol| Probe { protocol, port: PORT });
    let icmp = Probe { protocol: Protocol::Icmp, port: 0 };
    let tcp = |port| Probe { protocol: Protocol::Tcp, port };
    let udp = |port| Probe { protocol: Protocol::Udp, port };
    let rounds = [
        ("pods and nodes to pods", true, MatrixTargets::Pods, pods.to_vec()),
        ("pods to nodes", false, MatrixTargets::Nodes, vec![icmp, tcp(MACHINE_PORT), udp(MACHINE_PORT)]),
        ("pods to the outside", false, MatrixTargets::Outside, vec![icmp, tcp(PORT), udp(PORT)]),
    ];
    let mut answered = 0;
    for (title, from_nodes, to, probes) in rounds {
        say(common, &format!("\n{}", bold(title)))?;
        let timeout_ms = u64::try_from(arguments.timeout.as_millis()).unwrap_or(u64::MAX);
        let ask = Ask { probes, family: None, timeout_ms, answers: false };
        answered += all_connected(common, &Request::Matrix { from_nodes, to, namespace: None, ask })?;
    }
    Ok(answered)
}

/// Probes until every probe is answered, and shows the last answers.
fn all_connected(common: &Common, request: &Request) -> anyhow::Result<usize> {
    let begin = Instant::now();
    loop {
        let found = results(common, request)?;
        let failed: Vec<&ProbeResult> =
            found.iter().filter(|result| result.result != Outcome::Connected).collect();
        if !failed.is_empty() && begin.elapsed() < patience(PROBES_PATIENCE) {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        if !common.json() {
            matrix::show(&found)?;
        }
        ensure!(!found.is_empty(), "nothing was probed");
        if failed.is_empty() {
            return Ok(found.len());
        }
        for result in failed.iter().take(10) {
            let probe = Probe { protocol: result.protocol, port: result.port };
            let (from, to, family) = (&result.from, &result.to, result.family);
            eprintln!("{} {from} to {to}, {probe} {family}: {}", red("✘"), result.result);
        }
        bail!("{} of {} probes were not answered", failed.len(), found.len());
    }
}

/// A namespace, and pods that serve one port in each protocol. The scheduler puts them on the nodes in turn.
fn objects(count: usize) -> anyhow::Result<Vec<Object>> {
    let namespace = "demo";
    let mut values = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})];
    let ports = ["TCP", "UDP", "SCTP"].map(|protocol| json!({"containerPort": PORT, "protocol": protocol}));
    for index in 1..=count {
        values.push(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("p{index}"), "namespace": namespace, "labels": {"app": "demo"}},
            "spec": {"containers": [{"name": "server", "image": "kvs-lab", "ports": ports}]},
        }));
    }
    Ok(values.into_iter().map(Object::new).collect::<Result<_, _>>()?)
}

fn wait_for_pods(common: &Common, count: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let running = lifecycle::status_of(&common.layout())?.pods;
        if running == count {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < patience(PODS_PATIENCE),
            "{running} of {count} pods run after {} s",
            patience(PODS_PATIENCE).as_secs()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Copies the logs of a cluster that is about to go. `None` when even that fails.
fn save_logs(layout: &Layout) -> Option<PathBuf> {
    let target = std::env::temp_dir().join(format!("kvs-lab-{}-{}", layout.name(), std::process::id()));
    let mut folders = vec![layout.root().join("log")];
    if let Ok(nodes) = std::fs::read_dir(layout.root().join("nodes")) {
        folders.extend(nodes.flatten().map(|node| node.path().join("log")));
    }
    for folder in folders {
        let place = folder.strip_prefix(layout.root()).unwrap_or(Path::new("log"));
        let into = target.join(place);
        std::fs::create_dir_all(&into).ok()?;
        for file in std::fs::read_dir(&folder).ok()?.flatten() {
            std::fs::copy(file.path(), into.join(file.file_name())).ok()?;
        }
    }
    Some(target)
}

fn say(common: &Common, text: &str) -> anyhow::Result<()> {
    if common.json() { Ok(()) } else { Ok(output::line(text)?) }
}
