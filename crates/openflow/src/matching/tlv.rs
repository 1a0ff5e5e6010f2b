//! The type-length-value form of fields: OXM, OpenFlow 1.5.1 section 7.2.3.2.

use super::MatchField;
use crate::field::Field;
use crate::wire::{DecodeError, Reader};

/// The bit of a header which says that a mask follows the value.
const HAS_MASK: u32 = 0x100;

/// One field with its value and perhaps a mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    header: u32,
    bytes: &'a [u8],
}

impl<'a> Tlv<'a> {
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The field, where this crate knows it and the value has the width it should have.
    pub(crate) fn known(&self) -> Option<Field> {
        let field = Field::from_header(self.header)?;
        let values = if self.is_masked() { 2 } else { 1 };
        (self.len() == 4 + field.n_bytes() * values).then_some(field)
    }

    fn is_masked(&self) -> bool {
        self.header & HAS_MASK != 0
    }

    /// The field with the value and mask as they are on the wire; without a mask, all bits of the wire are set.
    pub(crate) fn field(&self) -> Option<MatchField> {
        let field = self.known()?;
        let mut r = Reader::new("field value", self.bytes);
        r.skip(4).ok()?;
        let value = r.uint(field.n_bytes()).ok()?;
        let mask = if self.is_masked() { r.uint(field.n_bytes()).ok()? } else { field.wire_ones() };
        let exact = field.all_ones();
        let mask = if mask & exact == exact { exact } else { mask };
        Some(MatchField { field, value, mask })
    }

    /// Like [`Self::field`], but with the mask as it is on the wire (`None`: there is no mask).
    pub(crate) fn wire_field(&self) -> Option<(Field, u128, Option<u128>)> {
        let field = self.known()?;
        let mut r = Reader::new("field value", self.bytes);
        r.skip(4).ok()?;
        let value = r.uint(field.n_bytes()).ok()?;
        let mask = if self.is_masked() { Some(r.uint(field.n_bytes()).ok()?) } else { None };
        Some((field, value, mask))
    }
}

pub(crate) fn read_tlv<'a>(r: &mut Reader<'a>) -> Result<Tlv<'a>, DecodeError> {
    let mut peek = *r;
    let header = peek.u32()?;
    let length = usize::try_from(header & 0xff).unwrap_or_default();
    Ok(Tlv { header, bytes: r.take(4 + length)? })
}

/// The fields in a list of them; ends at the first that is malformed.
pub(crate) struct Tlvs<'a>(Reader<'a>);

impl<'a> Tlvs<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new("field list", bytes))
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() { None } else { read_tlv(&mut self.0).ok() }
    }
}
