//! Texts and numbers of the API's objects. What the API server would refuse is an error, which says what to do.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::lb::Protocol;

/// Absent is TCP.
pub(crate) fn protocol(text: Option<&str>) -> Result<Protocol, String> {
    let text = text.unwrap_or("TCP");
    let known = Protocol::ALL.into_iter().find(|protocol| protocol.name() == text);
    known.ok_or_else(|| format!("{text:?} is no protocol of ports: use TCP, UDP or SCTP"))
}

pub(crate) fn port(number: i32) -> Result<u16, String> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("{number} is no port: use 1 to 65535"))
}

/// An address that a packet between nodes can have.
pub(crate) fn address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("{text:?} is no address: write one alone"))?;
    let address = address.to_canonical();
    let special = match address {
        IpAddr::V4(address) => {
            address.is_unspecified()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
        }
        IpAddr::V6(address) => {
            address.is_unspecified()
                || address.is_loopback()
                || is_link_local(address)
                || address.is_multicast()
        }
    };
    if special {
        return Err(format!("{address} is no address of one host in the network: use one that is"));
    }
    Ok(address)
}

/// As [`address()`], or one of a node's own that no packet between nodes can have: a loopback address. The host can send on
/// what its processes send there.
pub(crate) fn address_of_node(text: &str) -> Result<IpAddr, String> {
    match text.parse() {
        Ok(loopback) if IpAddr::is_loopback(&loopback) => Ok(loopback),
        _ => address(text),
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}

/// A range of addresses, without the bits that it does not fix.
pub(crate) fn range(text: &str) -> Result<IpNet, String> {
    let range: Result<IpNet, _> = text.trim().parse();
    range.map(|range| range.trunc()).map_err(|_| {
        format!(
            "{text:?} is no range of addresses, so nobody's packets are in it: write one like 192.0.2.0/24"
        )
    })
}
