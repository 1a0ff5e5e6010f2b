//! A node for the plugin: a network namespace with a real `ovsdb-server` and `ovs-vswitchd`, and a stand-in for the
//! daemon that only stamps ports. It speaks OVSDB with nothing but a JSON parser, so that the plugin's own client is
//! not what it is tested with.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufReader, Write},
    net::IpAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use host::{Netlink, Netns};
use serde_json::{Value, json};

pub(crate) const BRIDGE: &str = "k-vswitch0";

/// A namespace that is deleted with the value.
pub(crate) struct TestNetns {
    pub(crate) name: String,
    pub(crate) netns: Netns,
}

impl TestNetns {
    pub(crate) fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("kvst-c{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let netns = Netns::create(&name).unwrap();
        Self { name, netns }
    }

    pub(crate) fn path(&self) -> PathBuf {
        Netns::path_of(&self.name)
    }

    pub(crate) fn netlink(&self) -> Netlink {
        Netlink::open_in(&self.netns).unwrap()
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        let _ = Netns::delete(&self.name);
    }
}

/// A node with Open vSwitch, and with a daemon unless it is taken away.
pub(crate) struct Node {
    daemon: Option<Daemon>,
    processes: Vec<Child>,
    pub(crate) netns: TestNetns,
    directory: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.daemon = None;
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What the daemon would have written for pods of both families.
pub(crate) const DUAL_STACK: [(&str, &str); 6] = [
    ("kvs-node", "node1"),
    ("kvs-pod-cidr-ipv4", "10.244.1.0/24"),
    ("kvs-gateway-ipv4", "10.244.1.1"),
    ("kvs-pod-cidr-ipv6", "fd00:244:1::/64"),
    ("kvs-gateway-ipv6", "fd00:244:1::1"),
    ("kvs-mtu", "1430"),
];

impl Node {
    /// A node whose bridge and daemon are up; `None`, with the reason printed, where that cannot be.
    pub(crate) fn start(facts: &[(&str, &str)]) -> Option<Self> {
        let mut node = Self::without_bridge()?;
        let mut arguments: Vec<String> =
            ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"]
                .into_iter()
                .chain(["fail_mode=secure"])
                .map(str::to_owned)
                .collect();
        arguments.extend(facts.iter().map(|(key, value)| format!("external_ids:{key}=\"{value}\"")));
        node.vsctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        node.start_daemon(true);
        Some(node)
    }

