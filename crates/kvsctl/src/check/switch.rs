//! Open vSwitch: whether it runs, is new enough, and has the datapath that it is asked for.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use ovsdb::tables::{Bridge, OpenVSwitch};
use ovsdb_blocking::{Client, Error};

use super::finding::{Check, Finding};
use super::{tunnel_routes, vswitchd};

pub(super) const CHECK: Check = Check("openvswitch");

/// The least version, as docs/operations.md has it.
const LEAST: (u32, u32) = (2, 17);
/// The OVSDB lock that `ovs-vswitchd` holds for as long as it is connected.
const VSWITCHD_LOCK: &str = "ovs_vswitchd";
/// Time for the database to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What can be known of a node's switch.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// What the database has, or why it does not answer.
    pub(super) database: Result<Database, String>,
    /// Whether the kernel has the module `openvswitch`.
    pub(super) module: Result<bool, String>,
}

/// What the database has.
#[derive(Clone, Debug, Default)]
pub(super) struct Database {
    /// Whether `ovs-vswitchd` is connected.
    pub(super) vswitchd: bool,
    /// What it runs, if it answers.
    pub(super) version: Option<String>,
    /// What was asked of it last, and how far it is.
    pub(super) next_cfg: i64,
    pub(super) cur_cfg: i64,
    /// Whether it was told to wait for its flows (`flow-restore-wait`), and by whom: with the mark, for `k-vswitchd` to end.
    pub(super) waits: Option<Waits>,
    /// The routes that it knows itself, as it shows them.
    pub(super) routes: Option<String>,
    /// The bridges with their datapath types.
    pub(super) bridges: Vec<(String, String)>,
    /// The name of the node that the bridge of k-vswitch serves.
    pub(super) node: Option<String>,
}

/// Who is to end a switch's wait for its flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    ForDaemon,
    ForOthers,
}

/// Asks the database and the kernel. Nothing is changed.
pub(super) fn gather(socket: &Path, bridge: &str) -> Facts {
    Facts {
        database: database(socket, bridge).map_err(|error| error.to_string()),
        module: host::kernel::has_openvswitch().map_err(|error| error.to_string()),
    }
}

fn database(socket: &Path, bridge: &str) -> Result<Database, Error> {
    let deadline = Instant::now() + TIMEOUT;
    let mut client = Client::connect(socket, deadline)?;
    let row = client.select::<OpenVSwitch>([], deadline)?.into_iter().next().unwrap_or_default().1;
    let bridges = client.select::<Bridge>([], deadline)?;
    let node = bridges.iter().find(|(_, row)| row.name == bridge);
    let node = node.and_then(|(_, row)| row.external_ids.get("kvs-node").cloned());
    let bridges = bridges.into_iter().map(|(_, row)| (row.name, row.datapath_type)).collect();
    // Who is granted the lock knows that nobody holds it. It is given back at once; ovs-vswitchd waits in line for it.
    let free = client.try_lock(VSWITCHD_LOCK, deadline)?;
    if free {
        client.unlock(VSWITCHD_LOCK, deadline)?;
    }
    let OpenVSwitch { next_cfg, cur_cfg, other_config, external_ids, .. } = row;
    let waits = other_config.get("flow-restore-wait").is_some_and(|value| value == "true").then(|| {
        if external_ids.contains_key("kvs-flow-restore") { Waits::ForDaemon } else { Waits::ForOthers }
    });
    let folder = socket.parent().filter(|_| !free);
    let version = folder.and_then(running_version);
    let routes = folder.and_then(|folder| vswitchd::ask(folder, "ovs/route/show"));
    Ok(Database { vswitchd: !free, version, routes, next_cfg, cur_cfg, waits, bridges, node })
}

/// What `ovs-vswitchd` says of itself. What the database has is written by scripts that start it, or by nobody.
fn running_version(folder: &Path) -> Option<String> {
    vswitchd::ask(folder, "version")?.lines().next()?.rsplit(' ').next().map(str::to_owned)
}

