//! Clients of UDP that were there before their destination led to where it leads now.
//!
//! Rules of the host translate the first datagram that connection tracking sees; later ones follow it for as long as the
//! client goes on sending. So what is tracked of earlier clients has to be forgotten.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use host::{Conntrack, Netlink, UdpConnection};
use service::lb::{External, Protocol};

use super::{Changes, NodePort, Published};

/// Destinations whose earlier clients are to be forgotten: those whose datagrams are not translated, or all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    untranslated: Destinations,
    all: Destinations,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Destinations {
    /// Whether of IPv6, and the port.
    node_ports: BTreeSet<(bool, u16)>,
    external: BTreeSet<SocketAddr>,
}

impl Destinations {
    fn node_port(&mut self, port: &NodePort) {
        if port.protocol == Protocol::Udp {
            self.node_ports.insert((port.ipv6, port.port));
        }
    }

    fn external(&mut self, at: &External) {
        if at.protocol == Protocol::Udp {
            self.external.insert(SocketAddr::new(at.address, at.port));
        }
    }

    fn has(&self, to: SocketAddr, at_node: bool) -> bool {
        self.external.contains(&to) || at_node && self.node_ports.contains(&(to.is_ipv6(), to.port()))
    }
}

impl From<&Changes> for Earlier {
    fn from(changes: &Changes) -> Self {
        let mut earlier = Self::default();
        let come = changes.node_ports.iter().filter(|(_, comes)| **comes);
        come.for_each(|(port, _)| earlier.untranslated.node_port(port));
        let come = changes.external.iter().filter(|(_, (before, _))| before.is_none());
        come.for_each(|(at, _)| earlier.untranslated.external(at));
        changes.own_node_ports.keys().for_each(|port| earlier.all.node_port(port));
        changes.own_external.keys().for_each(|at| earlier.all.external(at));
        earlier
    }
}

/// Where nobody knows what was said before.
impl From<&Published> for Earlier {
    fn from(published: &Published) -> Self {
        let mut earlier = Self::default();
        published.node_ports.iter().for_each(|port| earlier.untranslated.node_port(port));
        published.external.keys().for_each(|at| earlier.untranslated.external(at));
        earlier
    }
}

impl Earlier {
    /// Has the host forget them. Blocking.
    ///
    /// # Errors
    /// What the kernel says; some may be forgotten by then.
    pub fn forget(&self) -> host::Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let own = Netlink::open()?.addresses(None)?;
        let own: BTreeSet<IpAddr> = own.iter().map(|address| address.net.addr()).collect();
        let mut conntrack = Conntrack::open()?;
        let tracked = conntrack.udp()?;
        tracked.iter().filter(|one| self.is(one, &own)).try_for_each(|one| conntrack.forget(one))
    }

    fn is(&self, one: &UdpConnection, own: &BTreeSet<IpAddr>) -> bool {
        let at_node = own.contains(&one.destination.ip());
        self.all.has(one.destination, at_node)
            || !one.translated && self.untranslated.has(one.destination, at_node)
    }
}
