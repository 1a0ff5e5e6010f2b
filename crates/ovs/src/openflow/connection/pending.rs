//! What is still to be answered, by transaction id.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::Closed;
use crate::openflow::frame::{ERROR, Frame};

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The switch refused it; the frame is its `OFPT_ERROR`.
    #[error("the switch refused the message")]
    Refused(Frame),
    /// The connection ended first.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A request that waits.
#[derive(Debug)]
pub(super) enum Pending {
    /// For a reply, whose parts are gathered.
    Reply { parts: Vec<Frame>, done: oneshot::Sender<Result<Vec<Frame>, RequestError>> },
    /// For nothing, unless it fails.
    Silent { index: usize, report: mpsc::UnboundedSender<(usize, Frame)> },
}

/// All requests that wait, and the next transaction id.
#[derive(Debug, Default)]
pub(super) struct PendingTable {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u32,
    waiting: HashMap<u32, Pending>,
    closed: Option<Closed>,
}

impl PendingTable {
    /// A transaction id that nothing else in flight has. Zero is left to messages nobody waits for.
    pub(super) fn register(&self, pending: Pending) -> Result<u32, RequestError> {
        let mut state = self.lock();
        if let Some(closed) = &state.closed {
            return Err(RequestError::Closed(closed.clone()));
        }
        loop {
            state.next = state.next.wrapping_add(1);
            let xid = state.next;
            if xid != 0 && !state.waiting.contains_key(&xid) {
                state.waiting.insert(xid, pending);
                return Ok(xid);
            }
        }
    }

    pub(super) fn forget(&self, xid: u32) {
        self.lock().waiting.remove(&xid);
    }

    /// Hands a message to whoever waits for it, or gives it back.
    pub(super) fn answer(&self, frame: Frame) -> Option<Frame> {
        let mut state = self.lock();
        let xid = frame.xid();
        match state.waiting.get_mut(&xid) {
            None => return Some(frame),
            Some(Pending::Silent { index, report }) => {
                if frame.kind() != ERROR {
                    return Some(frame);
                }
                // Nobody is there to hear it once the batch is dropped.
                let _ = report.send((*index, frame));
                return None;
            }
            Some(Pending::Reply { parts, .. }) if frame.more_follows() => {
                parts.push(frame);
                return None;
            }
            Some(Pending::Reply { .. }) => {}
        }
        if let Some(Pending::Reply { mut parts, done }) = state.waiting.remove(&xid) {
            let answer = if frame.kind() == ERROR {
                Err(RequestError::Refused(frame))
            } else {
                parts.push(frame);
                Ok(parts)
            };
            // A caller that has stopped waiting does not want it.
            let _ = done.send(answer);
        }
        None
    }

    /// Ends everything that waits.
    pub(super) fn close(&self, why: &Closed) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| why.clone());
        for (_, pending) in state.waiting.drain() {
            if let Pending::Reply { done, .. } = pending {
                let _ = done.send(Err(RequestError::Closed(why.clone())));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
