//! What the host sends to the bridge for Services, and what load balancers ask.

use super::{Daemon, DaemonError};
use crate::published::{self, Changes, Published};

/// What the host was told.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// The elements that the host has; `None`: that must be said anew.
    has: Option<Published>,
    /// The state of what is wanted that it has.
    version: u64,
}

impl Publisher {
    /// What the host has is to be said anew.
    pub(super) fn again(&mut self) {
        self.has = None;
    }
}

impl Daemon {
    /// Has the host send node ports and addresses outside to the bridge, whose flows are in. Whether it does.
    pub(super) async fn publish(&mut self) -> Result<bool, DaemonError> {
        let Some(balancing) = self.state.balancing() else { return Ok(true) };
        self.health_checks.serve(balancing.checks()).await;
        let version = balancing.published_version();
        if self.publisher.has.is_some() && self.publisher.version == version {
            return Ok(true);
        }
        let wanted = balancing.published().clone();
        let changes = self.publisher.has.as_ref().map(|has| Changes::between(has, &wanted));
        let published = wanted.clone();
        let done = tokio::task::spawn_blocking(move || match changes {
            Some(changes) => published::apply(&changes),
            None => published::restate(&published),
        });
        match done.await? {
            Ok(()) => {
                self.publisher.has = Some(wanted);
                self.publisher.version = version;
                Ok(true)
            }
            Err(error) => {
                self.publisher.again();
                // The table may be gone: it is stated anew first.
                self.host_due = true;
                self.trouble("ServicesNotPublished", error.to_string());
                Ok(false)
            }
        }
    }
}
