//! What a peer does not like.

mod names;

use std::fmt;

use crate::message::Header;
use crate::vendor::NICIRA;
use crate::wire::{DecodeError, Reader, Writer};

/// The type of errors that an experimenter defines.
const EXPERIMENTER: u16 = 0xffff;

/// An error message (OpenFlow 1.5.1 section 7.5.4).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ErrorMsg {
    /// What is wrong.
    pub reason: ErrorReason,
    /// The message that is wrong, or its beginning; for a failed negotiation a text.
    pub data: Vec<u8>,
}

/// What is wrong: type and code.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorReason {
    /// An error that OpenFlow defines.
    Standard {
        /// What kind of message failed.
        kind: u16,
        /// Why, in terms of the kind.
        code: u16,
    },
    /// An error that an experimenter defines.
    Experimenter {
        /// Who defines it.
        experimenter: u32,
        /// Which one it is.
        code: u16,
    },
}

impl ErrorReason {
    /// The versions that both sides speak have none in common (`OFPHFC_INCOMPATIBLE`).
    pub const INCOMPATIBLE: Self = Self::Standard { kind: 0, code: 0 };
    /// A message of an unknown type (`OFPBRC_BAD_TYPE`).
    pub const BAD_TYPE: Self = Self::Standard { kind: 1, code: 1 };
    /// A message whose length is wrong (`OFPBRC_BAD_LEN`).
    pub const BAD_LEN: Self = Self::Standard { kind: 1, code: 6 };
    /// One of the messages of a bundle failed; another error names it (`OFPBFC_MSG_FAILED`).
    pub const BUNDLE_MSG_FAILED: Self = Self::Standard { kind: 17, code: 13 };

    /// The name in Open vSwitch's documents (`OFPBAC_BAD_OUT_PORT`), if the error is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Standard { kind, code } => names::standard(kind, code),
            Self::Experimenter { experimenter: NICIRA, code } => names::nicira(code),
            Self::Experimenter { .. } => None,
        }
    }
}

impl fmt::Display for ErrorReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), *self) {
            (Some(name), _) => f.write_str(name),
            (None, Self::Standard { kind, code }) => write!(f, "error type {kind} code {code}"),
            (None, Self::Experimenter { experimenter, code }) => {
                write!(f, "error {code} of experimenter {experimenter:#010x}")
            }
        }
    }
}

impl ErrorMsg {
    /// The header of the message that is wrong, which says what it was and its transaction id.
    #[must_use]
    pub fn offender(&self) -> Option<Header> {
        if matches!(self.reason, ErrorReason::Standard { kind: 0, .. }) {
            return None;
        }
        Header::parse(&self.data).ok()
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (kind, code) = (r.u16()?, r.u16()?);
        let reason = if kind == EXPERIMENTER {
            ErrorReason::Experimenter { experimenter: r.u32()?, code }
        } else {
            ErrorReason::Standard { kind, code }
        };
        Ok(Self { reason, data: r.rest().to_vec() })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        match self.reason {
            ErrorReason::Standard { kind, code } => {
                w.u16(kind);
                w.u16(code);
            }
            ErrorReason::Experimenter { experimenter, code } => {
                w.u16(EXPERIMENTER);
                w.u16(code);
                w.u32(experimenter);
            }
        }
        w.bytes(&self.data);
    }
}
