//! Locks (RFC 7047 section 4.1.8).

use tokio::sync::{mpsc, watch};

use super::driver::{Control, next_id};

/// A lock that is asked for until this is dropped.
///
/// It can be lost at any time: with the connection, or when another client steals it. Who writes only while holding
/// it puts [`ovsdb::Operation::assert`] first into the transaction.
#[derive(Debug)]
pub struct Lock {
    id: u64,
    held: watch::Receiver<bool>,
    control: mpsc::UnboundedSender<Control>,
}

impl Lock {
    pub(super) fn start(name: String, control: mpsc::UnboundedSender<Control>) -> Self {
        let (sender, held) = watch::channel(false);
        let id = next_id();
        // Fails only with the driver, which lives as long as `control`.
        let _ = control.send(Control::Lock { id, name, held: sender });
        Self { id, held, control }
    }

    /// Whether it is held, as far as is known.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Whether it is held, to watch.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.held.clone()
    }

    /// Waits until it is held.
    pub async fn held(&self) {
        let _ = self.held.clone().wait_for(|held| *held).await;
    }

    /// Waits until it is not held.
    pub async fn lost(&self) {
        let _ = self.held.clone().wait_for(|held| !*held).await;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.control.send(Control::Unlock { id: self.id });
    }
}
