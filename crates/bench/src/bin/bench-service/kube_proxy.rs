//! kube-proxy, in nftables mode, beside us: the same Services in the same embedded API, the same connections between two
//! pods, with its rules in a node's network namespace in place of the switch.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use apiserver::{Gvr, Handle, Server};
use bench::switch::run;
use bench::{Report, Samples, Table};
use datapath::topology::ROUTER_MAC;
use host::Netns;
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{self, ENDPOINTS, PORT, TARGET};
use crate::connections::{self, CLIENT, Rate, SERVER};
use crate::pods::Pod;

const SIZES: [usize; 3] = [1, 1_000, 10_000];
/// Changes of an endpoint; kube-proxy carries one out per second at most.
const CHANGES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(300);
const CHANGE_PATIENCE: Duration = Duration::from_secs(180);
/// It has come to rest when it used less than a tenth of this time on a processor, in this time.
const REST: Duration = Duration::from_secs(3);
const SERVICES: Gvr<'_> = Gvr::core("services");
const SLICES: Gvr<'_> = Gvr::new("discovery.k8s.io", "v1", "endpointslices");

#[derive(Serialize)]
struct Figures {
    services: usize,
    /// Seconds from its start until the last Service is in the kernel.
    sync_s: f64,
    /// Its resident memory then, MiB.
    resident_mib: f64,
    /// From a change in the API until the kernel's rules change, milliseconds.
    change_p50_ms: Option<f64>,
    change_p99_ms: Option<f64>,
    service: Rate,
    direct: Rate,
    of_direct: f64,
}

pub(crate) fn measure(report: &mut Report, program: &Path, connections: usize) -> anyhow::Result<()> {
    let all: Vec<Figures> =
        SIZES.into_iter().map(|services| one(program, services, connections)).collect::<Result<_, _>>()?;
    let mut table = Table::new([
        "kube-proxy (nftables), Services",
        "all, s",
        "its MiB",
        "a change p50 ms",
        "p99",
        "through, /s",
        "p50 ms",
        "direct, /s",
        "of direct",
    ]);
    for one in &all {
        table.row([
            one.services.to_string(),
            format!("{:.2}", one.sync_s),
            format!("{:.0}", one.resident_mib),
            one.change_p50_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}")),
            one.change_p99_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}")),
            format!("{:.0}", one.service.per_second),
            format!("{:.3}", one.service.p50_ms),
            format!("{:.0}", one.direct.per_second),
            format!("{:.3}", one.of_direct),
        ]);
    }
    println!("\n{table}");
    println!("  (a change: from the API on, at most one a second; ours above is without the API)");
    report.figures("kube-proxy", &all);
    Ok(())
}

fn one(program: &Path, services: usize, connections: usize) -> anyhow::Result<Figures> {
    let node = Node::new()?;
    let client = node.pod("client", CLIENT)?;
    let server = node.pod("server", SERVER)?;
    server.serve(TARGET)?;
    let api = Api::start(&node.netns, services)?;
    let begin = Instant::now();
    let proxy = node.proxy(program, &api.url)?;
    let last = cluster::cluster_ip(services - 1);
    while !node.has(&last.to_string()) {
        ensure!(begin.elapsed() < PATIENCE, "kube-proxy has not made its rules in {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
    let sync_s = begin.elapsed().as_secs_f64();
    proxy.rest()?;
    let resident_mib = proxy.memory()?;
    let (service, direct, of_direct) = connections::beside(&client, services, connections)?;
    let summary = match node.changes(&api.handle, services) {
        Ok(times) => times.summary(),
        Err(error) => {
            println!("  not measured: changes of kube-proxy with {services} Services: {error:#}");
            None
        }
    };
    let change_p50_ms = summary.map(|summary| summary.p50_ms);
    let change_p99_ms = summary.map(|summary| summary.p99_ms);
    Ok(Figures { services, sync_s, resident_mib, change_p50_ms, change_p99_ms, service, direct, of_direct })
}

/// The API with so many Services; it ends with its runtime.
struct Api {
    handle: Handle,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Api {
    fn start(netns: &Netns, services: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let server = Server::builder().build();
        let handle = server.handle();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}});
        handle.create::<Value>(Gvr::core("namespaces"), "", &namespace).map_err(|error| said(&error))?;
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-0"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.255.0.1"}]},
        });
        handle.create::<Value>(Gvr::core("nodes"), "", &node).map_err(|error| said(&error))?;
        for number in 0..services {
            handle.create::<Value>(SERVICES, "bench", &service(number)).map_err(|error| said(&error))?;
            handle
                .create::<Value>(SLICES, "bench", &slice(number, ENDPOINTS))
                .map_err(|error| said(&error))?;
        }
        let listener = netns.run(|| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))??;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        runtime.spawn(async move {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                // It ends with the runtime.
                let _ = server.serve(listener).await;
            }
        });
        Ok(Self { handle, url, _runtime: runtime })
    }
}

fn said(error: &apiserver::ApiError) -> anyhow::Error {
    anyhow::anyhow!("the embedded API: {error}")
}

fn service(number: usize) -> Value {
    let address = cluster::cluster_ip(number).to_string();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": cluster::name(number), "namespace": "bench"},
        "spec": {
            "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
            "ports": [{"port": PORT, "targetPort": TARGET, "protocol": "TCP"}],
        },
    })
}

