//! What a server sends: JSON-RPC 1.0 messages (RFC 7047 section 4.1 and `ovsdb-server(7)`).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{ErrorKind, OpError, RequestId, TableUpdates, Uuid};

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

#[cfg(test)]
mod tests;
