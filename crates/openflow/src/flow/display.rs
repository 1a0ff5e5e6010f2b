//! Flows as `ovs-ofctl` writes them.

use std::fmt;
use std::time::Duration;

use super::{
    AggregateStats, Flow, FlowCommand, FlowFlags, FlowMod, FlowRemoved, FlowRemovedReason, FlowRequest,
    FlowStats,
};
use crate::flags::FlagNames;
use crate::matching::{DEFAULT_PRIORITY, WithPriority};
use crate::port::PortNo;

impl fmt::Display for FlowFlags {
    /// The names of the flags, each followed by a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Names;
        impl FlagNames for Names {
            const NAMES: &'static [&'static str] =
                &["send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"];
        }
        for (bit, name) in Names::NAMES.iter().enumerate() {
            if self.bits() >> bit & 1 == 1 {
                write!(f, "{name} ")?;
            }
        }
        Ok(())
    }
}

/// Seconds, with as many digits of the fraction as `ovs-ofctl` prints.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.as_secs(), self.0.subsec_nanos());
        match nanoseconds {
            0 => write!(f, "{seconds}s"),
            n if n % 1_000_000 == 0 => write!(f, "{seconds}.{:03}s", n / 1_000_000),
            n => write!(f, "{seconds}.{}s", format!("{n:09}").trim_end_matches('0')),
        }
    }
}

/// What stands between the table and the match.
struct Conditions<'a>(&'a Flow);

impl fmt::Display for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.0;
        if flow.idle_timeout != 0 {
            write!(f, "idle_timeout={}, ", flow.idle_timeout)?;
        }
        if flow.hard_timeout != 0 {
            write!(f, "hard_timeout={}, ", flow.hard_timeout)?;
        }
        write!(f, "{}", flow.flags)?;
        if flow.importance != 0 {
            write!(f, "importance={}, ", flow.importance)?;
        }
        Ok(())
    }
}

/// The match, followed by a space unless it is empty, and the instructions.
fn rule(f: &mut fmt::Formatter<'_>, flow: &Flow) -> fmt::Result {
    let matching = WithPriority(&flow.matching, flow.priority).to_string();
    f.write_str(&matching)?;
    if !matching.is_empty() {
        f.write_str(" ")?;
    }
    write!(f, "actions={}", flow.instructions)
}

impl fmt::Display for Flow {
    /// The flow as `ovs-ofctl --no-stats dump-flows` prints it, which `ovs-ofctl add-flow` understands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cookie != 0 {
            write!(f, "cookie={:#x}, ", self.cookie)?;
        }
        if self.table != 0 {
            write!(f, "table={}, ", self.table)?;
        }
        write!(f, "{}", Conditions(self))?;
        rule(f, self)
    }
}

impl fmt::Display for FlowStats {
    /// The flow as `ovs-ofctl dump-flows` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flow, stats } = self;
        write!(f, "cookie={:#x}, duration=", flow.cookie)?;
        match stats.duration {
            Some(duration) => write!(f, "{}", Seconds(duration))?,
            None => write!(f, "{}s", u32::MAX)?,
        }
        write!(f, ", table={}, ", flow.table)?;
        if let Some(packets) = stats.packets {
            write!(f, "n_packets={packets}, ")?;
        }
        if let Some(bytes) = stats.bytes {
            write!(f, "n_bytes={bytes}, ")?;
        }
        write!(f, "{}", Conditions(flow))?;
        if let Some(idle) = stats.idle {
            write!(f, "idle_age={}, ", idle.as_secs())?;
        }
        rule(f, flow)
    }
}

impl fmt::Display for FlowMod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, flow, cookie_mask, .. } = self;
        f.write_str(match command {
            FlowCommand::Add => "ADD",
            FlowCommand::Modify => "MOD",
            FlowCommand::ModifyStrict => "MOD_STRICT",
            FlowCommand::Delete => "DEL",
            FlowCommand::DeleteStrict => "DEL_STRICT",
        })?;
        if flow.table != 0 {
            write!(f, " table:{}", flow.table)?;
        }
        f.write_str(" ")?;
        let matching = WithPriority(&flow.matching, flow.priority).to_string();
        f.write_str(&matching)?;
        if !matching.is_empty() {
            f.write_str(" ")?;
        }
        if *command == FlowCommand::Add && flow.cookie != 0 {
            write!(f, "cookie:{:#x} ", flow.cookie)?;
        } else if *command != FlowCommand::Add && *cookie_mask != 0 {
            write!(f, "cookie:{:#x}/{cookie_mask:#x} ", flow.cookie)?;
        }
        for (name, value) in
            [("idle", flow.idle_timeout), ("hard", flow.hard_timeout), ("importance", flow.importance)]
        {
            if value != 0 {
                write!(f, "{name}:{value} ")?;
            }
        }
        if let Some(buffer) = self.buffer_id {
            write!(f, "buf:{buffer:#x} ")?;
        }
        if self.out_port != PortNo::ANY {
            write!(f, "out_port:{} ", self.out_port)?;
        }
        write!(f, "{}actions={}", flow.flags, flow.instructions)
    }
}

impl fmt::Display for FlowRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.table != 0xff {
            write!(f, "table={} ", self.table)?;
        }
        if self.out_port != PortNo::ANY {
            write!(f, "out_port={} ", self.out_port)?;
        }
        write!(f, "{}", self.matching)
    }
}

impl fmt::Display for AggregateStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, bytes, flows } = self;
        write!(f, "packet_count={packets} byte_count={bytes} flow_count={flows}")
    }
}

impl fmt::Display for FlowRemovedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IDLE_TIMEOUT => "idle",
            Self::HARD_TIMEOUT => "hard",
            Self::DELETE => "delete",
            Self::GROUP_DELETE => "group_delete",
            Self::METER_DELETE => "meter_delete",
            Self::EVICTION => "eviction",
            Self(code) => return write!(f, "{code}"),
        })
    }
}

impl fmt::Display for FlowRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matching = WithPriority(&self.matching, self.priority).to_string();
        write!(f, "{matching} reason={}", self.reason)?;
        if self.table != 0xff {
            write!(f, " table_id={}", self.table)?;
        }
        if self.cookie != 0 {
            write!(f, " cookie:{:#x}", self.cookie)?;
        }
        write!(f, " duration{}", Seconds(self.stats.duration.unwrap_or_default()))?;
        write!(f, " idle{}", self.idle_timeout)?;
        if self.hard_timeout != 0 {
            write!(f, " hard{}", self.hard_timeout)?;
        }
        write!(
            f,
            " pkts{} bytes{}",
            self.stats.packets.unwrap_or_default(),
            self.stats.bytes.unwrap_or_default()
        )
    }
}

impl fmt::Display for crate::flow::FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table={},", self.table)?;
        if self.priority == DEFAULT_PRIORITY {
            write!(f, "priority={},{}", self.priority, self.matching)
        } else {
            write!(f, "{}", WithPriority(&self.matching, self.priority))
        }
    }
}
