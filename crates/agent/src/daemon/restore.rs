//! The end of `flow-restore-wait`.
//!
//! An `ovs-vswitchd` that starts with `other_config:flow-restore-wait` leaves the kernel's flows as they are and takes no
//! packets until that is taken back (`ovs-vswitchd.conf.db(5)`): what was connected before goes on meanwhile. Whoever
//! started it so and left a mark is told, by the mark's absence, that the switch has the node's flows. Without the mark
//! it is somebody else's, such as `ovs-ctl restart`, who restores flows himself.

use ipam::keys::FLOW_RESTORE;
use ovsdb::tables::OpenVSwitch;
use ovsdb::{Condition, Mutation, Operation, TableRow as _, Value};
use tracing::info;

use super::Daemon;

/// The key in `other_config`.
const WAIT: &str = "flow-restore-wait";

impl Daemon {
    /// Ends the wait, once for each connection to the switch: to be called when all flows are in. Whether it is done.
    pub(super) async fn restored(&mut self) -> bool {
        if !self.awaited {
            return true;
        }
        match self.transact([end_of_wait()]).await {
            Ok(results) => {
                if results.first().is_some_and(|result| result.count() > 0) {
                    info!("the switch has waited for its flows, and takes packets now");
                }
                self.awaited = false;
                true
            }
            Err(error) => {
                self.trouble("OvsdbUnreachable", error);
                false
            }
        }
    }
}

/// Takes the wait and the mark back, where both are there.
fn end_of_wait() -> Operation {
    let marked = Condition::includes("external_ids", Value::map([(FLOW_RESTORE, "true")]));
    Operation::mutate(
        OpenVSwitch::TABLE,
        [marked],
        [
            Mutation::delete("other_config", Value::set([WAIT])),
            Mutation::delete("external_ids", Value::set([FLOW_RESTORE])),
        ],
    )
}
