//! What a client sends: the methods of OVSDB (RFC 7047 section 4.1 and `ovsdb-server(7)`).

use std::fmt;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{MonitorRequests, Operation, Uuid};

/// Identifies a request of ours. Peers may use any JSON value, we use numbers.
pub type RequestId = u64;

/// A request to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The names of the databases (section 4.1.1).
    ListDbs,
    /// A database's schema (section 4.1.2).
    GetSchema {
        /// The database.
        database: String,
    },
    /// A transaction (section 4.1.3).
    Transact {
        /// The database.
        database: String,
        /// What to do, in order.
        operations: Vec<Operation>,
    },
    /// Asks for rows and their changes (`ovsdb-server(7)` section 4.1.15).
    MonitorCondSince {
        /// The database.
        database: String,
        /// The monitor's identifier, chosen by us, unique on the connection.
        monitor: u64,
        /// Which rows.
        requests: MonitorRequests,
        /// The last transaction whose changes are already known; [`Uuid::ZERO`] for none.
        last_transaction: Uuid,
    },
    /// Changes which rows a monitor is about (`ovsdb-server(7)` section 4.1.13).
    MonitorCondChange {
        /// The monitor's identifier.
        monitor: u64,
        /// Which rows from now on; tables that are not named stay as they are.
        requests: MonitorRequests,
    },
    /// Ends a monitor (section 4.1.7).
    MonitorCancel {
        /// The monitor's identifier.
        monitor: u64,
    },
    /// Asks for a lock (section 4.1.8): granted at once, or later with a notification.
    Lock(String),
    /// Takes a lock from whoever has it (section 4.1.8).
    Steal(String),
    /// Gives a lock back, or no longer asks for it (section 4.1.8).
    Unlock(String),
    /// Is the peer alive? (section 4.1.11)
    Echo,
}

impl Request {
    /// A transaction on the database `Open_vSwitch`.
    pub fn transact(operations: impl IntoIterator<Item = Operation>) -> Self {
        Self::Transact {
            database: crate::tables::DATABASE.to_owned(),
            operations: operations.into_iter().collect(),
        }
    }

    /// The method's name.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ListDbs => "list_dbs",
            Self::GetSchema { .. } => "get_schema",
            Self::Transact { .. } => "transact",
            Self::MonitorCondSince { .. } => "monitor_cond_since",
            Self::MonitorCondChange { .. } => "monitor_cond_change",
            Self::MonitorCancel { .. } => "monitor_cancel",
            Self::Lock(_) => "lock",
            Self::Steal(_) => "steal",
            Self::Unlock(_) => "unlock",
            Self::Echo => "echo",
        }
    }

    /// The message as it is sent.
    ///
    /// # Errors
    /// When a value has no form in JSON: a real that is not finite.
    pub fn encode(&self, id: RequestId) -> Result<Vec<u8>, EncodeError> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            id: RequestId,
            method: &'a str,
            params: &'a RawValue,
        }
        let params = self.params().map_err(|e| EncodeError(e.to_string()))?;
        serde_json::to_vec(&Envelope { id, method: self.method(), params: &params })
            .map_err(|e| EncodeError(e.to_string()))
    }

    fn params(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::ListDbs | Self::Echo => to_raw_value(&[(); 0]),
            Self::GetSchema { database } => to_raw_value(&[database]),
            Self::Transact { database, operations } => to_raw_value(&Transact { database, operations }),
            Self::MonitorCondSince { database, monitor, requests, last_transaction } => {
                to_raw_value(&(database, monitor, requests, last_transaction))
            }
            Self::MonitorCondChange { monitor, requests } => to_raw_value(&(monitor, monitor, requests)),
            Self::MonitorCancel { monitor } => to_raw_value(&[monitor]),
            Self::Lock(lock) | Self::Steal(lock) | Self::Unlock(lock) => to_raw_value(&[lock]),
        }
    }
}

/// A request that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot write an OVSDB request: {0}")]
pub struct EncodeError(String);

/// The parameters of `transact`: the database's name and then the operations, in one array.
struct Transact<'a> {
    database: &'a str,
    operations: &'a [Operation],
}

impl Serialize for Transact<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut array = serializer.serialize_seq(Some(self.operations.len() + 1))?;
        array.serialize_element(self.database)?;
        for operation in self.operations {
            array.serialize_element(operation)?;
        }
        array.end()
    }
}

impl fmt::Display for Request {
    /// The method's name, for error messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}
