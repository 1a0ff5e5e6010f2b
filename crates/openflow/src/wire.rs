//! Reading and writing big-endian wire structures with every length checked.

use std::time::Duration;

use thiserror::Error;

/// Why bytes could not be read as the OpenFlow structure they claim to be.
///
/// The message names the structure, so that a trace of the connection around it shows the fault.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The structure ends before all of its parts have been read.
    #[error("{what} is cut short: {needed} more bytes expected, {left} left")]
    Truncated {
        /// The structure being read.
        what: &'static str,
        /// Bytes the next part needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A length field contradicts the structure it belongs to.
    #[error("{what} claims an impossible length of {length} bytes")]
    Length {
        /// The structure with the length field.
        what: &'static str,
        /// What the field says.
        length: usize,
    },
    /// A field holds a value that OpenFlow does not allow there.
    #[error("{what} has the invalid value {value:#x}")]
    Value {
        /// The field.
        what: &'static str,
        /// What it holds.
        value: u64,
    },
    /// The peer speaks a version of OpenFlow this crate does not decode.
    #[error("message of OpenFlow version {0:#04x}; only 0x06 (OpenFlow 1.5) is spoken after negotiation")]
    Version(u8),
    /// A type code that this crate does not know.
    #[error("{what} of unknown type {code}")]
    Unknown {
        /// What kind of code it is.
        what: &'static str,
        /// The code.
        code: u64,
    },
    /// Actions are nested deeper than any switch would accept.
    #[error("actions are nested more than {0} levels deep")]
    Depth(usize),
}

/// A value that does not fit the wire format: lengths in OpenFlow are 16 bits wide.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{what} would be {length} bytes long, but OpenFlow has room for 65535; split it")]
pub struct EncodeError {
    /// The structure that is too long.
    pub what: &'static str,
    /// The length it would have, in bytes.
    pub length: usize,
}

pub(crate) type Result<T> = std::result::Result<T, DecodeError>;

/// A cursor over the bytes of one structure, which it names in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left; the cursor stays.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(DecodeError::Truncated { what: self.what, needed: n, left: self.rest.len() });
        };
        self.rest = tail;
        Ok(head)
    }

    /// The next `n` bytes as a structure of their own.
    pub(crate) fn sub(&mut self, what: &'static str, n: usize) -> Result<Reader<'a>> {
        self.take(n).map(|bytes| Reader::new(what, bytes))
    }

    pub(crate) fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::Truncated { what: self.what, needed: N, left: self.rest.len() });
        };
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128> {
        self.array().map(u128::from_be_bytes)
    }

    /// An unsigned integer of `n` (at most 16) bytes.
    pub(crate) fn uint(&mut self, n: usize) -> Result<u128> {
        if n > 16 {
            return Err(DecodeError::Length { what: self.what, length: n });
        }
        Ok(self.take(n)?.iter().fold(0, |acc, byte| acc << 8 | u128::from(*byte)))
    }

    /// Seconds and nanoseconds; `None` where the seconds are all ones, which is how Open vSwitch says "unknown".
    pub(crate) fn duration(&mut self) -> Result<Option<Duration>> {
        match (self.u32()?, self.u32()?) {
            (u32::MAX, _) => Ok(None),
            (seconds, nanoseconds @ ..1_000_000_000) => {
                Ok(Some(Duration::new(u64::from(seconds), nanoseconds)))
            }
            (_, other) => Err(DecodeError::Value { what: "nanoseconds", value: u64::from(other) }),
        }
    }

    /// A field of `n` bytes with a text that ends at a zero byte, or just before the field does. Bytes that are no
    /// UTF-8 become question marks.
    pub(crate) fn text(&mut self, n: usize) -> Result<String> {
        let bytes = self.take(n)?.split(|byte| *byte == 0).next().unwrap_or_default();
        let bytes = bytes.get(..n.saturating_sub(1)).unwrap_or(bytes);
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
        Ok(text)
    }

    /// A structure that starts with its own 16-bit length at `offset`; the length covers `at_least` bytes.
    pub(crate) fn sized(
        &mut self,
        what: &'static str,
        offset: usize,
        at_least: usize,
    ) -> Result<(usize, Reader<'a>)> {
        let mut peek = *self;
        peek.skip(offset)?;
        let length = usize::from(peek.u16()?);
        if length < at_least || length > self.len() {
            return Err(DecodeError::Length { what, length });
        }
        Ok((length, self.sub(what, length)?))
    }

    /// Skips the padding that follows a structure of `length` bytes; a list's last one may lack it.
    pub(crate) fn align8(&mut self, length: usize) -> Result<()> {
        self.skip(pad8(length).min(self.len()))
    }
}

/// Bytes of padding after a structure of `length` bytes in an 8-byte aligned list.
pub(crate) fn pad8(length: usize) -> usize {
    length.wrapping_neg() % 8
}

/// Appends wire structures to a buffer and remembers the first one that outgrew its length field.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    error: Option<EncodeError>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, error: None }
    }

    pub(crate) fn position(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn finish(self) -> std::result::Result<(), EncodeError> {
        self.error.map_or(Ok(()), Err)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn zeros(&mut self, n: usize) {
        self.out.resize(self.out.len() + n, 0);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.bytes(&value.to_be_bytes());
    }

    /// The low `n` (at most 16) bytes of `value`.
    pub(crate) fn uint(&mut self, value: u128, n: usize) {
        let bytes = value.to_be_bytes();
        self.bytes(bytes.get(16usize.saturating_sub(n)..).unwrap_or(&bytes));
    }

    /// The inverse of [`Reader::duration`].
    pub(crate) fn duration(&mut self, duration: Option<Duration>) {
        let seconds = duration.and_then(|duration| u32::try_from(duration.as_secs()).ok());
        self.u32(seconds.unwrap_or(u32::MAX));
        self.u32(duration.filter(|_| seconds.is_some()).map_or(u32::MAX, |duration| duration.subsec_nanos()));
    }

    /// A text in a field of `n` bytes, of which the last is zero; what does not fit is lost.
    pub(crate) fn text(&mut self, text: &str, n: usize) {
        let bytes = text.as_bytes();
        let bytes = bytes.get(..n.saturating_sub(1)).unwrap_or(bytes);
        self.bytes(bytes);
        self.zeros(n - bytes.len());
    }

    /// Pads what was written since `start` to a multiple of eight bytes.
    pub(crate) fn align8(&mut self, start: usize) {
        self.zeros(pad8(self.out.len().saturating_sub(start)));
    }

    /// Stores the length of everything written since `start` in the 16-bit field at `field`.
    pub(crate) fn patch_length(&mut self, what: &'static str, field: usize, start: usize) {
        let length = self.out.len().saturating_sub(start);
        match (u16::try_from(length), self.out.get_mut(field..field.saturating_add(2))) {
            (Ok(length), Some(slot)) => slot.copy_from_slice(&length.to_be_bytes()),
            _ => self.error = self.error.or(Some(EncodeError { what, length })),
        }
    }

    /// Stores `value` in the 16-bit field at `field`.
    pub(crate) fn patch_u16(&mut self, field: usize, value: u16) {
        if let Some(slot) = self.out.get_mut(field..field.saturating_add(2)) {
            slot.copy_from_slice(&value.to_be_bytes());
        }
    }
}
