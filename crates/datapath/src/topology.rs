//! What the pipeline is made from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use openflow::{MacAddr, PortNo};

/// The only neighbour that pods and the host see on the bridge: every ARP request and neighbour solicitation is
/// answered with it.
pub const ROUTER_MAC: MacAddr = MacAddr([0x0a, 0x58, 0, 0, 0, 1]);

/// MAC of the bridge's own interface, on every node.
pub const GATEWAY_MAC: MacAddr = MacAddr([0x0a, 0x58, 0, 0, 0, 2]);

/// Key of GRE and network identifier of VXLAN packets between nodes: `kvs`.
pub const TUNNEL_KEY: u32 = 0x006b_7673;

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
