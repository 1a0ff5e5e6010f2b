//! One node: its facts, and what is to be said of them.

use std::path::Path;

use api::OverlayType;
use serde_json::Value;

use super::cluster::{self, Node};
use super::finding::{About, Check, Finding};
use super::reach::Peer;
use super::{Options, Proxy, addresses, cni, firewall, kernel, mtu, others, reach, switch};
use crate::agents::Agent;
use crate::status;

const DAEMON: Check = Check("daemon");

/// Looks at the node whose network namespace the calling thread is in.
pub(super) fn check(
    options: &Options,
    agent: &Agent,
    cluster: Option<&cluster::Facts>,
) -> anyhow::Result<About> {
    let bridge = options.bridge.as_str();
    let socket = options.ovsdb.strip_prefix("unix:").unwrap_or(&options.ovsdb);
    let ovs = switch::gather(Path::new(socket), bridge);
    let name = name(options, &ovs);
    let own = cluster.and_then(|cluster| cluster.nodes.iter().find(|node| node.name == name));
    let config = own.and_then(Node::parsed);
    let network = addresses::gather()?;
    let ruleset = host::nft::ruleset().map_err(|error| error.to_string());
    let rules = ruleset.as_ref().unwrap_or(&Value::Null);
    let files =
        cni::gather(&options.cni_conf_dir, &options.cni_bin_dir, own.and_then(|node| node.runtime.clone()));

    let served = ovs.database.as_ref().is_ok_and(|database| database.node.is_some());
    let installed = served || files.installed() || own.is_some_and(|node| node.config.is_some());
    let proxy = options.service_proxy == Proxy::On;
    let pods = config.as_ref().map(|config| config.cluster_cidr).or(options.cluster_cidr);
    let services = config.as_ref().map(|config| config.service_cidr).or(options.service_cidr);
    let overlay =
        config.as_ref().map_or(OverlayType::from(options.overlay_type), |config| config.overlay_type);
    // Before installation: the address that the Node has will be the overlay's.
    let address = match &config {
        Some(config) => Some(config.overlay_ip),
        None => own.and_then(|node| node.addresses.first().copied()),
    };
    let uplink = address.and_then(|address| network.link_of(address));
    let likely = uplink.or_else(|| network.default_link());

    // A node that is known to be alone needs no tunnel.
    let alone = cluster.is_some_and(|cluster| cluster.nodes.len() < 2);
    let on_link = address.zip(uplink.map(|link| link.name.as_str())).filter(|_| !alone);
    let mut findings = switch::check(&ovs, bridge, on_link);
    let wants_ipv6 = pods.as_ref().is_some_and(|pods| pods.ipv6().is_some());
    findings.extend(kernel::check(&kernel::gather(&options.sysctl_dir, &ruleset), proxy, wants_ipv6));
    findings.extend(cni::check(&files, installed));
    findings.extend(addresses::check(&network, bridge, pods.as_ref(), services.as_ref()));
    findings.extend(match address {
        Some(address) => {
            let asked = config.as_ref().and_then(|config| config.mtu).map(u32::from);
            mtu::check(uplink, overlay, address, asked)
        }
        None => mtu::check_likely(likely, overlay, false),
    });
    findings.extend(firewall::check(&firewall::gather(rules), bridge, overlay, ovs.userspace(bridge)));
    findings.extend(served.then(|| firewall::own_table(rules)).flatten());
    let links = network.links.iter().map(|link| link.name.clone()).collect();
    findings.extend(others::check(&others::facts(links, rules), proxy));
    if installed {
        findings.extend(daemon(agent));
    }
    findings.extend(between(&name, own, cluster, likely.map_or(1280, |link| link.mtu)));
    Ok(About { about: name, findings })
}

/// As told, as the daemon has it, or as the host is called.
fn name(options: &Options, ovs: &switch::Facts) -> String {
    let told = options.node.clone().filter(|name| !name.is_empty());
    let served = || ovs.database.as_ref().ok().and_then(|database| database.node.clone());
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    told.or_else(served).unwrap_or_else(host)
}

/// What the node's daemon says of itself. The condition of its VSwitchConfig stays as it was when it has gone.
fn daemon(agent: &Agent) -> Vec<Finding> {
    let page = match agent.get("/readyz") {
        Ok(page) => page,
        Err(error) => {
            return vec![DAEMON.problem(
                crate::describe(&error),
                "kubectl -n kube-system get pods -o wide: is there a pod of k-vswitchd on this node, and what does its log \
                 say? Pods that run keep their network, and nothing new reaches them",
            )];
        }
    };
    let missing = status::checks(&page.body).into_iter().filter(|check| !check.met);
    let findings = missing.map(|check| {
        let todo =
            "docs/troubleshooting.md has what the daemon says, and where to look; problems above come first";
        DAEMON.problem(format!("k-vswitchd is not ready: {}: {}", check.name, check.message), todo)
    });
    DAEMON.or_ok(findings.collect(), "k-vswitchd is ready")
}

/// Asks the other nodes, if the API tells of them.
fn between(
    name: &str,
    own: Option<&Node>,
    cluster: Option<&cluster::Facts>,
    uplink_mtu: u32,
) -> Vec<Finding> {
    let Some(cluster) = cluster else { return Vec::new() };
    let Some(own) = own else {
        return vec![DAEMON.problem(
            format!("the cluster has no Node {name}"),
            "say how this node is called: --node, the same as kubelet --hostname-override",
        )];
    };
    let others = cluster.nodes.iter().filter(|node| node.name != name);
    let peers: Vec<Peer> = others.map(|other| Peer::new(own, uplink_mtu, other)).collect();
    reach::check(&peers)
}
