//! Meters: limits of rate.

use std::fmt;
use std::time::Duration;

use crate::flags::flags;
use crate::flow::Seconds;
use crate::wire::{DecodeError, Reader, Writer};

/// A meter (OpenFlow 1.5.1 section 5.11).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Meter {
    /// Its number, from 1 to 0xffff0000.
    pub id: u32,
    /// Units and choices.
    pub flags: MeterFlags,
    /// What happens above which rate.
    pub bands: Vec<MeterBand>,
}

/// "All meters".
pub(crate) const ALL: u32 = 0xffff_ffff;

flags! {
    /// Units and choices of a meter.
    MeterFlags: u16 {
        /// Rates are in kilobits per second.
        KBPS = 1;
        /// Rates are in packets per second.
        PKTPS = 2;
        /// Bands have a burst size.
        BURST = 4;
        /// Count packets and bytes.
        STATS = 8;
    }
}

/// What happens above a rate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MeterBand {
    /// What happens.
    pub kind: MeterBandType,
    /// The rate, in the meter's unit.
    pub rate: u32,
    /// How much may come at once above the rate: kilobits or packets.
    pub burst_size: u32,
}

/// What a band does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MeterBandType {
    /// Drops packets.
    Drop,
    /// Raises the drop precedence in the packets' DSCP by this much.
    DscpRemark(u8),
}

impl Meter {
    fn decode_bands(r: &mut Reader<'_>) -> Result<Vec<MeterBand>, DecodeError> {
        let mut bands = Vec::new();
        while !r.is_empty() {
            let (_, mut r) = r.sized("meter band", 2, 16)?;
            let code = r.u16()?;
            r.skip(2)?;
            let (rate, burst_size) = (r.u32()?, r.u32()?);
            let kind = match code {
                1 => MeterBandType::Drop,
                2 => MeterBandType::DscpRemark(r.u8()?),
                other => return Err(DecodeError::Unknown { what: "meter band", code: u64::from(other) }),
            };
            bands.push(MeterBand { kind, rate, burst_size });
        }
        Ok(bands)
    }

    fn encode_bands(&self, w: &mut Writer<'_>) {
        for band in &self.bands {
            let (code, level) = match band.kind {
                MeterBandType::Drop => (1, 0),
                MeterBandType::DscpRemark(level) => (2, level),
            };
            w.u16(code);
            w.u16(16);
            w.u32(band.rate);
            w.u32(band.burst_size);
            w.u8(level);
            w.zeros(3);
        }
    }

    /// Reads an entry of the reply to `OFPMP_METER_DESC`.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("meter description", 0, 8)?;
        r.skip(2)?;
        let (flags, id) = (MeterFlags::from_bits(r.u16()?), r.u32()?);
        Ok(Self { id, flags, bands: Self::decode_bands(&mut r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.zeros(2);
        w.u16(self.flags.bits());
        w.u32(self.id);
        self.encode_bands(w);
        w.patch_length("meter description", start, start);
    }
}

/// What to do with a meter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MeterCommand {
    /// Add it.
    Add,
    /// Replace it.
    Modify,
    /// Delete it, and with it the flows that use it.
    Delete,
}

/// A meter-mod message (OpenFlow 1.5.1 section 7.3.4.5).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct MeterMod {
    /// What to do.
    pub command: MeterCommand,
    /// The meter.
    pub meter: Meter,
}

impl MeterMod {
    /// Adds a meter.
    #[must_use]
    pub fn add(meter: Meter) -> Self {
        Self { command: MeterCommand::Add, meter }
    }

