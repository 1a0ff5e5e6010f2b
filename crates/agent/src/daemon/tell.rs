//! How things are: in the log, in the object's status and in the metrics.

use tokio::time::Instant;
use tracing::warn;

use super::{Daemon, RETRY};
use crate::status::Report;

impl Daemon {
    /// Something failed: it is tried again in a while, and said in the meantime.
    pub(super) fn trouble(&mut self, reason: &'static str, why: String) {
        if self.trouble.as_ref().is_none_or(|(_, old)| *old != why) {
            warn!(reason, "{why}");
        }
        self.checks.node.unmet(why.clone());
        self.trouble = Some((reason, why));
        self.hold_until = Some(Instant::now() + RETRY);
    }

    /// Says in the object's status and in the metrics how things are.
    pub(super) fn tell(&mut self) {
        self.metrics.flows.set(self.state.store().len().try_into().unwrap_or(i64::MAX));
        self.metrics.ports.set(self.state.ports().count().try_into().unwrap_or(i64::MAX));
        self.metrics.remotes.set(self.state.remotes().len().try_into().unwrap_or(i64::MAX));
        self.metrics.policies.set(self.state.policies().try_into().unwrap_or(i64::MAX));
        self.metrics.policy_problems.set(self.state.policy_problems().try_into().unwrap_or(i64::MAX));
        self.metrics.identities.set(self.state.identities().try_into().unwrap_or(i64::MAX));
        if let Some(balancing) = self.state.balancing() {
            self.metrics.services.set(balancing.served().try_into().unwrap_or(i64::MAX));
            self.metrics.endpoint_sets.set(balancing.sets().try_into().unwrap_or(i64::MAX));
            self.metrics.service_problems.set(balancing.problems().try_into().unwrap_or(i64::MAX));
        }
        let Some(own) = self.state.own().cloned() else { return };
        let (ready, reason, message) = match self.ailment() {
            Some((reason, why)) => (false, reason, why),
            None if self.conflist_done && self.session.is_some() => {
                (true, "Programmed", "the node's flows are in the switch".to_owned())
            }
            None => (false, "Starting", "the node is being set up".to_owned()),
        };
        let report = Report {
            ready,
            reason,
            message,
            generation: own.generation,
            mtu: self.mtu_done,
            datapath: self.datapath.map(|datapath| datapath.as_str().to_owned()),
        };
        self.reports.send_if_modified(|last| {
            let new = Some(report);
            let changed = *last != new;
            *last = new;
            changed
        });
    }
}
