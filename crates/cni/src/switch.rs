//! The switch's side of an attachment: rows of its database.

use std::{path::Path, time::Instant};

use ipam::{PodPort, keys, names};
use ovsdb::{
    Condition, MonitorRequest, MonitorRequests, OpResult, Operation, Request, RequestId, Table,
    TableRow as _, Uuid,
    tables::{Interface, Port},
    vswitch,
};
use ovsdb_blocking::{Client, Error, Monitor};

use crate::{CniError, Code, error::Result};

/// Connects to the database.
///
/// # Errors
/// [`Code::TryAgain`]: Open vSwitch may be starting.
pub(crate) fn connect(path: &Path, deadline: Instant) -> Result<Client> {
    Client::connect(path, deadline).map_err(database_error)
}

/// An error of the database, as CNI tells it. All are worth another try but a refusal.
// By value, to be what `map_err` wants.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn database_error(error: Error) -> CniError {
    let code = if error.refusal().is_some() { Code::OpenVSwitch } else { Code::TryAgain };
    CniError::new(code, "the database of Open vSwitch (ovsdb-server) cannot be used", error)
}

/// The port of an attachment, as the database has it.
#[derive(Debug)]
pub(crate) struct FoundPort {
    /// Row of the port; `None` if there is only an interface row, which no bridge shows.
    pub(crate) port: Option<Uuid>,
    /// Whose it says it is.
    pub(crate) interface: Interface,
}

impl FoundPort {
    /// Whether it is this attachment's: names are hashes, and two could have one.
    pub(crate) fn is_of(&self, container_id: &str, ifname: &str) -> bool {
        let id = |key: &str| self.interface.external_ids.get(key).map(String::as_str);
        id(keys::CONTAINER_ID) == Some(container_id) && id(keys::IFNAME) == Some(ifname)
    }
}

/// Looks a port up by its name.
///
/// # Errors
/// As [`database_error`].
pub(crate) fn find_port(client: &mut Client, name: &str, deadline: Instant) -> Result<Option<FoundPort>> {
    let by_name = || [Condition::equals("name", name)];
    let operations = [
        Operation::select_columns(Interface::TABLE, by_name(), ["name", "external_ids"]),
        Operation::select_columns(Port::TABLE, by_name(), ["_uuid"]),
    ];
    let results = client.transact(operations, deadline).map_err(database_error)?;
    let first = |index: usize| results.get(index).map(OpResult::rows).and_then(<[_]>::first);
    let Some(row) = first(0) else { return Ok(None) };
    let interface = row.to().map_err(|e| database_error(Error::Replica(e.into())))?;
    Ok(Some(FoundPort { port: first(1).and_then(ovsdb::Row::uuid), interface }))
}

/// Removes ports, and with them the leases of their addresses, in one transaction.
///
/// # Errors
/// As [`database_error`].
pub(crate) fn remove_ports(
    client: &mut Client,
    ports: impl IntoIterator<Item = Uuid>,
    deadline: Instant,
) -> Result<()> {
    let asked = ask_to_remove(client, ports, deadline)?;
    removed(client, asked, deadline)
}

/// Asks for the removal of ports. The request is on its way when this returns; [`removed`] waits for the answer.
///
/// # Errors
/// As [`database_error`].
pub(crate) fn ask_to_remove(
    client: &mut Client,
    ports: impl IntoIterator<Item = Uuid>,
    deadline: Instant,
) -> Result<Option<RequestId>> {
    let operations: Vec<Operation> = ports.into_iter().map(vswitch::remove_port).collect();
    if operations.is_empty() {
        return Ok(None);
    }
    let id = client.send(&Request::transact(operations)).map_err(database_error)?;
    client.flush(deadline).map_err(database_error)?;
    Ok(Some(id))
}

/// Waits until what [`ask_to_remove`] asked for is done.
///
/// # Errors
/// As [`database_error`].
pub(crate) fn removed(client: &mut Client, asked: Option<RequestId>, deadline: Instant) -> Result<()> {
    let Some(id) = asked else { return Ok(()) };
    let reply = client.reply(id, deadline).and_then(|reply| reply.transact().map_err(Into::into));
    reply.map(|_| ()).map_err(database_error)
}

/// Removes the port of an attachment if it is there; `false` says that the name belongs to another attachment, which
/// is left alone.
///
/// # Errors
/// As [`database_error`].
pub(crate) fn remove_attachment(
    client: &mut Client,
    container_id: &str,
    ifname: &str,
    deadline: Instant,
) -> Result<bool> {
    match find_port(client, &names::port(container_id, ifname), deadline)? {
        Some(found) if !found.is_of(container_id, ifname) => Ok(false),
        Some(found) => remove_ports(client, found.port, deadline).map(|()| true),
        None => Ok(true),
    }
}

