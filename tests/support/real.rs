//! The same tests on a real Kubernetes: `KVS_TEST_API=kubernetes` makes [`Lab::up`](crate::Lab::up) bring up one, where it is
//! `kvsctl`'s embedded API otherwise.
//!
//! What tests see is the same: pods run `pause`, for which the lab serves the ports that they declare, and there are no pods but
//! theirs, since the cluster's name server is sent away. What cannot be the same says so by [`simulated`].

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::Netns;
use kubernetes::programs::Programs;
use serde_json::{Value, json};

use crate::{Lab, bin_dir};

/// The variable that chooses.
const CHOICE: &str = "KVS_TEST_API";

/// One cluster at a time: each needs both processors.
static TURN: Mutex<()> = Mutex::new(());

/// Whether labs have a real Kubernetes.
///
/// # Panics
/// When the variable names something else.
#[must_use]
pub fn chosen() -> bool {
    match std::env::var(CHOICE) {
        Ok(api) if api == "kubernetes" => true,
        Ok(api) if api.is_empty() || api == "embedded" => false,
        Err(std::env::VarError::NotPresent) => false,
        other => panic!("{CHOICE}: {other:?}: choose embedded or kubernetes"),
    }
}

/// Whether what is simulated is simulated: kubelets, containers, an API in the lab's own process. Says why it must be, when
/// it is not.
#[must_use]
pub fn simulated(why: &str) -> bool {
    if chosen() {
        println!("SKIPPED: on a real Kubernetes: {why}");
    }
    !chosen()
}

/// How long anything may take that is waited for: two processors carry a whole cluster, and its programs are not in a hurry.
pub(crate) fn patience(real: bool) -> Duration {
    crate::patience(Duration::from_secs(if real { 240 } else { 60 }))
}

/// Why there cannot be a real Kubernetes.
pub(crate) fn obstacle() -> Option<String> {
    let image = bin_dir().join("../image/k-vswitch.tar");
    match Programs::find() {
        Err(error) => Some(error.to_string()),
        Ok(programs) => {
            let others = ["kubectl", "agnhost.tar", "coredns.tar"].map(|name| programs.own(name));
            let missing = others.into_iter().chain([image]).find(|path| !path.exists())?;
            Some(format!("there is no {}: make kube image", missing.display()))
        }
    }
}

/// Waits until there is no other real cluster.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a new cluster as empty as a simulated one: its name server goes. Returns how many pods stay: daemons and controllers.
pub(crate) fn settle(lab: &Lab) -> u64 {
    let object = |version: &str, kind: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}});
    let gone = [object("apps/v1", "Deployment", "coredns"), object("v1", "Service", "kube-dns")];
    lab.delete(&json!({"apiVersion": "v1", "kind": "List", "items": gone}));
    let nodes = nodes(lab);
    let own = u64::try_from(nodes.len() + nodes.len().min(2)).unwrap();
    lab.until("the cluster to have its own pods and no others", || {
        lab.json(&["status"])["pods"] == own && nodes.iter().all(|node| lab.node_of(node).ports().is_empty())
    });
    own
}

/// Names of its nodes.
pub(crate) fn nodes(lab: &Lab) -> Vec<String> {
    let status = lab.json(&["status"]);
    let nodes = status["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Process id of a node's first process, while its machine is on.
pub(crate) fn first_process(lab: &Lab, node: &str) -> Option<u64> {
    let status = lab.json(&["status"]);
    let find = |list: &Value, key: &str, name: &str| {
        list.as_array().into_iter().flatten().find(|item| item[key] == name).cloned()
    };
    find(&find(&status["nodes"], "name", node)?["programs"], "program", "machine")?["pid"].as_u64()
}

/// A folder or file of a machine, as it is seen from outside. `/var/run` is a link to `/run` that would lead to our own.
pub(crate) fn seen(first: u64, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    let path = path.strip_prefix("/var").ok().filter(|rest| rest.starts_with("run")).unwrap_or(path);
    Path::new("/proc").join(first.to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path))
}

/// Process id of a node's daemon, and when it started, which is later each time.
pub(crate) fn agent(node: &Netns) -> Option<(u32, u64)> {
    let is_there = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "k-vswitchd" && Netns::of_pid(*pid).is_ok_and(|found| found.id() == node.id())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pid = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_there)?;
    // proc_pid_stat(5): behind the name in brackets, which is the second field, this is the twenty-second.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let started = stat.rsplit(") ").next()?.split(' ').nth(19)?.parse().ok()?;
    Some((pid, started))
}
