//! Sending packets to controllers.

use std::fmt;

use crate::addr::Dotted;
use crate::property::{Property, properties, put_property};
use crate::wire::{DecodeError, Reader, Writer};

/// Sends the packet to a controller as a packet-in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Controller {
    /// Bytes of the packet to send, 0xffff for all.
    pub max_len: u16,
    /// Id of the controller connection, 0 unless it chose another one.
    pub id: u16,
    /// The reason to report.
    pub reason: PacketInReason,
    /// Data to report with the packet.
    pub userdata: Vec<u8>,
    /// Hold the packet until the controller resumes it.
    pub pause: bool,
    /// A meter to apply.
    pub meter: Option<u32>,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            max_len: u16::MAX,
            id: 0,
            reason: PacketInReason::ACTION,
            userdata: Vec::new(),
            pause: false,
            meter: None,
        }
    }
}

/// Why a packet was sent to the controller (OpenFlow 1.5.1 section 7.4.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PacketInReason(pub u8);

impl PacketInReason {
    /// No flow matched (`OFPR_TABLE_MISS`).
    pub const NO_MATCH: Self = Self(0);
    /// An action of a flow sent it (`OFPR_APPLY_ACTION`).
    pub const ACTION: Self = Self(1);
    /// Its TTL has run out.
    pub const INVALID_TTL: Self = Self(2);
    /// The action set sent it.
    pub const ACTION_SET: Self = Self(3);
    /// A bucket of a group sent it.
    pub const GROUP: Self = Self(4);
    /// A packet-out sent it.
    pub const PACKET_OUT: Self = Self(5);
}

impl fmt::Display for PacketInReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NO_MATCH => "no_match",
            Self::ACTION => "action",
            Self::INVALID_TTL => "invalid_ttl",
            Self::ACTION_SET => "action_set",
            Self::GROUP => "group",
            Self::PACKET_OUT => "packet_out",
            Self(code) => return write!(f, "{code}"),
        })
    }
}

/// Types of the properties of the second form of the action.
mod prop {
    pub(super) const MAX_LEN: u16 = 0;
    pub(super) const CONTROLLER_ID: u16 = 1;
    pub(super) const REASON: u16 = 2;
    pub(super) const USERDATA: u16 = 3;
    pub(super) const PAUSE: u16 = 4;
    pub(super) const METER_ID: u16 = 5;
}

impl Controller {
    /// Whether the first form of the action cannot express this one.
    pub(super) fn needs_properties(&self) -> bool {
        !self.userdata.is_empty() || self.pause || self.meter.is_some()
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (max_len, id, reason) = (r.u16()?, r.u16()?, PacketInReason(r.u8()?));
        Ok(Self { max_len, id, reason, ..Self::default() })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.max_len);
        w.u16(self.id);
        w.u8(self.reason.0);
        w.u8(0);
    }

    pub(super) fn decode_properties(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.skip(6)?;
        let mut this = Self::default();
        for property in properties(*r) {
            let Property { code, mut body } = property?;
            match code {
                prop::MAX_LEN => this.max_len = body.u16()?,
                prop::CONTROLLER_ID => this.id = body.u16()?,
                prop::REASON => this.reason = PacketInReason(body.u8()?),
                prop::USERDATA => this.userdata = body.rest().to_vec(),
                prop::PAUSE => this.pause = true,
                prop::METER_ID => this.meter = Some(body.u32()?),
                other => {
                    return Err(DecodeError::Unknown { what: "controller property", code: u64::from(other) });
                }
            }
        }
        Ok(this)
    }

    pub(super) fn encode_properties(&self, w: &mut Writer<'_>) {
        w.zeros(6);
        if self.max_len != u16::MAX {
            put_property(w, prop::MAX_LEN, |w| w.u16(self.max_len));
        }
        if self.id != 0 {
            put_property(w, prop::CONTROLLER_ID, |w| w.u16(self.id));
        }
        if self.reason != PacketInReason::ACTION {
            put_property(w, prop::REASON, |w| w.u8(self.reason.0));
        }
        if !self.userdata.is_empty() {
            put_property(w, prop::USERDATA, |w| w.bytes(&self.userdata));
        }
        if self.pause {
            put_property(w, prop::PAUSE, |_| {});
        }
        if let Some(meter) = self.meter {
            put_property(w, prop::METER_ID, |w| w.u32(meter));
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason == PacketInReason::ACTION && self.id == 0 && !self.needs_properties() {
            return write!(f, "CONTROLLER:{}", self.max_len);
        }
        let mut items = Vec::new();
        if self.reason != PacketInReason::ACTION {
            items.push(format!("reason={}", self.reason));
        }
        if self.max_len != u16::MAX {
            items.push(format!("max_len={}", self.max_len));
        }
        if self.id != 0 {
            items.push(format!("id={}", self.id));
        }
        if !self.userdata.is_empty() {
            items.push(format!("userdata={}", Dotted(&self.userdata)));
        }
        if self.pause {
            items.push("pause".to_owned());
        }
        if let Some(meter) = self.meter {
            items.push(format!("meter_id={meter}"));
        }
        write!(f, "controller({})", items.join(","))
    }
}
