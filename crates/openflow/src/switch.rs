//! The switch as a whole, and what it tells a controller unasked.

use std::fmt;

use crate::ports::bit_names;
use crate::property::{Property, properties, put_property};
use crate::wire::{DecodeError, Reader, Writer};

/// What a switch is (OpenFlow 1.5.1 section 7.3.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Features {
    /// Its number: in the lower 48 bits usually an Ethernet address.
    pub datapath_id: u64,
    /// How many packets it can keep for the controller.
    pub n_buffers: u32,
    /// How many flow tables it has.
    pub n_tables: u8,
    /// 0 for the main connection.
    pub auxiliary_id: u8,
    /// Bitmap of `OFPC_*`.
    pub capabilities: u32,
}

impl Features {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (datapath_id, n_buffers, n_tables, auxiliary_id) = (r.u64()?, r.u32()?, r.u8()?, r.u8()?);
        r.skip(2)?;
        let capabilities = r.u32()?;
        r.skip(4)?;
        Ok(Self { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities })
    }

    pub(crate) fn encode(self, w: &mut Writer<'_>) {
        w.u64(self.datapath_id);
        w.u32(self.n_buffers);
        w.u8(self.n_tables);
        w.u8(self.auxiliary_id);
        w.zeros(2);
        w.u32(self.capabilities);
        w.zeros(4);
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CAPABILITIES: &[(u32, &str)] = &[
            (1, "FLOW_STATS"),
            (1 << 1, "TABLE_STATS"),
            (1 << 2, "PORT_STATS"),
            (1 << 3, "GROUP_STATS"),
            (1 << 5, "IP_REASM"),
            (1 << 6, "QUEUE_STATS"),
            (1 << 8, "PORT_BLOCKED"),
            (1 << 9, "BUNDLES"),
            (1 << 10, "FLOW_MONITORING"),
        ];
        writeln!(f, "dpid:{:016x}", self.datapath_id)?;
        write!(f, "n_tables:{}, n_buffers:{}", self.n_tables, self.n_buffers)?;
        if self.auxiliary_id != 0 {
            write!(f, ", auxiliary_id:{}", self.auxiliary_id)?;
        }
        write!(f, "\ncapabilities: {}", bit_names(self.capabilities, CAPABILITIES))
    }
}

/// How a switch treats fragments and the packets it sends to the controller (OpenFlow 1.5.1 section 7.3.2).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SwitchConfig {
    /// 0: fragments are as other packets; 1: they are dropped; 2: they are put together; 3: they match `ip_frag`.
    pub flags: u16,
    /// Bytes of a packet to send to the controller when no flow matches.
    pub miss_send_len: u16,
}

impl SwitchConfig {
    /// Fragments match `ip_frag`, and the first of a packet its ports (`ovs-ofctl(8)`, `set-frags nx-match`). Without it
    /// no fragment has ports. Nothing goes to the controller because no flow matches.
    pub const MATCH_FRAGMENTS: Self = Self { flags: 3, miss_send_len: 0 };

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { flags: r.u16()?, miss_send_len: r.u16()? })
    }

    pub(crate) fn encode(self, w: &mut Writer<'_>) {
        w.u16(self.flags);
        w.u16(self.miss_send_len);
    }
}

impl fmt::Display for SwitchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frags = match self.flags & 3 {
            0 => "normal",
            1 => "drop",
            2 => "reassemble",
            _ => "nx-match",
        };
        write!(f, "frags={frags} miss_send_len={}", self.miss_send_len)
    }
}

/// The role of a controller, or a wish for one (OpenFlow 1.5.1 section 7.3.8).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RoleRequest {
    /// The role.
    pub role: Role,
    /// Orders the wishes of several controllers; `None` where that does not matter.
    pub generation_id: Option<u64>,
}

/// A controller's role.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// As it is: asks for the role.
    NoChange,
    /// May do everything, as others may.
    Equal,
    /// May do everything, alone.
    Primary,
    /// May only look.
    Secondary,
}

impl RoleRequest {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = match r.u32()? {
            0 => Role::NoChange,
            1 => Role::Equal,
            2 => Role::Primary,
            3 => Role::Secondary,
            other => return Err(DecodeError::Unknown { what: "role", code: u64::from(other) }),
        };
        r.skip(4)?;
        Ok(Self { role, generation_id: Some(r.u64()?).filter(|id| *id != u64::MAX) })
    }

    pub(crate) fn encode(self, w: &mut Writer<'_>) {
        w.u32(match self.role {
            Role::NoChange => 0,
            Role::Equal => 1,
            Role::Primary => 2,
            Role::Secondary => 3,
        });
        w.zeros(4);
        w.u64(self.generation_id.unwrap_or(u64::MAX));
    }
}

impl fmt::Display for RoleRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.role {
            Role::NoChange => "role=nochange",
            Role::Equal => "role=equal",
            Role::Primary => "role=primary",
            Role::Secondary => "role=secondary",
        })?;
        self.generation_id.map_or(Ok(()), |id| write!(f, " generation_id={id}"))
    }
}

