//! What the pipeline is made from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use openflow::{MacAddr, PortNo};

/// The only neighbour that pods and the host see on the bridge: every ARP request and neighbour solicitation is
/// answered with it.
pub const ROUTER_MAC: MacAddr = MacAddr([0x0a, 0x58, 0, 0, 0, 1]);

/// MAC of the next hop that only packets of the node itself have, not those it forwards: so the two are told apart, on
/// every datapath, by nothing that others could forge.
pub const HOST_ROUTER_MAC: MacAddr = MacAddr([0x0a, 0x58, 0, 0, 0, 3]);

/// IPv4 address of that next hop; it is known on the bridge only. (RFC 3927: link-local.)
pub const HOST_ROUTER_IPV4: Ipv4Addr = Ipv4Addr::new(169, 254, 107, 118);

/// IPv6 address of that next hop.
pub const HOST_ROUTER_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x6b76, 1);

/// IPv6 address of the next hop of what the node forwards to pods; it is known on the bridge only, and its MAC is
/// [`ROUTER_MAC`].
pub const ROUTER_IPV6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x6b76, 2);

/// MAC of the bridge's own interface, on every node.
pub const GATEWAY_MAC: MacAddr = MacAddr([0x0a, 0x58, 0, 0, 0, 2]);

/// Source MAC of what the bridge hands to the host to be refused there: with a TCP reset, or as an unreachable port.
pub const REFUSED_MAC: MacAddr = MacAddr([0x0a, 0x58, 0, 0, 0, 4]);

/// Key of GRE and network identifier of VXLAN packets between nodes: `kvs`.
pub const TUNNEL_KEY: u32 = 0x006b_7673;

/// Loopback addresses of IPv4 (RFC 1122 section 3.2.1.3).
pub const LOOPBACK_IPV4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

/// The address of a node's pod CIDR that its clients of Services have for endpoints when their own cannot stay: the
/// first one, which no pod has.
#[must_use]
pub fn masquerade_address(pods: IpNet) -> IpAddr {
    pods.network()
}

/// The address of a node's pod CIDR that stands, on the way from the host to the bridge, for all addresses at which the
/// node offers Services to the outside: the last one, which no pod has.
#[must_use]
pub fn node_port_address(pods: IpNet) -> IpAddr {
    pods.broadcast()
}

/// This node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Addresses of all pods of the cluster: IPv4.
    pub cluster_ipv4: Option<Ipv4Net>,
    /// Addresses of all pods of the cluster: IPv6.
    pub cluster_ipv6: Option<Ipv6Net>,
    /// Addresses of this node's pods: IPv4.
    pub pods_ipv4: Option<Ipv4Net>,
    /// Addresses of this node's pods: IPv6.
    pub pods_ipv6: Option<Ipv6Net>,
    /// The node's own IPv4 address on the bridge.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// The node's own IPv6 address on the bridge.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// Whether connection tracking tells associations of SCTP apart by their ports. Open vSwitch's userspace datapath
    /// did not before 3.2.
    pub tracks_sctp: bool,
    /// Whether a flow can answer a neighbour solicitation: Open vSwitch's userspace datapath can make an advertisement of
    /// one. Where none can, hosts and pods have their neighbours in their tables for good.
    pub answers_solicitations: bool,
    /// Addresses of Services, if the bridge is their proxy.
    pub services: Option<ServiceNets>,
}

/// Addresses of Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceNets {
    /// IPv4.
    pub ipv4: Option<Ipv4Net>,
    /// IPv6.
    pub ipv6: Option<Ipv6Net>,
}

/// A port of the bridge with a pod behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, unlike any other port's of this node.
    pub name: String,
    /// Its number on the bridge.
    pub ofport: u32,
    /// MAC of the interface in the pod.
    pub mac: MacAddr,
    /// The pod's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The pod's IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name, unlike any other node's.
    pub name: String,
    /// Its address on the underlay.
    pub endpoint: IpAddr,
    /// Addresses of its pods.
    pub pods: Vec<IpNet>,
    /// Number of the tunnel port on this node's bridge.
    pub tunnel: PortNo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_addresses_are_the_first_and_the_last() {
        let ends = |net: &str| {
            let net = net.parse().unwrap();
            (masquerade_address(net).to_string(), node_port_address(net).to_string())
        };
        assert_eq!(ends("10.0.1.0/24"), ("10.0.1.0".into(), "10.0.1.255".into()));
        assert_eq!(ends("10.0.1.4/30"), ("10.0.1.4".into(), "10.0.1.7".into()));
        assert_eq!(ends("fd00:0:0:1::/64"), ("fd00:0:0:1::".into(), "fd00::1:ffff:ffff:ffff:ffff".into()));
    }
}
