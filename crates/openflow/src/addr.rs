//! Ethernet addresses, and addresses written as `ovs-ofctl` writes them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `00:00:00:00:00:00`, which stands for "not known" in ARP.
    pub const ZERO: Self = Self([0; 6]);
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The bytes in transmission order.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The address in the low 48 bits of an integer, its last byte lowest. Higher bits are ignored.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// The address as an integer.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not six pairs of hexadecimal digits separated by colons.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0:?} is not an Ethernet address (expected six hexadecimal bytes, as in 0a:58:00:00:00:01)")]
pub struct ParseMacAddrError(String);

impl FromStr for MacAddr {
    type Err = ParseMacAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseMacAddrError(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(error)?;
            if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(error());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(octets)) }
    }
}

/// An IPv6 address as C's `inet_ntop` writes it: like RFC 5952, but with a dotted quad after six zero groups.
pub(crate) struct OvsIpv6(pub(crate) Ipv6Addr);

impl fmt::Display for OvsIpv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.to_bits();
        match u32::try_from(bits) {
            Ok(low) if low > 0xffff => write!(f, "::{}", std::net::Ipv4Addr::from_bits(low)),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Hexadecimal as C's `%#x` writes it: zero has no prefix.
pub(crate) struct Hex(pub(crate) u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// Bytes as pairs of hexadecimal digits separated by dots.
pub(crate) struct Dotted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Dotted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_reads_back_what_it_prints() {
        let mac = MacAddr([0x0a, 0x58, 0, 0xff, 0, 1]);
        assert_eq!(mac.to_string(), "0a:58:00:ff:00:01");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!(MacAddr::from_bits(mac.to_bits()), mac);
    }

    #[test]
    fn text_that_is_no_mac_address_is_refused() {
        for bad in [
            "",
            "0a:58:00:00:00",
            "0a:58:00:00:00:01:02",
            "0a:58:00:00:00:+1",
            "0a-58-00-00-00-01",
            "g:0:0:0:0:0",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ipv6_is_written_as_inet_ntop_writes_it() {
        for (address, text) in [
            ("::1", "::1"),
            ("::", "::"),
            ("fd00::1", "fd00::1"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::102:304", "::1.2.3.4"),
            ("::ffff", "::ffff"),
            ("::1:0", "::0.1.0.0"),
        ] {
            assert_eq!(OvsIpv6(address.parse().unwrap()).to_string(), text);
        }
    }
}
