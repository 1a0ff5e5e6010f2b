//! GC: what belongs to no valid attachment goes.

use std::{collections::HashSet, time::Instant};

use host::Netlink;
use ipam::{PodPort, keys, names};
use ovsdb::{
    Condition, OpResult, Operation, TableRow as _, Uuid,
    tables::{Bridge, Interface, Port},
};
use ovsdb_blocking::Client;

use crate::{
    Attachment, CniError, Code, Command, Invocation, Ipam, NetConf,
    del::all,
    delegate,
    error::Result,
    switch::{self, database_error},
    wire::{host_error, remove_link},
};

/// Removes ports and veth pairs of attachments that the runtime does not list. Goes on past errors.
///
/// # Errors
/// The first error, with the others in its details. Code 7 if there is no list: an old runtime must not make
/// everything go.
pub(crate) fn gc(invocation: &Invocation, conf: &NetConf) -> Result<()> {
    let Some(valid) = &conf.valid_attachments else {
        let why = "GC removes what is not in the list; without a list it would remove everything, so it does nothing";
        let msg = "the network configuration has no cni.dev/valid-attachments";
        return Err(CniError::new(Code::InvalidConfig, msg, why));
    };
    let delegated = match &conf.ipam {
        Ipam::Own => Ok(()),
        Ipam::Delegated(plugin) => delegate::call_if_known(plugin, Command::Gc, invocation, &conf.raw),
    };
    all([collect(conf, valid), delegated])
}

fn collect(conf: &NetConf, valid: &[Attachment]) -> Result<()> {
    let deadline = Instant::now() + conf.timeout;
    let mut client = switch::connect(&conf.ovsdb, deadline)?;
    let found = Found::read(&mut client, &conf.bridge, deadline)?;
    let stale: Vec<&PortOnBridge> = found.ports.iter().filter(|port| !port.is_one_of(valid)).collect();
    let removed = switch::remove_ports(&mut client, stale.iter().map(|port| port.uuid), deadline);

    // A veth pair goes with its port; or without one, if a plugin was killed before it made the port. One whose port
    // is on another bridge is another network's.
    let mut keep: HashSet<String> = valid.iter().map(|a| names::port(&a.container_id, &a.ifname)).collect();
    let gone: HashSet<&str> = stale.iter().map(|port| port.name.as_str()).collect();
    keep.extend(found.interfaces.into_iter().filter(|name| !gone.contains(name.as_str())));
    all([removed, remove_veths(&keep)])
}

fn remove_veths(keep: &HashSet<String>) -> Result<()> {
    let mut netlink = Netlink::open().map_err(host_error)?;
    let links = netlink.links().map_err(host_error)?;
    let stale = links.iter().filter(|link| {
        link.kind.as_deref() == Some("veth") && is_host_end(&link.name) && !keep.contains(&link.name)
    });
    all(stale.map(|link| remove_link(&mut netlink, &link.name)))
}

/// Whether an interface has a name that [`names::port`] gives.
fn is_host_end(name: &str) -> bool {
    name.strip_prefix("kvs").is_some_and(|hash| {
        hash.len() == 12 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// A pod's port on our bridge.
struct PortOnBridge {
    uuid: Uuid,
    name: String,
    container_id: String,
    ifname: String,
}

impl PortOnBridge {
    fn is_one_of(&self, attachments: &[Attachment]) -> bool {
        attachments.iter().any(|a| a.container_id == self.container_id && a.ifname == self.ifname)
    }
}

/// What the database has.
struct Found {
    /// Pods' ports on our bridge.
    ports: Vec<PortOnBridge>,
    /// Names of all interfaces, of all bridges.
    interfaces: HashSet<String>,
}

impl Found {
    fn read(client: &mut Client, bridge: &str, deadline: Instant) -> Result<Self> {
        let operations = [
            Operation::select_columns(Bridge::TABLE, [Condition::equals("name", bridge)], ["ports"]),
            Operation::select_columns(Port::TABLE, [], ["_uuid", "name"]),
            Operation::select_columns(Interface::TABLE, [], ["name", "external_ids"]),
        ];
        let results = client.transact(operations, deadline).map_err(database_error)?;
        Self::of(&results).map_err(|error| database_error(ovsdb_blocking::Error::Replica(error.into())))
    }

    fn of(results: &[OpResult]) -> std::result::Result<Self, ovsdb::ColumnError> {
        let rows = |index: usize| results.get(index).map(OpResult::rows).unwrap_or_default();
        // Without a bridge there are no ports of ours.
        let bridge: Bridge = rows(0).first().map(ovsdb::Row::to).transpose()?.unwrap_or_default();
        let mut on_bridge: Vec<(Uuid, String)> = Vec::new();
        for row in rows(1) {
            let port: Port = row.to()?;
            on_bridge
                .extend(row.uuid().filter(|uuid| bridge.ports.contains(uuid)).map(|uuid| (uuid, port.name)));
        }
        let mut found = Self { ports: Vec::new(), interfaces: HashSet::new() };
        for row in rows(2) {
            let Interface { name, external_ids, .. } = row.to()?;
            if PodPort::is_one(&external_ids)
                && let Some((uuid, _)) = on_bridge.iter().find(|(_, port)| *port == name)
            {
                let id = |key: &str| external_ids.get(key).cloned().unwrap_or_default();
                let (container_id, ifname) = (id(keys::CONTAINER_ID), id(keys::IFNAME));
                found.ports.push(PortOnBridge { uuid: *uuid, name: name.clone(), container_id, ifname });
            }
            found.interfaces.insert(name);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_collected() {
        assert!(is_host_end(&names::port("c1", "eth0")));
        for other in ["eth0", "kvs0", "kvs0123456789aB", "kvs0123456789abc", "xvs0123456789ab"] {
            assert!(!is_host_end(other), "{other}");
        }
    }
}
