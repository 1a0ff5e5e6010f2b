//! Monitors that outlive connections.

use ovsdb::{MonitorRequests, Replica, ReplyError, TableUpdates};
use tokio::sync::mpsc;

use super::driver::{Control, next_id};

/// A copy of monitored rows, and what changes in it.
#[derive(Debug)]
pub struct Monitor<R> {
    id: u64,
    replica: R,
    /// Whether `replica` is whole. When it is not, everything before the next full contents is passed over.
    whole: bool,
    events: mpsc::UnboundedReceiver<Raw>,
    control: mpsc::UnboundedSender<Control>,
}

/// What [`Monitor::next`] brings: what one transaction has changed, or the contents anew.
#[derive(Clone, Debug, PartialEq)]
pub enum MonitorUpdate<C> {
    /// The full contents, each row as inserted: at the start, and again after a reconnect if the server could not say
    /// what has changed meanwhile. Whatever was known before is void.
    Reset(Vec<C>),
    /// Changes, in order. A reconnect in between is not noticed.
    Changes(Vec<C>),
}

/// The server does not grant the monitor. It is asked for again on the next connection.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The server refused: the tables or columns are unknown to its schema.
    #[error("cannot monitor the database: {0}; is Open vSwitch 2.13 or later running?")]
    Refused(#[source] ReplyError),
    /// The rows are not as expected even when sent anew.
    #[error("cannot read monitored rows: {0}")]
    Rows(#[source] ovsdb::ReplicaError),
    /// The task that serves the connection is gone: the runtime is shutting down.
    #[error("the OVSDB client has ended")]
    Ended,
}

/// What the driver passes on.
#[derive(Debug)]
pub(super) enum Raw {
    Reset(TableUpdates),
    Update(TableUpdates),
    Refused(ReplyError),
}

impl<R: Replica> Monitor<R> {
    pub(super) fn start(requests: MonitorRequests, control: mpsc::UnboundedSender<Control>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let id = next_id();
        // Fails only with the driver, which lives as long as `control`.
        let _ = control.send(Control::Monitor { id, requests, events: sender });
        Self { id, replica: R::default(), whole: false, events, control }
    }

    /// Waits for the next update, applies it to [`Self::replica`], and says what it changed. The first is always
    /// [`MonitorUpdate::Reset`]. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the server does not grant the monitor.
    pub async fn next(&mut self) -> Result<MonitorUpdate<R::Change>, MonitorError> {
        loop {
            let mut changes = Vec::new();
            match self.events.recv().await {
                None => return Err(MonitorError::Ended),
                Some(Raw::Refused(error)) => return Err(MonitorError::Refused(error)),
                Some(Raw::Reset(rows)) => {
                    self.replica = R::default();
                    self.replica.apply(&rows, &mut changes).map_err(MonitorError::Rows)?;
                    self.whole = true;
                    return Ok(MonitorUpdate::Reset(changes));
                }
                Some(Raw::Update(_)) if !self.whole => {}
                Some(Raw::Update(updates)) => match self.replica.apply(&updates, &mut changes) {
                    Ok(()) if changes.is_empty() => {}
                    Ok(()) => return Ok(MonitorUpdate::Changes(changes)),
                    Err(error) => {
                        tracing::warn!(%error, "monitored rows do not fit together: asking for them anew");
                        self.whole = false;
                        let _ = self.control.send(Control::Resync { id: self.id });
                    }
                },
            }
        }
    }

    /// The rows as of the last update that [`Self::next`] gave.
    #[must_use]
    pub const fn replica(&self) -> &R {
        &self.replica
    }

    /// Follows updates until `wanted` finds in the rows what it looks for.
    ///
    /// # Errors
    /// When the server does not grant the monitor.
    pub async fn wait_until<T>(
        &mut self,
        mut wanted: impl FnMut(&R) -> Option<T>,
    ) -> Result<T, MonitorError> {
        loop {
            if self.whole
                && let Some(found) = wanted(&self.replica)
            {
                return Ok(found);
            }
            self.next().await?;
        }
    }
}

impl<R> Drop for Monitor<R> {
    fn drop(&mut self) {
        let _ = self.control.send(Control::Unmonitor { id: self.id });
    }
}
