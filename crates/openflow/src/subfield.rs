//! Ranges of bits within fields.

use std::fmt;

use crate::field::{Field, ones};
use crate::wire::{DecodeError, Reader, Writer};

/// A range of bits of a field: `NXM_NX_REG0[0..15]`.
///
/// It is how registers are divided into named parts, and what `load`, `move`, `output` and others work on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Subfield {
    /// The field.
    pub field: Field,
    /// The number of the lowest bit.
    pub ofs: u16,
    /// The number of bits.
    pub n_bits: u16,
}

impl Subfield {
    /// `n_bits` bits of `field` from bit `ofs` upwards.
    ///
    /// The range is not checked here; a switch refuses one that is empty or leaves the field.
    #[must_use]
    pub const fn new(field: Field, ofs: u16, n_bits: u16) -> Self {
        Self { field, ofs, n_bits }
    }

    /// The whole field.
    #[must_use]
    pub fn whole(field: Field) -> Self {
        Self { field, ofs: 0, n_bits: field.n_bits() }
    }

    /// Whether the range is not empty and lies within its field.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.n_bits > 0 && u32::from(self.ofs) + u32::from(self.n_bits) <= u32::from(self.field.n_bits())
    }

    /// The range's bits set, in their place in the field.
    #[must_use]
    pub fn mask(self) -> u128 {
        ones(u32::from(self.n_bits)).checked_shl(u32::from(self.ofs)).unwrap_or(0) & self.field.wire_ones()
    }

    /// `value` in the range's place; bits that do not fit are lost.
    #[must_use]
    pub fn place(self, value: u128) -> u128 {
        value.checked_shl(u32::from(self.ofs)).unwrap_or(0) & self.mask()
    }

    /// The range's part of a value of the whole field.
    #[must_use]
    pub fn extract(self, value: u128) -> u128 {
        (value & self.mask()).checked_shr(u32::from(self.ofs)).unwrap_or(0)
    }

    /// The range as one 16-bit number, as some Nicira actions have it.
    pub(crate) fn ofs_nbits(self) -> u16 {
        self.ofs << 6 | self.n_bits.wrapping_sub(1) & 0x3f
    }

    pub(crate) fn from_ofs_nbits(field: Field, ofs_nbits: u16) -> Self {
        Self { field, ofs: ofs_nbits >> 6, n_bits: (ofs_nbits & 0x3f) + 1 }
    }
}

impl From<Field> for Subfield {
    fn from(field: Field) -> Self {
        Self::whole(field)
    }
}

impl fmt::Display for Subfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, ofs, n_bits } = *self;
        f.write_str(field.nxm_name())?;
        if ofs == 0 && n_bits == field.n_bits() {
            f.write_str("[]")
        } else if n_bits == 1 {
            write!(f, "[{ofs}]")
        } else {
            write!(f, "[{ofs}..{}]", u32::from(ofs) + u32::from(n_bits).saturating_sub(1))
        }
    }
}

/// Reads the header of a field whose value does not follow.
pub(crate) fn read_header(r: &mut Reader<'_>) -> Result<Field, DecodeError> {
    let header = r.u32()?;
    Field::from_header(header).ok_or(DecodeError::Unknown { what: "field header", code: u64::from(header) })
}

/// Writes the header of a field as Nicira's actions have it: the NXM code point where there is one.
pub(crate) fn write_nxm_header(w: &mut Writer<'_>, field: Field) {
    w.u32(field.nxm_header());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Subfield = Subfield::new(Field::Reg0, 0, 16);
    const HIGH: Subfield = Subfield::new(Field::Reg0, 16, 16);

    #[test]
    fn values_go_to_their_place_and_back() {
        assert_eq!(HIGH.mask(), 0xffff_0000);
        assert_eq!(HIGH.place(0x12345), 0x2345_0000);
        assert_eq!(HIGH.extract(0x1234_5678), 0x1234);
        assert_eq!(LOW.extract(0x1234_5678), 0x5678);
        assert_eq!(Subfield::whole(Field::CtLabel).mask(), u128::MAX);
    }

    #[test]
    fn ranges_outside_the_field_are_invalid_and_harmless() {
        let outside = Subfield::new(Field::Reg0, 30, 4);
        assert!(!outside.is_valid());
        assert_eq!(outside.mask(), 0xc000_0000);
        assert!(!Subfield::new(Field::Reg0, 0, 0).is_valid());
        assert_eq!(Subfield::new(Field::Xxreg0, u16::MAX, u16::MAX).mask(), 0);
        assert!(LOW.is_valid());
    }

    #[test]
    fn text_names_the_nicira_field() {
        assert_eq!(HIGH.to_string(), "NXM_NX_REG0[16..31]");
        assert_eq!(Subfield::new(Field::Reg3, 7, 1).to_string(), "NXM_NX_REG3[7]");
        assert_eq!(Subfield::whole(Field::Metadata).to_string(), "OXM_OF_METADATA[]");
        assert_eq!(Subfield::whole(Field::EthSrc).to_string(), "NXM_OF_ETH_SRC[]");
    }
}
