//! Adding, changing and deleting flows.

use super::{Flow, FlowFlags};
use crate::instruction::Instructions;
use crate::matching::Match;
use crate::port::PortNo;
use crate::wire::{DecodeError, Reader, Writer};

/// What to do with flows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FlowCommand {
    /// Add the flow, in place of one with the same key.
    Add,
    /// Change the instructions of all flows that the match covers.
    Modify,
    /// Change the instructions of the one flow with this priority and match.
    ModifyStrict,
    /// Delete all flows that the match covers.
    Delete,
    /// Delete the one flow with this priority and match.
    DeleteStrict,
}

/// A flow-mod message (OpenFlow 1.5.1 section 7.3.4.2).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FlowMod {
    /// What to do.
    pub command: FlowCommand,
    /// The flow. For all commands but [`FlowCommand::Add`] its cookie only selects flows, together with
    /// `cookie_mask`; in deletions table 255 stands for all tables.
    pub flow: Flow,
    /// Bits of the cookie in which the flows to change or delete must agree; 0 for any cookie.
    pub cookie_mask: u64,
    /// A buffered packet to apply the flow to.
    pub buffer_id: Option<u32>,
    /// Only delete flows that output to this port.
    pub out_port: PortNo,
    /// Only delete flows that use this group.
    pub out_group: Option<u32>,
}

/// "No buffer" and "any group".
const NONE: u32 = u32::MAX;

impl FlowMod {
    /// The command on a flow, with no conditions besides.
    #[must_use]
    pub fn new(command: FlowCommand, flow: Flow) -> Self {
        Self { command, flow, cookie_mask: 0, buffer_id: None, out_port: PortNo::ANY, out_group: None }
    }

    /// Adds the flow, or replaces the one with the same key.
    #[must_use]
    pub fn add(flow: Flow) -> Self {
        Self::new(FlowCommand::Add, flow)
    }

    /// Gives the flow with this key new instructions; counters, timeouts and cookie stay.
    #[must_use]
    pub fn modify_strict(mut flow: Flow) -> Self {
        flow.cookie = 0;
        Self::new(FlowCommand::ModifyStrict, flow)
    }

    /// Deletes the flow with this key.
    #[must_use]
    pub fn delete_strict(table: u8, priority: u16, matching: Match) -> Self {
        Self::new(FlowCommand::DeleteStrict, Flow::new(table, priority, matching))
    }

    /// Deletes the flows of a table (255: all tables) that the match covers.
    #[must_use]
    pub fn delete(table: u8, matching: Match) -> Self {
        Self::new(FlowCommand::Delete, Flow { table, matching, ..Flow::default() })
    }

    /// Demands that the flows to change or delete have this cookie in the bits that `mask` selects.
    #[must_use]
    pub fn with_cookie(mut self, cookie: u64, mask: u64) -> Self {
        self.flow.cookie = cookie & mask;
        self.cookie_mask = mask;
        self
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (cookie, cookie_mask, table) = (r.u64()?, r.u64()?, r.u8()?);
        let command = match r.u8()? {
            0 => FlowCommand::Add,
            1 => FlowCommand::Modify,
            2 => FlowCommand::ModifyStrict,
            3 => FlowCommand::Delete,
            4 => FlowCommand::DeleteStrict,
            other => return Err(DecodeError::Unknown { what: "flow command", code: u64::from(other) }),
        };
        let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
        let (buffer_id, out_port, out_group) = (r.u32()?, PortNo::new(r.u32()?), r.u32()?);
        let (flags, importance) = (FlowFlags::from_bits(r.u16()?), r.u16()?);
        let matching = Match::decode(r)?;
        let instructions = Instructions::decode(r)?;
        Ok(Self {
            command,
            flow: Flow {
                table,
                priority,
                matching,
                instructions,
                cookie,
                idle_timeout,
                hard_timeout,
                importance,
                flags,
            },
            cookie_mask,
            buffer_id: (buffer_id != NONE).then_some(buffer_id),
            out_port,
            out_group: (out_group != NONE).then_some(out_group),
        })
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let flow = &self.flow;
        w.u64(flow.cookie);
        w.u64(self.cookie_mask);
        w.u8(flow.table);
        w.u8(match self.command {
            FlowCommand::Add => 0,
            FlowCommand::Modify => 1,
            FlowCommand::ModifyStrict => 2,
            FlowCommand::Delete => 3,
            FlowCommand::DeleteStrict => 4,
        });
        w.u16(flow.idle_timeout);
        w.u16(flow.hard_timeout);
        w.u16(flow.priority);
        w.u32(self.buffer_id.unwrap_or(NONE));
        w.u32(self.out_port.get());
        w.u32(self.out_group.unwrap_or(NONE));
        w.u16(flow.flags.bits());
        w.u16(flow.importance);
        flow.matching.encode(w);
        flow.instructions.encode(w);
    }
}
