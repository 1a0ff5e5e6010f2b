//! Labs for tests: brought up by the real `kvsctl`, and gone when the test ends, however it ends.
// Each test program uses some of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The programs a lab runs; `kvsctl` itself is the one built for this test.
const PROGRAMS: [&str; 3] = ["k-vswitchd", "k-vswitch-controller", "k-vswitch-cni"];

/// Folder of the programs: `KVS_BIN_DIR`, or `target/dist`, where `scripts/build` puts them.
fn bin_dir() -> PathBuf {
    match std::env::var_os("KVS_BIN_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dist"),
    }
}

/// Why no lab can be brought up here.
fn obstacle() -> Option<String> {
    let bin_dir = bin_dir();
    if !rustix::process::geteuid().is_root() {
        return Some("a lab needs root".to_owned());
    }
    if !Path::new("/usr/share/openvswitch/vswitch.ovsschema").exists() {
        return Some("Open vSwitch is not installed".to_owned());
    }
    let missing = PROGRAMS.iter().find(|program| !bin_dir.join(program).exists())?;
    Some(format!("{missing} is not built: run scripts/build, or set KVS_BIN_DIR"))
}

/// Whether labs can be brought up here. Says why when not.
pub fn possible() -> bool {
    if let Some(reason) = obstacle() {
        println!("SKIPPED: {reason}");
        return false;
    }
    true
}

/// A lab's name, which is taken down when this is dropped.
pub struct Lab {
    pub name: String,
}

impl Lab {
    /// A name no other test uses. Nothing is up yet.
    pub fn named() -> Self {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("t{}x{count}", std::process::id()) }
    }

    /// A lab that is up.
    pub fn up(arguments: &[&str]) -> Self {
        let lab = Self::named();
        lab.bring_up(arguments);
        lab
    }

    /// Brings it up.
    pub fn bring_up(&self, arguments: &[&str]) -> String {
        let bin_dir = bin_dir();
        let mut all = vec!["up", "--bin-dir", bin_dir.to_str().unwrap()];
        all.extend(arguments);
        self.ok(&all)
    }

    /// A `kvsctl lab` command for this lab.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvsctl"));
        command.args(["lab", "--name", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command.
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

    /// Runs a command that must fail; its standard error.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "kvsctl lab {arguments:?} succeeded: {said}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a command with `-o json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend(arguments);
        serde_json::from_str(&self.ok(&all)).unwrap()
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> String {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), manifest).unwrap();
        self.ok(&["apply", "-f", file.path().to_str().unwrap()])
    }

    /// Waits until this many pods run.
    pub fn wait_for_pods(&self, count: u64) {
        self.wait(&format!("{count} pods to run"), || self.json(&["status"])["pods"] == count);
    }

    /// Waits for something to become true.
    pub fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !done() {
            assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain for {what}\n{}", self.tails());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The results of a probe or a matrix.
    pub fn results(&self, arguments: &[&str]) -> Vec<Value> {
        self.json(arguments).as_array().unwrap().clone()
    }

    /// Asserts that there are this many results and that all are `connected`.
    pub fn all_connected(&self, arguments: &[&str], count: usize) {
        let results = self.results(arguments);
        assert_eq!(results.len(), count, "{results:?}");
        let others: Vec<_> = results.iter().filter(|result| result["result"] != "connected").collect();
        assert!(others.is_empty(), "{others:?}\n{}", self.tails());
    }

    /// `kubectl` for this lab; `None` where it is not installed.
    pub fn kubectl(&self, arguments: &[&str]) -> Option<String> {
        let config = self.ok(&["kubeconfig"]);
        let output = Command::new("kubectl").args(["--kubeconfig", config.trim()]).args(arguments).output();
        let output = match output {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("kubectl: {error}"),
        };
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(String::from_utf8(output.stdout).unwrap())
    }

    /// The lab's folder.
    pub fn folder(&self) -> PathBuf {
        Path::new("/run/kvs-lab").join(&self.name)
    }

    /// Its network namespaces.
    pub fn namespaces(&self) -> Vec<String> {
        let prefix = format!("kvsl-{}.", self.name);
        let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with(&prefix)).collect()
    }

    /// Processes whose command line names the lab's folder, or that supervise it.
    pub fn processes(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder().display());
        let supervisor = format!("supervise --name {}", self.name);
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned())
            .filter(|line| line.contains(&folder) || line.ends_with(&supervisor))
            .collect()
    }

    /// Asserts that nothing is left of it.
    pub fn assert_gone(&self) {
        assert_eq!(self.namespaces(), Vec::<String>::new());
        assert_eq!(self.processes(), Vec::<String>::new());
        assert!(!self.folder().exists());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let prefix = format!("kvsl-{}.", self.name);
        assert!(!mounts.contains(&prefix), "{mounts}");
    }

    /// The ends of all logs, for messages.
    fn tails(&self) -> String {
        let mut files =
            vec![self.folder().join("log/supervisor.log"), self.folder().join("log/controller.log")];
        for node in std::fs::read_dir(self.folder().join("nodes")).into_iter().flatten().flatten() {
            files.push(node.path().join("log/agent.log"));
        }
        let tail = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(15).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- {}\n{}\n", path.display(), lines.join("\n"))
        };
        files.iter().map(tail).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.run(&["down"]);
    }
}
