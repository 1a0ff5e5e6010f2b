//! What a plugin reads first, in one transaction.

use std::collections::HashSet;
use std::net::IpAddr;

use ovsdb::tables::{Bridge, Interface};
use ovsdb::{ColumnError, Condition, OpResult, Operation, TableRow as _, Uuid};

use crate::{FactsError, NodeFacts, PodPort, keys};

/// The bridge and the addresses that are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Name of the bridge.
    pub bridge: String,
    /// Row of the bridge.
    pub bridge_uuid: Uuid,
    /// Whether the bridge's datapath is OVS's userspace one.
    pub userspace: bool,
    /// The node.
    pub facts: NodeFacts,
    /// Addresses that ports carry.
    pub taken: HashSet<IpAddr>,
    /// The addresses handed out last.
    pub last: Vec<IpAddr>,
    /// Names of pods' ports.
    pub ports: HashSet<String>,
}

/// Why there is nothing to work with yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// There is no such bridge.
    #[error("Open vSwitch has no bridge {0}: k-vswitchd makes it; is it running on this node?")]
    NoBridge(String),
    /// The daemon has not described the node, or not right.
    #[error(
        "bridge {bridge} does not describe the node ({source}): k-vswitchd has not set the node up; see its log"
    )]
    Facts {
        /// The bridge.
        bridge: String,
        /// What is missing.
        source: FactsError,
    },
    /// A column has another type than expected.
    #[error(transparent)]
    Column(#[from] ColumnError),
}

impl Snapshot {
    /// The operations that read it.
    #[must_use]
    pub fn operations(bridge: &str) -> Vec<Operation> {
        let bridge_columns = ["_uuid", "name", "datapath_type", "external_ids"];
        vec![
            Operation::select_columns(Bridge::TABLE, [Condition::equals("name", bridge)], bridge_columns),
            Operation::select_columns(Interface::TABLE, [], ["name", "external_ids"]),
        ]
    }

    /// Reads their results.
    ///
    /// # Errors
    /// When the bridge is not there, or does not describe the node.
    pub fn read(bridge: &str, results: &[OpResult]) -> Result<Self, SnapshotError> {
        let rows = |index: usize| results.get(index).map(OpResult::rows).unwrap_or_default();
        let no_bridge = || SnapshotError::NoBridge(bridge.to_owned());
        let row = rows(0).first().ok_or_else(no_bridge)?;
        let bridge_uuid = row.uuid().ok_or_else(no_bridge)?;
        let found: Bridge = row.to()?;
        let facts = NodeFacts::read(&found.external_ids)
            .map_err(|source| SnapshotError::Facts { bridge: bridge.to_owned(), source })?;
        let mut taken = HashSet::new();
        let mut ports = HashSet::new();
        for row in rows(1) {
            let interface: Interface = row.to()?;
            taken.extend(PodPort::taken(&interface.external_ids));
            if PodPort::is_one(&interface.external_ids) {
                ports.insert(interface.name);
            }
        }
        let last = [keys::LAST_IPV4, keys::LAST_IPV6];
        let last = last.iter().filter_map(|key| found.external_ids.get(*key)?.parse().ok()).collect();
        let userspace = found.datapath_type == "netdev";
        Ok(Self { bridge: bridge.to_owned(), bridge_uuid, userspace, facts, taken, last, ports })
    }
}
