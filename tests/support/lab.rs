//! Labs, brought up and taken down by the shipped `kvsctl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::{Node, Overflows, Sandboxes, bin_dir, patience, real};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Waits for something to become true.
///
/// # Panics
/// When it does not in a minute, or in four where Kubernetes is real.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < real::patience(real::chosen()), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Kills a process, as a crash would. One that has ended already is none.
pub fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
}

/// A lab that is up. It is taken down when this is dropped.
#[derive(Debug)]
pub struct Lab {
    name: String,
    /// Pods that its `status` counts and that are none of the test's.
    own_pods: u64,
    /// Held by labs with a real Kubernetes.
    turn: Option<MutexGuard<'static, ()>>,
}

impl Lab {
    /// Brings a lab up, with the API that is chosen ([`real`]). `arguments` are those of `kvsctl lab up`.
    #[must_use]
    pub fn up(arguments: &[&str]) -> Self {
        if !real::chosen() {
            return Self::launch(arguments, None);
        }
        let mut lab = Self::up_real(arguments);
        lab.own_pods = real::settle(&lab);
        lab
    }

    /// Brings a lab up that has a real Kubernetes, whatever is chosen.
    pub(crate) fn up_real(arguments: &[&str]) -> Self {
        Self::launch(&[&["--api", "kubernetes"], arguments].concat(), Some(real::turn()))
    }

    fn launch(arguments: &[&str], turn: Option<MutexGuard<'static, ()>>) -> Self {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let lab = Self { name: format!("s{}x{count}", std::process::id()), own_pods: 0, turn };
        lab.ok(&[&["up"], arguments].concat());
        lab
    }