impl Facts {
    /// Whether the bridge of k-vswitch, or what will be, is on the userspace datapath.
    pub(super) fn userspace(&self, bridge: &str) -> bool {
        let bridges = self.database.as_ref().map(|database| database.bridges.as_slice()).unwrap_or_default();
        match bridges.iter().find(|(name, _)| name == bridge) {
            Some((_, datapath)) => datapath == "netdev",
            None => self.module == Ok(false),
        }
    }

    fn has_bridge(&self, name: &str) -> bool {
        self.database.as_ref().is_ok_and(|database| database.bridges.iter().any(|(bridge, _)| bridge == name))
    }
}

/// Judges the facts. `overlay` is the node's address on the underlay with the interface that has it, as far as known.
pub(super) fn check(facts: &Facts, bridge: &str, overlay: Option<(IpAddr, &str)>) -> Vec<Finding> {
    let database = match &facts.database {
        Ok(database) => database,
        Err(why) => {
            return vec![CHECK.problem(
                format!("ovsdb-server does not answer: {why}"),
                "install and start Open vSwitch (systemctl enable --now openvswitch-switch), or run it in pods \
                 (deploy/k-vswitch-ovs.yaml); where its socket is elsewhere, say so by --ovsdb",
            )];
        }
    };
    if !database.vswitchd {
        return vec![CHECK.problem(
            "ovsdb-server runs, and ovs-vswitchd does not",
            "start it (systemctl restart openvswitch-switch) and look at /var/log/openvswitch/ovs-vswitchd.log",
        )];
    }
    let Some(version) = &database.version else {
        return vec![CHECK.problem(
            "ovs-vswitchd runs, and does not answer",
            "look at /var/log/openvswitch/ovs-vswitchd.log: it may be stuck; then restart it (systemctl restart \
             openvswitch-switch). Its control socket must be beside the database's",
        )];
    };
    let mut findings = Vec::new();
    if parse(version).is_some_and(|version| version < LEAST) {
        findings.push(CHECK.problem(
            format!("Open vSwitch is {version}, and 2.17 or newer is needed"),
            "update the package openvswitch-switch, or run the switch in pods (deploy/k-vswitch-ovs.yaml)",
        ));
    }
    if database.cur_cfg < database.next_cfg {
        findings.push(CHECK.problem(
            "ovs-vswitchd has not applied what the database asks of it",
            "if this is still so in some seconds, look at /var/log/openvswitch/ovs-vswitchd.log: it may be stuck",
        ));
    }
    findings.extend(database.waits.map(waiting));
    findings.extend(datapath(facts, bridge, overlay));
    let kind = if facts.userspace(bridge) { "userspace datapath" } else { "the kernel's datapath" };
    CHECK.or_ok(findings, format!("Open vSwitch {version} runs, {kind}"))
}

/// A switch that waits takes no packets but those that the kernel has flows for.
fn waiting(whom: Waits) -> Finding {
    match whom {
        Waits::ForDaemon => CHECK.problem(
            "ovs-vswitchd waits for its flows (other_config:flow-restore-wait), and new connections do not pass",
            "k-vswitchd ends that when it has programmed them: if this is still so in some seconds, see that it runs and is ready \
             (kubectl -n kube-system logs, its pod on this node). By hand, which drops packets until it is: ovs-vsctl remove Open_vSwitch . \
             other_config flow-restore-wait",
        ),
        Waits::ForOthers => CHECK.note(
            "other_config:flow-restore-wait is set, and not for k-vswitchd to end: ovs-vswitchd takes no packets after its next start",
            "unless something is restarting Open vSwitch: ovs-vsctl remove Open_vSwitch . other_config flow-restore-wait",
        ),
    }
}

