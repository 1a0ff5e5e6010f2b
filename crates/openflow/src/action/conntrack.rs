//! Connection tracking and address translation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Action, List, decode_list, encode_list};
use crate::addr::OvsIpv6;
use crate::field::Field;
use crate::flags::flags;
use crate::subfield::Subfield;
use crate::wire::{DecodeError, Reader, Writer};

/// Hands the packet to connection tracking.
///
/// `Ct::default()` only finds out the packet's state, in zone 0, and drops it: give it a table to go on in.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Ct {
    /// Remember the connection.
    pub commit: bool,
    /// Replace a connection that goes in the other direction (only with `commit`).
    pub force: bool,
    /// The zone to look in.
    pub zone: CtZone,
    /// Where to go on with the packet once its state is known; `None`: a copy is tracked and not looked at again.
    pub table: Option<u8>,
    /// The port number of the protocol whose helper to use: 21 for FTP, 69 for TFTP; 0 for none.
    pub alg: u16,
    /// [`Action::Nat`] first, then what to set in the connection: `ct_mark` and `ct_label` (only with `commit`).
    pub actions: Vec<Action>,
}

/// The zone of connection tracking.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CtZone {
    /// This zone.
    Immediate(u16),
    /// The zone whose number is in these 16 bits.
    Field(Subfield),
}

impl Default for CtZone {
    fn default() -> Self {
        Self::Immediate(0)
    }
}

impl From<u16> for CtZone {
    fn from(zone: u16) -> Self {
        Self::Immediate(zone)
    }
}

impl From<Subfield> for CtZone {
    fn from(range: Subfield) -> Self {
        Self::Field(range)
    }
}

impl Ct {
    /// Finds out the packet's state and goes on in `table`.
    #[must_use]
    pub fn track(zone: impl Into<CtZone>, table: u8) -> Self {
        Self { zone: zone.into(), table: Some(table), ..Self::default() }
    }

    /// Remembers the packet's connection.
    #[must_use]
    pub fn commit(zone: impl Into<CtZone>) -> Self {
        Self { commit: true, zone: zone.into(), ..Self::default() }
    }

    /// Goes on in `table` afterwards.
    #[must_use]
    pub fn table(mut self, table: u8) -> Self {
        self.table = Some(table);
        self
    }

    /// Translates addresses. Must come before [`Self::exec`].
    #[must_use]
    pub fn nat(mut self, nat: Nat) -> Self {
        self.actions.push(Action::Nat(nat));
        self
    }

    /// Sets something in the connection.
    #[must_use]
    pub fn exec(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }
}

/// Address translation of a connection.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Nat {
    /// Which address of the connection's first packet; `None`: what was decided when it was committed.
    pub direction: Option<NatDirection>,
    /// How to choose among several possible translations.
    pub flags: NatFlags,
    /// What to translate to; `None` with a direction: the addresses as they are, only ports if they must differ.
    pub range: Option<NatRange>,
}

/// Which address is translated.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NatDirection {
    /// The source.
    Src,
    /// The destination.
    Dst,
}

flags! {
    /// How a translation is chosen.
    NatFlags: u16 {
        /// Translate a source address to the same address after a restart.
        PERSISTENT = 0x04;
        /// Choose the port by a hash.
        HASH = 0x08;
        /// Choose the port at random.
        RANDOM = 0x10;
    }
}

/// What to translate to. A missing maximum means that there is only the minimum; ports of 0 are left alone.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NatRange {
    /// The first address.
    pub min: IpAddr,
    /// The last address, of the same family.
    pub max: Option<IpAddr>,
    /// The first port.
    pub port_min: u16,
    /// The last port.
    pub port_max: u16,
}

impl Nat {
    /// Translates as was decided when the connection was committed.
    #[must_use]
    pub fn restore() -> Self {
        Self::default()
    }

    /// Translates the source address.
    #[must_use]
    pub fn src(address: impl Into<IpAddr>) -> Self {
        Self::to(NatDirection::Src, address.into(), 0)
    }

    /// Translates the destination address, and the destination port unless it is 0.
    #[must_use]
    pub fn dst(address: impl Into<IpAddr>, port: u16) -> Self {
        Self::to(NatDirection::Dst, address.into(), port)
    }

