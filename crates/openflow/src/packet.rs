//! Packets between switch and controller.

use std::fmt;

use crate::action::{Action, List, PacketInReason, decode_list, encode_list};
use crate::addr::Dotted;
use crate::matching::Match;
use crate::port::PortNo;
use crate::property::{Property, properties, put_property};
use crate::wire::{DecodeError, Reader, Writer};

/// A packet that the switch sends to the controller (OpenFlow 1.5.1 section 7.4.1, and the second form that Open
/// vSwitch adds, which alone has user data and continuations).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PacketIn {
    /// Under which number the switch keeps the packet; `None`: it does not.
    pub buffer_id: Option<u32>,
    /// The packet's length.
    pub total_len: u32,
    /// Why it is sent.
    pub reason: PacketInReason,
    /// The table of the flow that sent it.
    pub table: u8,
    /// The cookie of that flow, if there is one.
    pub cookie: Option<u64>,
    /// The packet's metadata: where it came in, registers, tunnel.
    pub metadata: Match,
    /// The data from the `controller` action.
    pub userdata: Vec<u8>,
    /// What the switch needs to resume the packet; empty if it does not wait.
    pub continuation: Vec<u8>,
    /// The packet, or its beginning.
    pub packet: Vec<u8>,
}

/// "No buffer", and a cookie that stands for none.
const NO_BUFFER: u32 = u32::MAX;
const NO_COOKIE: u64 = u64::MAX;

/// Types of the properties of the second form.
mod prop {
    pub(super) const PACKET: u16 = 0;
    pub(super) const FULL_LEN: u16 = 1;
    pub(super) const BUFFER_ID: u16 = 2;
    pub(super) const TABLE_ID: u16 = 3;
    pub(super) const COOKIE: u16 = 4;
    pub(super) const REASON: u16 = 5;
    pub(super) const METADATA: u16 = 6;
    pub(super) const USERDATA: u16 = 7;
    pub(super) const CONTINUATION: u16 = 8;
}

impl Default for PacketIn {
    fn default() -> Self {
        Self {
            buffer_id: None,
            total_len: 0,
            reason: PacketInReason::NO_MATCH,
            table: 0,
            cookie: None,
            metadata: Match::new(),
            userdata: Vec::new(),
            continuation: Vec::new(),
            packet: Vec::new(),
        }
    }
}