    /// Deletes a meter, and with it the flows that use it.
    #[must_use]
    pub fn delete(id: u32) -> Self {
        let meter = Meter { id, flags: MeterFlags::EMPTY, bands: Vec::new() };
        Self { command: MeterCommand::Delete, meter }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let command = match r.u16()? {
            0 => MeterCommand::Add,
            1 => MeterCommand::Modify,
            2 => MeterCommand::Delete,
            other => return Err(DecodeError::Unknown { what: "meter command", code: u64::from(other) }),
        };
        let (flags, id) = (MeterFlags::from_bits(r.u16()?), r.u32()?);
        Ok(Self { command, meter: Meter { id, flags, bands: Meter::decode_bands(r)? } })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u16(match self.command {
            MeterCommand::Add => 0,
            MeterCommand::Modify => 1,
            MeterCommand::Delete => 2,
        });
        w.u16(self.meter.flags.bits());
        w.u32(self.meter.id);
        self.meter.encode_bands(w);
    }
}

/// Counters of a meter (OpenFlow 1.5.1 section 7.3.5.12).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct MeterStats {
    /// The meter.
    pub id: u32,
    /// How many flows use it.
    pub flow_count: u32,
    /// Packets it saw.
    pub packets: u64,
    /// Bytes it saw.
    pub bytes: u64,
    /// Time since it was added, if the switch knows.
    pub duration: Option<Duration>,
    /// Packets and bytes that each band worked on.
    pub bands: Vec<(u64, u64)>,
}

impl MeterStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("meter counters", 4, 40)?;
        let id = r.u32()?;
        r.skip(8)?;
        let (flow_count, packets, bytes) = (r.u32()?, r.u64()?, r.u64()?);
        let duration = r.duration()?;
        let mut bands = Vec::new();
        while !r.is_empty() {
            bands.push((r.u64()?, r.u64()?));
        }
        Ok(Self { id, flow_count, packets, bytes, duration, bands })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u32(self.id);
        w.zeros(8);
        w.u32(self.flow_count);
        w.u64(self.packets);
        w.u64(self.bytes);
        w.duration(self.duration);
        for (packets, bytes) in &self.bands {
            w.u64(*packets);
            w.u64(*bytes);
        }
        w.patch_length("meter counters", start + 4, start);
    }
}

/// The number of a meter, or the name of a special one.
pub(crate) struct MeterId(pub(crate) u32);

impl fmt::Display for MeterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            id @ ..=0xffff_0000 => write!(f, "{id}"),
            0xffff_fffd => f.write_str("slowpath"),
            0xffff_fffe => f.write_str("controller"),
            ALL => f.write_str("all"),
            _ => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for MeterFlags {
    /// The names of the flags, each followed by a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, name) in
            [(Self::KBPS, "kbps "), (Self::PKTPS, "pktps "), (Self::BURST, "burst "), (Self::STATS, "stats ")]
        {
            if self.contains(flag) {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Meter {
    /// The meter as `ovs-ofctl dump-meters` prints it, over several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "meter={} {}bands=", MeterId(self.id), self.flags)?;
        for band in &self.bands {
            let kind = if band.kind == MeterBandType::Drop { "drop" } else { "dscp_remark" };
            write!(f, "\ntype={kind} rate={}", band.rate)?;
            if self.flags.contains(MeterFlags::BURST) {
                write!(f, " burst_size={}", band.burst_size)?;
            }
            if let MeterBandType::DscpRemark(level) = band.kind {
                write!(f, " prec_level={level}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for MeterMod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = match self.command {
            MeterCommand::Add => "ADD",
            MeterCommand::Modify => "MOD",
            MeterCommand::Delete => "DEL",
        };
        write!(f, "{command} {}", self.meter)
    }
}

impl fmt::Display for MeterStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, flow_count, packets, bytes, .. } = self;
        write!(f, "meter:{} flow_count:{flow_count} packet_in_count:{packets} ", MeterId(*id))?;
        let duration = Seconds(self.duration.unwrap_or_default());
        write!(f, "byte_in_count:{bytes} duration:{duration} bands:")?;
        for (i, (packets, bytes)) in self.bands.iter().enumerate() {
            write!(f, "\n{i}: packet_count:{packets} byte_count:{bytes}")?;
        }
        Ok(())
    }
}
