//! Multipart messages as `ovs-ofctl` writes them.

use std::fmt;

use super::{MultipartReply, MultipartRequest, code};
use crate::addr::Dotted;
use crate::group::GroupFeatures;
use crate::meter::{self, MeterId};

/// The name by which `ovs-ofctl` knows a kind of multipart message.
pub(crate) fn name(kind: u16) -> &'static str {
    match kind {
        code::DESC => "OFPST_DESC",
        code::FLOW_DESC => "OFPST_FLOW",
        code::AGGREGATE_STATS => "OFPST_AGGREGATE",
        code::PORT_STATS => "OFPST_PORT",
        code::GROUP_STATS => "OFPST_GROUP",
        code::GROUP_DESC => "OFPST_GROUP_DESC",
        code::GROUP_FEATURES => "OFPST_GROUP_FEATURES",
        code::METER_STATS => "OFPST_METER",
        code::METER_DESC => "OFPST_METER_CONFIG",
        code::PORT_DESC => "OFPST_PORT_DESC",
        _ => "OFPST_UNKNOWN",
    }
}

impl fmt::Display for MultipartRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desc | Self::GroupFeatures => Ok(()),
            Self::Flows(request) | Self::Aggregate(request) => write!(f, " {request}"),
            Self::PortStats(port) => write!(f, " port_no={port}"),
            Self::GroupStats(Some(group)) | Self::Groups(Some(group)) => write!(f, " group_id={group}"),
            Self::GroupStats(None) | Self::Groups(None) => f.write_str(" group_id=ALL"),
            Self::MeterStats(id) | Self::Meters(id) => {
                write!(f, " meter={}", MeterId(id.unwrap_or(meter::ALL)))
            }
            Self::Ports(port) => write!(f, " port={port}"),
            Self::Other { kind, body } => write!(f, " kind={kind} body={}", Dotted(body)),
        }
    }
}

/// Entries, each on lines of its own.
fn lines<T: fmt::Display>(f: &mut fmt::Formatter<'_>, lead: &str, entries: &[T]) -> fmt::Result {
    entries.iter().try_for_each(|entry| write!(f, "\n{lead}{entry}"))
}

impl fmt::Display for MultipartReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desc(desc) => write!(f, "\n{desc}"),
            Self::Flows(flows) => lines(f, " ", flows),
            Self::Aggregate(stats) => write!(f, " {stats}"),
            Self::PortStats(ports) => {
                write!(f, " {} ports", ports.len())?;
                lines(f, "", ports)
            }
            Self::GroupStats(groups) => lines(f, " ", groups),
            Self::Groups(groups) => lines(f, " ", groups),
            Self::GroupFeatures(features) => write!(f, "{features}"),
            Self::MeterStats(meters) => lines(f, "", meters),
            Self::Meters(meters) => {
                for (i, meter) in meters.iter().enumerate() {
                    write!(f, "{}\n{meter}", if i == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
            Self::Ports(ports) => {
                let mut sorted: Vec<_> = ports.iter().collect();
                sorted.sort_by_key(|port| port.number);
                lines(f, "", &sorted)
            }
            Self::Other { kind, body } => write!(f, " kind={kind} body={}", Dotted(body)),
        }
    }
}

impl fmt::Display for GroupFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n Group table:\n    Types:  {:#x}\n", self.types)?;
        write!(f, "    Capabilities:  {:#x}", self.capabilities)?;
        for (bit, name) in ["all", "select", "indirect", "fast failover"].into_iter().enumerate() {
            if self.types >> bit & 1 == 0 {
                continue;
            }
            let at = |words: &[u32; 4]| words.get(bit).copied().unwrap_or_default();
            let max_groups = crate::addr::Hex(at(&self.max_groups).into());
            write!(f, "\n    {name} group:\n       max_groups={max_groups}")?;
            write!(f, "\n       actions: {:#x}", at(&self.actions))?;
        }
        Ok(())
    }
}
