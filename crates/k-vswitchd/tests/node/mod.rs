//! One node: a network namespace, a real switch, the embedded API, and the daemon's real binary.
#![allow(clippy::print_stdout, dead_code, unreachable_pub)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use api::VSwitchConfig;
use apiserver::Server;
use host::{Netlink, Netns};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Config};
use serde_json::{Value, json};

pub const NODE: &str = "node-1";
pub const OVERLAY_IP: &str = "172.30.0.11";
const HEALTH: &str = "127.0.0.1:9410";
const API: &str = "127.0.0.1:6443";
const PATIENCE: Duration = Duration::from_secs(20);

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Dropping it ends its processes and deletes its namespace.
pub struct Node {
    pub name: String,
    pub netns: Netns,
    pub folder: tempfile::TempDir,
    pub api: Server,
    pub client: Client,
    pub daemon: Option<Child>,
    ovsdb: Child,
    vswitchd: Option<Child>,
}

impl Node {
    /// A node without a daemon, or `None` with the reason where it cannot be made.
    pub async fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: needs root, for network namespaces");
            return None;
        }
        if !Path::new("/usr/sbin/ovs-vswitchd").exists() {
            println!("SKIPPED: Open vSwitch is not installed");
            return None;
        }
        let name = format!("kvst-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let netns = Netns::create(&name).unwrap();
        let mut netlink = Netlink::open_in(&netns).unwrap();
        netlink.set_up("lo", true).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("conf.db");
        let schema = Path::new("/usr/share/openvswitch/vswitch.ovsschema");
        let created = Command::new("ovsdb-tool").arg("create").args([&database, schema]).status().unwrap();
        assert!(created.success());
        let ovsdb = ovsdb_server(folder.path(), &database);
        wait_for_file(&folder.path().join("db.sock"));

        let api = Server::builder().build();
        let (inside, outside) = (listener(&netns), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        outside.set_nonblocking(true).unwrap();
        let local = outside.local_addr().unwrap();
        for listener in [inside, outside] {
            let (api, listener) = (api.clone(), tokio::net::TcpListener::from_std(listener).unwrap());
            tokio::spawn(async move { api.serve(listener).await });
        }
        let client = Client::try_from(Config::new(format!("http://{local}").parse().unwrap())).unwrap();
        let mut node = Self { name, netns, folder, api, client, daemon: None, ovsdb, vswitchd: None };
        node.start_vswitchd();
        // The underlay: on the userspace datapath a tunnel's own address is on a bridge.
        node.vsctl(&["add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev"]);
        let link = netlink.link("br-phy").unwrap().index;
        netlink.set_up(link, true).unwrap();
        netlink.add_address(link, format!("{OVERLAY_IP}/24").parse().unwrap()).unwrap();
        let crds: Api<
            k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        > = Api::all(node.client.clone());
        for crd in api::crds() {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        Some(node)
    }

    /// Starts the daemon with arguments besides the usual ones.
    pub fn start_daemon(&mut self, more: &[&str]) {
        self.start_daemon_by(&[], more);
    }

    /// Starts the daemon by another command, such as one that takes privileges away.
    pub fn start_daemon_by(&mut self, by: &[&str], more: &[&str]) {
        let path = |name: &str| self.folder.path().join(name);
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": format!("http://{API}")}}],
            "users": [{"name": "a", "user": {}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        });
        std::fs::write(path("kubeconfig"), kubeconfig.to_string()).unwrap();
        std::fs::write(path("plugin"), b"the plugin").unwrap();
        let log = std::fs::File::options().create(true).append(true).open(path("daemon.log")).unwrap();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .args(by)
            .arg(env!("CARGO_BIN_EXE_k-vswitchd"))
            .args(["--node-name", NODE, "--health-addr", HEALTH])
            .args(["--log", "debug,hyper_util=info,tower=info,rustls=info"])
            .arg(format!("--ovsdb=unix:{}", path("db.sock").display()))
            .arg(format!("--ovs-rundir={}", self.folder.path().display()))
            .arg(format!("--kubeconfig={}", path("kubeconfig").display()))
            .arg(format!("--cni-plugin={}", path("plugin").display()))
            .arg(format!("--cni-bin-dir={}", path("cni/bin").display()))
            .arg(format!("--cni-conf-dir={}", path("cni/net.d").display()))
            .args(if more.contains(&"--datapath") { &[][..] } else { &["--datapath", "netdev"] })
            .args(more)
            .stderr(log)
            .stdin(Stdio::null());
        self.daemon = Some(command.spawn().unwrap());
    }

    /// As SIGKILL does.
    pub fn kill_daemon(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    pub fn start_vswitchd(&mut self) {
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("ovs-vswitchd")
            .arg(format!("unix:{}", self.folder.path().join("db.sock").display()))
            .arg(format!("--unixctl={}", self.folder.path().join("vswitchd.ctl").display()))
            .env("OVS_RUNDIR", self.folder.path())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.vswitchd = Some(child);
    }

    pub fn kill_vswitchd(&mut self) {
        if let Some(mut child) = self.vswitchd.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn kill_ovsdb(&mut self) {
        self.ovsdb.kill().unwrap();
        self.ovsdb.wait().unwrap();
    }

    pub fn restart_ovsdb(&mut self) {
        self.kill_ovsdb();
        std::fs::remove_file(self.folder.path().join("db.sock")).unwrap();
        self.ovsdb = ovsdb_server(self.folder.path(), &self.folder.path().join("conf.db"));
        wait_for_file(&self.folder.path().join("db.sock"));
    }

    pub fn configs(&self) -> Api<VSwitchConfig> {
        Api::all(self.client.clone())
    }

    /// Creates or changes the `VSwitchConfig` of node `node-<n>`.
    pub async fn configure(&self, n: u8, change: Value) {
        let spec = json!({
            "clusterCIDR": "10.0.0.0/16,fd00::/48",
            "podCIDR": format!("10.0.{n}.0/24,fd00:0:0:{n}::/64"),
            "serviceCIDR": "10.96.0.0/16",
            "overlayType": "vxlan",
            "overlayIP": format!("172.30.0.1{n}"),
        });
        let name = format!("node-{n}");
        let object: VSwitchConfig = serde_json::from_value(json!({
            "apiVersion": "kvswitch.io/v1alpha1", "kind": "VSwitchConfig",
            "metadata": {"name": name}, "spec": spec,
        }))
        .unwrap();
        if self.configs().get_opt(&name).await.unwrap().is_none() {
            self.configs().create(&PostParams::default(), &object).await.unwrap();
        }
        let patch = json!({ "spec": change });
        self.configs().patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// Status and message of the condition `Ready`.
    pub async fn ready_condition(&self) -> Option<(bool, String)> {
        let status = self.configs().get(NODE).await.ok()?.status?;
        let ready = status.conditions.into_iter().find(|c| c.type_ == "Ready")?;
        Some((ready.status == "True", ready.message))
    }

    /// Adds a pod to the API, and what the plugin adds: a veth pair and the port's rows. Returns the port's name.
    pub async fn add_pod(&self, name: &str, last: u8) -> String {
        self.create_pod(name).await;
        self.add_port(name, last)
    }

    /// Adds a NetworkPolicy to the API.
    pub async fn create_policy(&self, name: &str, spec: Value) {
        let policies: Api<k8s_openapi::api::networking::v1::NetworkPolicy> =
            Api::namespaced(self.client.clone(), "default");
        let policy = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        policies.create(&PostParams::default(), &policy).await.unwrap();
    }

    /// Adds a pod to the API.
    pub async fn create_pod(&self, name: &str) {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client.clone(), "default");
        let pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": "i"}]},
        }))
        .unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }

    /// Waits until the daemon has been told of all pods that are in the API: events come in the order of changes, and it counts
    /// the address of one more, of another node.
    pub async fn knows_pods(&self) {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(self.client.clone(), "default");
        let pod = json!({"metadata": {"name": "last"},
            "spec": {"nodeName": "another", "containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let status = Patch::Merge(
            json!({"status": {"phase": "Running", "podIP": "10.0.9.9", "podIPs": [{"ip": "10.0.9.9"}]}}),
        );
        pods.patch_status("last", &PatchParams::default(), &status).await.unwrap();
        self.until("the daemon knows the pods", async || {
            self.get("/metrics").is_some_and(|(_, text)| text.contains("kvswitchd_identities 1\n"))
        })
        .await;
    }

    /// Adds what the plugin adds: a veth pair and the port's rows. Returns the port's name.
    pub fn add_port(&self, name: &str, last: u8) -> String {
        let ipv4 = format!("10.0.1.{last}").parse().unwrap();
        let peer = format!("peer{last}");
        let facts = ipam::PodPort {
            namespace: "default".into(),
            name: name.into(),
            uid: None,
            container_id: format!("cid-{name}"),
            ifname: peer.clone(),
            netns: format!("/run/netns/{}", self.name),
            mac: ipam::names::mac(Some(ipv4), None).unwrap(),
            ipv4: Some(ipv4),
            ipv6: Some(format!("fd00:0:0:1::{last:x}").parse().unwrap()),
            mtu: None,
        };
        let port = facts.port_name();
        let mut netlink = Netlink::open_in(&self.netns).unwrap();
        netlink.create_veth(&host::Veth::new(&port, &peer)).unwrap();
        netlink.set_up(port.as_str(), true).unwrap();
        netlink.set_up(peer.as_str(), true).unwrap();
        let ids: Vec<String> =
            facts.write().iter().map(|(key, value)| format!("external_ids:{key}=\"{value}\"")).collect();
        let mut arguments = vec!["add-port", "k-vswitch0", &port, "--", "set", "interface", &port];
        arguments.extend(ids.iter().map(String::as_str));
        self.vsctl(&arguments);
        port
    }

    pub fn is_programmed(&self, port: &str) -> bool {
        let ofport = self.vsctl(&["get", "interface", port, "ofport"]);
        let stamp = self.vsctl(&["--if-exists", "get", "interface", port, "external_ids:kvs-programmed"]);
        !stamp.trim().is_empty() && stamp.trim().trim_matches('"') == ofport.trim()
    }

    pub fn vsctl(&self, arguments: &[&str]) -> String {
        let db = format!("--db=unix:{}", self.folder.path().join("db.sock").display());
        output(Command::new("ovs-vsctl").args([&db, "--timeout=10"]).args(arguments))
    }

    /// All flows of the bridge, sorted, without counters.
    pub fn flows(&self) -> Vec<String> {
        let text = self.ofctl(&["--no-stats", "--no-names", "dump-flows"], &[]);
        // With some options there is a line above the flows, with others not.
        let flow = |line: &&str| line.contains("actions=");
        let mut flows: Vec<String> = text.lines().map(str::trim).filter(flow).map(str::to_owned).collect();
        flows.sort();
        flows
    }

    pub fn ofctl(&self, before: &[&str], after: &[&str]) -> String {
        let target = self.folder.path().join("k-vswitch0.mgmt");
        output(Command::new("ovs-ofctl").args(["-O", "OpenFlow15"]).args(before).arg(&target).args(after))
    }

    /// Runs a command in the node's namespace.
    pub fn exec(&self, command: &[&str]) -> String {
        output(Command::new("nsenter").arg(format!("--net=/run/netns/{}", self.name)).args(command))
    }

    /// Status and body of a page of the daemon.
    pub fn get(&self, page: &str) -> Option<(u16, String)> {
        let page = page.to_owned();
        self.netns
            .run(move || {
                let address: SocketAddr = HEALTH.parse().unwrap();
                let mut stream = TcpStream::connect(address).ok()?;
                write!(stream, "GET {page} HTTP/1.0\r\n\r\n").ok()?;
                let mut text = String::new();
                stream.read_to_string(&mut text).ok()?;
                let status = text.split(' ').nth(1)?.parse().ok()?;
                Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
            })
            .unwrap()
    }

    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }

    /// Waits until `done`, or ends the test with the daemon's log.
    pub async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done().await {
            assert!(Instant::now() < deadline, "never came true: {what}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn ready(&mut self, more: &[&str]) {
        self.start_daemon(more);
        self.until("the daemon is ready", async || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        })
        .await;
    }

    /// MTU of an interface, bytes.
    pub fn mtu(&self, link: &str) -> u32 {
        Netlink::open_in(&self.netns).unwrap().link(link).unwrap().mtu
    }

    pub fn addresses(&self, link: &str) -> Vec<IpAddr> {
        let mut netlink = Netlink::open_in(&self.netns).unwrap();
        let index = netlink.link(link).unwrap().index;
        netlink.addresses(Some(index)).unwrap().into_iter().map(|a| a.net.addr()).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in self.daemon.iter_mut().chain(self.vswitchd.iter_mut()).chain([&mut self.ovsdb]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = Netns::delete(&self.name);
    }
}

fn listener(netns: &Netns) -> std::net::TcpListener {
    let listener = netns.run(|| std::net::TcpListener::bind(API).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn ovsdb_server(folder: &Path, database: &Path) -> Child {
    Command::new("ovsdb-server")
        .arg(database)
        .arg(format!("--remote=punix:{}", folder.join("db.sock").display()))
        .arg(format!("--unixctl={}", folder.join("ovsdb.ctl").display()))
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn wait_for_file(path: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}
