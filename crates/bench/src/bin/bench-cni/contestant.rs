//! Who is measured: our plugin, and what others use.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use host::Netns;
use lab::layout;
use lab::runtime::NetworkConfig;
use lab::switch::ovs_environment;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::plugin::Plugin;
use bench::Place;
use bench::labs::{Lab, NODE};

/// A plugin with the machine it works on.
#[derive(Debug)]
pub(crate) struct Contestant {
    /// Name in the figures.
    pub(crate) key: &'static str,
    /// Name for people.
    pub(crate) title: &'static str,
    pub(crate) plugin: Plugin,
    /// Where the plugin runs: a node.
    pub(crate) netns: Netns,
    /// Removed with the contestant.
    machine: Machine,
}

/// What a contestant needs to exist.
#[derive(Debug)]
enum Machine {
    /// A node of a lab, and a folder of what the plugin keeps where the lab's node has none.
    Node { lab: Lab, state: Option<TempDir> },
    /// A namespace, and a folder for what the plugin keeps.
    Bare { _place: Place, _state: TempDir },
}

impl Contestant {
    /// Makes pods of these names known to the cluster, where the plugin is part of one: a pod has no network before the
    /// daemon knows which policies hold for it. They are not for the lab's own kubelet to run.
    pub(crate) fn announce(&self, names: &[&str]) -> anyhow::Result<()> {
        let Machine::Node { lab, state: None } = &self.machine else { return Ok(()) };
        let pods = names.iter().map(|name| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": POD_NAMESPACE},
                "spec": {
                    "schedulingGates": [{"name": "kvswitch.io/bench"}],
                    "containers": [{"name": "none", "image": "none"}],
                },
            })
        });
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": POD_NAMESPACE}});
        let items: Vec<Value> = std::iter::once(namespace).chain(pods).collect();
        let folder = TempDir::new()?;
        let file = folder.path().join("pods.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
        lab.kvsctl(&["apply", "-f", &file.to_string_lossy()])?;
        std::thread::sleep(NEWS);
        Ok(())
    }
}

/// Namespace of the pods that are added and deleted.
pub(crate) const POD_NAMESPACE: &str = "bench";
/// Time for the news of a pod to reach the daemon.
const NEWS: Duration = Duration::from_millis(50);

/// Our key in the figures.
pub(crate) const OURS: &str = "k-vswitch-cni";
/// The one that ratios are to: pods reach the outside, as ours do.
pub(crate) const BASELINE: &str = "bridge";

/// Our plugin as `k-vswitchd` installs and configures it, on a node of a lab with everything that runs there.
pub(crate) fn ours(dist: &Path) -> anyhow::Result<Contestant> {
    let lab = Lab::up(dist, "cni", &["--nodes", "1"])?;
    let files = lab.layout.node(NODE);
    let config =
        NetworkConfig::load(&files.cni_conf())?.context("the daemon has installed no configuration")?;
    let plugin = config.plugins.first().context("the daemon's configuration has no plugin")?;
    Ok(Contestant {
        key: OURS,
        title: "k-vswitch-cni, flows programmed",
        plugin: Plugin {
            path: files.cni_bin().join("k-vswitch-cni"),
            folder: files.cni_bin(),
            request: config.request(plugin, None),
            environment: Vec::new(),
        },
        netns: Netns::open(lab.layout.netns(&layout::Place::Node(NODE)))?,
        machine: Machine::Node { lab, state: None },
    })
}

/// What `bridge` and `host-local` are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// What ours does: both families, and pods reach the outside.
    Full,
    /// IPv4 alone: half of the rules, and no wait for IPv6.
    Ipv4,
    /// Both families, without the way to the outside.
    Inside,
}

impl Variant {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Ipv4, Self::Inside];

    const fn key(self) -> &'static str {
        match self {
            Self::Full => BASELINE,
            Self::Ipv4 => "bridge-ipv4",
            Self::Inside => "bridge-without-masquerade",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Full => "bridge + host-local",
            Self::Ipv4 => "bridge + host-local, IPv4 alone",
            Self::Inside => "bridge + host-local, no ipMasq",
        }
    }

    /// Ranges and routes of `host-local`.
    fn ipam(self, state: &Path) -> Value {
        let ipv4 = ([json!({"subnet": "10.244.1.0/24"})], json!({"dst": "0.0.0.0/0"}));
        let ipv6 = ([json!({"subnet": "fd00:10:244:1::/64"})], json!({"dst": "::/0"}));
        let families = if self == Self::Ipv4 { vec![ipv4] } else { vec![ipv4, ipv6] };
        let (ranges, routes): (Vec<_>, Vec<_>) = families.into_iter().unzip();
        json!({"type": "host-local", "dataDir": state, "ranges": ranges, "routes": routes})
    }
}

/// Debian's `bridge` and `host-local` on a machine of their own.
pub(crate) fn bridge(folder: &Path, variant: Variant) -> anyhow::Result<Contestant> {
    for plugin in ["bridge", "host-local"] {
        let path = folder.join(plugin);
        ensure!(path.is_file(), "{} is missing: install containernetworking-plugins", path.display());
    }
    let place = Place::machine()?;
    let state = TempDir::new()?;
    Ok(Contestant {
        key: variant.key(),
        title: variant.title(),
        plugin: Plugin {
            path: folder.join("bridge"),
            folder: folder.to_owned(),
            request: json!({
                "cniVersion": "1.0.0",
                "name": variant.key(),
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": variant != Variant::Inside,
                "ipam": variant.ipam(state.path()),
            }),
            environment: Vec::new(),
        },
        netns: place.netns.clone(),
        machine: Machine::Bare { _place: place, _state: state },
    })
}

/// The original Go plugin with the configuration that its daemon writes, which has IPv4 alone. It wants a node with
/// Open vSwitch and the bridge `k-vswitch0`: one of a lab, whose daemon is stopped.
pub(crate) fn original(build: &Path, dist: &Path, folder: &Path) -> anyhow::Result<Contestant> {
    let path = build.canonicalize().with_context(|| format!("KVSWITCH_GO_PLUGIN={}", build.display()))?;
    ensure!(folder.join("host-local").is_file(), "it needs host-local: install containernetworking-plugins");
    let lab = Lab::up(dist, "go", &["--nodes", "1"])?;
    lab.kvsctl(&["stop", NODE, "agent"])?;
    let state = TempDir::new()?;
    Ok(Contestant {
        key: "original",
        title: "the original plugin, no flows",
        plugin: Plugin {
            path,
            folder: folder.to_owned(),
            request: original_config(state.path()),
            environment: ovs_environment(&lab.layout.node(NODE)),
        },
        netns: Netns::open(lab.layout.netns(&layout::Place::Node(NODE)))?,
        machine: Machine::Node { lab, state: Some(state) },
    })
}

fn original_config(state: &Path) -> Value {
    json!({
        "cniVersion": "0.3.1",
        "name": "k-vswitch-cni",
        "type": "k-vswitch-cni",
        "bridge": "k-vswitch0",
        "isGateway": true,
        "isDefaultGateway": true,
        "ipam": {"type": "host-local", "subnet": "10.244.1.0/24", "dataDir": state},
    })
}
