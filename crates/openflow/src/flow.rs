//! Flows and the messages about them.

mod display;
mod modify;
mod stats;

pub(crate) use self::display::Seconds;
pub use self::modify::{FlowCommand, FlowMod};
pub use self::stats::{AggregateStats, FlowRemoved, FlowRemovedReason, FlowRequest, FlowStats, Stats};

use crate::action::Action;
use crate::flags::flags;
use crate::instruction::{Instructions, WriteMetadata};
use crate::matching::{DEFAULT_PRIORITY, Match};

/// A flow: an entry of a flow table, without its counters.
///
/// Two flows with the same [`FlowKey`] cannot be in a switch together; adding the second replaces the first. A
/// flow read back from the switch equals the one that was sent.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Flow {
    /// The table.
    pub table: u8,
    /// The priority: of the flows that match, the one with the highest is taken.
    pub priority: u16,
    /// Which packets.
    pub matching: Match,
    /// What happens to them.
    pub instructions: Instructions,
    /// Free for the controller's use.
    pub cookie: u64,
    /// Seconds without packets after which it goes, 0 for never.
    pub idle_timeout: u16,
    /// Seconds after which it goes, 0 for never.
    pub hard_timeout: u16,
    /// What to keep when a table is full; higher is kept longer.
    pub importance: u16,
    /// Choices.
    pub flags: FlowFlags,
}

/// What identifies a flow within a switch.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlowKey {
    /// The table.
    pub table: u8,
    /// The priority.
    pub priority: u16,
    /// Which packets.
    pub matching: Match,
}

flags! {
    /// Choices about a flow (OpenFlow 1.5.1 section 7.3.4.2).
    FlowFlags: u16 {
        /// Send a flow-removed message when the flow goes.
        SEND_FLOW_REM = 0x01;
        /// Refuse the flow if another one of the same priority overlaps it.
        CHECK_OVERLAP = 0x02;
        /// Set the counters to zero.
        RESET_COUNTS = 0x04;
        /// Packets need not be counted.
        NO_PKT_COUNTS = 0x08;
        /// Bytes need not be counted.
        NO_BYT_COUNTS = 0x10;
    }
}

impl Flow {
    /// A flow that drops what it matches.
    #[must_use]
    pub fn new(table: u8, priority: u16, matching: Match) -> Self {
        Self {
            table,
            priority,
            matching,
            instructions: Instructions::none(),
            cookie: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            flags: FlowFlags::EMPTY,
        }
    }

    /// What identifies the flow.
    #[must_use]
    pub fn key(&self) -> FlowKey {
        FlowKey { table: self.table, priority: self.priority, matching: self.matching.clone() }
    }

    /// Sets the cookie.
    #[must_use]
    pub fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// Adds an action to apply.
    #[must_use]
    pub fn action(mut self, action: impl Into<Action>) -> Self {
        self.instructions.apply.push(action.into());
        self
    }

    /// Adds actions to apply.
    #[must_use]
    pub fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.instructions.apply.extend(actions);
        self
    }

    /// Goes on in `table`, which must be a later one.
    #[must_use]
    pub fn goto_table(mut self, table: u8) -> Self {
        self.instructions.goto_table = Some(table);
        self
    }

    /// Sets the bits of the metadata that `mask` selects.
    #[must_use]
    pub fn write_metadata(mut self, value: u64, mask: u64) -> Self {
        self.instructions.metadata = (mask != 0).then_some(WriteMetadata { value: value & mask, mask });
        self
    }

    /// Sets the timeouts, in seconds, 0 for never.
    #[must_use]
    pub fn timeouts(mut self, idle: u16, hard: u16) -> Self {
        (self.idle_timeout, self.hard_timeout) = (idle, hard);
        self
    }

    /// Sets the flags.
    #[must_use]
    pub fn flags(mut self, flags: FlowFlags) -> Self {
        self.flags = flags;
        self
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self::new(0, DEFAULT_PRIORITY, Match::new())
    }
}
