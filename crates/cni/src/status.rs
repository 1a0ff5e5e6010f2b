//! STATUS: could an ADD be served now?

use std::time::Instant;

use ipam::{Snapshot, keys, lease};
use ovsdb::Request;

use crate::{
    CniError, Code, Command, Invocation, Ipam, NetConf,
    add::{exhausted, read_snapshot},
    delegate,
    error::Result,
    switch::{self, database_error},
};

/// Succeeds exactly if an ADD could be served now.
///
/// # Errors
/// 51 if Open vSwitch's database does not answer, since then the switch may be down too; 50 if the daemon is missing,
/// the node is not set up, or no address is free: running pods do not suffer from any of these.
pub(crate) fn status(invocation: &Invocation, conf: &NetConf) -> Result<()> {
    let deadline = Instant::now() + conf.timeout;
    let limited = |error: CniError| CniError { code: Code::NotAvailableAndLimited, ..error };
    let unavailable = |error: CniError| CniError { code: Code::NotAvailable, ..error };
    let mut client = switch::connect(&conf.ovsdb, deadline).map_err(limited)?;
    let question =
        client.send(&Request::transact(Snapshot::operations(&conf.bridge))).map_err(database_error)?;
    // One after the other: the daemon's lock, granted to another call for a moment, would look like a daemon.
    client.lock(keys::STATUS_LOCK, deadline).map_err(|e| limited(database_error(e)))?;
    // It is granted at once, or somebody holds it.
    let granted = client.try_lock(keys::DAEMON_LOCK, deadline).map_err(|e| limited(database_error(e)))?;
    let snapshot = read_snapshot(&mut client, question, &conf.bridge, deadline).map_err(unavailable)?;
    // With the connection go the locks: nobody waits for what follows.
    drop(client);
    if granted {
        let why = "k-vswitchd does not hold its lock in Open vSwitch's database: is it running, and connected to the \
                   switch? See its log";
        return Err(CniError::new(Code::NotAvailable, "nobody programs the flows of pods on this node", why));
    }
    match &conf.ipam {
        Ipam::Own => lease::pick_addresses(&snapshot, 0)
            .map(|_| ())
            .map_err(|error| unavailable(exhausted(&snapshot, &error))),
        Ipam::Delegated(plugin) => delegate::call_if_known(plugin, Command::Status, invocation, &conf.raw),
    }
}
