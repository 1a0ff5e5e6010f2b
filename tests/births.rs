//! Many pods at once, with plugins that live and with plugins that are killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::{Lab, Node, Ping, Port, connects, kill, pods, possible};

/// What of pods is on a node: ports, host ends of veth pairs, flows.
type Traces = (Vec<Port>, BTreeSet<String>, BTreeSet<String>);

fn traces(node: &Node<'_>) -> Traces {
    (node.ports(), node.links(), node.flows())
}

fn many(count: usize) -> Value {
    let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
    pods(names.iter().map(|name| (name.as_str(), 1)))
}

/// So many pods have addresses of their own, in both families, at which they are reached from another node.
fn all_work(lab: &Lab, count: usize) {
    let ports: Vec<Port> = lab.node(1).ports().into_iter().filter(|port| port.pod.starts_with('p')).collect();
    let running: HashSet<&str> =
        ports.iter().filter(|p| Path::new(&p.netns).exists()).map(|p| p.pod.as_str()).collect();
    assert_eq!(running.len(), count, "{}", lab.tails());
    let addresses: Vec<IpAddr> = ports.iter().flat_map(Port::addresses).collect();
    assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), 2 * ports.len(), "{addresses:?}");
    let prober = lab.node(2).port("prober").open();
    for port in ports.iter().filter(|port| Path::new(&port.netns).exists()) {
        for address in port.addresses() {
            // A pod's servers start a moment after its network.
            lab.until(&format!("{} to be reached at {address}", port.pod), || connects(&prober, address, 80));
        }
    }
}

/// A lab with one pod on each of two nodes, and what there is then.
fn baseline() -> (Lab, Traces, usize) {
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods([("keeper", 1), ("prober", 2)]));
    lab.wait_for_pods(2);
    lab.reaches("default/prober", "default/keeper");
    let (before, sandboxes) = (traces(&lab.node(1)), lab.sandboxes().count());
    assert_eq!((before.0.len(), before.1.len(), sandboxes), (1, 1, 2));
    (lab, before, sandboxes)
}

#[test]
fn a_hundred_pods_at_once_all_work_and_leave_nothing() {
    if !possible() {
        return;
    }
    let (lab, before, sandboxes) = baseline();
    let (keeper, prober) = (lab.node(1).port("keeper"), lab.node(2).port("prober"));
    let since = lab.overflows();
    let pings = keeper.addresses().map(|to| Ping::start(&prober.open(), to, 1_000_000));
    let begin = Instant::now();
    lab.apply(&many(100));
    lab.wait_for_pods(102);
    println!("100 pods run after {:?}", begin.elapsed());
    all_work(&lab, 100);
    let (ports, links, flows) = traces(&lab.node(1));
    assert_eq!((ports.len(), links.len()), (101, 101));
    assert_eq!(
        flows.len() - before.2.len(),
        100 * 13,
        "eleven flows per port, and two say whose an address is"
    );

    let begin = Instant::now();
    lab.delete(&many(100));
    lab.until("nothing to be left", || {
        lab.sandboxes().count() == sandboxes && traces(&lab.node(1)) == before
    });
    println!("100 pods are gone after {:?}", begin.elapsed());
    for ping in pings {
        let (sent, lost) = ping.interrupt();
        println!("{lost} of {sent} pings between nodes lost meanwhile");
        lab.none_lost("while pods came and went", &since, (sent, lost));
    }
    lab.reaches("default/prober", "default/keeper");
}

#[test]
fn pods_whose_plugins_are_killed_at_random_all_work_in_the_end_and_leave_nothing_after_gc() {
    if !possible() {
        return;
    }
    const PODS: usize = 50;
    let (lab, before, sandboxes) = baseline();
    let plugin = lab.folder().join("nodes/node-1/cni/bin/k-vswitch-cni");
    let killed = while_plugins_die(&plugin, || lab.apply(&many(PODS)));
    println!("{killed} plugins were killed while pods came");
    assert!(killed >= 5, "{killed} plugins were killed");
    lab.wait_for_pods(u64::try_from(PODS).unwrap() + 2);
    all_work(&lab, PODS);

    let killed = while_plugins_die(&plugin, || lab.delete(&many(PODS)));
    println!("{killed} plugins were killed while pods went");
    lab.until("the pods to go", || lab.sandboxes().count() == sandboxes);
    let left = traces(&lab.node(1));
    println!("left before GC: {} ports, {} links", left.0.len() - 1, left.1.len() - 1);
    lab.node(1).collect_garbage(&[&before.0[0].container]);
    let (ports, links, _) = traces(&lab.node(1));
    assert_eq!((ports, links), (before.0.clone(), before.1.clone()), "GC leaves nothing");
    lab.until("the flows to be as before", || traces(&lab.node(1)) == before);
    lab.reaches("default/prober", "default/keeper");
}

/// Kills processes of the plugin, for a while. Returns how many.
fn while_plugins_die(plugin: &Path, meanwhile: impl FnOnce() + Send) -> usize {
    std::thread::scope(|scope| {
        let running = scope.spawn(meanwhile);
        let (coin, mut looks, mut killed) = (RandomState::new(), 0, HashSet::new());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(4) {
            looks += 1;
            for pid in processes_of(plugin) {
                // Each is killed at another moment of its life, or lives: a quick one is seen a few times.
                if coin.hash_one((pid, looks)) % 4 == 0 && killed.insert(pid) {
                    kill(pid);
                }
            }
        }
        running.join().unwrap();
        killed.len()
    })
}

/// Processes that execute a file, under whatever name they know it.
fn processes_of(program: &Path) -> Vec<u32> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let Some(wanted) = identity(program) else { return vec![] };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| identity(Path::new(&format!("/proc/{pid}/exe"))) == Some(wanted)).collect()
}
