//! News of the database and of the switch: what they say, and whether they are there.

use ovs::openflow::Connected;
use ovs::ovsdb::{MonitorUpdate, State as ServerState};
use ovsdb::SwitchChange;
use tracing::warn;

use super::Daemon;

impl Daemon {
    /// The connection to the database server came or went. What is known of the database stays.
    pub(super) fn server(&mut self, state: &ServerState) {
        match state {
            ServerState::Connected if self.database_synced => self.checks.ovsdb.met(),
            ServerState::Connected => {}
            ServerState::Disconnected(why) => {
                warn!(%why, "no OVSDB: no pod can come or go; is ovsdb-server running?");
                self.checks.ovsdb.unmet(format!("{why}: is ovsdb-server running?"));
            }
        }
    }

    pub(super) fn database(&mut self, update: MonitorUpdate<SwitchChange>) {
        let changes = match update {
            MonitorUpdate::Reset(rows) => {
                self.state.reset_interfaces();
                self.members.reset();
                self.stamping.clear();
                self.database_synced = true;
                self.checks.ovsdb.met();
                rows
            }
            MonitorUpdate::Changes(changes) => changes,
        };
        self.bridge_sent = None;
        for change in self.members.follow(&changes, self.monitor.replica()) {
            let uuid = change.uuid();
            if change.after().is_none_or(|row| row.external_ids.contains_key(ipam::keys::PROGRAMMED)) {
                self.stamping.remove(&uuid);
            }
            self.state.interface(&change);
        }
    }

    pub(super) async fn connected(&mut self, event: Connected) {
        match event {
            Connected::Up(session, mut asynchronous) => {
                self.metrics.connects.inc();
                // Nothing is asked for that would come here; the queue is emptied so that it never fills.
                tokio::spawn(async move { while asynchronous.next().await.is_some() {} });
                // A restarted ovs-vswitchd has made the bridge's interface anew.
                self.host_due = true;
                self.session = Some(session);
                self.unread = true;
                self.awaited = true;
            }
            Connected::Down(why) => {
                self.checks.switch.unmet(why);
                self.session = None;
                self.lock = None;
            }
        }
    }
}
