//! Names and MACs, derived so that a repeated call finds what an earlier one made.

use std::net::{Ipv4Addr, Ipv6Addr};

/// First bytes of the MAC of a pod that has IPv4; locally administered.
const OUI_IPV4: [u8; 2] = [0x0a, 0x58];
/// First bytes of the MAC of a pod that has IPv6 only; locally administered.
const OUI_IPV6: [u8; 2] = [0x0a, 0x59];

/// MAC of the virtual router: whatever a pod's next hop is, this is its MAC.
pub const ROUTER_MAC: [u8; 6] = [0x0a, 0x58, 0, 0, 0, 1];

/// Name of the port, and of the host's end of the veth pair, for one attachment: `kvs` and 12 hexadecimal digits, as
/// long as the kernel lets an interface's name be.
#[must_use]
pub fn port(container_id: &str, ifname: &str) -> String {
    // FNV-1a: stable across builds. The runtime's ids are random, and a collision fails the ADD, not an earlier pod.
    let hash = container_id
        .bytes()
        .chain([0])
        .chain(ifname.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("kvs{:012x}", (hash >> 48) ^ (hash & 0xffff_ffff_ffff))
}

/// MAC of the interface inside the pod. It follows from the address: nobody's neighbour entry gets stale.
#[must_use]
pub fn mac(ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>) -> Option<[u8; 6]> {
    let (oui, last) = match (ipv4, ipv6) {
        (Some(a), _) => (OUI_IPV4, a.octets()),
        (None, Some(a)) => {
            let [.., w, x, y, z] = a.octets();
            (OUI_IPV6, [w, x, y, z])
        }
        (None, None) => return None,
    };
    let ([a, b], [c, d, e, f]) = (oui, last);
    Some([a, b, c, d, e, f])
}

/// A MAC in text.
#[must_use]
pub fn format_mac([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// The inverse of [`format_mac`].
#[must_use]
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2 && !part.starts_with('+')));
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_name_fits_and_depends_on_both_parts() {
        let name = port("0123456789abcdef", "eth0");
        assert_eq!(name.len(), 15);
        assert_eq!(name, port("0123456789abcdef", "eth0"));
        assert_ne!(name, port("0123456789abcdef", "eth1"));
        assert_ne!(port("ab", "c"), port("a", "bc"));
    }

    #[test]
    fn a_mac_follows_from_the_address() {
        let v4 = Some(Ipv4Addr::new(10, 0, 1, 2));
        let v6 = Some("fd00::102:304".parse().unwrap());
        assert_eq!(mac(v4, v6).map(format_mac).unwrap(), "0a:58:0a:00:01:02");
        assert_eq!(mac(None, v6).map(format_mac).unwrap(), "0a:59:01:02:03:04");
        assert_eq!(mac(None, None), None);
        assert_eq!(parse_mac("0a:59:01:02:03:04"), mac(None, v6));
        for bad in ["", "0a:59:01:02:03", "0a:59:01:02:03:04:05", "0a:59:01:02:03:4", "xx:59:01:02:03:04"] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }
}
