//! The transaction that creates a port and takes its addresses.

use std::net::IpAddr;

use ovsdb::tables::{Bridge, Interface, Port};
use ovsdb::{
    Condition, ErrorKind, Mutation, OpError, OpResult, Operation, TableRow as _, TransactError, Uuid, Value,
    vswitch,
};

use crate::{Exhausted, PodPort, Snapshot, keys, pick};

/// A lease to be taken: operations, and what each guard stands for.
#[derive(Clone, Debug)]
pub struct Lease {
    operations: Vec<Operation>,
    guards: Vec<LeaseError>,
}

/// Why a lease was not granted. Nothing has changed in the database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Another port took the address first: pick another one.
    #[error("address {0} was taken by another port")]
    AddressTaken(IpAddr),
    /// The attachment exists.
    #[error("port {0} exists: the interface was added before")]
    PortExists(String),
    /// The node's pod CIDR changed, or the bridge is gone: read again.
    #[error("the node's description on bridge {0} has changed")]
    NodeChanged(String),
    /// Something else.
    #[error("OVSDB refused the port: {0}")]
    Refused(OpError),
}

/// What was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Row of the interface, which the daemon will stamp.
    pub interface: Uuid,
    /// Row of the port.
    pub port: Uuid,
}

/// Picks an address of each of the node's families. `attempt` counts conflicts.
///
/// # Errors
/// When a family has none left.
pub fn pick_addresses(snapshot: &Snapshot, attempt: u32) -> Result<Vec<IpAddr>, Exhausted> {
    let last = |ipv6: bool| snapshot.last.iter().copied().find(|address| address.is_ipv6() == ipv6);
    snapshot
        .facts
        .pools()
        .iter()
        .map(|pool| pick(pool, &snapshot.taken, last(pool.is_ipv6()), attempt))
        .collect()
}

impl Lease {
    /// A lease of the port's addresses. With `from_pool` they are of the node's pool, and the next allocation starts
    /// behind them; without, another IPAM plugin chose them.
    #[must_use]
    pub fn new(snapshot: &Snapshot, port: &PodPort, from_pool: bool) -> Self {
        let (bridge, bridge_uuid) = (snapshot.bridge.as_str(), snapshot.bridge_uuid);
        let name = port.port_name();
        let mut lease = Self { operations: Vec::new(), guards: Vec::new() };
        let by_name = Condition::equals("name", name.as_str());
        lease.guard(
            Operation::guard_none(Interface::TABLE, [by_name], "name"),
            LeaseError::PortExists(name.clone()),
        );
        for address in port.addresses() {
            let key = if address.is_ipv6() { keys::IPV6 } else { keys::IPV4 };
            let carries = Condition::includes("external_ids", Value::map([(key, address.to_string())]));
            lease.guard(
                Operation::guard_none(Interface::TABLE, [carries], "name"),
                LeaseError::AddressTaken(address),
            );
        }
        let mut same = vec![Condition::uuid(bridge_uuid)];
        if from_pool {
            same.push(Condition::includes("external_ids", Value::map(snapshot.facts.identity())));
        }
        lease.guard(
            Operation::guard_one(Bridge::TABLE, same, "name", bridge),
            LeaseError::NodeChanged(bridge.to_owned()),
        );
        let interface = Interface { name: name.clone(), external_ids: port.write(), ..Interface::default() };
        let row = Port { name, ..Port::default() };
        lease.operations.extend(vswitch::add_port(bridge, &row, &interface, "pod"));
        if from_pool {
            lease.remember(bridge_uuid, port);
        }
        lease
    }

    /// The operations, to be sent as one transaction.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Reads the transaction's results.
    ///
    /// # Errors
    /// When the lease was not granted.
    pub fn read(&self, results: Result<Vec<OpResult>, TransactError>) -> Result<Granted, LeaseError> {
        let results = results.map_err(|error| self.explain(&error))?;
        let mut inserted = results.iter().filter_map(|result| match result {
            OpResult::Inserted(uuid) => Some(*uuid),
            _ => None,
        });
        match (inserted.next(), inserted.next()) {
            (Some(interface), Some(port)) => Ok(Granted { interface, port }),
            _ => Err(LeaseError::Refused(OpError {
                kind: ErrorKind::InternalError,
                details: "the answer names no new rows".to_owned(),
            })),
        }
    }

    fn explain(&self, failed: &TransactError) -> LeaseError {
        let guard = failed.index.filter(|_| failed.error.kind == ErrorKind::TimedOut);
        guard
            .and_then(|index| self.guards.get(index).cloned())
            .unwrap_or_else(|| LeaseError::Refused(failed.error.clone()))
    }

    fn guard(&mut self, operation: Operation, otherwise: LeaseError) {
        self.operations.push(operation);
        self.guards.push(otherwise);
    }

    /// Where the next allocation starts.
    fn remember(&mut self, bridge: Uuid, port: &PodPort) {
        let mutations = port.addresses().flat_map(|address| {
            let key = if address.is_ipv6() { keys::LAST_IPV6 } else { keys::LAST_IPV4 };
            Mutation::put("external_ids", key, &address.to_string())
        });
        self.operations.push(Operation::mutate(Bridge::TABLE, [Condition::uuid(bridge)], mutations));
    }
}

/// Operations that delete ports of `bridge` and free their addresses. `ports` are rows of the table `Port`; their
/// interfaces go with them.
#[must_use]
pub fn release(bridge: Uuid, ports: impl IntoIterator<Item = Uuid>) -> Vec<Operation> {
    let mutation = Mutation::delete("ports", Value::set(ports));
    vec![Operation::mutate(Bridge::TABLE, [Condition::uuid(bridge)], [mutation])]
}

#[cfg(test)]
mod tests;
