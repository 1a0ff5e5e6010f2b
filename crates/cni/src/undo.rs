//! Undoing an ADD that failed.

use std::time::{Duration, Instant};

use host::Netlink;
use ipam::names;

use crate::{
    CniError, Command, Invocation, NetConf, delegate,
    error::Result,
    switch,
    wire::{host_error, remove_link},
};

/// How long undoing may take, beyond the time ADD had.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an ADD has done so far.
#[derive(Debug)]
pub(crate) struct Undo<'a> {
    invocation: &'a Invocation,
    conf: &'a NetConf,
    veth: bool,
    port: bool,
    delegate: Option<String>,
}

impl<'a> Undo<'a> {
    /// Nothing yet.
    pub(crate) fn new(invocation: &'a Invocation, conf: &'a NetConf) -> Self {
        Self { invocation, conf, veth: false, port: false, delegate: None }
    }

    /// The veth pair is there.
    pub(crate) fn has_veth(&mut self) {
        self.veth = true;
    }

    /// The port has been asked for: whether it is there may never be known.
    pub(crate) fn may_have_port(&mut self) {
        self.port = true;
    }

    /// The port is somebody else's.
    pub(crate) fn has_no_port(&mut self) {
        self.port = false;
    }

    /// This IPAM plugin has given addresses.
    pub(crate) fn has_delegated(&mut self, plugin: &str) {
        self.delegate = Some(plugin.to_owned());
    }

    /// Undoes everything: flows go with the port, so it is the first; then the veth pair; then addresses that others
    /// gave. What cannot be undone is added to the error; DEL and GC will find it.
    pub(crate) fn run(self, mut error: CniError) -> CniError {
        let Self { invocation, conf, veth, port, delegate } = self;
        let port = if port { remove_port(invocation, conf) } else { Ok(()) };
        let name = names::port(&invocation.container_id, &invocation.ifname);
        let veth = if veth {
            Netlink::open().map_err(host_error).and_then(|mut netlink| remove_link(&mut netlink, &name))
        } else {
            Ok(())
        };
        let delegate = delegate.map_or(Ok(()), |plugin| {
            delegate::call(&plugin, Command::Del, invocation, &conf.raw).map(|_| ())
        });
        for left in [port, veth, delegate].into_iter().filter_map(Result::err) {
            error = error.and(&format!("and it could not all be undone: {left}"));
        }
        error
    }
}

/// On a connection of its own: the one ADD had may be what failed.
fn remove_port(invocation: &Invocation, conf: &NetConf) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut client = switch::connect(&conf.ovsdb, deadline)?;
    switch::remove_attachment(&mut client, &invocation.container_id, &invocation.ifname, deadline).map(|_| ())
}