    fn to(direction: NatDirection, min: IpAddr, port: u16) -> Self {
        let range = NatRange { min, max: None, port_min: port, port_max: 0 };
        Self { direction: Some(direction), flags: NatFlags::EMPTY, range: Some(range) }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.skip(2)?;
        let flags = r.u16()?;
        let present = r.u16()?;
        let direction = match flags & 3 {
            0 => None,
            1 => Some(NatDirection::Src),
            2 => Some(NatDirection::Dst),
            _ => return Err(DecodeError::Value { what: "nat flags", value: u64::from(flags) }),
        };
        let flags = NatFlags::from_bits(flags & !3);
        let v4 = |r: &mut Reader<'_>| Ok::<_, DecodeError>(IpAddr::V4(Ipv4Addr::from_bits(r.u32()?)));
        let v6 = |r: &mut Reader<'_>| Ok::<_, DecodeError>(IpAddr::V6(Ipv6Addr::from_bits(r.u128()?)));
        let (min, max) = match present & 0xf {
            0 => (None, None),
            1 => (Some(v4(r)?), None),
            3 => (Some(v4(r)?), Some(v4(r)?)),
            4 => (Some(v6(r)?), None),
            0xc => (Some(v6(r)?), Some(v6(r)?)),
            _ => return Err(DecodeError::Value { what: "nat range", value: u64::from(present) }),
        };
        let port_min = if present & 0x10 != 0 { r.u16()? } else { 0 };
        let port_max = if present & 0x20 != 0 { r.u16()? } else { 0 };
        let range = min.map(|min| NatRange { min, max, port_min, port_max });
        Ok(Self { direction, flags, range })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        let direction = match self.direction {
            None => 0,
            Some(NatDirection::Src) => 1,
            Some(NatDirection::Dst) => 2,
        };
        w.zeros(2);
        w.u16(self.flags.bits() & !3 | direction);
        let present_at = w.position();
        w.u16(0);
        let Some(range) = self.range else { return };
        let mut present = 0;
        let mut address = |w: &mut Writer<'_>, address: IpAddr, v4: u16, v6: u16| match address {
            IpAddr::V4(address) => {
                w.u32(address.to_bits());
                present |= v4;
            }
            IpAddr::V6(address) => {
                w.u128(address.to_bits());
                present |= v6;
            }
        };
        address(w, range.min, 1, 4);
        if let Some(max) = range.max {
            address(w, max, 2, 8);
        }
        for (port, bit) in [(range.port_min, 0x10), (range.port_max, 0x20)] {
            if port != 0 {
                w.u16(port);
                present |= bit;
            }
        }
        w.patch_u16(present_at, present);
    }
}

impl Ct {
    pub(super) fn decode(r: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        let flags = r.u16()?;
        let zone_src = r.u32()?;
        let zone = r.u16()?;
        let table = r.u8()?;
        r.skip(3)?;
        let alg = r.u16()?;
        let zone = if zone_src == 0 {
            CtZone::Immediate(zone)
        } else {
            let code = u64::from(zone_src);
            let field =
                Field::from_header(zone_src).ok_or(DecodeError::Unknown { what: "field header", code })?;
            CtZone::Field(Subfield::from_ofs_nbits(field, zone))
        };
        Ok(Self {
            commit: flags & 1 != 0,
            force: flags & 2 != 0,
            zone,
            table: (table != 0xff).then_some(table),
            alg,
            actions: decode_list(r, depth)?,
        })
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.u16(u16::from(self.commit) | u16::from(self.force) << 1);
        match self.zone {
            CtZone::Immediate(zone) => {
                w.u32(0);
                w.u16(zone);
            }
            CtZone::Field(range) => {
                w.u32(range.field.nxm_header());
                w.u16(range.ofs_nbits());
            }
        }
        w.u8(self.table.unwrap_or(0xff));
        w.zeros(3);
        w.u16(self.alg);
        encode_list(&self.actions, w);
    }
}

impl fmt::Display for Ct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items = Vec::new();
        if self.commit {
            items.push("commit".to_owned());
        }
        if self.force {
            items.push("force".to_owned());
        }
        if let Some(table) = self.table {
            items.push(format!("table={table}"));
        }
        match self.zone {
            CtZone::Immediate(0) => {}
            CtZone::Immediate(zone) => items.push(format!("zone={zone}")),
            CtZone::Field(range) => items.push(format!("zone={range}")),
        }
        let exec = match self.actions.split_first() {
            Some((Action::Nat(nat), rest)) => {
                items.push(nat.to_string());
                rest
            }
            _ => &self.actions,
        };
        if !exec.is_empty() {
            items.push(format!("exec({})", List(exec)));
        }
        match self.alg {
            0 => {}
            21 => items.push("alg=ftp".to_owned()),
            69 => items.push("alg=tftp".to_owned()),
            port => items.push(format!("alg={port}")),
        }
        if items.is_empty() { f.write_str("ct(") } else { write!(f, "ct({}", items.join(",")) }?;
        f.write_str(")")
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.direction {
            None => return f.write_str("nat"),
            Some(NatDirection::Src) => "nat(src",
            Some(NatDirection::Dst) => "nat(dst",
        })?;
        if let Some(range) = self.range {
            write!(f, "={range}")?;
            for (flag, name) in [
                (NatFlags::PERSISTENT, ",persistent"),
                (NatFlags::HASH, ",hash"),
                (NatFlags::RANDOM, ",random"),
            ] {
                if self.flags.contains(flag) {
                    f.write_str(name)?;
                }
            }
        }
        f.write_str(")")
    }
}

impl fmt::Display for NatRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |address: IpAddr| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) if self.port_min != 0 => format!("[{}]", OvsIpv6(address)),
            IpAddr::V6(address) => OvsIpv6(address).to_string(),
        };
        f.write_str(&address(self.min))?;
        if let Some(max) = self.max.filter(|max| *max != self.min) {
            write!(f, "-{}", address(max))?;
        }
        if self.port_min != 0 {
            write!(f, ":{}", self.port_min)?;
            if self.port_max != 0 && self.port_max != self.port_min {
                write!(f, "-{}", self.port_max)?;
            }
        }
        Ok(())
    }
}