/// Which reasons of which messages a switch sends unasked, as bitmaps (OpenFlow 1.5.1 section 7.3.10). `None`: not
/// said, which leaves it as it is.
///
/// Each pair is for a controller that is secondary and for one that is not.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct AsyncConfig {
    /// Packet-in, by [`PacketInReason`](crate::PacketInReason).
    pub packet_in: (Option<u32>, Option<u32>),
    /// Port status: bit 0 added, 1 deleted, 2 changed.
    pub port_status: (Option<u32>, Option<u32>),
    /// Flow removed, by [`FlowRemovedReason`](crate::FlowRemovedReason).
    pub flow_removed: (Option<u32>, Option<u32>),
    /// Role status.
    pub role_status: (Option<u32>, Option<u32>),
    /// Table status.
    pub table_status: (Option<u32>, Option<u32>),
    /// Forwarded requests.
    pub request_forward: (Option<u32>, Option<u32>),
}

impl AsyncConfig {
    fn pairs(&self) -> [(Option<u32>, Option<u32>); 6] {
        [
            self.packet_in,
            self.port_status,
            self.flow_removed,
            self.role_status,
            self.table_status,
            self.request_forward,
        ]
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        for property in properties(*r) {
            let Property { code, mut body } = property?;
            let slot = match code / 2 {
                0 => &mut this.packet_in,
                1 => &mut this.port_status,
                2 => &mut this.flow_removed,
                3 => &mut this.role_status,
                4 => &mut this.table_status,
                5 => &mut this.request_forward,
                _ => continue,
            };
            let mask = Some(body.u32()?);
            if code % 2 == 0 {
                slot.0 = mask;
            } else {
                slot.1 = mask;
            }
        }
        Ok(this)
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let masks = self.pairs().into_iter().flat_map(|(secondary, other)| [secondary, other]);
        for (code, mask) in (0..).zip(masks) {
            if let Some(mask) = mask {
                put_property(w, code, |w| w.u32(mask));
            }
        }
    }
}

/// Names of the reasons, by message and bit.
const REASONS: [(&str, &[&str]); 6] = [
    ("PACKET_IN", &["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"]),
    ("PORT_STATUS", &["add", "delete", "modify"]),
    ("FLOW_REMOVED", &["idle", "hard", "delete", "group_delete", "meter_delete", "eviction"]),
    ("ROLE_STATUS", &["primary_request", "configuration_changed", "experimenter_data"]),
    ("TABLE_STATUS", &["", "", "", "vacancy_down", "vacancy_up"]),
    ("REQUESTFORWARD", &["group_mod_request", "meter_mod_request"]),
];

impl fmt::Display for AsyncConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, secondary) in [("primary", false), ("secondary", true)] {
            write!(f, "\n {title}:")?;
            for ((name, reasons), pair) in REASONS.iter().zip(self.pairs()) {
                let mask = if secondary { pair.0 } else { pair.1 }.unwrap_or_default();
                write!(f, "\n{name:>16}:")?;
                for (bit, reason) in reasons.iter().enumerate().filter(|(_, reason)| !reason.is_empty()) {
                    if mask >> bit & 1 == 1 {
                        write!(f, " {reason}")?;
                    }
                }
                if mask == 0 {
                    f.write_str(" (off)")?;
                }
            }
            if !secondary {
                f.write_str("\n")?;
            }
        }
        Ok(())
    }
}

/// Who made a switch (OpenFlow 1.5.1 section 7.3.5.1).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct SwitchDesc {
    /// The manufacturer.
    pub manufacturer: String,
    /// The hardware.
    pub hardware: String,
    /// The software.
    pub software: String,
    /// The serial number.
    pub serial_number: String,
    /// The data path, for people.
    pub datapath: String,
}

impl SwitchDesc {
    const LONG: usize = 256;
    const SHORT: usize = 32;

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            manufacturer: r.text(Self::LONG)?,
            hardware: r.text(Self::LONG)?,
            software: r.text(Self::LONG)?,
            serial_number: r.text(Self::SHORT)?,
            datapath: r.text(Self::LONG)?,
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        for (text, length) in [
            (&self.manufacturer, Self::LONG),
            (&self.hardware, Self::LONG),
            (&self.software, Self::LONG),
            (&self.serial_number, Self::SHORT),
            (&self.datapath, Self::LONG),
        ] {
            w.text(text, length);
        }
    }
}

impl fmt::Display for SwitchDesc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Manufacturer: {}", self.manufacturer)?;
        writeln!(f, "Hardware: {}", self.hardware)?;
        writeln!(f, "Software: {}", self.software)?;
        writeln!(f, "Serial Num: {}", self.serial_number)?;
        write!(f, "DP Description: {}", self.datapath)
    }
}
