//! The kernel's side of an attachment: a veth pair between the switch and a container.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use host::{Error, Link, Mac, Netlink, Netns, Route, Veth, ethtool, sysctl};
use ipnet::IpNet;

use crate::{CniError, Code, RouteEntry, error::Result};

/// The two ends of an attachment.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    host_end: &'a str,
    ifname: &'a str,
    netns: &'a Netns,
    host_mac: Mac,
    on_host: Netlink,
    in_pod: Netlink,
}

/// What the inside end gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    /// The MAC.
    pub(crate) mac: Mac,
    /// The MTU of both ends, bytes.
    pub(crate) mtu: u32,
    /// The addresses, each with its gateway.
    pub(crate) addresses: Vec<(IpAddr, IpAddr)>,
    /// The routes.
    pub(crate) routes: Vec<RouteEntry>,
}

impl<'a> Wire<'a> {
    /// Makes the pair: `host_end` here, `ifname` in `netns`, both down. Nothing is left if it fails.
    ///
    /// # Errors
    /// [`Code::AttachmentExists`] if either name is taken, [`Code::Host`] otherwise.
    pub(crate) fn create(host_end: &'a str, netns: &'a Netns, ifname: &'a str) -> Result<Self> {
        let mut on_host = Netlink::open().map_err(host_error)?;
        let mut in_pod = Netlink::open_in(netns).map_err(host_error)?;
        if in_pod.find_link(ifname).map_err(host_error)?.is_some() {
            return Err(CniError::new(
                Code::AttachmentExists,
                format!("interface {ifname} exists already in network namespace {}", netns.name()),
                "an attachment has to be removed with DEL before it can be added again",
            ));
        }
        let host_mac = random_mac();
        let mac = Some(host_mac);
        let veth = Veth { mac, noarp: true, peer_netns: Some(netns), ..Veth::new(host_end, ifname) };
        on_host.create_veth(&veth).map_err(|error| match error {
            error if error.is_exists() => CniError::new(
                Code::AttachmentExists,
                format!("the attachment exists already: {host_end} is its interface on the host"),
                "a runtime must not ADD twice; if it was left by a plugin that was killed, DEL or GC removes it",
            ),
            error => host_error(error),
        })?;
        Ok(Self { host_end, ifname, netns, host_mac, on_host, in_pod })
    }

    /// The MAC of the host's end.
    pub(crate) fn host_mac(&self) -> Mac {
        self.host_mac
    }

    /// Makes the host's end ready for the switch: the host's own stack must never answer on it, and what the
    /// userspace datapath reads from it must be whole packets with checksums.
    ///
    /// # Errors
    /// [`Code::Host`].
    pub(crate) fn raise_host_end(&mut self, mtu: u32, userspace: bool) -> Result<()> {
        let name = self.host_end;
        // It has no ARP (IFF_NOARP) and gets no address in either family, so there is nothing to answer for.
        self.on_host.set_mtu_without_link_local(name, mtu).map_err(host_error)?;
        if userspace {
            // The kernel's switch takes packets before the host sees them; the userspace one gets a copy. With strict
            // source validation the host drops its copy of IPv4, whatever it is addressed to: a pod's address is
            // routed to the bridge, not to this interface. IPv6 has no such validation; what the host would still
            // take (all-nodes multicast, and this interface's random MAC) must at least not configure it.
            let conf = |family: &str, key: &str| format!("net/{family}/conf/{name}/{key}");
            sysctl::write_if_there(&conf("ipv4", "rp_filter"), "1").map_err(host_error)?;
            sysctl::write_if_there(&conf("ipv6", "accept_ra"), "0").map_err(host_error)?;
            ethtool::offloads_off(name).map_err(host_error)?;
        }
        self.on_host.set_up(name, true).map_err(host_error)
    }

    /// Gives the inside end its MAC, MTU, addresses and routes, and brings it and the loopback interface up.
    ///
    /// # Errors
    /// [`Code::Host`].
    pub(crate) fn configure_inside(&mut self, inside: &Inside, userspace: bool) -> Result<()> {
        let ipv6 = inside.addresses.iter().any(|(address, _)| address.is_ipv6());
        if userspace || ipv6 {
            let ifname = self.ifname;
            let enter = || {
                if userspace {
                    ethtool::offloads_off(ifname)?;
                }
                // Runtimes switch IPv6 off in new namespaces when they do not know of it.
                let key = format!("net/ipv6/conf/{ifname}/disable_ipv6");
                if ipv6 && sysctl::read(&key).is_ok_and(|value| value != "0") {
                    sysctl::write(&key, "0")?;
                }
                Ok(())
            };
            self.netns.run(enter).and_then(|done| done).map_err(host_error)?;
        }
        self.configure_links(inside).map_err(host_error)
    }