/// Asks to follow what becomes of a port's interface; the request goes out with what is queued.
///
/// # Errors
/// As [`database_error`].
pub(crate) fn follow(client: &mut Client, name: &str) -> Result<Monitor<Table<Interface>>> {
    let columns = MonitorRequest::columns(["name", "ofport", "error", "external_ids"]);
    let request = columns.matching([Condition::equals("name", name)]);
    client.monitor(MonitorRequests::new().with(Interface::TABLE, request)).map_err(database_error)
}

/// How far a port has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is no such row.
    Absent,
    /// `ovs-vswitchd` has not looked at it.
    Waiting,
    /// `ovs-vswitchd` could not add it.
    Failed(String),
    /// It is in the switch, without its flows.
    Unprogrammed,
    /// Its flows are in the switch.
    Ready,
}

impl Progress {
    /// Of the one row that is followed.
    pub(crate) fn of(table: &Table<Interface>) -> Self {
        match table.rows().next() {
            None => Self::Absent,
            Some(row) if PodPort::is_programmed(&row.external_ids, row.ofport) => Self::Ready,
            Some(Interface { error: Some(error), .. }) => Self::Failed(error.clone()),
            Some(Interface { ofport: Some(..=-1), .. }) => Self::Failed("no reason given".to_owned()),
            Some(Interface { ofport: Some(_), .. }) => Self::Unprogrammed,
            Some(_) => Self::Waiting,
        }
    }

    /// Why a port that has come this far and no further is of no use.
    pub(crate) fn complaint(&self, name: &str) -> String {
        match self {
            Self::Absent => format!("port {name} is not in the database: somebody removed it"),
            Self::Waiting => {
                format!("ovs-vswitchd has not taken port {name}: is it running, and not busy? See its log")
            }
            Self::Failed(error) => format!("ovs-vswitchd could not add port {name}: {error}"),
            Self::Unprogrammed => format!(
                "the flows of port {name} are not in the switch: is k-vswitchd running on this node, and connected \
                 to the switch? See its log"
            ),
            Self::Ready => format!("port {name} is ready"),
        }
    }
}

/// Waits until the port's flows are in the switch, or it is clear that they will not be.
///
/// # Errors
/// [`Code::TryAgain`] when the deadline passes or the port is removed, [`Code::OpenVSwitch`] when the switch refuses
/// it.
pub(crate) fn wait_until_ready(
    client: &mut Client,
    monitor: &mut Monitor<Table<Interface>>,
    name: &str,
    deadline: Instant,
) -> Result<()> {
    let settled = client.wait_until(monitor, deadline, |table| match Progress::of(table) {
        Progress::Waiting | Progress::Unprogrammed => None,
        settled => Some(settled),
    });
    let progress = match settled {
        Ok(Progress::Ready) => return Ok(()),
        Ok(progress) => progress,
        Err(error) if error.is_timeout() => Progress::of(monitor.replica()),
        Err(error) => return Err(database_error(error)),
    };
    let code = if matches!(progress, Progress::Failed(_)) { Code::OpenVSwitch } else { Code::TryAgain };
    Err(CniError::new(code, "the pod's port did not become ready", progress.complaint(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(interface: &Interface) -> Progress {
        let mut table = Table::<Interface>::default();
        let row = serde_json::to_value(interface.to_row()).unwrap();
        let updates =
            serde_json::json!({"Interface": {"00000000-0000-0000-0000-000000000001": {"initial": row}}});
        let updates = serde_json::from_value(updates).unwrap();
        ovsdb::Replica::apply(&mut table, &updates, &mut Vec::new()).unwrap();
        Progress::of(&table)
    }

    #[test]
    fn a_port_is_ready_only_with_the_stamp_of_its_number() {
        let row = Interface { name: "kvs0".into(), ..Interface::default() };
        assert_eq!(Progress::of(&Table::default()), Progress::Absent);
        assert_eq!(progress(&row), Progress::Waiting);
        assert_eq!(progress(&Interface { ofport: Some(3), ..row.clone() }), Progress::Unprogrammed);
        let stamped = |stamp: &str| Interface {
            ofport: Some(3),
            external_ids: [(keys::PROGRAMMED.to_owned(), stamp.to_owned())].into(),
            ..row.clone()
        };
        assert_eq!(progress(&stamped("2")), Progress::Unprogrammed);
        assert_eq!(progress(&stamped("3")), Progress::Ready);
        let failed = Interface { ofport: Some(-1), error: Some("no such device".into()), ..row };
        assert_eq!(progress(&failed), Progress::Failed("no such device".into()));
    }
}
