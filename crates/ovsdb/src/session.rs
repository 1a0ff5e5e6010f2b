//! One connection's state.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    DatabaseSchema, DecodeError, EncodeError, FrameError, Framer, Message, MonitorReply, Notification,
    OpResult, Request, RequestId, RpcError, TransactError, check_results,
};

/// One connection's state: which requests are under way, and what is to be written.
///
/// See the crate's text for how to drive it. A session starts with the connection and ends with it.
#[derive(Debug, Default)]
pub struct Session {
    framer: Framer,
    output: Vec<u8>,
    last_id: RequestId,
    /// Requests without an answer, with the number of operations of a transaction.
    pending: BTreeMap<RequestId, Option<usize>>,
    events: VecDeque<Event>,
}

/// What arrived.
#[derive(Debug)]
pub enum Event {
    /// The answer to a request.
    Reply(RequestId, Reply),
    /// A notification.
    Notification(Notification),
}

/// The stream is broken: close the connection.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The stream holds no messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message makes no sense.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Session {
    /// Puts a request into the output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn send(&mut self, request: &Request) -> Result<RequestId, EncodeError> {
        let id = self.last_id + 1;
        let bytes = request.encode(id)?;
        self.output.extend_from_slice(&bytes);
        self.last_id = id;
        let operations = match request {
            Request::Transact { operations, .. } => Some(operations.len()),
            _ => None,
        };
        self.pending.insert(id, operations);
        Ok(id)
    }

    /// What is to be written to the socket; empty when there is nothing.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether there is something to be written.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// How many requests wait for an answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes bytes read from the socket. Call [`Self::poll`] afterwards.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// What arrived next. `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the stream is broken.
    pub fn poll(&mut self) -> Result<Option<Event>, SessionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(bytes) = self.framer.next_message()? else { return Ok(None) };
            match Message::decode(bytes)? {
                Message::Request { id, params, .. } => {
                    // Servers ask for nothing but echo; whatever it is, the answer to an echo says that we live.
                    self.output.extend_from_slice(&Message::encode_echo_reply(&id, &params));
                }
                Message::Notification(notification) => {
                    self.events.push_back(Event::Notification(notification));
                }
                Message::Response { id, result } => {
                    // An answer to nothing of ours is passed over, as ovsdb-idl does.
                    if let Some((id, operations)) = id.and_then(|id| Some((id, self.pending.remove(&id)?))) {
                        self.events.push_back(Event::Reply(id, Reply { operations, result }));
                    }
                }
            }
        }
    }
}

/// The answer to a request, not yet read: the asker knows of which type it is.
#[derive(Debug)]
pub struct Reply {
    /// The number of operations, if the request was a transaction.
    operations: Option<usize>,
    result: Result<Box<RawValue>, RpcError>,
}

/// A request was answered with a refusal or with something that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] RpcError),
    /// The answer makes no sense.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The transaction failed. Nothing of it has happened.
    #[error(transparent)]
    Transact(#[from] TransactError),
}

impl Reply {
    fn read<T: for<'de> Deserialize<'de>>(self, method: &'static str) -> Result<T, ReplyError> {
        serde_json::from_str(self.result?.get()).map_err(|e| DecodeError::new(method, e).into())
    }

    /// Of `transact`.
    ///
    /// # Errors
    /// When it was refused or failed.
    pub fn transact(self) -> Result<Vec<OpResult>, ReplyError> {
        let operations = self.operations;
        let results: Vec<OpResult> = self.read("transact")?;
        let operations = operations.unwrap_or(results.len());
        Ok(check_results(operations, results)?)
    }

    /// Of `monitor_cond_since`.
    ///
    /// # Errors
    /// When it was refused.
    pub fn monitor(self) -> Result<MonitorReply, ReplyError> {
        self.read("monitor_cond_since")
    }

    /// Of `lock` and `steal`: whether the lock is held now.
    ///
    /// # Errors
    /// When it was refused.
    pub fn locked(self) -> Result<bool, ReplyError> {
        #[derive(Deserialize)]
        struct Locked {
            locked: bool,
        }
        self.read::<Locked>("lock").map(|reply| reply.locked)
    }

    /// Of `list_dbs`.
    ///
    /// # Errors
    /// When it was refused.
    pub fn databases(self) -> Result<Vec<String>, ReplyError> {
        self.read("list_dbs")
    }

    /// Of `get_schema`.
    ///
    /// # Errors
    /// When it was refused.
    pub fn schema(self) -> Result<DatabaseSchema, ReplyError> {
        self.read("get_schema")
    }

    /// Of requests that are answered with nothing, such as `unlock`, `monitor_cancel` and `echo`.
    ///
    /// # Errors
    /// When it was refused.
    pub fn done(self) -> Result<(), ReplyError> {
        self.result?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
