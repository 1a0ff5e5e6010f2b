//! Reading flows and their counters.

use std::time::Duration;

use super::{Flow, FlowFlags};
use crate::instruction::Instructions;
use crate::matching::Match;
use crate::port::PortNo;
use crate::wire::{DecodeError, Reader, Writer};

/// Which flows to report.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FlowRequest {
    /// The table, 255 for all.
    pub table: u8,
    /// Only flows that output to this port.
    pub out_port: PortNo,
    /// Only flows that use this group; `None` for all flows.
    pub out_group: Option<u32>,
    /// With `cookie_mask`: only flows with such cookies.
    pub cookie: u64,
    /// The bits of the cookie to look at.
    pub cookie_mask: u64,
    /// Only flows that this match covers.
    pub matching: Match,
}

impl Default for FlowRequest {
    /// All flows.
    fn default() -> Self {
        Self {
            table: 0xff,
            out_port: PortNo::ANY,
            out_group: None,
            cookie: 0,
            cookie_mask: 0,
            matching: Match::new(),
        }
    }
}

impl FlowRequest {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let table = r.u8()?;
        r.skip(3)?;
        let (out_port, out_group) = (PortNo::new(r.u32()?), r.u32()?);
        r.skip(4)?;
        let (cookie, cookie_mask) = (r.u64()?, r.u64()?);
        let out_group = (out_group != u32::MAX).then_some(out_group);
        Ok(Self { table, out_port, out_group, cookie, cookie_mask, matching: Match::decode(r)? })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.table);
        w.zeros(3);
        w.u32(self.out_port.get());
        w.u32(self.out_group.unwrap_or(u32::MAX));
        w.zeros(4);
        w.u64(self.cookie);
        w.u64(self.cookie_mask);
        self.matching.encode(w);
    }
}

/// Counters (OpenFlow 1.5.1 section 7.2.4); `None` where the switch does not tell.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Stats {
    /// Time since the flow was added.
    pub duration: Option<Duration>,
    /// Time since the last packet, in whole seconds.
    pub idle: Option<Duration>,
    /// Packets.
    pub packets: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
    /// Flows, in sums over several.
    pub flows: Option<u32>,
}

/// The class of the counters that OpenFlow itself defines, and their codes.
mod oxs {
    pub(super) const CLASS: u16 = 0x8002;
    pub(super) const DURATION: u8 = 0;
    pub(super) const IDLE_TIME: u8 = 1;
    pub(super) const FLOW_COUNT: u8 = 3;
    pub(super) const PACKET_COUNT: u8 = 4;
    pub(super) const BYTE_COUNT: u8 = 5;
}

impl Stats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (length, mut body) = r.sized("counters", 2, 4)?;
        r.align8(length)?;
        body.skip(4)?;
        let mut this = Self::default();
        while !body.is_empty() {
            let (class, code, length) = (body.u16()?, body.u8()? >> 1, body.u8()?);
            let mut value = body.sub("counter", usize::from(length))?;
            if class != oxs::CLASS {
                continue;
            }
            match code {
                oxs::DURATION => this.duration = value.duration()?,
                oxs::IDLE_TIME => this.idle = value.duration()?,
                oxs::FLOW_COUNT => this.flows = Some(value.u32()?),
                oxs::PACKET_COUNT => this.packets = Some(value.u64()?),
                oxs::BYTE_COUNT => this.bytes = Some(value.u64()?),
                _ => {}
            }
        }
        Ok(this)
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.zeros(4);
        let header = |w: &mut Writer<'_>, code: u8, length: u8| {
            w.u16(oxs::CLASS);
            w.u8(code << 1);
            w.u8(length);
        };
        for (code, duration) in [(oxs::DURATION, self.duration), (oxs::IDLE_TIME, self.idle)] {
            if let Some(duration) = duration {
                header(w, code, 8);
                w.duration(Some(duration));
            }
        }
        for (code, count) in [(oxs::PACKET_COUNT, self.packets), (oxs::BYTE_COUNT, self.bytes)] {
            if let Some(count) = count {
                header(w, code, 8);
                w.u64(count);
            }
        }
        if let Some(flows) = self.flows {
            header(w, oxs::FLOW_COUNT, 4);
            w.u32(flows);
        }
        w.patch_length("counters", start + 2, start);
        w.align8(start);
    }
}