    /// A node on which Open vSwitch runs and nothing is set up.
    pub(crate) fn without_bridge() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: not root, and network namespaces take CAP_SYS_ADMIN");
            return None;
        }
        if Command::new("ovs-vswitchd").arg("--version").output().is_err() {
            println!("SKIPPED: ovs-vswitchd is not installed (package openvswitch-switch)");
            return None;
        }
        let mut node = Self {
            daemon: None,
            processes: Vec::new(),
            netns: TestNetns::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        node.netns.netlink().set_up("lo", true).unwrap();
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        let (database, remote) = (node.file("conf.db"), format!("punix:{}", node.socket().display()));
        let created = Command::new("ovsdb-tool").arg("create").arg(&database).arg(schema).status().unwrap();
        assert!(created.success());
        node.spawn("ovsdb-server", &[database.to_str().unwrap(), "--remote", &remote]);
        wait_for("ovsdb-server", || UnixStream::connect(node.socket()).is_ok());
        node.vsctl(&["--no-wait", "init"]);
        let remote = format!("unix:{}", node.socket().display());
        node.spawn("ovs-vswitchd", &[&remote]);
        Some(node)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.file("db.sock")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let directory = self.directory.path();
        let mut command = Command::new(program);
        command.args(arguments).arg("--unixctl").arg(directory.join(format!("{program}.ctl")));
        command
            .arg("--pidfile")
            .arg(format!("--log-file={}", directory.join(format!("{program}.log")).display()));
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(variable, directory);
        }
        command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.netns.netns.run(|| command.spawn().unwrap()).unwrap();
        self.processes.push(child);
    }

    /// Ends a program that [`Node::without_bridge`] started: 0 is `ovsdb-server`, 1 is `ovs-vswitchd`.
    pub(crate) fn kill(&mut self, which: usize) {
        self.processes[which].kill().unwrap();
        self.processes[which].wait().unwrap();
    }

    /// Runs `ovs-vsctl` and returns its output.
    pub(crate) fn vsctl(&self, arguments: &[&str]) -> String {
        let database = format!("--db=unix:{}", self.socket().display());
        let output =
            Command::new("ovs-vsctl").arg(database).arg("--timeout=20").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts the stand-in for the daemon; it programs nothing, and stamps ports if `stamping`.
    pub(crate) fn start_daemon(&mut self, stamping: bool) {
        self.daemon = None;
        self.daemon = Some(Daemon::start(&self.socket(), stamping));
    }

    pub(crate) fn stop_daemon(&mut self) {
        self.daemon = None;
    }

    /// Names of the pods' ports.
    pub(crate) fn ports(&self) -> Vec<String> {
        self.vsctl(&["list-ports", BRIDGE]).lines().map(str::to_owned).collect()
    }

    /// Names of the hosts' ends of pods' interfaces.
    pub(crate) fn host_ends(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.netns.netlink().links().unwrap().into_iter().map(|l| l.name).collect();
        names.retain(|name| name.starts_with("kvs"));
        names.sort();
        names
    }

    /// One of a port's `external_ids`, empty if it has none.
    pub(crate) fn port_fact(&self, port: &str, key: &str) -> String {
        let found = self.vsctl(&["--if-exists", "get", "Interface", port, &format!("external_ids:{key}")]);
        found.trim_matches('"').to_owned()
    }

    /// The addresses that ports hold.
    pub(crate) fn held_addresses(&self) -> Vec<String> {
        let mut held = Vec::new();
        for port in self.ports() {
            for key in ["kvs-ipv4", "kvs-ipv6"] {
                held.push(self.port_fact(&port, key));
            }
        }
        held.retain(|address| !address.is_empty());
        held.sort();
        held
    }

    pub(crate) fn netconf(&self, version: &str) -> Value {
        json!({
            "cniVersion": version,
            "name": "pods",
            "type": "k-vswitch-cni",
            "ovsdb": self.socket(),
            "timeoutSeconds": 10,
        })
    }

    /// A call of the plugin about one container.
    pub(crate) fn call<'a>(&'a self, command: &'a str, id: &'a str, netns: &'a Path) -> Call<'a> {
        Call { node: self, command, id, ifname: "eth0", netns, path: "" }
    }

    pub(crate) fn add(&self, id: &str, pod: &TestNetns, version: &str) -> Outcome {
        self.call("ADD", id, &pod.path()).with(&self.netconf(version))
    }

    pub(crate) fn del(&self, id: &str, pod: &TestNetns) -> Outcome {
        self.call("DEL", id, &pod.path()).with(&self.netconf("1.1.0"))
    }

    pub(crate) fn status(&self) -> Outcome {
        self.call("STATUS", "", Path::new("")).with(&self.netconf("1.1.0"))
    }

    /// GC that keeps these containers.
    pub(crate) fn gc(&self, keep: &[&str]) -> Outcome {
        let mut conf = self.netconf("1.1.0");
        let keep = keep.iter().map(|id| json!({"containerID": id, "ifname": "eth0"}));
        conf["cni.dev/valid-attachments"] = keep.collect();
        self.call("GC", "", Path::new("")).with(&conf)
    }
}

/// The plugin, about to be executed in the node's namespace.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
    pub(crate) command: &'a str,
    pub(crate) id: &'a str,
    pub(crate) ifname: &'a str,
    pub(crate) netns: &'a Path,
    pub(crate) path: &'a str,
}

/// What the plugin said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) output: Value,
}

