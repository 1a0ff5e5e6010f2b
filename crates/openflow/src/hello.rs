//! Agreeing on a version of OpenFlow.

use std::fmt;

use thiserror::Error;

use crate::wire::{DecodeError, Reader, Writer, pad8};

/// The version number of OpenFlow 1.5, the one that is spoken here.
pub const VERSION: u8 = 0x06;

/// A hello message (OpenFlow 1.5.1 section 7.5.1): the versions that its sender speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Hello {
    /// The versions as a bitmap: bit 6 for OpenFlow 1.5, bit 4 for 1.3.
    pub versions: u32,
}

/// Two sides that have no version of OpenFlow in common.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the switch speaks OpenFlow {}, but OpenFlow 1.5 is needed: add OpenFlow15 to the bridge's protocols",
    Versions(self.theirs)
)]
pub struct NegotiationError {
    /// The versions of the other side, as a bitmap.
    pub theirs: u32,
}

/// The type of the element with the bitmap.
const VERSION_BITMAP: u16 = 1;

impl Hello {
    /// What this crate sends: OpenFlow 1.5 only.
    #[must_use]
    pub const fn ours() -> Self {
        Self { versions: 1 << VERSION }
    }

    /// The version to speak after this hello was sent and `theirs` received: the highest that both speak.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn negotiate(self, theirs: Self) -> Result<u8, NegotiationError> {
        let common = self.versions & theirs.versions & !1;
        let highest = common.checked_ilog2().and_then(|bit| u8::try_from(bit).ok());
        highest.ok_or(NegotiationError { theirs: theirs.versions })
    }

    /// `version` is that of the header: without a bitmap it means all versions up to it.
    pub(crate) fn decode(version: u8, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut versions = None;
        while r.len() >= 4 {
            let (length, mut element) = r.sized("hello element", 2, 4)?;
            r.skip(pad8(length).min(r.len()))?;
            let code = element.u16()?;
            element.skip(2)?;
            if code == VERSION_BITMAP && !element.is_empty() {
                versions = Some(element.u32()?);
            }
        }
        let up_to = u32::MAX.checked_shr(31u32.saturating_sub(u32::from(version))).unwrap_or(u32::MAX) & !1;
        Ok(Self { versions: versions.unwrap_or(up_to) })
    }

    pub(crate) fn encode(self, w: &mut Writer<'_>) {
        w.u16(VERSION_BITMAP);
        w.u16(8);
        w.u32(self.versions);
    }
}

/// A bitmap of versions, for people.
pub(crate) struct Versions(pub(crate) u32);

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<_> = (1..32)
            .filter(|bit| self.0 >> bit & 1 == 1)
            .map(|bit| if bit <= 6 { format!("1.{}", bit - 1) } else { format!("version {bit:#04x}") })
            .collect();
        if versions.is_empty() { f.write_str("of no version") } else { f.write_str(&versions.join(", ")) }
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<_> =
            (1..32).filter(|bit| self.versions >> bit & 1 == 1).map(|bit| format!("{bit:#04x}")).collect();
        write!(f, "version bitmap: {}", versions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(version: u8, body: &[u8]) -> Result<Hello, DecodeError> {
        Hello::decode(version, &mut Reader::new("test", body))
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        let both = Hello { versions: 1 << 4 | 1 << 6 };
        assert_eq!(both.negotiate(Hello { versions: 1 << 4 | 1 << 5 | 1 << 6 }), Ok(6));
        assert_eq!(both.negotiate(Hello { versions: 1 << 1 | 1 << 4 }), Ok(4));
        assert_eq!(Hello::ours().negotiate(Hello { versions: 1 << 6 }), Ok(VERSION));
    }

    #[test]
    fn without_a_common_version_the_error_says_what_to_do() {
        let error = Hello::ours().negotiate(Hello { versions: 1 << 1 | 1 << 4 }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the switch speaks OpenFlow 1.0, 1.3, but OpenFlow 1.5 is needed: add OpenFlow15 to the bridge's protocols"
        );
    }

    #[test]
    fn a_hello_without_bitmap_means_all_versions_up_to_its_own() {
        assert_eq!(decode(4, &[]).unwrap().versions, 0b1_1110);
        assert_eq!(decode(1, &[]).unwrap().versions, 0b10);
        assert_eq!(decode(0xff, &[]).unwrap().versions, !1);
        assert_eq!(decode(6, &[0, 1, 0, 8, 0, 0, 0, 0x50]).unwrap().versions, 0x50);
    }

    #[test]
    fn unknown_elements_are_passed_over() {
        let body = [&[0, 9, 0, 5, 1, 0, 0, 0][..], &[0, 1, 0, 8, 0, 0, 0, 0x40]].concat();
        assert_eq!(decode(6, &body).unwrap().versions, 0x40);
        assert!(decode(6, &[0, 1, 0, 3]).is_err());
    }
}