fn datapath(facts: &Facts, bridge: &str, overlay: Option<(IpAddr, &str)>) -> Option<Finding> {
    match &facts.module {
        Err(why) => {
            return Some(CHECK.note(
                format!("whether the kernel has the module openvswitch is not known: {why}"),
                "run as root, in the host's network namespace",
            ));
        }
        Ok(false) if !facts.userspace(bridge) => {
            return Some(CHECK.problem(
                format!("{bridge} is on the kernel's datapath, and this kernel has no module openvswitch"),
                "install the kernel's modules and modprobe openvswitch, or move the node to --datapath netdev \
                 (docs/operations.md, Datapaths)",
            ));
        }
        Ok(_) if !facts.userspace(bridge) => return None,
        Ok(_) => {}
    }
    let (address, link) = overlay?;
    if facts.has_bridge(link) {
        let routes = facts.database.as_ref().ok()?.routes.as_deref()?;
        return tunnel_routes::check(routes, address, link);
    }
    Some(CHECK.problem(
        format!("the datapath is the one in userspace, and {address} is on {link}, which is no bridge of Open vSwitch"),
        format!(
            "modprobe openvswitch, if the kernel has it; or put {link} on a bridge br-phy with datapath_type=netdev and \
             {address} on br-phy (docs/operations.md, Datapaths)"
        ),
    ))
}

/// Major and minor version of a text such as `3.1.0`.
pub(super) fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(change: impl FnOnce(&mut Database)) -> Facts {
        let mut database = Database {
            vswitchd: true,
            version: Some("3.1.0".into()),
            bridges: vec![("k-vswitch0".into(), "system".into())],
            ..Database::default()
        };
        change(&mut database);
        Facts { database: Ok(database), module: Ok(true) }
    }

    fn said(facts: &Facts, link: &str) -> String {
        let found = check(facts, "k-vswitch0", Some(("192.0.2.1".parse().unwrap(), link)));
        found
            .iter()
            .map(|f| format!("{:?}: {} {}\n", f.result, f.found, f.todo.as_deref().unwrap_or("")))
            .collect()
    }

    #[test]
    fn a_switch_that_runs_is_well() {
        assert_eq!(said(&facts(|_| {}), "eth0"), "Ok: Open vSwitch 3.1.0 runs, the kernel's datapath \n");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let old = facts(|d| d.version = Some("2.9.8".into()));
        assert!(said(&old, "eth0").starts_with("Problem: Open vSwitch is 2.9.8"));
        let dead = facts(|d| d.vswitchd = false);
        assert!(said(&dead, "eth0").starts_with("Problem: ovsdb-server runs, and ovs-vswitchd does not"));
        let stuck = facts(|d| d.next_cfg = 2);
        assert!(said(&stuck, "eth0").contains("has not applied"));
        let waits = facts(|d| d.waits = Some(Waits::ForDaemon));
        assert!(said(&waits, "eth0").starts_with("Problem: ovs-vswitchd waits"));
        let held = facts(|d| d.waits = Some(Waits::ForOthers));
        assert!(
            said(&held, "eth0").contains("ovs-vsctl remove Open_vSwitch . other_config flow-restore-wait")
        );
        let mute = facts(|d| d.version = None);
        assert!(said(&mute, "eth0").contains("runs, and does not answer"));
        let gone = Facts { database: Err("no such file".into()), ..facts(|_| {}) };
        assert!(said(&gone, "eth0").contains("does not answer: no such file"));
        let bare = Facts { module: Ok(false), ..facts(|_| {}) };
        assert!(said(&bare, "eth0").contains("modprobe openvswitch"));
    }

    #[test]
    fn in_userspace_the_overlay_address_must_be_on_a_bridge() {
        let netdev = |d: &mut Database| {
            d.bridges = vec![("k-vswitch0".into(), "netdev".into()), ("br-phy".into(), "netdev".into())];
        };
        let facts = Facts { module: Ok(false), ..facts(netdev) };
        assert!(said(&facts, "br-phy").starts_with("Ok: "));
        assert!(said(&facts, "eth0").contains("put eth0 on a bridge br-phy"));
        // Before installation, a kernel without the module means the userspace datapath too.
        let before = Facts { module: Ok(false), ..self::facts(|d| d.bridges.clear()) };
        assert!(said(&before, "eth0").contains("is no bridge of Open vSwitch"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!((parse("2.17.12"), parse("3.1.0"), parse("x")), (Some((2, 17)), Some((3, 1)), None));
        assert_eq!((parse("6.1.0-28-amd64"), parse("5.9-rc1")), (Some((6, 1)), Some((5, 9))));
        assert!(parse("2.9").unwrap() < LEAST);
    }
}
