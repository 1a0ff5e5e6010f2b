//! JSON-RPC 1.0 messages and the methods of OVSDB (RFC 7047 section 4.1 and `ovsdb-server(7)`).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::{ErrorKind, MonitorRequests, OpError, Operation, TableUpdates, Uuid};

/// Identifies a request of ours. Peers may use any JSON value, we use numbers.
pub type RequestId = u64;

/// A message is not what RFC 7047 says. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
#[error("cannot make sense of a message of the OVSDB server ({context}): {source}")]
pub struct DecodeError {
    context: &'static str,
    source: serde_json::Error,
}

impl DecodeError {
    pub(crate) const fn new(context: &'static str, source: serde_json::Error) -> Self {
        Self { context, source }
    }
}

/// A message of the server.
#[derive(Debug)]
pub enum Message {
    /// A request, which wants an answer.
    Request {
        /// To be repeated in the answer.
        id: Box<RawValue>,
        /// The method; servers only send `echo`.
        method: String,
        /// Its parameters.
        params: Box<RawValue>,
    },
    /// A notification.
    Notification(Notification),
    /// The answer to a request.
    Response {
        /// The request's id; `None` if it is none of ours.
        id: Option<RequestId>,
        /// The answer.
        result: Result<Box<RawValue>, RpcError>,
    },
}

#[derive(Deserialize)]
struct Envelope {
    id: Option<Box<RawValue>>,
    method: Option<String>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
}

impl Message {
    /// Decodes one message.
    ///
    /// # Errors
    /// When it is no JSON-RPC message, or a notification with other parameters than its method has.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|e| DecodeError::new("JSON-RPC", e))?;
        match envelope {
            Envelope { method: Some(method), params, id: None, .. } => {
                let params = params.as_deref().map_or("null", RawValue::get);
                Notification::decode(method, params).map(Self::Notification)
            }
            Envelope { method: Some(method), params, id: Some(id), .. } => {
                Ok(Self::Request { id, method, params: params.unwrap_or_else(null) })
            }
            Envelope { id, result, error, .. } => Ok(Self::Response {
                id: id.and_then(|id| serde_json::from_str(id.get()).ok()),
                result: match error {
                    Some(error) => Err(RpcError::decode(&error)),
                    None => Ok(result.unwrap_or_else(null)),
                },
            }),
        }
    }

    /// The answer to an `echo`: "the `result` is the same as the `params`" (section 4.1.11).
    #[must_use]
    pub fn encode_echo_reply(id: &RawValue, params: &RawValue) -> Vec<u8> {
        format!(r#"{{"id":{},"result":{},"error":null}}"#, id.get(), params.get()).into_bytes()
    }
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// The server refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the OVSDB server refused the request: {0}")]
pub struct RpcError(pub OpError);

impl RpcError {
    /// Errors are objects, or (for `unknown method`) strings.
    fn decode(error: &RawValue) -> Self {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Object { error: ErrorKind, details: Option<String> },
            Text(ErrorKind),
        }
        Self(match serde_json::from_str(error.get()) {
            Ok(Form::Object { error, details }) => {
                OpError { kind: error, details: details.unwrap_or_default() }
            }
            Ok(Form::Text(kind)) => OpError { kind, details: String::new() },
            Err(_) => OpError { kind: ErrorKind::Other(error.get().to_owned()), details: String::new() },
        })
    }
}

/// What a server says without being asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Notification {
    /// Monitored tables have changed (`update3`).
    Update {
        /// The monitor's identifier.
        monitor: u64,
        /// The last transaction included.
        last_transaction: Uuid,
        /// The changes.
        updates: TableUpdates,
    },
    /// The server has ended a monitor, because its database is gone or was converted.
    MonitorCanceled {
        /// The monitor's identifier.
        monitor: u64,
    },
    /// A lock that was asked for is now ours.
    Locked(String),
    /// A lock of ours was taken by another client's `steal`.
    Stolen(String),
    /// One that is not listed here.
    Unknown(String),
}

impl Notification {
    fn decode(method: String, params: &str) -> Result<Self, DecodeError> {
        fn parse<'a, T: Deserialize<'a>>(params: &'a str, method: &'static str) -> Result<T, DecodeError> {
            serde_json::from_str(params).map_err(|e| DecodeError::new(method, e))
        }
        Ok(match method.as_str() {
            "update3" => {
                let (monitor, last_transaction, updates) = parse(params, "update3")?;
                Self::Update { monitor, last_transaction, updates }
            }
            "monitor_canceled" => {
                let [monitor] = parse(params, "monitor_canceled")?;
                Self::MonitorCanceled { monitor }
            }
            "locked" => {
                let [lock] = parse(params, "locked")?;
                Self::Locked(lock)
            }
            "stolen" => {
                let [lock] = parse(params, "stolen")?;
                Self::Stolen(lock)
            }
            _ => Self::Unknown(method),
        })
    }
}

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

#[cfg(test)]
mod tests;
