//! Operations on the database `Open_vSwitch` that belong together.
//!
//! `ovs-vswitchd` applies what is written some milliseconds later. Who must know when adds [`announce`] to the
//! transaction, reads the `next_cfg` it returns, and waits until [`OpenVSwitch::has_applied`].

use crate::tables::{Bridge, Interface, OpenVSwitch, Port};
use crate::{Condition, Mutation, OpResult, Operation, TableRow, Uuid, Value};

/// Inserts an interface, a port for it, and hangs the port into a bridge.
///
/// `port.interfaces` is filled in. The names under which the operations refer to each other are derived from
/// `label`, which must be unique in the transaction and consist of letters, digits and underscores.
#[must_use]
pub fn add_port(bridge: &str, port: &Port, interface: &Interface, label: &str) -> [Operation; 3] {
    let (port_id, interface_id) = (format!("{label}_port"), format!("{label}_interface"));
    let port_row = port.to_row().with("interfaces", Value::named_uuid(&interface_id));
    [
        Operation::insert_named(interface, interface_id),
        Operation::insert_named_row(Port::TABLE, port_row, &port_id),
        Operation::mutate(
            Bridge::TABLE,
            [Condition::equals("name", bridge)],
            [Mutation::insert("ports", Value::named_uuid(port_id))],
        ),
    ]
}

/// Takes a port out of its bridge. The server collects the port and its interfaces, since nothing refers to them any
/// more.
#[must_use]
pub fn remove_port(port: Uuid) -> Operation {
    Operation::mutate(Bridge::TABLE, [Condition::includes("ports", port)], [Mutation::delete("ports", port)])
}

/// Inserts a bridge with its local port and interface, of the bridge's name, and hangs it into the root.
#[must_use]
pub fn add_bridge(bridge: &Bridge, interface: &Interface, label: &str) -> [Operation; 4] {
    let (bridge_id, port_id) = (format!("{label}_bridge"), format!("{label}_port"));
    let interface_id = format!("{label}_interface");
    let local = Interface { name: bridge.name.clone(), kind: "internal".to_owned(), ..interface.clone() };
    let port = Port { name: bridge.name.clone(), ..Port::default() };
    let port = port.to_row().with("interfaces", Value::named_uuid(&interface_id));
    let row = bridge.to_row().with("ports", Value::named_uuid(&port_id));
    [
        Operation::insert_named(&local, interface_id),
        Operation::insert_named_row(Port::TABLE, port, port_id),
        Operation::insert_named_row(Bridge::TABLE, row, &bridge_id),
        Operation::mutate(
            OpenVSwitch::TABLE,
            [],
            [Mutation::insert("bridges", Value::named_uuid(bridge_id))],
        ),
    ]
}

/// Takes a bridge out of the root. The server collects what hangs in it.
#[must_use]
pub fn remove_bridge(bridge: Uuid) -> Operation {
    Operation::mutate(OpenVSwitch::TABLE, [], [Mutation::delete("bridges", bridge)])
}

/// Raises `next_cfg` and reads it. Append both to a transaction, and find the number with [`announced`].
#[must_use]
pub fn announce() -> [Operation; 2] {
    [
        Operation::mutate(OpenVSwitch::TABLE, [], [Mutation::add("next_cfg", 1)]),
        Operation::select_columns(OpenVSwitch::TABLE, [], ["next_cfg"]),
    ]
}

/// The `next_cfg` that [`announce`] has set, if its operations are the last of the transaction.
#[must_use]
pub fn announced(results: &[OpResult]) -> Option<i64> {
    let row = results.last()?.rows().first()?;
    row.to::<OpenVSwitch>().ok().map(|root| root.next_cfg)
}