    fn configure_links(&mut self, inside: &Inside) -> host::Result<()> {
        let pod = &mut self.in_pod;
        pod.set_mac_mtu_up(self.ifname, inside.mac, inside.mtu)?;
        let index = pod.link(self.ifname)?.index;
        for (address, gateway) in &inside.addresses {
            pod.add_address(index, (*address).into())?;
            pod.replace_route(&Route::on_link((*gateway).into(), index))?;
            // The kernel's switch cannot answer for a neighbour of IPv6, and nobody need ask: it is always this one.
            pod.set_neighbour(index, *gateway, ipam::names::ROUTER_MAC)?;
        }
        for entry in &inside.routes {
            pod.replace_route(&kernel_route(entry, &inside.addresses, index))?;
        }
        pod.set_up("lo", true)
    }
}

/// A locally administered MAC of one station, chosen here so that the kernel need not be asked what it chose.
fn random_mac() -> Mac {
    // A new `RandomState` has new random keys each time.
    let [first, second, third, fourth, fifth, sixth, ..] = RandomState::new().hash_one(0_u8).to_ne_bytes();
    [(first & 0xfc) | 0x02, second, third, fourth, fifth, sixth]
}

/// Removes the host's end of an attachment, and with it the other; it may be gone already.
///
/// # Errors
/// [`Code::Host`].
pub(crate) fn remove_link(netlink: &mut Netlink, host_end: &str) -> Result<()> {
    match netlink.delete_link(host_end) {
        Ok(()) | Err(Error::NoLink { .. }) => Ok(()),
        Err(error) => Err(host_error(error)),
    }
}

/// The route of a result as the kernel takes it: a next hop that the entry leaves out is the gateway of the family.
fn kernel_route(entry: &RouteEntry, addresses: &[(IpAddr, IpAddr)], link: u32) -> Route {
    let own = |is_ipv4: bool| addresses.iter().find(|(address, _)| address.is_ipv4() == is_ipv4);
    let gateway = entry.gw.or_else(|| own(entry.dst.addr().is_ipv4()).map(|(_, gateway)| *gateway));
    let route = match gateway {
        // The gateway is on the link whatever the address's prefix says.
        Some(gateway) => Route::via(entry.dst.trunc(), gateway, link).with_onlink(),
        None => Route::on_link(entry.dst, link),
    };
    Route { mtu: entry.mtu, metric: entry.priority, ..route }
}

/// What is wrong with the inside end, compared with what it should be. Empty if nothing is. Things that were added
/// by later plugins of the chain are no fault.
///
/// # Errors
/// [`Code::Host`] if it cannot be looked at.
pub(crate) fn faults(
    netns: &Netns,
    ifname: &str,
    mac: Option<&str>,
    ips: &[IpNet],
    routes: &[RouteEntry],
) -> Result<Vec<String>> {
    let mut netlink = Netlink::open_in(netns).map_err(host_error)?;
    let Some(link) = netlink.find_link(ifname).map_err(host_error)? else {
        return Ok(vec![format!("interface {ifname} is gone from network namespace {}", netns.name())]);
    };
    let mut faults = Vec::new();
    if !link.up {
        faults.push(format!("interface {ifname} is down"));
    }
    let found = link.mac.map(ipam::names::format_mac);
    if let Some(wanted) =
        mac.filter(|wanted| !found.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
    {
        faults.push(format!("interface {ifname} has MAC {} instead of {wanted}", found.unwrap_or_default()));
    }
    let addresses = netlink.addresses(Some(link.index)).map_err(host_error)?;
    for ip in ips.iter().filter(|ip| !addresses.iter().any(|address| address.net == **ip)) {
        faults.push(format!("interface {ifname} has lost its address {ip}"));
    }
    faults.extend(lost_routes(&mut netlink, &link, routes)?);
    Ok(faults)
}

fn lost_routes(netlink: &mut Netlink, link: &Link, routes: &[RouteEntry]) -> Result<Vec<String>> {
    let there = netlink.routes().map_err(host_error)?;
    let is_there = |entry: &RouteEntry| {
        there.iter().any(|route| {
            route.destination == entry.dst.trunc()
                && route.link == link.index
                && (entry.gw.is_none() || route.via == entry.gw)
        })
    };
    let lost = routes.iter().filter(|entry| entry.table.is_none() && !is_there(entry));
    Ok(lost.map(|entry| format!("the route to {} is gone", entry.dst)).collect())
}

pub(crate) fn host_error(error: Error) -> CniError {
    CniError::new(Code::Host, "the kernel refused to set up the network", error)
}
