//! What an overlay takes away from the MTU, counted header by header.

use std::net::IpAddr;

use api::OverlayType;

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

/// The least MTU that IPv6 works with (RFC 8200 section 5).
pub const IPV6_MINIMUM: u16 = 1280;

/// Bytes that `overlay` puts around a pod's IP packet when the tunnel runs between addresses of `underlay`'s family.
#[must_use]
pub fn overhead(overlay: OverlayType, underlay: IpAddr) -> u16 {
    let outer = if underlay.is_ipv6() { IPV6 } else { IPV4 };
    let tunnel = match overlay {
        OverlayType::Vxlan => UDP + VXLAN,
        OverlayType::Gre => GRE + GRE_KEY,
    };
    outer + tunnel + ETHERNET
}

/// The MTU of pod interfaces over an uplink with `uplink` bytes. At least what IPv6 needs, below which a stack would turn
/// IPv6 off; over an uplink too small for that, packets of full size do not get through the tunnel.
#[must_use]
pub fn pod_mtu(uplink: u32, overlay: OverlayType, underlay: IpAddr) -> u16 {
    let uplink = u16::try_from(uplink).unwrap_or(u16::MAX);
    uplink.saturating_sub(overhead(overlay, underlay)).max(IPV6_MINIMUM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overheads_are_those_of_the_headers() {
        let v4 = "192.0.2.1".parse().unwrap();
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(overhead(OverlayType::Vxlan, v4), 50);
        assert_eq!(overhead(OverlayType::Vxlan, v6), 70);
        assert_eq!(overhead(OverlayType::Gre, v4), 42);
        assert_eq!(overhead(OverlayType::Gre, v6), 62);
    }

    #[test]
    fn the_pod_mtu_follows_the_uplink_within_bounds() {
        let v4 = "192.0.2.1".parse().unwrap();
        assert_eq!(pod_mtu(1500, OverlayType::Vxlan, v4), 1450);
        assert_eq!(pod_mtu(9000, OverlayType::Gre, v4), 8958);
        assert_eq!(pod_mtu(1300, OverlayType::Vxlan, v4), IPV6_MINIMUM);
        assert_eq!(pod_mtu(65536, OverlayType::Vxlan, v4), 65485);
    }
}
