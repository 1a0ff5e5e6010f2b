//! Values of fields: their conversion from Rust types and their text.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Field, Format, ones};
use crate::addr::{Hex, MacAddr, OvsIpv6};
use crate::flags::FlagNames;
use crate::port::PortNo;

/// A field's value as an unsigned integer, the field's last bit lowest.
///
/// Everything that takes a value takes `impl Into<FieldValue>`: integers, addresses and ports. Bits beyond the
/// field's width are ignored, as the wire has no room for them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FieldValue(pub u128);

macro_rules! from_integers {
    ($($int:ty)+) => { $(
        impl From<$int> for FieldValue {
            fn from(value: $int) -> Self {
                Self(u128::from(value))
            }
        }
    )+ };
}

from_integers!(u8 u16 u32 u64 u128);

impl From<MacAddr> for FieldValue {
    fn from(value: MacAddr) -> Self {
        Self(u128::from(value.to_bits()))
    }
}

impl From<Ipv4Addr> for FieldValue {
    fn from(value: Ipv4Addr) -> Self {
        Self(u128::from(value.to_bits()))
    }
}

impl From<Ipv6Addr> for FieldValue {
    fn from(value: Ipv6Addr) -> Self {
        Self(value.to_bits())
    }
}

impl From<PortNo> for FieldValue {
    fn from(value: PortNo) -> Self {
        Self(u128::from(value.get()))
    }
}

/// A value and its mask in the form `ovs-ofctl` gives them in `set_field` and `learn`.
pub(crate) struct Formatted {
    pub(crate) field: Field,
    pub(crate) value: u128,
    /// `None`: all bits.
    pub(crate) mask: Option<u128>,
}

impl fmt::Display for Formatted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, .. } = *self;
        let mask = self.mask.filter(|mask| *mask != field.wire_ones());
        if mask == Some(0) {
            return f.write_str("ANY");
        }
        let all = mask.unwrap_or_else(|| field.wire_ones());
        match field.info().format {
            Format::Port if mask.is_none() => write!(f, "{}", port(field, value)),
            Format::Decimal | Format::Port => {
                write!(f, "{value}")?;
                mask.map_or(Ok(()), |mask| write!(f, "/{mask:#x}"))
            }
            Format::Hexadecimal => {
                write!(f, "{}", Hex(value))?;
                mask.map_or(Ok(()), |mask| write!(f, "/{mask:#x}"))
            }
            Format::Ethernet => ethernet(f, value, all),
            Format::Ipv4 => ipv4(f, value, all),
            Format::Ipv6 => ipv6(f, value, all),
            Format::CtState => CtStateFlags::masked(f, value, all, ones(16)),
            Format::Frag => f.write_str(frag(value, all)),
            Format::TunnelFlags => TunFlagNames::masked(f, value, all & 1, 1),
            Format::TcpFlags => TcpFlagNames::masked(f, value, all & 0xfff, 0xfff),
            Format::PacketType => packet_type(f, value),
        }
    }
}

fn port(field: Field, value: u128) -> PortNo {
    match (field.n_bytes(), u16::try_from(value), u32::try_from(value)) {
        (2, Ok(number), _) => PortNo::from_u16(number),
        (_, _, Ok(number)) => PortNo::new(number),
        _ => PortNo::ANY,
    }
}

pub(crate) fn ethernet(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    let mac = |bits: u128| MacAddr::from_bits(u64::try_from(bits & ones(48)).unwrap_or_default());
    write!(f, "{}", mac(value))?;
    if mask == ones(48) { Ok(()) } else { write!(f, "/{}", mac(mask)) }
}

pub(crate) fn ipv4(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    let bits = |bits: u128| u32::try_from(bits & ones(32)).unwrap_or_default();
    write!(f, "{}", Ipv4Addr::from_bits(bits(value)))?;
    match bits(mask) {
        u32::MAX => Ok(()),
        mask if mask.leading_ones() + mask.trailing_zeros() == 32 => write!(f, "/{}", mask.leading_ones()),
        mask => write!(f, "/{}", Ipv4Addr::from_bits(mask)),
    }
}

pub(crate) fn ipv6(f: &mut fmt::Formatter<'_>, value: u128, mask: u128) -> fmt::Result {
    write!(f, "{}", OvsIpv6(Ipv6Addr::from_bits(value)))?;
    match mask {
        u128::MAX => Ok(()),
        mask if mask.leading_ones() + mask.trailing_zeros() == 128 => write!(f, "/{}", mask.leading_ones()),
        mask => write!(f, "/{}", OvsIpv6(Ipv6Addr::from_bits(mask))),
    }
}

pub(crate) fn frag(value: u128, mask: u128) -> &'static str {
    match (value & 3, mask & 3) {
        (0, 3 | 1) => "no",
        (1, 3) => "first",
        (3, 3) | (2, 2) => "later",
        (1, 1) => "yes",
        (0, 2) => "not_later",
        _ => "<error>",
    }
}

pub(crate) fn packet_type(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
    if value == 0 {
        return f.write_str("eth");
    }
    let number = |n: u128| if n > 9 { format!("{n:#x}") } else { n.to_string() };
    write!(f, "packet_type=({},{})", number(value >> 16), number(value & 0xffff))
}

/// Names of the bits of `ct_state`.
pub(crate) struct CtStateFlags;

impl FlagNames for CtStateFlags {
    const NAMES: &'static [&'static str] = &["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];
}

/// Names of the bits of `tcp_flags`.
pub(crate) struct TcpFlagNames;

impl FlagNames for TcpFlagNames {
    const NAMES: &'static [&'static str] =
        &["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];
}

/// Names of the bits of `tun_flags`.
pub(crate) struct TunFlagNames;

impl FlagNames for TunFlagNames {
    const NAMES: &'static [&'static str] = &["oam"];
}
