//! One connection: requests and their answers.

mod pending;
mod tasks;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

pub use pending::RequestError;
use pending::{Pending, PendingTable};

use super::frame::{self, Frame};

/// Messages that may wait to be written before callers have to.
const QUEUE: usize = 256;
/// Asynchronous messages that may wait to be looked at; further ones are counted and dropped.
const ASYNC_QUEUE: usize = 4096;
/// Time for the peer's `HELLO`.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("OpenFlow connection closed: {0}")]
pub struct Closed(pub String);

/// A handle on one connection. Cloning shares it; the connection ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Connection {
    writer: mpsc::Sender<Bytes>,
    pending: Arc<PendingTable>,
    closed: watch::Receiver<Option<Closed>>,
}

/// Messages that no request asked for: packet-in, flow-removed, port-status and their like, in order.
#[derive(Debug)]
pub struct Asynchronous {
    messages: mpsc::Receiver<Frame>,
}

impl Asynchronous {
    /// The next message; `None` once the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        self.messages.recv().await
    }
}

impl Connection {
    /// Negotiates the version over `stream` and starts the connection's tasks.
    ///
    /// # Errors
    /// When the stream fails, the peer is silent for five seconds, or does not offer OpenFlow 1.5.
    pub async fn start<S>(mut stream: S) -> io::Result<(Self, Asynchronous)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tokio::time::timeout(HELLO_TIMEOUT, frame::negotiate(&mut stream)).await.map_err(|_| {
            let what = format!("the peer sent no OpenFlow hello for {} s", HELLO_TIMEOUT.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, what)
        })??;
        let (reader, socket) = tokio::io::split(stream);
        let (writer, queue) = mpsc::channel(QUEUE);
        let (urgent, urgent_queue) = mpsc::channel(QUEUE);
        let (messages_in, messages) = mpsc::channel(ASYNC_QUEUE);
        let (closing, closed) = watch::channel(None);
        let pending = Arc::new(PendingTable::default());
        let closing = Arc::new(closing);
        let writing =
            tokio::spawn(tasks::write(socket, queue, urgent_queue, closing.clone(), pending.clone()));
        tokio::spawn(tasks::read(reader, urgent, messages_in, closing, pending.clone(), writing));
        Ok((Self { writer, pending, closed }, Asynchronous { messages }))
    }

    /// Sends a message that has a reply, and returns it: all its parts when it is a multipart reply.
    ///
    /// # Errors
    /// The switch's own error for this message, or the end of the connection.
    pub async fn request(&self, message: impl FnOnce(u32) -> Bytes) -> Result<Vec<Frame>, RequestError> {
        self.ask(message).await?.reply().await
    }

    /// Sends a message that has a reply, without waiting for that: what is sent next follows in the same write.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn ask(&self, message: impl FnOnce(u32) -> Bytes) -> Result<Asked, RequestError> {
        let (done, reply) = oneshot::channel();
        let xid = self.pending.register(Pending::Reply { parts: Vec::new(), done })?;
        self.send(message(xid), xid).await?;
        Ok(Asked { reply, closed: self.closed.clone() })
    }

    /// Sends messages that have no reply of their own, and an error for any of which is of interest. The watch
    /// returned by [`Batch::finish`] collects errors that arrive before a later reply does.
    ///
    /// # Errors
    /// The end of the connection.
    pub async fn batch<I>(&self, messages: I) -> Result<Batch, RequestError>
    where
        I: IntoIterator,
        I::Item: FnOnce(u32) -> Bytes,
    {
        let mut batch = Batch::new(self.pending.clone());
        for (index, message) in messages.into_iter().enumerate() {
            let xid = self.pending.register(batch.member(index))?;
            batch.add(xid);
            self.send(message(xid), xid).await?;
        }
        Ok(batch)
    }

    /// Waits until the connection has ended and says why.
    pub async fn closed(&self) -> Closed {
        let mut closed = self.closed.clone();
        match closed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_else(|| Closed("ended".to_owned())),
            Err(_) => Closed("its tasks were stopped".to_owned()),
        }
    }

    async fn send(&self, bytes: Bytes, xid: u32) -> Result<(), RequestError> {
        if self.writer.send(bytes).await.is_err() {
            self.pending.forget(xid);
            return Err(gone(&self.closed));
        }
        Ok(())
    }
}

fn gone(closed: &watch::Receiver<Option<Closed>>) -> RequestError {
    let why = closed.borrow().clone();
    RequestError::Closed(why.unwrap_or_else(|| Closed("ended".to_owned())))
}

/// A message that has been sent and has a reply.
#[derive(Debug)]
pub struct Asked {
    reply: oneshot::Receiver<Result<Vec<Frame>, RequestError>>,
    closed: watch::Receiver<Option<Closed>>,
}

impl Asked {
    /// Waits for the reply.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub async fn reply(self) -> Result<Vec<Frame>, RequestError> {
        self.reply.await.map_err(|_| gone(&self.closed))?
    }
}

/// Messages without replies, some of which may have failed.
#[derive(Debug)]
pub struct Batch {
    pending: Arc<PendingTable>,
    xids: Vec<u32>,
    errors: mpsc::UnboundedReceiver<(usize, Frame)>,
    report: mpsc::UnboundedSender<(usize, Frame)>,
}

impl Batch {
    fn new(pending: Arc<PendingTable>) -> Self {
        let (report, errors) = mpsc::unbounded_channel();
        Self { pending, xids: Vec::new(), errors, report }
    }

    fn member(&self, index: usize) -> Pending {
        Pending::Silent { index, report: self.report.clone() }
    }

    fn add(&mut self, xid: u32) {
        self.xids.push(xid);
    }

    /// The errors that have arrived so far, each with the index of the message it is about. A reply to a later
    /// request proves that no more will come for what happened before it.
    pub fn errors(&mut self) -> Vec<(usize, Frame)> {
        std::iter::from_fn(|| self.errors.try_recv().ok()).collect()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for xid in &self.xids {
            self.pending.forget(*xid);
        }
    }
}