impl PacketIn {
    /// The port the packet came in by.
    #[must_use]
    pub fn in_port(&self) -> Option<PortNo> {
        let entry = self.metadata.get(crate::Field::InPort)?;
        u32::try_from(entry.value).ok().map(PortNo::new)
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (buffer_id, total_len) = (r.u32()?, r.u16()?);
        let (reason, table, cookie) = (PacketInReason(r.u8()?), r.u8()?, r.u64()?);
        let metadata = Match::decode(r)?;
        r.skip(2)?;
        Ok(Self {
            buffer_id: (buffer_id != NO_BUFFER).then_some(buffer_id),
            total_len: u32::from(total_len),
            reason,
            table,
            cookie: (cookie != NO_COOKIE).then_some(cookie),
            metadata,
            packet: r.rest().to_vec(),
            ..Self::default()
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.buffer_id.unwrap_or(NO_BUFFER));
        w.u16(u16::try_from(self.total_len).unwrap_or(u16::MAX));
        w.u8(self.reason.0);
        w.u8(self.table);
        w.u64(self.cookie.unwrap_or(NO_COOKIE));
        self.metadata.encode(w);
        w.zeros(2);
        w.bytes(&self.packet);
    }

    pub(crate) fn decode_properties(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        let mut full_len = None;
        for property in properties(*r) {
            let Property { code, mut body } = property?;
            match code {
                prop::PACKET => this.packet = body.rest().to_vec(),
                prop::FULL_LEN => full_len = Some(body.u32()?),
                prop::BUFFER_ID => this.buffer_id = Some(body.u32()?).filter(|id| *id != NO_BUFFER),
                prop::TABLE_ID => this.table = body.u8()?,
                prop::COOKIE => {
                    body.skip(4)?;
                    this.cookie = Some(body.u64()?).filter(|cookie| *cookie != NO_COOKIE);
                }
                prop::REASON => this.reason = PacketInReason(body.u8()?),
                prop::METADATA => this.metadata = Match::decode_oxm(&mut body)?,
                prop::USERDATA => this.userdata = body.rest().to_vec(),
                prop::CONTINUATION => this.continuation = body.rest().to_vec(),
                _ => {}
            }
        }
        this.total_len = full_len.unwrap_or_else(|| u32::try_from(this.packet.len()).unwrap_or(u32::MAX));
        Ok(this)
    }

    pub(crate) fn encode_properties(&self, w: &mut Writer<'_>) {
        put_property(w, prop::PACKET, |w| w.bytes(&self.packet));
        if usize::try_from(self.total_len).ok() != Some(self.packet.len()) {
            put_property(w, prop::FULL_LEN, |w| w.u32(self.total_len));
        }
        if let Some(buffer) = self.buffer_id {
            put_property(w, prop::BUFFER_ID, |w| w.u32(buffer));
        }
        put_property(w, prop::TABLE_ID, |w| w.u8(self.table));
        if let Some(cookie) = self.cookie {
            put_property(w, prop::COOKIE, |w| {
                w.zeros(4);
                w.u64(cookie);
            });
        }
        put_property(w, prop::REASON, |w| w.u8(self.reason.0));
        put_property(w, prop::METADATA, |w| w.bytes(self.metadata.oxm()));
        if !self.userdata.is_empty() {
            put_property(w, prop::USERDATA, |w| w.bytes(&self.userdata));
        }
        if !self.continuation.is_empty() {
            put_property(w, prop::CONTINUATION, |w| w.bytes(&self.continuation));
        }
    }
}

impl fmt::Display for PacketIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.table != 0 {
            write!(f, "table_id={} ", self.table)?;
        }
        if let Some(cookie) = self.cookie {
            write!(f, "cookie={cookie:#x} ")?;
        }
        let Self { total_len, metadata, reason, .. } = self;
        write!(f, "total_len={total_len} {metadata} (via {reason}) data_len={}", self.packet.len())?;
        match self.buffer_id {
            None => f.write_str(" (unbuffered)")?,
            Some(buffer) => write!(f, " buffer={buffer:#010x}")?,
        }
        if self.buffer_id.is_none() && usize::try_from(*total_len).ok() != Some(self.packet.len()) {
            f.write_str(" (***total_len != data_len***)")?;
        }
        if !self.userdata.is_empty() {
            write!(f, "\n userdata={}", Dotted(&self.userdata))?;
        }
        Ok(())
    }
}

/// A packet that the controller has the switch process (OpenFlow 1.5.1 section 7.3.6).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PacketOut {
    /// A packet that the switch keeps, in place of `packet`.
    pub buffer_id: Option<u32>,
    /// The packet's metadata; at least `in_port` is needed.
    pub metadata: Match,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet, from its Ethernet header on.
    pub packet: Vec<u8>,
}

impl PacketOut {
    /// A packet as if it came in by `in_port`.
    #[must_use]
    pub fn new(in_port: impl Into<PortNo>, actions: Vec<Action>, packet: Vec<u8>) -> Self {
        Self { buffer_id: None, metadata: Match::new().in_port(in_port), actions, packet }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (buffer_id, actions_len) = (r.u32()?, usize::from(r.u16()?));
        r.skip(2)?;
        let metadata = Match::decode(r)?;
        let actions = decode_list(&mut r.sub("actions of a packet-out", actions_len)?, 0)?;
        let buffer_id = (buffer_id != NO_BUFFER).then_some(buffer_id);
        Ok(Self { buffer_id, metadata, actions, packet: r.rest().to_vec() })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.buffer_id.unwrap_or(NO_BUFFER));
        let length_at = w.position();
        w.zeros(4);
        self.metadata.encode(w);
        let start = w.position();
        encode_list(&self.actions, w);
        w.patch_length("actions of a packet-out", length_at, start);
        w.bytes(&self.packet);
    }
}

impl fmt::Display for PacketOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} actions={}", self.metadata, List(&self.actions))?;
        match self.buffer_id {
            None => write!(f, " data_len={}", self.packet.len()),
            Some(buffer) => write!(f, " buffer={buffer:#010x}"),
        }
    }
}
