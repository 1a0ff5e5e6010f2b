//! A node as its operator sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use host::{Netlink, Netns};
use serde_json::{Value, json};

use crate::{Lab, kill, real};

/// The control plane's addresses.
const CONTROL_PLANE: [(&str, &str); 2] = [("ip", "172.30.0.2"), ("ip6", "fd00:30::2")];

/// A node of a lab.
#[derive(Debug)]
pub struct Node<'a> {
    lab: &'a Lab,
    /// Its name.
    pub name: String,
    /// Its network namespace.
    pub netns: Netns,
}

/// A pod's port, as the database of the node's switch has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Its name, which the host's end of the veth pair has too.
    pub name: String,
    /// The pod's name.
    pub pod: String,
    /// The container's id.
    pub container: String,
    /// Path of the pod's network namespace, as it is seen from here.
    pub netns: PathBuf,
    /// MAC of the interface inside the pod.
    pub mac: String,
    /// The pod's IPv4 address.
    pub ipv4: Ipv4Addr,
    /// The pod's IPv6 address.
    pub ipv6: Ipv6Addr,
    /// Its OpenFlow number, -1 if the switch cannot open the interface.
    pub ofport: i64,
    /// Whether its flows are in the switch.
    pub programmed: bool,
}

impl Port {
    /// The pod's network namespace.
    #[must_use]
    pub fn open(&self) -> Netns {
        Netns::open(&self.netns).unwrap()
    }

    /// The pod's addresses.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.ipv4.into(), self.ipv6.into()]
    }

    /// The MAC's bytes.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        let bytes: Vec<u8> = self.mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        bytes.try_into().unwrap()
    }
}

impl<'a> Node<'a> {
    pub(crate) fn new(lab: &'a Lab, name: String) -> Self {
        let netns = lab.node_netns(&name);
        Self { lab, name, netns }
    }

    /// Executes a command on the node.
    pub fn exec(&self, command: &[&str]) -> String {
        self.lab.ok(&[&["node-exec", &self.name, "--"], command].concat())
    }

    /// `kvsctl lab start|stop|restart` of the node's `agent` or `ovs`.
    pub fn control(&self, verb: &str, program: &str) {
        self.lab.ok(&[verb, &self.name, program]);
    }

    /// The pods' ports, by name of the pod.
    #[must_use]
    pub fn ports(&self) -> Vec<Port> {
        let columns = "--columns=name,ofport,external_ids";
        let text = self.exec(&["ovs-vsctl", "--format=json", columns, "list", "Interface"]);
        let table: Value = serde_json::from_str(&text).unwrap();
        let mut ports: Vec<Port> = table["data"].as_array().unwrap().iter().filter_map(port).collect();
        if let Some(first) = self.lab.is_real().then(|| real::first_process(self.lab, &self.name)).flatten() {
            for port in &mut ports {
                port.netns = real::seen(first, &port.netns);
            }
        }
        ports.sort_by(|a, b| a.pod.cmp(&b.pod).then_with(|| a.cmp(b)));
        ports
    }

    /// The port of a pod.
    #[must_use]
    pub fn port(&self, pod: &str) -> Port {
        self.ports().into_iter().find(|port| port.pod == pod).unwrap()
    }

    /// Host ends of pods' veth pairs.
    #[must_use]
    pub fn links(&self) -> BTreeSet<String> {
        let links = Netlink::open_in(&self.netns).unwrap().links().unwrap();
        let veths = links.into_iter().filter(|link| link.kind.as_deref() == Some("veth"));
        veths.map(|link| link.name).filter(|name| name.starts_with("kvs")).collect()
    }

    /// The flows without their counters, with ports by their names: numbers change when the switch is restarted.
    #[must_use]
    pub fn flows(&self) -> BTreeSet<String> {
        let text = self.exec(&["ovs-vsctl", "--format=json", "--columns=name,ofport", "list", "Interface"]);
        let table: Value = serde_json::from_str(&text).unwrap();
        let rows = table["data"].as_array().unwrap();
        let names: BTreeMap<String, &str> = rows
            .iter()
            .filter_map(|row| Some((format!("{:#x}", row[1].as_i64()?), row[0].as_str()?)))
            .filter(|(_, name)| name.starts_with("kvs"))
            .collect();
        let dump = ["ovs-ofctl", "-O", "OpenFlow15", "--names", "--no-stats", "dump-flows", "k-vswitch0"];
        let named =
            |flow: &str| flow.split(',').map(|part| by_name(part, &names)).collect::<Vec<_>>().join(",");
        self.exec(&dump).lines().map(|line| named(line.trim())).collect()
    }

    /// Its addresses on the underlay.
    #[must_use]
    pub fn addresses(&self) -> [IpAddr; 2] {
        let number = 10 + self.name.trim_start_matches("node-").parse::<u8>().unwrap();
        // In both families, as it reads.
        [format!("172.30.0.{number}"), format!("fd00:30::{number}")].map(|address| address.parse().unwrap())
    }