    /// Whether it has a real Kubernetes.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        self.turn.is_some()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bin_dir().join("kvsctl"));
        command.args(["lab", "--name", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a `kvsctl lab` command.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kvsctl lab {arguments:?}: {said}\n{}", self.tails());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `-o json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["-o", "json"], arguments].concat())).unwrap()
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &Value) {
        self.with_file("apply", manifest);
    }

    /// Deletes what a manifest describes.
    pub fn delete(&self, manifest: &Value) {
        self.with_file("delete", manifest);
    }

    /// Applies a manifest, if the API takes it; whether it did.
    pub fn try_apply(&self, manifest: &Value) -> bool {
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(file.path(), manifest.to_string()).unwrap();
        self.run(&["apply", "-f", file.path().to_str().unwrap()]).status.success()
    }

    fn with_file(&self, verb: &str, manifest: &Value) {
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(file.path(), manifest.to_string()).unwrap();
        self.ok(&[verb, "-f", file.path().to_str().unwrap()]);
    }

    /// Waits until so many pods run.
    pub fn wait_for_pods(&self, count: u64) {
        let all = count + self.own_pods;
        self.until(&format!("{count} pods to run"), || self.json(&["status"])["pods"] == all);
    }

    /// Waits for something to become true; shows the ends of all logs when it does not.
    pub fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let (begin, longest) = (Instant::now(), real::patience(self.is_real()));
        while !done() {
            assert!(begin.elapsed() < longest, "waited in vain for {what}\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the switches' sockets have dropped so far.
    #[must_use]
    pub fn overflows(&self) -> Overflows {
        Overflows::of(self)
    }

    /// Fails if more pings were lost than sockets of the nodes' switches have dropped packets since then.
    pub fn none_lost(&self, what: &str, since: &Overflows, (sent, lost): (u32, u32)) {
        if lost == 0 {
            return;
        }
        let dropped = since.until(&self.overflows());
        println!(
            "{what}: {lost} of {sent} pings lost, {dropped} packets found no room in the switches' sockets"
        );
        assert!(lost <= dropped, "{what}: {lost} of {sent} pings lost\n{}", self.tails());
    }

    /// One of its nodes, by name.
    #[must_use]
    pub fn node_of(&self, name: &str) -> Node<'_> {
        Node::new(self, name.to_owned())
    }

    /// One of its nodes, by number.
    #[must_use]
    pub fn node(&self, number: u16) -> Node<'_> {
        Node::new(self, format!("node-{number}"))
    }

    /// Process id and number of restarts of one of a node's programs, or of `controller`. `None` while it does not
    /// run.
    #[must_use]
    pub fn program(&self, node: &str, program: &str) -> Option<(u32, u64)> {
        let status = self.json(&["status"]);
        let find = |list: &Value, key: &str, name: &str| {
            list.as_array().unwrap().iter().find(|item| item[key] == name).cloned().unwrap()
        };
        if self.is_real() && program == "agent" {
            return real::agent(&self.node_of(node).netns);
        }
        let program = match program {
            "controller" => status["controller"].clone(),
            _ => find(&find(&status["nodes"], "name", node)["programs"], "program", program),
        };
        Some((u32::try_from(program["pid"].as_u64()?).ok()?, program["restarts"].as_u64()?))
    }

    /// Asserts that a place reaches another on TCP port 80 in all families.
    pub fn reaches(&self, from: &str, to: &str) {
        let timeout = format!("{}s", patience(Duration::from_secs(1)).as_secs());
        let results =
            self.json(&["probe", "--from", from, "--to", to, "--probe", "TCP/80", "--timeout", &timeout]);
        let connected = results.as_array().unwrap().iter().all(|result| result["result"] == "connected");
        assert!(connected, "{results}\n{}", self.tails());
    }

    /// Runs a `kvsctl` command that asks all nodes of the lab, and must succeed; its standard output.
    pub fn inspect(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(bin_dir().join("kvsctl"));
        let output = command.args(arguments).args(["--lab", &self.name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kvsctl {arguments:?}: {said}\n{}", self.tails());
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `kvsctl check` finds on all nodes. It must fail if, and only if, there is a problem.
    #[must_use]
    pub fn check(&self) -> Vec<Value> {
        let mut command = Command::new(bin_dir().join("kvsctl"));
        let output = command.args(["check", "-o", "json", "--lab", &self.name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let findings: Vec<Value> =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        let problem = findings.iter().any(|finding| finding["result"] == "problem");
        assert_eq!(output.status.success(), !problem, "{findings:?}");
        findings
    }

    /// The lab's folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        Path::new("/run/kvs-lab").join(&self.name)
    }

    /// Network namespaces of its pods.
    #[must_use]
    pub fn sandboxes(&self) -> Sandboxes {
        Sandboxes::of(self)
    }

    /// The network namespace of the world outside.
    #[must_use]
    pub fn outside(&self) -> host::Netns {
        self.node_netns("out")
    }

    /// The network namespace of the wire between the machines.
    #[must_use]
    pub fn wire(&self) -> host::Netns {
        self.node_netns("wire")
    }

    pub(crate) fn node_netns(&self, node: &str) -> host::Netns {
        host::Netns::named(&self.netns_name(node)).unwrap()
    }

    /// Name of one of its network namespaces.
    pub(crate) fn netns_name(&self, place: &str) -> String {
        format!("kvsl-{}.{place}", self.name)
    }

    /// The ends of all logs, for messages.
    #[must_use]
    pub fn tails(&self) -> String {
        let mut files = vec![];
        for folder in std::fs::read_dir(self.folder().join("nodes")).into_iter().flatten().flatten() {
            files.extend(
                ["agent", "ovs-vswitchd", "kubelet"].map(|log| folder.path().join(format!("log/{log}.log"))),
            );
        }
        files.extend(["supervisor", "controller"].map(|log| self.folder().join(format!("log/{log}.log"))));
        let tail = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            format!("--- {}\n{}\n", path.display(), last.join("\n"))
        };
        files.iter().map(tail).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.tails());
        }
        let _ = self.run(&["down"]);
    }
}
