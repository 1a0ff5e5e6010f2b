//! DEL: whatever is there of an attachment goes; what is gone is no error.

use std::time::Instant;

use host::Netlink;
use ipam::names;

use crate::{
    CniError, Command, Invocation, Ipam, NetConf, delegate,
    error::Result,
    switch,
    wire::{host_error, remove_link},
};

/// Detaches the container. Goes on past errors, so that as much as possible is freed.
///
/// # Errors
/// The first error; the others are in its details. The runtime calls again.
pub(crate) fn del(invocation: &Invocation, conf: &NetConf) -> Result<()> {
    let delegated = match &conf.ipam {
        Ipam::Own => Ok(()),
        Ipam::Delegated(plugin) => delegate::call(plugin, Command::Del, invocation, &conf.raw).map(|_| ()),
    };
    let deadline = Instant::now() + conf.timeout;
    let (id, ifname) = (&invocation.container_id, &invocation.ifname);
    let name = names::port(id, ifname);
    let found = switch::connect(&conf.ovsdb, deadline).and_then(|mut client| {
        let port = switch::find_port(&mut client, &name, deadline)?;
        Ok((client, port))
    });
    if let Ok((_, Some(port))) = &found
        && !port.is_of(id, ifname)
    {
        // The name is a hash that another attachment has as well: ours was never made.
        return delegated;
    }
    // The kernel takes some 15 ms to let go of a veth pair, waiting for all processors to forget it. The database
    // works in the meantime.
    let asked = found.and_then(|(mut client, port)| {
        let asked = switch::ask_to_remove(&mut client, port.and_then(|port| port.port), deadline)?;
        Ok((client, asked))
    });
    let veth = Netlink::open().map_err(host_error).and_then(|mut netlink| remove_link(&mut netlink, &name));
    let port = asked.and_then(|(mut client, asked)| switch::removed(&mut client, asked, deadline));
    all([port, veth, delegated])
}

/// One error of several results: the first, with the others in its details.
///
/// # Errors
/// If any is one.
pub(crate) fn all(results: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let errors = results.into_iter().filter_map(Result::err);
    let together = |first: CniError, next: CniError| first.and(&format!("also: {next}"));
    errors.reduce(together).map_or(Ok(()), Err)
}
