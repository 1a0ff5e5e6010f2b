//! Our own: a lab of two nodes with everything that runs on them, and the pods' interfaces as the plugin made them. Its
//! programs are measured by themselves, while nothing happens; while packets are measured, only the switches run.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::labs::Lab;
use bench::{Background, Interrupt, Report};
use host::{Netlink, Netns};
use lab::layout::Place;
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{self, POLICIES, SERVICES};
use crate::contender::{Contender, End, LOADED, OURS, Overlay};

const PATIENCE: Duration = Duration::from_secs(300);
/// Time between two audits of a node, unless told otherwise.
const AUDIT: Duration = Duration::from_secs(60);
const NODES: [&str; 2] = ["node-1", "node-2"];

/// A lab with three pods; `loaded`: with policies and Services.
pub(crate) fn contender(
    dist: &Path,
    overlay: Overlay,
    datapath: &str,
    loaded: bool,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<Contender> {
    let name = format!("{}{}", overlay.name(), if loaded { "-full" } else { "" });
    let arguments =
        ["--nodes", "2", "--families", "ipv4", "--overlay", overlay.name(), "--datapath", datapath];
    let lab = Lab::up(dist, &name, &arguments)?;
    let [first, second] = NODES;
    let pods = [("client", first), ("near", first), ("far", second)];
    apply(&lab, &cluster::list(&pods.map(|(name, node)| cluster::pod(name, node))))?;
    if loaded {
        apply(&lab, &cluster::list(&cluster::services()))?;
        apply(&lab, &cluster::list(&cluster::policies()))?;
        for node in NODES {
            wait(&format!("all policies and Services to be on {node}"), || has_all(&lab, node))?;
        }
    }
    let [client, near, far] = pods.map(|(name, node)| end(&lab, name, node));
    let node = |name| Netns::open(lab.layout.netns(&Place::Node(name)));
    let nodes = [node(first)?, node(second)?];
    let key = if loaded { LOADED } else { OURS };
    let (client, near, far) = (client?, near?, far?);
    let (agents, switches) = (lab.processes(&["agent"])?, lab.processes(&["ovs-vswitchd", "ovsdb-server"])?);
    if overlay == Overlay::Vxlan {
        idle(key, &[("k-vswitchd", &agents), ("Open vSwitch", &switches)], interrupt, report)?;
    }
    // Control planes are on other machines, and what the agents do is known by now. They do not wake in between: a controller that
    // slept for longer than its lease would end, and an agent have its audit, which is rare otherwise, each time.
    let others = [lab.control_plane()?, Background::of(agents)];
    others.iter().try_for_each(Background::rest)?;
    let background = vec![Background::of(switches)];
    Ok(Contender { key, client, near, far, nodes, background, _guard: Box::new((others, lab)) })
}

/// Measures what the programs of the nodes do while the pods do nothing, for as long as it is from one audit to the next.
fn idle(
    key: &str,
    programs: &[(&str, &[u32])],
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let used = |pids: &[u32]| pids.iter().map(|pid| bench::processor_time(*pid)).sum::<Result<Duration, _>>();
    let before: Vec<_> = programs.iter().map(|(_, pids)| used(pids)).collect::<Result<_, _>>()?;
    let begin = Instant::now();
    while begin.elapsed() < AUDIT {
        interrupt.check()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    let of = begin.elapsed() * u32::try_from(NODES.len())?;
    println!("\n{key}, pods idle, of a node's processor:");
    for ((program, pids), before) in programs.iter().zip(before) {
        let share = used(pids)?.saturating_sub(before).div_duration_f64(of);
        println!("  {program:<12}  {:.2} %", 100.0 * share);
        report.figures(&format!("idle, share of a node's processor: {key}: {program}"), &[share]);
    }
    Ok(())
}

/// MTU of a pod's interface.
pub(crate) fn mtu(end: &End) -> anyhow::Result<u32> {
    Ok(Netlink::open_in(&end.netns)?.link("eth0")?.mtu)
}

fn apply(lab: &Lab, objects: &Value) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("objects.json");
    std::fs::write(&file, objects.to_string())?;
    lab.kvsctl(&["apply", "-f", &file.to_string_lossy()]).map(drop)
}

fn wait(what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !done()? {
        ensure!(begin.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn dump(lab: &Lab, node: &str, table: &str) -> anyhow::Result<String> {
    let ofctl = ["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "k-vswitch0", table];
    lab.kvsctl(&[&["node-exec", node, "--"], &ofctl[..]].concat())
}

/// Whether a node's switch has a frontend of each Service, and chains of all policies.
fn has_all(lab: &Lab, node: &str) -> anyhow::Result<bool> {
    let frontends = dump(lab, node, "table=40")?.lines().count() > SERVICES;
    let asked = |table| anyhow::Ok(dump(lab, node, table)?.matches("resubmit(,60)").count() >= POLICIES);
    Ok(frontends && asked("table=50")? && asked("table=110")?)
}

/// A pod, once it has its flows: where it is and its address, from the switch's database.
fn end(lab: &Lab, name: &str, node: &str) -> anyhow::Result<End> {
    let mut found = None;
    wait(&format!("pod {name}"), || {
        found = look_up(lab, name, node)?;
        Ok(found.is_some())
    })?;
    found.context("no such pod")
}

fn look_up(lab: &Lab, name: &str, node: &str) -> anyhow::Result<Option<End>> {
    let of_pod = format!("external_ids:kvs-pod-name={name}");
    let vsctl = ["ovs-vsctl", "--format=json", "--columns=external_ids", "find", "Interface", &of_pod];
    let table: Value =
        serde_json::from_str(&lab.kvsctl(&[&["node-exec", node, "--"], &vsctl[..]].concat())?)?;
    let pairs = table.pointer("/data/0/0/1").and_then(Value::as_array).into_iter().flatten();
    let id = |key: &str| {
        let mut pairs =
            pairs.clone().filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?.as_str()?)));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
    };
    let (Some(netns), Some(address), Some(_)) = (id("kvs-netns"), id("kvs-ipv4"), id("kvs-programmed"))
    else {
        return Ok(None);
    };
    Ok(Some(End { netns: Netns::open(netns)?, address: address.parse::<Ipv4Addr>()?.into() }))
}
