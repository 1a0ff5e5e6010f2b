//! Requests with long answers, which come in several messages.

mod display;

pub(crate) use self::display::name as message_name;

use crate::flow::{AggregateStats, FlowRequest, FlowStats};
use crate::group::{self, Group, GroupFeatures, GroupStats};
use crate::meter::{self, Meter, MeterStats};
use crate::port::PortNo;
use crate::ports::{Port, PortStats};
use crate::switch::SwitchDesc;
use crate::wire::{DecodeError, Reader, Writer};

/// A multipart request (OpenFlow 1.5.1 section 7.3.5).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum MultipartRequest {
    /// Who made the switch.
    Desc,
    /// Flows and their counters.
    Flows(FlowRequest),
    /// Sums over flows.
    Aggregate(FlowRequest),
    /// Counters of a port; [`PortNo::ANY`] for all.
    PortStats(PortNo),
    /// Counters of a group; `None` for all.
    GroupStats(Option<u32>),
    /// A group; `None` for all.
    Groups(Option<u32>),
    /// What the switch can do with groups.
    GroupFeatures,
    /// Counters of a meter; `None` for all.
    MeterStats(Option<u32>),
    /// A meter; `None` for all.
    Meters(Option<u32>),
    /// A port; [`PortNo::ANY`] for all.
    Ports(PortNo),
    /// A request of a kind that this crate does not know.
    Other {
        /// The kind.
        kind: u16,
        /// The rest of the message.
        body: Vec<u8>,
    },
}

/// A reply to a multipart request, or one part of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum MultipartReply {
    /// Who made the switch.
    Desc(SwitchDesc),
    /// Flows and their counters.
    Flows(Vec<FlowStats>),
    /// Sums over flows.
    Aggregate(AggregateStats),
    /// Counters of ports.
    PortStats(Vec<PortStats>),
    /// Counters of groups.
    GroupStats(Vec<GroupStats>),
    /// Groups.
    Groups(Vec<Group>),
    /// What the switch can do with groups.
    GroupFeatures(GroupFeatures),
    /// Counters of meters.
    MeterStats(Vec<MeterStats>),
    /// Meters.
    Meters(Vec<Meter>),
    /// Ports.
    Ports(Vec<Port>),
    /// A reply of a kind that this crate does not know.
    Other {
        /// The kind.
        kind: u16,
        /// The rest of the message.
        body: Vec<u8>,
    },
}

/// Type codes: OpenFlow 1.5.1 section 7.3.5.
mod code {
    pub(super) const DESC: u16 = 0;
    pub(super) const FLOW_DESC: u16 = 1;
    pub(super) const AGGREGATE_STATS: u16 = 2;
    pub(super) const PORT_STATS: u16 = 4;
    pub(super) const GROUP_STATS: u16 = 6;
    pub(super) const GROUP_DESC: u16 = 7;
    pub(super) const GROUP_FEATURES: u16 = 8;
    pub(super) const METER_STATS: u16 = 9;
    pub(super) const METER_DESC: u16 = 10;
    pub(super) const PORT_DESC: u16 = 13;
}

/// A number of 32 bits of which all ones stand for "all", and padding.
fn read_selector(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let number = r.u32()?;
    r.skip(4)?;
    Ok(number)
}

fn write_selector(w: &mut Writer<'_>, number: u32) {
    w.u32(number);
    w.zeros(4);
}

fn read_group(r: &mut Reader<'_>) -> Result<Option<u32>, DecodeError> {
    Ok(Some(read_selector(r)?).filter(|id| *id != group::ALL))
}

fn read_meter(r: &mut Reader<'_>) -> Result<Option<u32>, DecodeError> {
    Ok(Some(read_selector(r)?).filter(|id| *id != meter::ALL))
}

impl MultipartRequest {
    pub(crate) fn kind(&self) -> u16 {
        match self {
            Self::Desc => code::DESC,
            Self::Flows(_) => code::FLOW_DESC,
            Self::Aggregate(_) => code::AGGREGATE_STATS,
            Self::PortStats(_) => code::PORT_STATS,
            Self::GroupStats(_) => code::GROUP_STATS,
            Self::Groups(_) => code::GROUP_DESC,
            Self::GroupFeatures => code::GROUP_FEATURES,
            Self::MeterStats(_) => code::METER_STATS,
            Self::Meters(_) => code::METER_DESC,
            Self::Ports(_) => code::PORT_DESC,
            Self::Other { kind, .. } => *kind,
        }
    }

