//! The client.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use ovsdb::{
    Condition, Event, MonitorRequests, Notification, OpResult, Operation, Replica, ReplicaError, Reply,
    ReplyError, Request, RequestId, Session, TableRow, Uuid,
};

use crate::connect::{connect_by, remaining};
use crate::error::{Error, Step};

/// A connection to an OVSDB server. Locks and monitors end with it.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    session: Session,
    replies: BTreeMap<RequestId, Reply>,
    notifications: VecDeque<Notification>,
    last_monitor: u64,
    buffer: Vec<u8>,
}

/// How much is read at once, bytes.
const READ: usize = 64 << 10;

/// A monitor and the rows it has brought so far.
#[derive(Debug)]
pub struct Monitor<R> {
    id: u64,
    /// The request, as long as it has no answer.
    request: Option<RequestId>,
    replica: R,
}

impl<R> Monitor<R> {
    /// The rows as last heard of.
    #[must_use]
    pub const fn replica(&self) -> &R {
        &self.replica
    }
}

impl Client {
    /// Connects to the server's Unix socket, such as `/var/run/openvswitch/db.sock`.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub fn connect(path: &Path, deadline: Instant) -> Result<Self, Error> {
        let stream =
            connect_by(path, deadline).map_err(|source| Error::Connect { path: path.to_owned(), source })?;
        Ok(Self {
            stream,
            session: Session::default(),
            replies: BTreeMap::new(),
            notifications: VecDeque::new(),
            last_monitor: 0,
            buffer: vec![0; READ],
        })
    }

    /// Queues a request. It goes out, together with all that was queued, when an answer is awaited or with
    /// [`Self::flush`].
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn send(&mut self, request: &Request) -> Result<RequestId, Error> {
        Ok(self.session.send(request)?)
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// When the connection is broken, or the deadline passes.
    pub fn flush(&mut self, deadline: Instant) -> Result<(), Error> {
        let output = self.session.take_output();
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            let written = remaining(deadline)
                .and_then(|left| self.stream.set_write_timeout(Some(left)))
                .and_then(|()| self.stream.write(rest));
            match written {
                Ok(0) => return Err(Error::Closed(Step::Writing)),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => retry(error, Step::Writing)?,
            }
        }
        Ok(())
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When the connection is broken, or the deadline passes.
    pub fn reply(&mut self, id: RequestId, deadline: Instant) -> Result<Reply, Error> {
        loop {
            if let Some(reply) = self.replies.remove(&id) {
                return Ok(reply);
            }
            self.pump(deadline, Step::Reading)?;
        }
    }

    /// Runs a transaction on the database `Open_vSwitch`. The results are as many as the operations.
    ///
    /// # Errors
    /// [`Error::transaction`] says whether and why it failed. After an error of another kind it may or may not have
    /// happened.
    pub fn transact(
        &mut self,
        operations: impl IntoIterator<Item = Operation>,
        deadline: Instant,
    ) -> Result<Vec<OpResult>, Error> {
        let id = self.send(&Request::transact(operations))?;
        Ok(self.reply(id, deadline)?.transact()?)
    }

    /// Reads rows of one table that meet all conditions.
    ///
    /// # Errors
    /// As for [`Self::transact`], and when a column has another type.
    pub fn select<R: TableRow>(
        &mut self,
        conditions: impl IntoIterator<Item = Condition>,
        deadline: Instant,
    ) -> Result<Vec<(Uuid, R)>, Error> {
        let results = self.transact([Operation::select_rows::<R>(conditions)], deadline)?;
        let rows = results.first().map(OpResult::rows).unwrap_or_default();
        let typed = rows.iter().map(|row| Ok((row.uuid().unwrap_or_default(), row.to()?)));
        typed.collect::<Result<_, ovsdb::ColumnError>>().map_err(|e| ReplicaError::from(e).into())
    }

    /// Queues a request to monitor rows of the database `Open_vSwitch`; follow them with [`Self::wait_until`].
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn monitor<R: Replica>(&mut self, requests: MonitorRequests) -> Result<Monitor<R>, Error> {
        self.last_monitor += 1;
        let id = self.last_monitor;
        let request = self.send(&Request::MonitorCondSince {
            database: ovsdb::tables::DATABASE.to_owned(),
            monitor: id,
            requests,
            last_transaction: Uuid::ZERO,
        })?;
        Ok(Monitor { id, request: Some(request), replica: R::default() })
    }

    /// Follows monitored rows until `wanted` finds in them what it looks for. It is asked once the initial rows are
    /// there and after each update.
    ///
    /// # Errors
    /// [`Error::Timeout`] when the deadline passes first; the monitor can be followed on. Others when the connection
    /// is broken.
    pub fn wait_until<R: Replica, T>(
        &mut self,
        monitor: &mut Monitor<R>,
        deadline: Instant,
        mut wanted: impl FnMut(&R) -> Option<T>,
    ) -> Result<T, Error> {
        if let Some(id) = monitor.request {
            let reply = self.reply(id, deadline)?.monitor()?;
            monitor.request = None;
            monitor.replica.apply(&reply.updates, &mut Vec::new())?;
        }
        loop {
            while let Some(at) = self.notifications.iter().position(|n| concerns(n, monitor.id)) {
                match self.notifications.remove(at) {
                    Some(Notification::Update { updates, .. }) => {
                        monitor.replica.apply(&updates, &mut Vec::new())?;
                    }
                    _ => return Err(Error::MonitorCanceled),
                }
            }
            if let Some(found) = wanted(&monitor.replica) {
                return Ok(found);
            }
            self.pump(deadline, Step::Watching)?;
        }
    }

    /// Asks for a lock without waiting for it. If it is granted, it is held until [`Self::unlock`] or the end of the
    /// connection; if not, the request for it is withdrawn.
    ///
    /// # Errors
    /// When the connection is broken, the deadline passes, or this connection holds the lock already.
    pub fn try_lock(&mut self, lock: &str, deadline: Instant) -> Result<bool, Error> {
        let id = self.send(&Request::Lock(lock.to_owned()))?;
        let granted = self.reply(id, deadline)?.locked()?;
        if !granted {
            self.unlock(lock, deadline)?;
        }
        Ok(granted)
    }

    /// Waits for a lock. It is held until [`Self::unlock`] or the end of the connection.
    ///
    /// # Errors
    /// When the connection is broken, the deadline passes, or this connection holds the lock already.
    pub fn lock(&mut self, lock: &str, deadline: Instant) -> Result<(), Error> {
        let id = self.send(&Request::Lock(lock.to_owned()))?;
        if self.reply(id, deadline)?.locked()? {
            return Ok(());
        }
        let ours = |n: &Notification| matches!(n, Notification::Locked(name) if name == lock);
        loop {
            if let Some(at) = self.notifications.iter().position(ours) {
                self.notifications.remove(at);
                return Ok(());
            }
            self.pump(deadline, Step::Watching)?;
        }
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// When the connection is broken, the deadline passes, or the lock was not asked for.
    pub fn unlock(&mut self, lock: &str, deadline: Instant) -> Result<(), Error> {
        let id = self.send(&Request::Unlock(lock.to_owned()))?;
        Ok(self.reply(id, deadline)?.done()?)
    }

    /// Writes what is queued, reads what there is (waiting for at least one byte), and files it.
    fn pump(&mut self, deadline: Instant, step: Step) -> Result<(), Error> {
        self.flush(deadline)?;
        let read = remaining(deadline)
            .and_then(|left| self.stream.set_read_timeout(Some(left)))
            .and_then(|()| self.stream.read(&mut self.buffer));
        match read {
            Ok(0) => return Err(Error::Closed(step)),
            Ok(count) => self.session.receive(self.buffer.get(..count).unwrap_or_default()),
            Err(error) => retry(error, step)?,
        }
        while let Some(event) = self.session.poll()? {
            match event {
                Event::Reply(id, reply) => {
                    self.replies.insert(id, reply);
                }
                Event::Notification(notification) => self.notifications.push_back(notification),
            }
        }
        Ok(())
    }
}

fn concerns(notification: &Notification, id: u64) -> bool {
    match notification {
        Notification::Update { monitor, .. } | Notification::MonitorCanceled { monitor } => *monitor == id,
        _ => false,
    }
}

/// Passes over interruptions by signals.
fn retry(source: io::Error, step: Step) -> Result<(), Error> {
    match source.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Err(Error::Timeout(step)),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(Error::Closed(step)),
        _ => Err(Error::Io { step, source }),
    }
}

impl From<ovsdb::RpcError> for Error {
    fn from(error: ovsdb::RpcError) -> Self {
        Self::Reply(ReplyError::Refused(error))
    }
}
