//! Bundles: changes that happen together or not at all.

use std::fmt;

use crate::flags::flags;
use crate::message::{Frame, Message};
use crate::wire::{DecodeError, Reader, Writer};

flags! {
    /// How the messages of a bundle are applied.
    BundleFlags: u16 {
        /// All or none, and packets see either the state before or the state after.
        ATOMIC = 1;
        /// In the order in which they were added.
        ORDERED = 2;
    }
}

/// Opens, closes, commits or discards a bundle (OpenFlow 1.5.1 section 7.3.9).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BundleControl {
    /// The bundle; unique within a connection.
    pub id: u32,
    /// What to do, or what was done.
    pub kind: BundleControlType,
    /// The same in all messages of a bundle.
    pub flags: BundleFlags,
}

/// What to do with a bundle, or what was done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BundleControlType {
    /// Begin it.
    OpenRequest,
    /// It has begun.
    OpenReply,
    /// Check it; nothing can be added any more.
    CloseRequest,
    /// It is closed.
    CloseReply,
    /// Apply it.
    CommitRequest,
    /// It is applied.
    CommitReply,
    /// Forget it.
    DiscardRequest,
    /// It is forgotten.
    DiscardReply,
}

const KINDS: [(BundleControlType, &str); 8] = [
    (BundleControlType::OpenRequest, "OPEN_REQUEST"),
    (BundleControlType::OpenReply, "OPEN_REPLY"),
    (BundleControlType::CloseRequest, "CLOSE_REQUEST"),
    (BundleControlType::CloseReply, "CLOSE_REPLY"),
    (BundleControlType::CommitRequest, "COMMIT_REQUEST"),
    (BundleControlType::CommitReply, "COMMIT_REPLY"),
    (BundleControlType::DiscardRequest, "DISCARD_REQUEST"),
    (BundleControlType::DiscardReply, "DISCARD_REPLY"),
];

/// Adds a message to a bundle (OpenFlow 1.5.1 section 7.3.9.6).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct BundleAdd {
    /// The bundle.
    pub id: u32,
    /// The same in all messages of a bundle.
    pub flags: BundleFlags,
    /// The message; its transaction id is that of the one that adds it.
    pub message: Box<Message>,
}

impl BundleControl {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (id, code, flags) = (r.u32()?, r.u16()?, BundleFlags::from_bits(r.u16()?));
        let kind = KINDS.get(usize::from(code)).map(|(kind, _)| *kind);
        let kind = kind.ok_or(DecodeError::Unknown { what: "bundle control", code: u64::from(code) })?;
        Ok(Self { id, kind, flags })
    }

    pub(crate) fn encode(self, w: &mut Writer<'_>) {
        let code = KINDS.iter().position(|(kind, _)| *kind == self.kind);
        w.u32(self.id);
        w.u16(code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default());
        w.u16(self.flags.bits());
    }
}

impl BundleAdd {
    pub(crate) fn decode(r: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        let id = r.u32()?;
        r.skip(2)?;
        let flags = BundleFlags::from_bits(r.u16()?);
        let length = Reader::new("message of a bundle", r.rest()).sized("message of a bundle", 2, 8)?.0;
        let frame = Frame::decode_nested(r.take(length)?, depth + 1)?;
        Ok(Self { id, flags, message: Box::new(frame.message) })
    }

    pub(crate) fn encode(&self, xid: u32, w: &mut Writer<'_>) {
        w.u32(self.id);
        w.zeros(2);
        w.u16(self.flags.bits());
        self.message.encode_into(xid, w);
    }
}

/// The names of the flags.
struct FlagNames(BundleFlags);

impl fmt::Display for FlagNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = &[(1, "atomic"), (2, "ordered")];
        f.write_str(&crate::ports::bit_names(u32::from(self.0.bits()), names))
    }
}

impl fmt::Display for BundleControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name);
        write!(
            f,
            "bundle_id={} type={kind} flags={}",
            crate::addr::Hex(self.id.into()),
            FlagNames(self.flags)
        )
    }
}

impl BundleAdd {
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, xid: u32) -> fmt::Result {
        write!(f, "bundle_id={} flags={}", crate::addr::Hex(self.id.into()), FlagNames(self.flags))?;
        write!(f, "\n{}", self.message.with_xid(xid))
    }
}