    pub(crate) fn decode(kind: u16, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            code::DESC => Self::Desc,
            code::FLOW_DESC => Self::Flows(FlowRequest::decode(r)?),
            code::AGGREGATE_STATS => Self::Aggregate(FlowRequest::decode(r)?),
            code::PORT_STATS => Self::PortStats(PortNo::new(read_selector(r)?)),
            code::GROUP_STATS => Self::GroupStats(read_group(r)?),
            code::GROUP_DESC => Self::Groups(read_group(r)?),
            code::GROUP_FEATURES => Self::GroupFeatures,
            code::METER_STATS => Self::MeterStats(read_meter(r)?),
            code::METER_DESC => Self::Meters(read_meter(r)?),
            code::PORT_DESC => Self::Ports(PortNo::new(read_selector(r)?)),
            kind => Self::Other { kind, body: r.rest().to_vec() },
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Desc | Self::GroupFeatures => {}
            Self::Flows(request) | Self::Aggregate(request) => request.encode(w),
            Self::PortStats(port) | Self::Ports(port) => write_selector(w, port.get()),
            Self::GroupStats(group) | Self::Groups(group) => {
                write_selector(w, group.unwrap_or(group::ALL));
            }
            Self::MeterStats(meter) | Self::Meters(meter) => {
                write_selector(w, meter.unwrap_or(meter::ALL));
            }
            Self::Other { body, .. } => w.bytes(body),
        }
    }
}

/// Reads entries until the end.
fn list<T>(
    r: &mut Reader<'_>,
    decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut entries = Vec::new();
    while !r.is_empty() {
        entries.push(decode(r)?);
    }
    Ok(entries)
}

impl MultipartReply {
    pub(crate) fn kind(&self) -> u16 {
        match self {
            Self::Desc(_) => code::DESC,
            Self::Flows(_) => code::FLOW_DESC,
            Self::Aggregate(_) => code::AGGREGATE_STATS,
            Self::PortStats(_) => code::PORT_STATS,
            Self::GroupStats(_) => code::GROUP_STATS,
            Self::Groups(_) => code::GROUP_DESC,
            Self::GroupFeatures(_) => code::GROUP_FEATURES,
            Self::MeterStats(_) => code::METER_STATS,
            Self::Meters(_) => code::METER_DESC,
            Self::Ports(_) => code::PORT_DESC,
            Self::Other { kind, .. } => *kind,
        }
    }

    pub(crate) fn decode(kind: u16, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            code::DESC => Self::Desc(SwitchDesc::decode(r)?),
            code::FLOW_DESC => Self::Flows(list(r, FlowStats::decode)?),
            code::AGGREGATE_STATS => Self::Aggregate(AggregateStats::decode(r)?),
            code::PORT_STATS => Self::PortStats(list(r, PortStats::decode)?),
            code::GROUP_STATS => Self::GroupStats(list(r, GroupStats::decode)?),
            code::GROUP_DESC => Self::Groups(list(r, Group::decode)?),
            code::GROUP_FEATURES => Self::GroupFeatures(GroupFeatures::decode(r)?),
            code::METER_STATS => Self::MeterStats(list(r, MeterStats::decode)?),
            code::METER_DESC => Self::Meters(list(r, Meter::decode)?),
            code::PORT_DESC => Self::Ports(list(r, Port::decode)?),
            kind => Self::Other { kind, body: r.rest().to_vec() },
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Desc(desc) => desc.encode(w),
            Self::Flows(flows) => flows.iter().for_each(|entry| entry.encode(w)),
            Self::Aggregate(stats) => stats.encode(w),
            Self::PortStats(ports) => ports.iter().for_each(|entry| entry.encode(w)),
            Self::GroupStats(groups) => groups.iter().for_each(|entry| entry.encode(w)),
            Self::Groups(groups) => groups.iter().for_each(|entry| entry.encode(w)),
            Self::GroupFeatures(features) => features.encode(w),
            Self::MeterStats(meters) => meters.iter().for_each(|entry| entry.encode(w)),
            Self::Meters(meters) => meters.iter().for_each(|entry| entry.encode(w)),
            Self::Ports(ports) => ports.iter().for_each(|entry| entry.encode(w)),
            Self::Other { body, .. } => w.bytes(body),
        }
    }

    /// Adds the entries of a further part of the same reply.
    ///
    /// # Errors
    ///
    /// Gives the part back if it is of another kind.
    pub fn append(&mut self, part: Self) -> Result<(), Self> {
        match (self, part) {
            (Self::Flows(entries), Self::Flows(more)) => entries.extend(more),
            (Self::PortStats(entries), Self::PortStats(more)) => entries.extend(more),
            (Self::GroupStats(entries), Self::GroupStats(more)) => entries.extend(more),
            (Self::Groups(entries), Self::Groups(more)) => entries.extend(more),
            (Self::MeterStats(entries), Self::MeterStats(more)) => entries.extend(more),
            (Self::Meters(entries), Self::Meters(more)) => entries.extend(more),
            (Self::Ports(entries), Self::Ports(more)) => entries.extend(more),
            (Self::Other { kind, body }, Self::Other { kind: other, body: more }) if *kind == other => {
                body.extend(more);
            }
            (_, part) => return Err(part),
        }
        Ok(())
    }
}
