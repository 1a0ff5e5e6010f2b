//! What nodes wrap pods' packets in, and what that takes away from the MTU, counted header by header.
// The derive macros wrap copies of the types in private scopes.
#![allow(unreachable_pub)]

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ETHERNET: u16 = 14;
const IPV4: u16 = 20;
const IPV6: u16 = 40;
const UDP: u16 = 8;
/// RFC 7348 section 5.
const VXLAN: u16 = 8;
/// RFC 2784 section 2.1, without checksum.
const GRE: u16 = 4;
/// RFC 2890 section 2.1.
const GRE_KEY: u16 = 4;

/// The least MTU that pods are given, bytes: what IPv6 works with (RFC 8200 section 5).
pub const LEAST_MTU: u16 = 1280;

/// Encapsulation between nodes.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlayType {
    /// GRE with key, Ethernet payload (RFC 2784, RFC 2890).
    Gre,
    /// VXLAN over UDP port 4789 (RFC 7348).
    Vxlan,
}

impl OverlayType {
    /// The name as the API has it, which is OVS's name of the interface type too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gre => "gre",
            Self::Vxlan => "vxlan",
        }
    }

    /// Bytes that it puts around a pod's IP packet when the tunnel runs between addresses of `underlay`'s family.
    #[must_use]
    pub const fn overhead(self, underlay: IpAddr) -> u16 {
        let outer = if underlay.is_ipv6() { IPV6 } else { IPV4 };
        let tunnel = match self {
            Self::Vxlan => UDP + VXLAN,
            Self::Gre => GRE + GRE_KEY,
        };
        outer + tunnel + ETHERNET
    }
}

impl fmt::Display for OverlayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OverlayType {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "gre" => Ok(Self::Gre),
            "vxlan" => Ok(Self::Vxlan),
            other => Err(format!("{other:?} is no overlay type: use gre or vxlan")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overheads_are_those_of_the_headers() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let [vxlan, gre] =
            [OverlayType::Vxlan, OverlayType::Gre].map(|overlay| [v4, v6].map(|at| overlay.overhead(at)));
        assert_eq!((vxlan, gre), ([50, 70], [42, 62]));
    }
}