/// A flow and its counters (an entry of the reply to `OFPMP_FLOW_DESC`).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FlowStats {
    /// The flow.
    pub flow: Flow,
    /// Its counters.
    pub stats: Stats,
}

impl FlowStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, mut r) = r.sized("flow description", 0, 24)?;
        r.skip(4)?;
        let table = r.u8()?;
        r.skip(1)?;
        let (priority, idle_timeout, hard_timeout) = (r.u16()?, r.u16()?, r.u16()?);
        let (flags, importance, cookie) = (FlowFlags::from_bits(r.u16()?), r.u16()?, r.u64()?);
        let matching = Match::decode(&mut r)?;
        let stats = Stats::decode(&mut r)?;
        let instructions = Instructions::decode(&mut r)?;
        let flow = Flow {
            table,
            priority,
            matching,
            instructions,
            cookie,
            idle_timeout,
            hard_timeout,
            importance,
            flags,
        };
        Ok(Self { flow, stats })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        let flow = &self.flow;
        w.zeros(4);
        w.u8(flow.table);
        w.zeros(1);
        w.u16(flow.priority);
        w.u16(flow.idle_timeout);
        w.u16(flow.hard_timeout);
        w.u16(flow.flags.bits());
        w.u16(flow.importance);
        w.u64(flow.cookie);
        flow.matching.encode(w);
        self.stats.encode(w);
        flow.instructions.encode(w);
        w.patch_length("flow description", start, start);
    }
}

/// Sums over flows.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct AggregateStats {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Flows.
    pub flows: u32,
}

impl AggregateStats {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stats = Stats::decode(r)?;
        Ok(Self {
            packets: stats.packets.unwrap_or_default(),
            bytes: stats.bytes.unwrap_or_default(),
            flows: stats.flows.unwrap_or_default(),
        })
    }

    pub(crate) fn encode(self, w: &mut Writer<'_>) {
        let Self { packets, bytes, flows } = self;
        Stats { packets: Some(packets), bytes: Some(bytes), flows: Some(flows), ..Stats::default() }
            .encode(w);
    }
}

/// Tells that a flow is gone (OpenFlow 1.5.1 section 7.4.2).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FlowRemoved {
    /// The table it was in.
    pub table: u8,
    /// Why it went.
    pub reason: FlowRemovedReason,
    /// Its priority.
    pub priority: u16,
    /// Its idle timeout, seconds.
    pub idle_timeout: u16,
    /// Its hard timeout, seconds.
    pub hard_timeout: u16,
    /// Its cookie.
    pub cookie: u64,
    /// Which packets it matched.
    pub matching: Match,
    /// Its counters.
    pub stats: Stats,
}

/// Why a flow went.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FlowRemovedReason(pub u8);

impl FlowRemovedReason {
    /// No packets for the idle timeout.
    pub const IDLE_TIMEOUT: Self = Self(0);
    /// The hard timeout has passed.
    pub const HARD_TIMEOUT: Self = Self(1);
    /// A flow-mod deleted it.
    pub const DELETE: Self = Self(2);
    /// Its group was deleted.
    pub const GROUP_DELETE: Self = Self(3);
    /// Its meter was deleted.
    pub const METER_DELETE: Self = Self(4);
    /// Its table was full.
    pub const EVICTION: Self = Self(5);
}

impl FlowRemoved {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            table: r.u8()?,
            reason: FlowRemovedReason(r.u8()?),
            priority: r.u16()?,
            idle_timeout: r.u16()?,
            hard_timeout: r.u16()?,
            cookie: r.u64()?,
            matching: Match::decode(r)?,
            stats: Stats::decode(r)?,
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.table);
        w.u8(self.reason.0);
        w.u16(self.priority);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u64(self.cookie);
        self.matching.encode(w);
        self.stats.encode(w);
    }
}
