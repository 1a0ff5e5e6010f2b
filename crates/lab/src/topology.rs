//! The wires: namespaces of the machines, joined by a bridge in a namespace of its own.
//!
//! ```text
//!             wire: br0
//!      ┌────────┬───┴────┬─────────┐
//!      cp       out    node-1 …  node-k      each with eth0 on 172.30.0.0/24 and fd00:30::/64
//! ```
//!
//! Every machine's `eth0` is one end of a veth pair with offloads off: checksums are whole and no packet exceeds the
//! MTU, as on a wire. All functions block.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use host::{Netlink, Netns, Route, Veth, ethtool, sysctl};
use ipnet::IpNet;

use crate::layout::{Layout, Place};
use crate::plan::{self, Ends};

/// Name of the underlay interface of every machine.
pub const UPLINK: &str = "eth0";

/// Name of the bridge in the namespace of the wire.
const BRIDGE: &str = "br0";

/// Settings of every namespace: refusals are not rate-limited, since probes tell them from drops, and IPv6 addresses
/// are usable at once. (Of `accept_dad`, the higher one of `all` and the interface's counts; link-local addresses would
/// wait for up to a second before their detection even begins, and neighbour discovery with them.)
const SYSCTLS: [(&str, &str); 8] = [
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_msgs_per_sec", "100000"),
    ("net/ipv4/icmp_msgs_burst", "100000"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

/// Creates a namespace with loopback up and the lab's settings.
///
/// # Errors
/// [`host::Error`].
pub fn create_netns(layout: &Layout, place: &Place<'_>) -> host::Result<Netns> {
    let netns = Netns::create(&format!("{}{place}", layout.netns_prefix()))?;
    Netlink::open_in(&netns)?.set_up("lo", true)?;
    netns.run(|| {
        for (key, value) in SYSCTLS {
            sysctl::write_if_there(key, value)?;
        }
        Ok(())
    })??;
    Ok(netns)
}

/// Creates the wire, the control plane and the outside, and joins the latter two to it.
///
/// # Errors
/// [`host::Error`]. What was made stays for [`crate::sweep`] to remove.
pub fn build_base(layout: &Layout) -> host::Result<()> {
    let wire = create_netns(layout, &Place::Wire)?;
    let mut netlink = Netlink::open_in(&wire)?;
    // Nothing on the wire itself has an address.
    wire.run(|| sysctl::write_if_there("net/ipv6/conf/default/disable_ipv6", "1"))??;
    netlink.create_bridge(BRIDGE)?;
    netlink.set_up(BRIDGE, true)?;

    let control_plane = create_netns(layout, &Place::ControlPlane)?;
    plug(layout, &control_plane, "cp")?;
    set_addresses(&control_plane, UPLINK, plan::CONTROL_PLANE, true)?;

    let outside = create_netns(layout, &Place::Outside)?;
    plug(layout, &outside, "out")?;
    set_addresses(&outside, UPLINK, plan::GATEWAY, false)?;
    let mut netlink = Netlink::open_in(&outside)?;
    let lo = netlink.link("lo")?.index;
    for address in plan::OUTSIDE.both() {
        netlink.add_address(lo, IpNet::from(address))?;
    }
    Ok(())
}

/// Creates a node's namespace and joins it to the wire; its uplink is up and has no address yet.
///
/// # Errors
/// [`host::Error`].
pub fn build_node(layout: &Layout, name: &str, index: u16) -> host::Result<()> {
    let node = create_netns(layout, &Place::Node(name))?;
    plug(layout, &node, &format!("n{index}"))
}

/// A veth pair between a machine and the bridge.
fn plug(layout: &Layout, machine: &Netns, port: &str) -> host::Result<()> {
    let wire = Netns::open(layout.netns(&Place::Wire))?;
    let mut there = Netlink::open_in(&wire)?;
    there.create_veth(&Veth { peer_netns: Some(machine), ..Veth::new(port, UPLINK) })?;
    let bridge = there.link(BRIDGE)?.index;
    there.set_master(port, Some(bridge))?;
    wire.run(|| ethtool::offloads_off(port))??;
    machine.run(|| ethtool::offloads_off(UPLINK))??;
    there.set_up(port, true)?;
    Netlink::open_in(machine)?.set_up(UPLINK, true)
}

/// Gives a machine its underlay addresses, and the gateway as its way to everywhere else. Can be repeated.
///
/// # Errors
/// [`host::Error`], also when there is no such interface.
pub fn set_addresses(machine: &Netns, link: &str, ends: Ends, default_route: bool) -> host::Result<()> {
    let mut netlink = Netlink::open_in(machine)?;
    netlink.set_up(link, true)?;
    let index = netlink.link(link)?.index;
    for net in ends.on_underlay() {
        netlink.replace_address(index, net)?;
    }
    if default_route {
        let everywhere: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        for (destination, gateway) in everywhere.into_iter().zip(plan::GATEWAY.both()) {
            let all = match destination {
                IpAddr::V4(address) => ipnet::Ipv4Net::new_assert(address, 0).into(),
                IpAddr::V6(address) => ipnet::Ipv6Net::new_assert(address, 0).into(),
            };
            netlink.replace_route(&Route::via(all, gateway, index))?;
        }
    }
    Ok(())
}