    /// The interface that has them: on the userspace datapath, a bridge with the node's link in it.
    #[must_use]
    pub fn uplink(&self) -> &'static str {
        let bridge = Netlink::open_in(&self.netns).unwrap().find_link("br-phy").unwrap();
        if bridge.is_some() { "br-phy" } else { "eth0" }
    }

    /// Gives the uplink an MTU, bytes.
    pub fn set_uplink_mtu(&self, mtu: u32) {
        match self.uplink() {
            bridge @ "br-phy" => {
                self.exec(&["ovs-vsctl", "set", "interface", bridge, &format!("mtu_request={mtu}")]);
            }
            link => Netlink::open_in(&self.netns).unwrap().set_mtu(link, mtu).unwrap(),
        }
    }

    /// Its addresses on the bridge, which it has towards pods.
    #[must_use]
    pub fn gateway(&self) -> [IpAddr; 2] {
        let number = self.name.trim_start_matches("node-");
        [format!("10.244.{number}.1"), format!("fd00:10:244:{number}::1")]
            .map(|address| address.parse().unwrap())
    }

    /// What clients are masqueraded as whose connections to Services the node's bridge hides: the first addresses of its
    /// pod CIDRs.
    #[must_use]
    pub fn masquerade(&self) -> [IpAddr; 2] {
        let number = self.name.trim_start_matches("node-");
        [format!("10.244.{number}.0"), format!("fd00:10:244:{number}::")]
            .map(|address| address.parse().unwrap())
    }

    /// Packets dropped for a reason of `docs/pipeline.md`.
    #[must_use]
    pub fn dropped(&self, reason: u8) -> u64 {
        let cookie = format!("cookie={:#x}/-1", 0x6b76_0400_0000_0000_u64 | u64::from(reason));
        let text = self.exec(&["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "k-vswitch0", &cookie]);
        let counts = text.split([',', ' ']).filter_map(|word| word.strip_prefix("n_packets="));
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    }

    /// Kills one of its programs and returns when it has been started again.
    pub fn kill(&self, program: &str) {
        let Some((pid, restarts)) = self.lab.program(&self.name, program) else { return };
        kill(pid);
        self.lab.until(&format!("{program} of {} to be started again", self.name), || {
            self.lab.program(&self.name, program).is_some_and(|(_, now)| now > restarts)
        });
    }

    /// Whether the daemon says that all is in order.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The daemon's metrics.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.get("/metrics").unwrap()
    }

    /// What the daemon answers, header included, if it does.
    fn get(&self, path: &str) -> Option<String> {
        let ask = || -> std::io::Result<String> {
            let mut stream =
                TcpStream::connect_timeout(&"127.0.0.1:9410".parse().unwrap(), Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        self.netns.run(ask).unwrap().ok()
    }

    /// Waits until the daemon says that all is in order.
    pub fn wait_ready(&self) {
        self.lab.until(&format!("{} to be ready", self.name), || self.is_ready());
    }

    /// Drops every packet between the node and the control plane: connections hang, as when a router died.
    pub fn cut_off(&self) {
        self.exec(&["nft", "add table inet outage"]);
        for (hook, end) in [("output", "daddr"), ("input", "saddr")] {
            self.exec(&[
                "nft",
                &format!("add chain inet outage {hook} {{ type filter hook {hook} priority 0; }}"),
            ]);
            for (family, address) in CONTROL_PLANE {
                self.exec(&["nft", &format!("add rule inet outage {hook} {family} {end} {address} drop")]);
            }
        }
    }

    /// Ends what [`Self::cut_off`] began.
    pub fn reconnect(&self) {
        self.exec(&["nft", "delete table inet outage"]);
    }

    /// Executes the plugin's GC as a runtime does that knows of these containers only.
    pub fn collect_garbage(&self, valid: &[&str]) {
        let folder = self.lab.folder().join("nodes").join(&self.name).join("cni");
        let list = std::fs::read(folder.join("net.d/10-k-vswitch.conflist")).unwrap();
        let list: Value = serde_json::from_slice(&list).unwrap();
        let mut conf = list["plugins"][0].clone();
        conf["cniVersion"] = "1.1.0".into();
        conf["name"] = list["name"].clone();
        let valid: Vec<Value> = valid.iter().map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
        conf["cni.dev/valid-attachments"] = valid.into();
        // A machine has files of its own, besides its network.
        let first = self.lab.is_real().then(|| real::first_process(self.lab, &self.name).unwrap());
        let (mut command, bin) = match first {
            None => (Command::new(folder.join("bin/k-vswitch-cni")), folder.join("bin")),
            Some(first) => {
                let mut command = Command::new("nsenter");
                command.args(["--mount", "--target", &first.to_string(), "/opt/cni/bin/k-vswitch-cni"]);
                (command, "/opt/cni/bin".into())
            }
        };
        command.env("CNI_COMMAND", "GC").env("CNI_PATH", bin);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.netns.run(|| command.spawn()).unwrap().unwrap();
        child.stdin.take().unwrap().write_all(conf.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "GC: {output:?}");
    }
}

/// Names the port in an action that sets the register `output`.
fn by_name(action: &str, names: &BTreeMap<String, &str>) -> String {
    let Some((before, rest)) = action.split_once("set_field:0x") else { return action.to_owned() };
    let Some((number, register)) = rest.split_once("->") else { return action.to_owned() };
    match names.get(&format!("0x{number}")) {
        Some(name) if register.starts_with("reg1") => format!("{before}set_field:{name}->{register}"),
        _ => action.to_owned(),
    }
}

/// A row of `Interface`: name, ofport, external_ids. `None` if it is no pod's.
fn port(row: &Value) -> Option<Port> {
    let pairs = row[2][1].as_array()?;
    let ids: BTreeMap<&str, &str> =
        pairs.iter().filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?))).collect();
    let id = |key: &str| ids.get(key).map(|value| (*value).to_owned());
    let ofport = row[1].as_i64().unwrap_or(-1);
    Some(Port {
        name: row[0].as_str()?.to_owned(),
        pod: id("kvs-pod-name")?,
        container: id("kvs-container-id")?,
        netns: id("kvs-netns")?.into(),
        mac: id("kvs-mac")?,
        ipv4: id("kvs-ipv4")?.parse().ok()?,
        ipv6: id("kvs-ipv6")?.parse().ok()?,
        ofport,
        programmed: id("kvs-programmed") == Some(ofport.to_string()),
    })
}
