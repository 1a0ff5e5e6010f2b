//! What the host sends to the bridge for Services, and what load balancers ask.

use tracing::warn;

use super::{Daemon, DaemonError};
use crate::published::{self, Changes, Earlier, Published};

/// What the host was told.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// What it was told last; `None`: nothing, or nobody knows.
    told: Option<Published>,
    /// It may not have that any more: all is to be said anew.
    anew: bool,
    /// Which state of what is wanted it was told.
    version: u64,
}

impl Publisher {
    /// What the host has is to be said anew.
    pub(super) fn again(&mut self) {
        self.anew = true;
    }
}

impl Daemon {
    /// Has the host send node ports and addresses outside to the bridge, whose flows are in. Whether it does.
    pub(super) async fn publish(&mut self) -> Result<bool, DaemonError> {
        let Some(balancing) = self.state.balancing() else { return Ok(true) };
        self.health_checks.serve(balancing.checks()).await;
        let version = balancing.published_version();
        let Publisher { told, anew, .. } = &self.publisher;
        if told.is_some() && !anew && self.publisher.version == version {
            return Ok(true);
        }
        let wanted = balancing.published().clone();
        let changes = told.as_ref().map(|told| Changes::between(told, &wanted));
        let (anew, published) = (*anew, wanted.clone());
        let done = tokio::task::spawn_blocking(move || {
            match &changes {
                Some(changes) if !anew => published::apply(changes)?,
                _ => published::restate(&published)?,
            }
            let earlier = changes.as_ref().map_or_else(|| Earlier::from(&published), Earlier::from);
            Ok::<_, host::Error>(earlier.forget())
        });
        match done.await? {
            Ok(forgotten) => {
                if let Err(error) = forgotten {
                    warn!(%error, "clients of UDP that sent to new destinations before may get no answer until they pause");
                }
                self.publisher = Publisher { told: Some(wanted), anew: false, version };
                Ok(true)
            }
            Err(error) => {
                self.publisher = Publisher::default();
                // The table may be gone: it is stated anew first.
                self.host_due = true;
                self.trouble("ServicesNotPublished", error.to_string());
                Ok(false)
            }
        }
    }
}