/// The used Service's endpoint is here, all others' are elsewhere.
fn slice(number: usize, endpoints: usize) -> Value {
    let addresses: Vec<IpAddr> = match number {
        0 => vec![SERVER.into()],
        _ => cluster::elsewhere(number, ENDPOINTS),
    };
    let endpoint = |address: &IpAddr| json!({"addresses": [address], "conditions": {"ready": true, "serving": true, "terminating": false}});
    let name = cluster::name(number);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "bench", "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": addresses.iter().take(endpoints).map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "", "port": TARGET, "protocol": "TCP"}],
    })
}

/// The namespace of a node.
struct Node {
    name: String,
    netns: Netns,
    folder: TempDir,
}

impl Node {
    fn new() -> anyhow::Result<Self> {
        let name = format!("kvs-bench-{}-proxy", std::process::id());
        let netns = Netns::create(&name)?;
        let node = Self { name, netns, folder: TempDir::new()? };
        node.ip(&["link", "set", "lo", "up"])?;
        node.ip(&["address", "add", "10.255.0.1/32", "dev", "lo"])?;
        node.netns.run(|| host::sysctl::write("net/ipv4/ip_forward", "1"))??;
        Ok(node)
    }

    fn ip(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    fn pod(&self, name: &'static str, address: std::net::Ipv4Addr) -> anyhow::Result<Pod> {
        let (pod, outer) = Pod::beside(&self.name, name, address)?;
        self.ip(&["link", "set", &outer, "address", &ROUTER_MAC.to_string()])?;
        self.ip(&["route", "add", &format!("{address}/32"), "dev", &outer])?;
        Ok(pod)
    }

    fn proxy(&self, program: &Path, url: &str) -> anyhow::Result<Proxy> {
        let kubeconfig = self.folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": url}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "users": [{"name": "bench", "user": {}}],
        });
        std::fs::write(&kubeconfig, config.to_string())?;
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", Netns::path_of(&self.name).display()))
            .arg(program)
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--proxy-mode=nftables", "--hostname-override=node-0", "--cluster-cidr=10.0.0.0/8"])
            .args(["--conntrack-max-per-core=0", "--conntrack-min=0"])
            .args(["--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Ok(Proxy(command.spawn().with_context(|| program.display().to_string())?))
    }

    fn nft(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", Netns::path_of(&self.name).display())).arg("nft");
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Whether a ClusterIP is in kube-proxy's rules.
    fn has(&self, address: &str) -> bool {
        let element = format!("{{ {address} . tcp . {PORT} }}");
        let mut ask = self.nft();
        ask.args(["get", "element", "ip", "kube-proxy", "service-ips", &element]).stdout(Stdio::null());
        ask.status().is_ok_and(|status| status.success())
    }

    /// One endpoint of the last Service goes and comes: until the kernel's rules change.
    fn changes(&self, api: &Handle, services: usize) -> anyhow::Result<Samples> {
        let told = self.netns.run(listen)??;
        let mut times = Samples::default();
        // With one Service, its endpoint itself goes and comes.
        let (number, few) = if services == 1 { (0, 0) } else { (services - 1, ENDPOINTS - 1) };
        for turn in 0..CHANGES {
            while told.recv_timeout(Duration::from_millis(1500)).is_ok() {}
            let endpoints = if turn % 2 == 0 { few } else { ENDPOINTS };
            let begin = Instant::now();
            api.update::<Value>(SLICES, &slice(number, endpoints)).map_err(|error| said(&error))?;
            let changed = told.recv_timeout(CHANGE_PATIENCE).context("no rule has changed")?;
            times.push(changed.duration_since(begin));
        }
        Ok(times)
    }
}

/// Times at which the kernel tells of changed rules (NFNLGRP_NFTABLES of linux/netfilter/nfnetlink.h), in the namespace of
/// the calling thread.
fn listen() -> anyhow::Result<mpsc::Receiver<Instant>> {
    const NFNLGRP_NFTABLES: u32 = 7;
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.add_membership(NFNLGRP_NFTABLES)?;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = Vec::with_capacity(1 << 16);
        loop {
            buffer.clear();
            // More than the socket holds is told of as an error: something has changed all the same.
            let _ = socket.recv(&mut buffer, 0);
            // Until nobody listens.
            if tell.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    Ok(told)
}

impl Drop for Node {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = Netns::delete(&self.name);
    }
}

struct Proxy(Child);

impl Proxy {
    /// Waits until it has nothing more to do: after the first rules it goes over all of them again.
    fn rest(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let before = self.busy()?;
            std::thread::sleep(REST);
            if self.busy()? - before < REST.as_secs_f64() / 10.0 {
                return Ok(());
            }
        }
        anyhow::bail!("kube-proxy has not come to rest in {} s", PATIENCE.as_secs())
    }

    /// Seconds on a processor, its children's (nft) included: fields 14 to 17 of proc_pid_stat(5).
    fn busy(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("no stat")?;
        let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<f64>);
        let ticks: f64 = ticks.collect::<Result<Vec<_>, _>>()?.iter().sum();
        Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident memory, MiB.
    fn memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok((kib / 1024.0).round())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
