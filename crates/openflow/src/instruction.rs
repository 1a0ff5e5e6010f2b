//! What a flow does with the packets it matches.

use std::fmt;

use crate::action::{Action, List, decode_list, encode_list};
use crate::addr::Hex;
use crate::wire::{DecodeError, Reader, Writer};

/// The instructions of a flow (OpenFlow 1.5.1 section 5.5): each kind at most once, in the order of execution.
///
/// Metering is an action in OpenFlow 1.5, [`Action::Meter`].
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Instructions {
    /// Actions to apply at once.
    pub apply: Vec<Action>,
    /// Whether to empty the action set.
    pub clear: bool,
    /// Actions to add to the action set, which is executed when no table follows.
    pub write: Vec<Action>,
    /// Bits of the metadata to set.
    pub metadata: Option<WriteMetadata>,
    /// The table to go on in, a later one than the flow's.
    pub goto_table: Option<u8>,
}

/// Bits of the metadata to set.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WriteMetadata {
    /// Their new values; other bits are zero.
    pub value: u64,
    /// Which bits.
    pub mask: u64,
}

/// Type codes: OpenFlow 1.5.1 section 7.2.5.
mod code {
    pub(super) const GOTO_TABLE: u16 = 1;
    pub(super) const WRITE_METADATA: u16 = 2;
    pub(super) const WRITE_ACTIONS: u16 = 3;
    pub(super) const APPLY_ACTIONS: u16 = 4;
    pub(super) const CLEAR_ACTIONS: u16 = 5;
}

impl Instructions {
    /// Nothing: packets are dropped.
    #[must_use]
    pub const fn none() -> Self {
        Self { apply: Vec::new(), clear: false, write: Vec::new(), metadata: None, goto_table: None }
    }

    /// Whether packets are dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty()
            && !self.clear
            && self.write.is_empty()
            && self.metadata.is_none()
            && self.goto_table.is_none()
    }

    /// Reads the instructions that fill the rest of a structure.
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut this = Self::none();
        while !r.is_empty() {
            let (_, mut body) = r.sized("instruction", 2, 4)?;
            let code = body.u16()?;
            body.skip(2)?;
            match code {
                code::GOTO_TABLE => this.goto_table = Some(body.u8()?),
                code::WRITE_METADATA => {
                    body.skip(4)?;
                    let (value, mask) = (body.u64()?, body.u64()?);
                    this.metadata = Some(WriteMetadata { value: value & mask, mask });
                }
                code::WRITE_ACTIONS => {
                    body.skip(4)?;
                    this.write = decode_list(&mut body, 0)?;
                }
                code::APPLY_ACTIONS => {
                    body.skip(4)?;
                    this.apply = decode_list(&mut body, 0)?;
                }
                code::CLEAR_ACTIONS => this.clear = true,
                other => return Err(DecodeError::Unknown { what: "instruction", code: u64::from(other) }),
            }
        }
        Ok(this)
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        let mut put = |code: u16, body: &dyn Fn(&mut Writer<'_>)| {
            let start = w.position();
            w.u16(code);
            w.u16(0);
            body(w);
            w.patch_length("instruction", start + 2, start);
        };
        if !self.apply.is_empty() {
            put(code::APPLY_ACTIONS, &|w| {
                w.zeros(4);
                encode_list(&self.apply, w);
            });
        }
        if self.clear {
            put(code::CLEAR_ACTIONS, &|w| w.zeros(4));
        }
        if !self.write.is_empty() {
            put(code::WRITE_ACTIONS, &|w| {
                w.zeros(4);
                encode_list(&self.write, w);
            });
        }
        if let Some(WriteMetadata { value, mask }) = self.metadata {
            put(code::WRITE_METADATA, &|w| {
                w.zeros(4);
                w.u64(value & mask);
                w.u64(mask);
            });
        }
        if let Some(table) = self.goto_table {
            put(code::GOTO_TABLE, &|w| {
                w.u8(table);
                w.zeros(3);
            });
        }
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("drop");
        }
        let mut items = Vec::new();
        if !self.apply.is_empty() {
            items.push(List(&self.apply).to_string());
        }
        if self.clear {
            items.push("clear_actions".to_owned());
        }
        if !self.write.is_empty() {
            items.push(format!("write_actions({})", List(&self.write)));
        }
        match self.metadata {
            Some(WriteMetadata { value, mask: u64::MAX }) => {
                items.push(format!("write_metadata:{}", Hex(u128::from(value))));
            }
            Some(WriteMetadata { value, mask }) => {
                items.push(format!("write_metadata:{}/{}", Hex(u128::from(value)), Hex(u128::from(mask))));
            }
            None => {}
        }
        if let Some(table) = self.goto_table {
            items.push(format!("goto_table:{table}"));
        }
        f.write_str(&items.join(","))
    }
}