impl Call<'_> {
    pub(crate) fn spawn(&self, netconf: &Value) -> Child {
        let mut command = plugin();
        command
            .env("CNI_COMMAND", self.command)
            .env("CNI_CONTAINERID", self.id)
            .env("CNI_IFNAME", self.ifname)
            .env("CNI_NETNS", self.netns)
            .env("CNI_PATH", self.path)
            .env(
                "CNI_ARGS",
                format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={};K8S_POD_UID=u1", self.id),
            );
        let mut child = self.node.netns.netns.run(|| command.spawn().unwrap()).unwrap();
        child.stdin.take().unwrap().write_all(netconf.to_string().as_bytes()).unwrap();
        child
    }

    pub(crate) fn with(&self, netconf: &Value) -> Outcome {
        Outcome::of(self.spawn(netconf))
    }
}

impl Outcome {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        Self { success: output.status.success(), output: value }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.success, "{}", self.output);
        self.output
    }

    /// The error's code, and all its text.
    #[track_caller]
    pub(crate) fn error(self) -> (u64, String) {
        assert!(!self.success, "{}", self.output);
        assert!(self.output["cniVersion"].is_string(), "{}", self.output);
        let text =
            format!("{}: {}", self.output["msg"].as_str().unwrap(), self.output["details"].as_str().unwrap());
        (self.output["code"].as_u64().unwrap(), text)
    }
}

/// The plugin with an empty environment.
pub(crate) fn plugin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k-vswitch-cni"));
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The addresses of an ADD's result, without prefix lengths.
pub(crate) fn addresses(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().unwrap();
    ips.iter().map(|ip| ip["address"].as_str().unwrap().split('/').next().unwrap().parse().unwrap()).collect()
}

#[track_caller]
pub(crate) fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Holds the daemon's lock and stamps ports as soon as the switch has numbered them.
struct Daemon {
    stream: UnixStream,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(socket: &Path, stamping: bool) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        let (reading, mut writing) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        send(&mut writing, "lock", &json!(["k_vswitchd"]));
        if stamping {
            let columns = json!({"Interface": [{"columns": ["name", "ofport", "external_ids"]}]});
            send(&mut writing, "monitor", &json!(["Open_vSwitch", "daemon", columns]));
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let messages =
                serde_json::Deserializer::from_reader(BufReader::new(reading)).into_iter::<Value>();
            for message in messages {
                let Ok(message) = message else {
                    assert!(stop.load(Ordering::Relaxed), "the database went away");
                    return;
                };
                let _ = ready.send(());
                assert!(message["error"].is_null(), "{message}");
                if message["method"] == "echo" {
                    let reply = json!({"id": message["id"], "result": message["params"], "error": null});
                    writing.write_all(reply.to_string().as_bytes()).unwrap();
                }
                let tables =
                    if message["id"] == "monitor" { &message["result"] } else { &message["params"][1] };
                for row in tables["Interface"].as_object().into_iter().flat_map(serde_json::Map::values) {
                    stamp(&mut writing, &row["new"]);
                }
            }
        });
        is_ready.recv().unwrap();
        Self { stream, stopping, thread: Some(thread) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn send(stream: &mut UnixStream, method: &str, params: &Value) {
    let request = json!({"id": method, "method": method, "params": params});
    stream.write_all(request.to_string().as_bytes()).unwrap();
}

/// Writes `kvs-programmed` into a pod's interface row that the switch has given a number.
fn stamp(stream: &mut UnixStream, row: &Value) {
    let ids: BTreeMap<&str, &str> = row["external_ids"][1]
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let Some(ofport) = row["ofport"].as_i64().filter(|ofport| *ofport > 0) else { return };
    let stamp = ofport.to_string();
    if !ids.contains_key("kvs-container-id") || ids.get("kvs-programmed") == Some(&stamp.as_str()) {
        return;
    }
    let mutations = json!([
        ["external_ids", "delete", ["set", ["kvs-programmed"]]],
        ["external_ids", "insert", ["map", [["kvs-programmed", stamp]]]],
    ]);
    let update = json!({"op": "mutate", "table": "Interface", "where": [["name", "==", row["name"]]], "mutations": mutations});
    send(stream, "transact", &json!(["Open_vSwitch", update]));
}

/// Whether a file of a process the test started is left; used to see that nothing leaks.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
