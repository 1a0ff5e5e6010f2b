//! The two tasks of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::pending::PendingTable;
use super::{Closed, Frame};
use crate::openflow::frame::{self, ECHO_REPLY, ECHO_REQUEST, ERROR, HELLO};

/// Silence after which the peer is asked whether it is there; after as much again it is given up.
const PROBE: Duration = Duration::from_secs(5);

type Closing = Arc<watch::Sender<Option<Closed>>>;

/// Writes what is queued, in as few system calls as there are pauses. Ends when no handle is left.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    socket: W,
    mut queue: mpsc::Receiver<Bytes>,
    mut urgent: mpsc::Receiver<Bytes>,
    closing: Closing,
    pending: Arc<PendingTable>,
) {
    let mut socket = BufWriter::with_capacity(64 * 1024, socket);
    let result = async {
        loop {
            let bytes = tokio::select! {
                biased;
                Some(bytes) = urgent.recv() => bytes,
                bytes = queue.recv() => match bytes {
                    Some(bytes) => bytes,
                    None => return Ok("no handle on it is left".to_owned()),
                },
            };
            socket.write_all(&bytes).await?;
            if queue.is_empty() && urgent.is_empty() {
                socket.flush().await?;
            }
        }
    }
    .await;
    let why = result.unwrap_or_else(|error: std::io::Error| format!("writing: {error}"));
    close(&closing, &pending, why);
}

/// Reads messages and hands them to whom they belong. Ends with the stream, and takes the writer with it.
pub(super) async fn read<R: AsyncRead + Unpin>(
    mut socket: R,
    urgent: mpsc::Sender<Bytes>,
    asynchronous: mpsc::Sender<Frame>,
    closing: Closing,
    pending: Arc<PendingTable>,
    writing: JoinHandle<()>,
) {
    let mut dropped = 0_u64;
    let mut closed = closing.subscribe();
    let why = loop {
        let next = next(&mut socket, &urgent);
        let received = tokio::select! {
            received = next => received,
            _ = closed.wait_for(Option::is_some) => break "the other task ended".to_owned(),
        };
        let frame = match received {
            Ok(frame) => frame,
            Err(why) => break why,
        };
        match frame.kind() {
            ECHO_REQUEST => {
                let reply = Frame::new(ECHO_REPLY, frame.xid(), frame.body());
                if let Some(reply) = reply
                    && urgent.try_send(reply.bytes().clone()).is_err()
                {
                    break "the peer sends echo requests but does not read the replies".to_owned();
                }
            }
            ECHO_REPLY | HELLO => {}
            _ => {
                let Some(frame) = pending.answer(frame) else { continue };
                if frame.kind() == ERROR {
                    debug!(xid = frame.xid(), "an error for a message nobody waits for any more");
                } else if asynchronous.try_send(frame).is_err() && !asynchronous.is_closed() {
                    dropped += 1;
                    if dropped.is_power_of_two() {
                        warn!(dropped, "asynchronous OpenFlow messages come faster than they are handled");
                    }
                }
            }
        }
    };
    close(&closing, &pending, why);
    writing.abort();
}

/// The next message. A peer that is silent is asked for an echo once, then given up.
async fn next<R: AsyncRead + Unpin>(socket: &mut R, urgent: &mpsc::Sender<Bytes>) -> Result<Frame, String> {
    let mut reading = std::pin::pin!(frame::read(socket));
    for probe in [true, false] {
        match tokio::time::timeout(PROBE, &mut reading).await {
            Ok(Ok(frame)) => return Ok(frame),
            Ok(Err(error)) => return Err(format!("reading: {error}")),
            Err(_) if probe => {
                if let Some(echo) = Frame::new(ECHO_REQUEST, 0, &[]) {
                    // When the queue is full, so is the peer's: the next wait ends it.
                    let _ = urgent.try_send(echo.bytes().clone());
                }
            }
            Err(_) => {}
        }
    }
    Err(format!("the switch has not answered for {} s: is ovs-vswitchd stuck?", 2 * PROBE.as_secs()))
}

fn close(closing: &Closing, pending: &PendingTable, why: String) {
    let why = Closed(why);
    closing.send_if_modified(|state| {
        let first = state.is_none();
        state.get_or_insert_with(|| why.clone());
        first
    });
    pending.close(&why);
}
