//! The address plan: every lab uses the same one, since no lab's network is joined to anything.
//!
//! | network | IPv4 | IPv6 |
//! |---|---|---|
//! | underlay | 172.30.0.0/24 | fd00:30::/64 |
//! | the control plane | .2 | ::2 |
//! | node *i* (from 1) | .10 + *i* | ::10 + *i*, decimal as written |
//! | the outside, the nodes' default gateway | .254 | ::fe |
//! | the outside, beyond that hop | 203.0.113.1 | 2001:db8:203::1 |
//! | pods of the cluster; of one node | 10.244.0.0/16; /24 | fd00:10:244::/48; /64 |
//! | Services | 10.96.0.0/16 | fd00:10:96::/112 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::spec::{Families, Family};

/// The control plane's address.
pub const CONTROL_PLANE: Ends =
    Ends { ipv4: Ipv4Addr::new(172, 30, 0, 2), ipv6: Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 2) };

/// The outside's address on the underlay: every node's default gateway.
pub const GATEWAY: Ends =
    Ends { ipv4: Ipv4Addr::new(172, 30, 0, 254), ipv6: Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, 0xfe) };

/// The outside's address beyond the gateway (RFC 5737, RFC 3849): a host somewhere on the Internet.
pub const OUTSIDE: Ends =
    Ends { ipv4: Ipv4Addr::new(203, 0, 113, 1), ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0x203, 0, 0, 0, 0, 1) };

/// Port of the API server in the control plane's namespace.
pub const API_PORT: u16 = 6443;

/// Prefix lengths of the underlay.
const UNDERLAY_PREFIX: (u8, u8) = (24, 64);

/// Prefix lengths of a node's pod CIDRs, IPv4 and IPv6.
pub const NODE_PREFIX: (u8, u8) = (24, 64);

const PODS_IPV4: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 0);
const PODS_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0);
const SERVICES_IPV4: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 0);
const SERVICES_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0);

/// One machine's address in each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The IPv4 address.
    pub ipv4: Ipv4Addr,
    /// The IPv6 address.
    pub ipv6: Ipv6Addr,
}

impl Ends {
    /// The address of this family.
    #[must_use]
    pub fn of(self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => self.ipv4.into(),
            Family::Ipv6 => self.ipv6.into(),
        }
    }

    /// Both addresses, IPv4 first.
    #[must_use]
    pub fn both(self) -> [IpAddr; 2] {
        [self.ipv4.into(), self.ipv6.into()]
    }

    /// Both addresses with the underlay's prefix lengths.
    #[must_use]
    pub fn on_underlay(self) -> [IpNet; 2] {
        [
            IpNet::V4(Ipv4Net::new_assert(self.ipv4, UNDERLAY_PREFIX.0)),
            IpNet::V6(Ipv6Net::new_assert(self.ipv6, UNDERLAY_PREFIX.1)),
        ]
    }
}

/// Underlay addresses of node `index`, counted from 1.
#[must_use]
pub fn node(index: u16) -> Ends {
    let low = u8::try_from(index.saturating_add(10)).unwrap_or(u8::MAX);
    // Read as decimal, both families' last parts look the same: 172.30.0.11 and fd00:30::11.
    let tens = u16::from(low / 100) << 8 | u16::from(low / 10 % 10) << 4 | u16::from(low % 10);
    Ends { ipv4: Ipv4Addr::new(172, 30, 0, low), ipv6: Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, tens) }
}

/// Name of node `index`, counted from 1.
#[must_use]
pub fn node_name(index: u16) -> String {
    format!("node-{index}")
}

/// The cluster's pod networks, one per family.
#[must_use]
pub fn cluster_cidrs(families: &Families) -> Vec<IpNet> {
    families
        .iter()
        .map(|family| match family {
            Family::Ipv4 => IpNet::V4(Ipv4Net::new_assert(PODS_IPV4, 16)),
            Family::Ipv6 => IpNet::V6(Ipv6Net::new_assert(PODS_IPV6, 48)),
        })
        .collect()
}

/// The cluster's Service networks, one per family.
#[must_use]
pub fn service_cidrs(families: &Families) -> Vec<IpNet> {
    families
        .iter()
        .map(|family| match family {
            Family::Ipv4 => IpNet::V4(Ipv4Net::new_assert(SERVICES_IPV4, 16)),
            Family::Ipv6 => IpNet::V6(Ipv6Net::new_assert(SERVICES_IPV6, 112)),
        })
        .collect()
}

/// Address of the cluster's name server: the tenth of the preferred network of Services, as everywhere.
#[must_use]
pub fn name_server(families: &Families) -> Option<IpAddr> {
    kubernetes::control_plane::service_address(*service_cidrs(families).first()?, 10)
}

/// The pod networks that node `index` gets, one per family.
#[must_use]
pub fn pod_cidrs(families: &Families, index: u16) -> Vec<IpNet> {
    families
        .iter()
        .map(|family| match family {
            Family::Ipv4 => {
                let bits = u32::from(PODS_IPV4) | u32::from(index) << (32 - NODE_PREFIX.0);
                IpNet::V4(Ipv4Net::new_assert(bits.into(), NODE_PREFIX.0))
            }
            Family::Ipv6 => {
                let bits = u128::from(PODS_IPV6) | u128::from(index) << (128 - NODE_PREFIX.1);
                IpNet::V6(Ipv6Net::new_assert(bits.into(), NODE_PREFIX.1))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MAX_NODES;
    use std::collections::BTreeSet;

    #[test]
    fn the_name_server_has_the_tenth_address_of_either_family() {
        let of = |families: &str| name_server(&families.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(of("ipv4").as_deref(), Some("10.96.0.10"));
        assert_eq!(of("ipv6").as_deref(), Some("fd00:10:96::a"));
    }

    #[test]
    fn every_node_has_addresses_of_its_own_inside_the_networks() {
        let families = Families::dual();
        let underlay: Vec<IpNet> = vec!["172.30.0.0/24".parse().unwrap(), "fd00:30::/64".parse().unwrap()];
        let mut seen = BTreeSet::new();
        for ends in [CONTROL_PLANE, GATEWAY] {
            seen.extend(ends.both());
        }
        for index in 1..=MAX_NODES {
            let ends = node(index);
            for (address, net) in ends.both().iter().zip(&underlay) {
                assert!(net.contains(address), "{address}");
                assert!(seen.insert(*address), "{address} twice");
            }
            for (pods, cluster) in pod_cidrs(&families, index).iter().zip(cluster_cidrs(&families)) {
                assert!(cluster.contains(pods));
                assert!(seen.insert(pods.addr()), "{pods} twice");
            }
        }
    }

    #[test]
    fn addresses_read_as_the_table_says() {
        assert_eq!(node(1).both().map(|a| a.to_string()), ["172.30.0.11", "fd00:30::11"]);
        assert_eq!(node(190).both().map(|a| a.to_string()), ["172.30.0.200", "fd00:30::200"]);
        let families: Families = "ipv6,ipv4".parse().unwrap();
        let cidrs: Vec<_> = pod_cidrs(&families, 3).iter().map(ToString::to_string).collect();
        assert_eq!(cidrs, ["fd00:10:244:3::/64", "10.244.3.0/24"]);
    }
}
