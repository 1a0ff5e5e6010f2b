//! Which packets a flow is for.

mod build;
mod display;
mod tlv;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use self::display::{DEFAULT_PRIORITY, WithPriority};
pub(crate) use self::tlv::{Tlvs, read_tlv};

use crate::field::{Field, FieldValue, ones};
use crate::subfield::Subfield;
use crate::wire::{DecodeError, Reader, Writer};

/// A set of conditions on fields, in canonical form: matches that mean the same are equal, however they were made.
///
/// The form is that of the switch: what Open vSwitch answers for a flow decodes to the match the flow was sent
/// with. Fields stand in the order of [`Field`], each once; value bits outside the mask are zero; masks of all
/// ones are left out and fields with masks of zero are not there at all; 64-bit and 128-bit registers are
/// split into 32-bit ones; Ethernet as `packet_type` goes without saying.
///
/// A match is kept as its own wire bytes, which is compact (an address on a port takes about 30 bytes) and makes
/// comparing and sending it cheap. Fields that this crate does not know are kept as they came.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Match {
    oxm: Vec<u8>,
}

/// One condition of a [`Match`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MatchField {
    /// The field.
    pub field: Field,
    /// What the selected bits must be.
    pub value: u128,
    /// The bits that are looked at, never zero.
    pub mask: u128,
}

impl MatchField {
    /// Whether the whole field is looked at.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.mask == self.field.all_ones()
    }
}

impl Match {
    /// Matches every packet.
    #[must_use]
    pub const fn new() -> Self {
        Self { oxm: Vec::new() }
    }

    /// Whether every packet matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.oxm.is_empty()
    }

    /// The conditions on the fields that this crate knows, in canonical order.
    pub fn fields(&self) -> impl Iterator<Item = MatchField> + '_ {
        Tlvs::new(&self.oxm).filter_map(|tlv| tlv.field())
    }

    /// What is demanded of `field`, which for the wide registers is gathered from the registers they consist of.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<MatchField> {
        let Some((first, n)) = field.parts() else {
            return self.fields().find(|entry| entry.field == field);
        };
        let mut whole = MatchField { field, value: 0, mask: 0 };
        for part in (first..first + n).filter_map(Field::reg) {
            let entry = self.get(part).unwrap_or(MatchField { field: part, value: 0, mask: 0 });
            whole.value = whole.value << 32 | entry.value;
            whole.mask = whole.mask << 32 | entry.mask;
        }
        (whole.mask != 0).then_some(whole)
    }

    /// Demands that all of `field` be `value`, in place of what was demanded of it before.
    #[must_use]
    pub fn set(self, field: Field, value: impl Into<FieldValue>) -> Self {
        self.masked(field, value, u128::MAX)
    }

    /// Demands that the bits of `field` that `mask` selects be those of `value`, in place of what was demanded of
    /// the field before. A mask of zero demands nothing and so removes the condition.
    #[must_use]
    pub fn masked(mut self, field: Field, value: impl Into<FieldValue>, mask: impl Into<FieldValue>) -> Self {
        self.put(field, value.into().0, mask.into().0);
        self
    }

    /// Demands that a range of bits be `value`, besides what is demanded of other bits of its field.
    #[must_use]
    pub fn subfield(mut self, range: Subfield, value: impl Into<FieldValue>) -> Self {
        let (value, mask) = (range.place(value.into().0), range.mask());
        let old = self.get(range.field).map_or((0, 0), |entry| (entry.value, entry.mask));
        self.put(range.field, old.0 & !mask | value, old.1 | mask);
        self
    }

    fn put(&mut self, field: Field, value: u128, mask: u128) {
        if let Some((first, n)) = field.parts() {
            for (i, part) in (first..first + n).rev().filter_map(Field::reg).enumerate() {
                let shift = i * 32;
                self.put(part, value >> shift & ones(32), mask >> shift & ones(32));
            }
            return;
        }
        let mask = mask & field.all_ones();
        let value = value & mask;
        let is_default = field == Field::PacketType && value == 0;
        let (start, end) = self.place_of(field);
        let mut tlv = Vec::with_capacity(36);
        if mask != 0 && !is_default {
            let masked = mask != field.all_ones();
            let mut w = Writer::new(&mut tlv);
            w.u32(field.oxm_header(masked));
            w.uint(value, field.n_bytes());
            if masked {
                w.uint(mask, field.n_bytes());
            }
        }
        self.oxm.splice(start..end, tlv);
    }

    /// Where the bytes of `field` are, or, as an empty range, where they would be.
    fn place_of(&self, field: Field) -> (usize, usize) {
        let mut position = 0;
        for tlv in Tlvs::new(&self.oxm) {
            match tlv.known() {
                Some(other) if other < field => position += tlv.len(),
                Some(other) if other == field => return (position, position + tlv.len()),
                _ => break,
            }
        }
        (position, position)
    }

    /// Adds a field of an unknown kind, as it came.
    fn put_raw(&mut self, bytes: &[u8]) {
        let position: usize = Tlvs::new(&self.oxm)
            .take_while(|tlv| tlv.known().is_some() || tlv.bytes() < bytes)
            .map(|tlv| tlv.len())
            .sum();
        self.oxm.splice(position..position, bytes.iter().copied());
    }

    /// Bytes of the fields alone.
    pub(crate) fn oxm(&self) -> &[u8] {
        &self.oxm
    }

    /// Reads a list of fields without a header.
    pub(crate) fn decode_oxm(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut this = Self { oxm: Vec::with_capacity(r.len()) };
        while !r.is_empty() {
            let tlv = read_tlv(r)?;
            match tlv.field() {
                Some(MatchField { field, value, mask }) => this.put(field, value, mask),
                None => this.put_raw(tlv.bytes()),
            }
        }
        Ok(this)
    }

    /// Reads a `struct ofp_match` (OpenFlow 1.5.1 section 7.2.3) with its padding.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "match";
        let (length, mut body) = r.sized(WHAT, 2, 4)?;
        r.align8(length)?;
        match body.u16()? {
            1 => {}
            other => return Err(DecodeError::Unknown { what: WHAT, code: u64::from(other) }),
        }
        body.skip(2)?;
        Self::decode_oxm(&mut body)
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u16(1);
        w.u16(0);
        w.bytes(&self.oxm);
        w.patch_length("match", start + 2, start);
        w.align8(start);
    }
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Match({self})")
    }
}
