//! From wanted flows to flows in the switch, and from there to stamps.

use std::sync::Arc;
use std::time::Duration;

use datapath::{Change, Cookie, Step, Table};
use openflow::{Flow, FlowRequest, MultipartReply, MultipartRequest, SwitchConfig};
use ovs::openflow::{BundleError, Session, SessionError};
use ovsdb::tables::Interface;
use ovsdb::{Condition, Mutation, OpResult, Operation, TableRow as _};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{Daemon, DaemonError};
use crate::bridge::Datapath;

/// Time for the answer to a transaction.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Tables in which a flow that is missing means that less is allowed.
const ALLOWING: [Table; 4] = [Table::Identity, Table::NamespaceClass, Table::LabelsClass, Table::Verdict];

impl Daemon {
    /// Learns what the switch has. Returns at how many flows and groups it differs from what was thought.
    pub(super) async fn read_back(&mut self) -> Result<usize, SessionError> {
        let Some(session) = self.session.clone() else { return Ok(0) };
        let flows = session.flows(FlowRequest::default()).await?;
        let number = flows.len();
        let flows = flows.into_iter().map(|found| found.flow).filter(|flow| !learned(flow));
        let groups = session.groups().await?;
        self.state.recall(&groups);
        self.state.compile();
        let mut surprises = self.state.store().read_back(flows);
        surprises += self.state.groups().read_back(groups.into_iter().map(Into::into));
        debug!(flows = number, surprises, "read the switch's flows and groups back");
        Ok(surprises)
    }

    /// Whether the switch's connection tracking tells SCTP associations apart by their ports: Open vSwitch's userspace
    /// datapath does from 3.2 on. What cannot be found out is taken as no.
    async fn tracks_sctp(&self, session: &Session) -> Result<bool, SessionError> {
        if self.datapath == Some(Datapath::System) {
            return Ok(true);
        }
        let answers = session.multipart(MultipartRequest::Desc).await?;
        let software = answers.into_iter().find_map(|answer| match answer {
            MultipartReply::Desc(desc) => Some(desc.software),
            _ => None,
        });
        Ok(software.as_deref().and_then(release).is_some_and(|release| release >= (3, 2)))
    }

    /// Reads the switch's flows, without which nothing can be programmed.
    async fn read_again(&mut self, session: &Session) -> bool {
        self.state.set_userspace(self.datapath == Some(Datapath::Netdev));
        if let Err(error) = session.configure(SwitchConfig::MATCH_FRAGMENTS).await {
            self.trouble("SwitchNotConfigured", format!("cannot have the switch match fragments: {error}"));
            return false;
        }
        match self.tracks_sctp(session).await {
            Ok(tracks) => self.state.set_tracks_sctp(tracks),
            Err(error) => debug!(%error, "the switch does not say what it is"),
        }
        match self.read_back().await {
            Ok(_) => {
                self.unread = false;
                true
            }
            Err(error) => {
                self.trouble("FlowsUnreadable", format!("cannot read the switch's flows: {error}"));
                false
            }
        }
    }

    /// Sends what differs, as one bundle. Whether the switch took them, but for those in `refused`.
    pub(super) async fn program(&mut self) -> bool {
        let Some(session) = self.session.clone() else { return false };
        if self.unread && !self.read_again(&session).await {
            return false;
        }
        self.state.compile();
        let mut steps = self.state.steps();
        self.refused.clear();
        let mut refusal = None;
        while !steps.is_empty() {
            let begun = Instant::now();
            match session.bundle(steps.iter().map(Step::message).collect()).await {
                Ok(()) => {
                    self.metrics.bundle_seconds.observe(begun.elapsed().as_secs_f64());
                    self.metrics.changes.inc_by(steps.len().try_into().unwrap_or(u64::MAX));
                    debug!(changes = steps.len(), took = ?begun.elapsed(), "programmed");
                    self.state.acknowledge(steps);
                    break;
                }
                // One change that the switch refuses must not keep all others out.
                Err(error @ BundleError::Refused { index, .. }) if index < steps.len() => {
                    self.metrics.refused.inc();
                    error!(%error, "change refused: going on without it");
                    if let Step::Flow(change) = steps.remove(index) {
                        self.refuse(&change, &mut steps);
                    }
                    refusal = Some(error.to_string());
                }
                Err(error) => {
                    self.trouble("SwitchUnreachable", error.to_string());
                    return false;
                }
            }
        }
        self.refusal = refusal;
        self.checks.switch.met();
        if self.lock.is_none() {
            self.lock = Some(self.ovsdb.lock(ipam::keys::DAEMON_LOCK));
        }
        true
    }

