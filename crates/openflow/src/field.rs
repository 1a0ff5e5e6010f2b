//! The packet and metadata fields that flows match and actions change.
//!
//! Names, widths and formats are those of `ovs-fields(7)`.

mod table;
mod value;

pub use self::table::Field;
pub use self::value::FieldValue;
pub(crate) use self::value::{CtStateFlags, Formatted};

/// How a field's value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Decimal,
    Hexadecimal,
    Ethernet,
    Ipv4,
    Ipv6,
    Port,
    CtState,
    Frag,
    TunnelFlags,
    TcpFlags,
    PacketType,
}

/// One code point of a field: OpenFlow numbers fields within classes (OpenFlow 1.5.1 section 7.2.3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct CodePoint {
    pub(crate) class: u16,
    pub(crate) code: u8,
    pub(crate) name: &'static str,
}

/// What is known of a field.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
    pub(crate) bits: u16,
    /// The bits of the value that mean something: an all-ones mask covers exactly these.
    pub(crate) significant: u32,
    pub(crate) maskable: bool,
    pub(crate) format: Format,
    /// The code points, the Nicira one (NXM) first where there is one, the one OpenFlow 1.5 prefers last.
    pub(crate) code_points: &'static [CodePoint],
}

impl Field {
    /// The name in `ovs-fields(7)`, which is the name `ovs-ofctl` prints in `set_field` and `learn`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Width on the wire in bytes.
    #[must_use]
    pub fn n_bytes(self) -> usize {
        self.info().bytes
    }

    /// Width in bits, counted as a [`Subfield`](crate::Subfield) counts them.
    #[must_use]
    pub fn n_bits(self) -> u16 {
        self.info().bits
    }

    /// Whether a match may look at some of the bits only.
    #[must_use]
    pub fn maskable(self) -> bool {
        self.info().maskable
    }

    /// Class and code of the field as OpenFlow 1.5 prefers it.
    #[must_use]
    pub fn oxm(self) -> (u16, u8) {
        self.info().code_points.last().map_or((0, 0), |point| (point.class, point.code))
    }

    /// Class and code of the field as the Nicira extensions prefer it.
    #[must_use]
    pub fn nxm(self) -> (u16, u8) {
        self.info().code_points.first().map_or((0, 0), |point| (point.class, point.code))
    }

    /// The name of the Nicira code point (`NXM_NX_REG0`), which `ovs-ofctl` prints for ranges of bits.
    #[must_use]
    pub fn nxm_name(self) -> &'static str {
        self.info().code_points.first().map_or("", |point| point.name)
    }

    /// Register `n` (`reg0` to `reg15`).
    #[must_use]
    pub fn reg(n: u8) -> Option<Self> {
        Self::ALL.iter().copied().skip_while(|field| *field != Self::Reg0).take(16).nth(usize::from(n))
    }

    /// The first of the 32-bit registers that an `xreg` or `xxreg` covers and their number; its first register
    /// holds the most significant bits.
    pub(crate) fn parts(self) -> Option<(u8, u8)> {
        let (class, code) = self.oxm();
        match (class, self.n_bits()) {
            (0x8001, 64) => Some((code.checked_mul(2)?, 2)),
            (0x0001, 128) if (111..=114).contains(&code) => Some(((code - 111) * 4, 4)),
            _ => None,
        }
    }

    /// A value with all the bits set that mean something in this field.
    pub(crate) fn all_ones(self) -> u128 {
        ones(self.info().significant)
    }

    /// A value with all the bits set that exist in this field on the wire.
    pub(crate) fn wire_ones(self) -> u128 {
        ones(u32::try_from(self.info().bytes * 8).unwrap_or(128))
    }

    pub(crate) fn oxm_header(self, masked: bool) -> u32 {
        self.header(self.oxm(), masked)
    }

    pub(crate) fn nxm_header(self) -> u32 {
        self.header(self.nxm(), false)
    }

    fn header(self, (class, code): (u16, u8), masked: bool) -> u32 {
        let length = self.info().bytes << u32::from(masked);
        u32::from(class) << 16
            | u32::from(code) << 9
            | u32::from(masked) << 8
            | u32::try_from(length).unwrap_or_default() & 0xff
    }

    /// The field that a 32-bit OXM or NXM header without mask bit names, if it is one of this crate's.
    pub(crate) fn from_header(header: u32) -> Option<Self> {
        let class = u16::try_from(header >> 16).ok()?;
        let code = u8::try_from(header >> 9 & 0x7f).ok()?;
        Self::from_code(class, code)
    }
}

/// The low `n` bits set.
pub(crate) fn ones(n: u32) -> u128 {
    if n >= 128 { u128::MAX } else { (1 << n) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_each_of_its_code_points() {
        for field in Field::ALL {
            for point in field.info().code_points {
                assert_eq!(Field::from_code(point.class, point.code), Some(*field), "{}", point.name);
            }
            assert!(usize::from(field.n_bits()) <= field.n_bytes() * 8, "{}", field.name());
        }
    }

    #[test]
    fn headers_are_those_of_the_specification() {
        assert_eq!(Field::InPort.oxm_header(false), 0x8000_0004);
        assert_eq!(Field::EthDst.oxm_header(true), 0x8000_070c);
        assert_eq!(Field::Reg1.oxm_header(false), 0x0001_0204);
        assert_eq!(Field::EthSrc.nxm_header(), 0x0000_0406);
        assert_eq!(Field::CtLabel.oxm_header(true), 0x0001_d920);
    }

    #[test]
    fn wide_registers_know_their_parts() {
        assert_eq!(Field::Xreg3.parts(), Some((6, 2)));
        assert_eq!(Field::Xxreg2.parts(), Some((8, 4)));
        assert_eq!(Field::Reg3.parts(), None);
        assert_eq!(Field::Metadata.parts(), None);
        assert_eq!(Field::reg(15), Some(Field::Reg15));
        assert_eq!(Field::reg(16), None);
    }
}
