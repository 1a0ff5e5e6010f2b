//! The handle.

use std::sync::Arc;
use std::time::Duration;

use ovsdb::{
    ColumnError, Condition, EncodeError, MonitorRequests, OpResult, Operation, Replica, Reply, ReplyError,
    Request, TableRow, TransactError, Uuid,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::driver::{Control, Driver};
use super::lock::Lock;
use super::monitor::Monitor;
use crate::Address;

/// Requests that may wait for a connection, or for their turn, before callers have to.
const QUEUE: usize = 256;

/// A handle on the connection to one database server. Cloning shares it. The connection ends when the last handle,
/// monitor and lock is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Command>,
    control: mpsc::UnboundedSender<Control>,
    state: watch::Receiver<State>,
}

/// How a connection is kept up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long the server may be silent before it is asked whether it lives, and again before it is given up.
    pub probe: Duration,
    /// How long connecting may take.
    pub connect: Duration,
}

impl Default for Settings {
    /// Five seconds, as OVS does.
    fn default() -> Self {
        Self { probe: Duration::from_secs(5), connect: Duration::from_secs(5) }
    }
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is one.
    Connected,
    /// There is none, and why: not yet, or no longer.
    Disconnected(Arc<str>),
}

impl State {
    /// Whether there is one.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// A request of a caller.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    pub(super) done: oneshot::Sender<Result<Reply, RequestError>>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The connection broke before the answer came.
    #[error(
        "the connection to the OVSDB server broke before it answered: the transaction may have happened or not"
    )]
    Disconnected,
    /// The server refused the request, or the transaction failed.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The request cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A row is not what was expected.
    #[error(transparent)]
    Column(#[from] ColumnError),
}

impl RequestError {
    /// The failed transaction, if that is what it was: nothing of it has happened.
    #[must_use]
    pub const fn transaction(&self) -> Option<&TransactError> {
        match self {
            Self::Reply(ReplyError::Transact(error)) => Some(error),
            _ => None,
        }
    }
}

impl Client {
    /// A client of the server at `address`, which is connected to in the background. Must be called within a tokio
    /// runtime.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self::with_settings(address, Settings::default())
    }

    /// Like [`Self::new`], with settings of one's own.
    #[must_use]
    pub fn with_settings(address: Address, settings: Settings) -> Self {
        let (requests, commands) = mpsc::channel(QUEUE);
        let (control, controls) = mpsc::unbounded_channel();
        let (state_in, state) = watch::channel(State::Disconnected("not connected yet".into()));
        tokio::spawn(Driver::new(address, settings, commands, controls, state_in).run());
        Self { requests, control, state }
    }

    /// Runs a transaction on the database `Open_vSwitch`. The results are as many as the operations.
    ///
    /// Waits for a connection as long as it takes: put a timeout around it where that matters. Dropping the future
    /// does not take a transaction back that was already sent.
    ///
    /// # Errors
    /// [`RequestError::transaction`] says which operation failed and why.
    pub async fn transact(
        &self,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<Vec<OpResult>, RequestError> {
        Ok(self.request(Request::transact(operations)).await?.transact()?)
    }

    /// Reads rows of one table that meet all conditions.
    ///
    /// # Errors
    /// As for [`Self::transact`], and when a column has another type.
    pub async fn select<R: TableRow>(
        &self,
        conditions: impl IntoIterator<Item = Condition>,
    ) -> Result<Vec<(Uuid, R)>, RequestError> {
        let results = self.transact([Operation::select_rows::<R>(conditions)]).await?;
        let rows = results.first().map(OpResult::rows).unwrap_or_default();
        rows.iter().map(|row| Ok((row.uuid().unwrap_or_default(), row.to()?))).collect()
    }

    /// Sends any request and gives its answer, which the caller knows how to read. Locks and monitors asked for in
    /// this way would end with the connection: there are [`Self::lock`] and [`Self::monitor`] for them.
    ///
    /// # Errors
    /// When the connection breaks before the answer.
    pub async fn request(&self, request: Request) -> Result<Reply, RequestError> {
        let (done, reply) = oneshot::channel();
        let command = Command { request, done };
        self.requests.send(command).await.map_err(|_| RequestError::Disconnected)?;
        reply.await.map_err(|_| RequestError::Disconnected)?
    }

    /// Follows all rows of the tables of `R`.
    #[must_use]
    pub fn monitor<R: Replica>(&self) -> Monitor<R> {
        self.monitor_some(R::requests())
    }

    /// Follows the rows that `requests` name, which must be of the tables of `R`.
    #[must_use]
    pub fn monitor_some<R: Replica>(&self, requests: MonitorRequests) -> Monitor<R> {
        Monitor::start(requests, self.control.clone())
    }

    /// Asks for a lock, now and on every later connection, until the [`Lock`] is dropped. One client can ask for a
    /// lock only once at a time; a second [`Lock`] of the same name is never held.
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock::start(name.into(), self.control.clone())
    }

    /// Whether there is a connection, to watch.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Waits until there is a connection.
    pub async fn connected(&self) {
        // The task lives as long as this handle, so there is always somebody to say so.
        let _ = self.state.clone().wait_for(State::is_connected).await;
    }
}