    /// The switch has refused a flow. What goes on without it must not allow more than it would have.
    fn refuse(&mut self, change: &Change, steps: &mut Vec<Step>) {
        let key = change.key();
        // An older flow in its place may allow what the new one does not. Without it less is allowed.
        let stale = ALLOWING.iter().any(|table| table.number() == key.table);
        if stale && matches!(change, Change::Put(_)) && self.state.store().is_present(&key) {
            steps.insert(0, Step::Flow(Change::Delete(Arc::new(key.clone()))));
        }
        let closed = self.state.close(&key);
        self.refused.push(key);
        if closed {
            *steps = self.state.steps();
            steps.retain(|step| match step {
                Step::Flow(change) => !self.refused.contains(&change.key()),
                Step::Group(_) => true,
            });
        }
    }

    /// Tells plugins which ports are ready: those whose flows are all in. To be called after [`Self::program`].
    pub(super) async fn stamp(&mut self) -> bool {
        let unstamped: Vec<_> = self
            .state
            .unstamped()
            .into_iter()
            .filter(|(uuid, ofport)| self.stamping.get(uuid) != Some(ofport))
            .filter(|(uuid, _)| !self.state.wants_any(*uuid, &self.refused))
            .collect();
        if unstamped.is_empty() {
            return true;
        }
        let operations = unstamped.iter().map(|(uuid, ofport)| {
            let stamp = Mutation::put("external_ids", ipam::keys::PROGRAMMED, &ofport.to_string());
            Operation::mutate(Interface::TABLE, [Condition::uuid(*uuid)], stamp)
        });
        match self.transact(operations).await {
            Ok(_) => {
                self.stamping.extend(unstamped);
                true
            }
            Err(error) => {
                self.trouble("OvsdbUnreachable", error.to_string());
                false
            }
        }
    }

    /// Sends a transaction. The loop must not hang on a server that is not there: after a while it goes on, and what
    /// the transaction was for is looked at again.
    pub(super) async fn transact(
        &self,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<Vec<OpResult>, String> {
        match tokio::time::timeout(DATABASE_TIMEOUT, self.ovsdb.transact(operations)).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "ovsdb-server has not answered for {} s: is it running?",
                DATABASE_TIMEOUT.as_secs()
            )),
        }
    }

    /// Compares the switch with what it should have, and repairs what somebody else changed.
    pub(super) async fn audit(&mut self) -> Result<(), DaemonError> {
        match self.read_back().await {
            Ok(0) => {}
            Ok(surprises) => {
                self.metrics.repairs.inc_by(surprises.try_into().unwrap_or(u64::MAX));
                warn!(surprises, "somebody else changed flows of the bridge: repairing");
            }
            Err(error) => info!(%error, "audit put off"),
        }
        // The host's side is stated anew as well: addresses, routes and rules that others removed come back.
        self.host_due = true;
        self.publisher.again();
        self.warmth.again();
        Ok(())
    }
}

/// Whether the switch has made a flow itself: it is not the daemon's to compare.
fn learned(flow: &Flow) -> bool {
    Table::is_learned(flow.table) && flow.cookie == Cookie::learned().0
}

/// The first two numbers of a version.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
