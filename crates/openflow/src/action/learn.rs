//! Flows that add flows.

use std::fmt;

use crate::addr::Hex;
use crate::field::{Field, FieldValue, Formatted, ones};
use crate::flags::flags;
use crate::matching::DEFAULT_PRIORITY;
use crate::subfield::{Subfield, read_header, write_nxm_header};
use crate::wire::{DecodeError, Reader, Writer};

/// Adds or changes a flow when a packet passes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Learn {
    /// The table of the new flow, not 255.
    pub table: u8,
    /// Its priority.
    pub priority: u16,
    /// Its cookie.
    pub cookie: u64,
    /// Seconds without packets after which it goes, 0 for never.
    pub idle_timeout: u16,
    /// Seconds after which it goes, 0 for never.
    pub hard_timeout: u16,
    /// Idle timeout after TCP's FIN or RST, 0 for unchanged.
    pub fin_idle_timeout: u16,
    /// Hard timeout after TCP's FIN or RST, 0 for unchanged.
    pub fin_hard_timeout: u16,
    /// Choices.
    pub flags: LearnFlags,
    /// How many flows may be learned so, 0 for any number.
    pub limit: u32,
    /// Where to put one bit that says whether the flow was learned in spite of the limit.
    pub result: Option<Subfield>,
    /// What the new flow matches and does.
    pub specs: Vec<LearnSpec>,
}

flags! {
    /// Choices of the `learn` action.
    LearnFlags: u16 {
        /// Tell the controller when the new flow goes.
        SEND_FLOW_REM = 1;
        /// Delete the learned flows together with the flow that has the action.
        DELETE_LEARNED = 2;
    }
}

/// One part of a learned flow.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LearnSpec {
    /// Match bits that are `value`.
    MatchValue {
        /// The bits to match.
        dst: Subfield,
        /// What they must be.
        value: u128,
    },
    /// Match bits that are what bits of the present packet are.
    MatchField {
        /// The bits to match.
        dst: Subfield,
        /// The bits of the present packet.
        src: Subfield,
    },
    /// Set bits to `value`.
    LoadValue {
        /// The bits to set.
        dst: Subfield,
        /// What to.
        value: u128,
    },
    /// Set bits to what bits of the present packet are.
    LoadField {
        /// The bits to set.
        dst: Subfield,
        /// The bits of the present packet.
        src: Subfield,
    },
    /// Output to the port whose number is in bits of the present packet.
    Output {
        /// Where the number is.
        src: Subfield,
    },
}

impl LearnSpec {
    /// Match a whole field that is `value`.
    #[must_use]
    pub fn match_value(field: Field, value: impl Into<FieldValue>) -> Self {
        Self::MatchValue { dst: field.into(), value: value.into().0 & field.all_ones() }
    }

    /// Match a field that is what it is in the present packet.
    #[must_use]
    pub fn match_same(field: Field) -> Self {
        Self::MatchField { dst: field.into(), src: field.into() }
    }

    /// Set bits to `value`.
    #[must_use]
    pub fn load(dst: impl Into<Subfield>, value: impl Into<FieldValue>) -> Self {
        let dst = dst.into();
        Self::LoadValue { dst, value: value.into().0 & ones(u32::from(dst.n_bits)) }
    }
}

impl Default for Learn {
    fn default() -> Self {
        Self {
            table: 1,
            priority: DEFAULT_PRIORITY,
            cookie: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            fin_idle_timeout: 0,
            fin_hard_timeout: 0,
            flags: LearnFlags::EMPTY,
            limit: 0,
            result: None,
            specs: Vec::new(),
        }
    }
}

/// The flag which says that there is a field for the result.
const WRITE_RESULT: u16 = 4;

impl Learn {
    /// Whether the first form of the action cannot express this one.
    pub(super) fn needs_second_form(&self) -> bool {
        self.limit != 0 || self.result.is_some()
    }

    pub(super) fn decode(r: &mut Reader<'_>, second_form: bool) -> Result<Self, DecodeError> {
        let mut this = Self {
            idle_timeout: r.u16()?,
            hard_timeout: r.u16()?,
            priority: r.u16()?,
            cookie: r.u64()?,
            ..Self::default()
        };
        let flags = r.u16()?;
        this.flags = LearnFlags::from_bits(flags & !WRITE_RESULT);
        this.table = r.u8()?;
        r.skip(1)?;
        this.fin_idle_timeout = r.u16()?;
        this.fin_hard_timeout = r.u16()?;
        if second_form {
            this.limit = r.u32()?;
            let ofs = r.u16()?;
            r.skip(2)?;
            if flags & WRITE_RESULT != 0 {
                this.result = Some(Subfield::new(read_header(r)?, ofs, 1));
            }
        }
        while r.len() >= 2 {
            match LearnSpec::decode(r)? {
                Some(spec) => this.specs.push(spec),
                None => break,
            }
        }
        Ok(this)
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u16(self.priority);
        w.u64(self.cookie);
        let write_result = if self.result.is_some() { WRITE_RESULT } else { 0 };
        w.u16(self.flags.bits() & !WRITE_RESULT | write_result);
        w.u8(self.table);
        w.zeros(1);
        w.u16(self.fin_idle_timeout);
        w.u16(self.fin_hard_timeout);
        if self.needs_second_form() {
            w.u32(self.limit);
            w.u16(self.result.map_or(0, |result| result.ofs));
            w.zeros(2);
            if let Some(result) = self.result {
                write_nxm_header(w, result.field);
            }
        }
        for spec in &self.specs {
            spec.encode(w);
        }
    }
}

/// Bits of the header of a spec.
mod header {
    pub(super) const N_BITS: u16 = 0x3ff;
    pub(super) const SRC_VALUE: u16 = 1 << 13;
    pub(super) const DST: u16 = 3 << 11;
    pub(super) const DST_LOAD: u16 = 1 << 11;
    pub(super) const DST_OUTPUT: u16 = 2 << 11;
}

fn read_range(r: &mut Reader<'_>, n_bits: u16) -> Result<Subfield, DecodeError> {
    Ok(Subfield { field: read_header(r)?, ofs: r.u16()?, n_bits })
}

fn write_range(w: &mut Writer<'_>, range: Subfield) {
    write_nxm_header(w, range.field);
    w.u16(range.ofs);
}

impl LearnSpec {
    /// The next spec; `None` at the padding.
    fn decode(r: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let head = r.u16()?;
        if head == 0 {
            return Ok(None);
        }
        let n_bits = head & header::N_BITS;
        let invalid = DecodeError::Value { what: "learn spec", value: u64::from(head) };
        if head & header::SRC_VALUE != 0 {
            let value = r.uint(usize::from(n_bits).div_ceil(16) * 2)? & ones(u32::from(n_bits));
            return match head & header::DST {
                0 => Ok(Some(Self::MatchValue { dst: read_range(r, n_bits)?, value })),
                header::DST_LOAD => Ok(Some(Self::LoadValue { dst: read_range(r, n_bits)?, value })),
                _ => Err(invalid),
            };
        }
        let src = read_range(r, n_bits)?;
        match head & header::DST {
            0 => Ok(Some(Self::MatchField { dst: read_range(r, n_bits)?, src })),
            header::DST_LOAD => Ok(Some(Self::LoadField { dst: read_range(r, n_bits)?, src })),
            header::DST_OUTPUT => Ok(Some(Self::Output { src })),
            _ => Err(invalid),
        }
    }

    fn encode(&self, w: &mut Writer<'_>) {
        let value_bytes = |n_bits: u16| usize::from(n_bits).div_ceil(16) * 2;
        match *self {
            Self::MatchValue { dst, value } => {
                w.u16(dst.n_bits | header::SRC_VALUE);
                w.uint(value, value_bytes(dst.n_bits));
                write_range(w, dst);
            }
            Self::LoadValue { dst, value } => {
                w.u16(dst.n_bits | header::SRC_VALUE | header::DST_LOAD);
                w.uint(value, value_bytes(dst.n_bits));
                write_range(w, dst);
            }
            Self::MatchField { dst, src } => {
                w.u16(dst.n_bits);
                write_range(w, src);
                write_range(w, dst);
            }
            Self::LoadField { dst, src } => {
                w.u16(dst.n_bits | header::DST_LOAD);
                write_range(w, src);
                write_range(w, dst);
            }
            Self::Output { src } => {
                w.u16(src.n_bits | header::DST_OUTPUT);
                write_range(w, src);
            }
        }
    }
}

impl fmt::Display for Learn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "learn(table={}", self.table)?;
        for (name, seconds) in [
            ("idle_timeout", self.idle_timeout),
            ("hard_timeout", self.hard_timeout),
            ("fin_idle_timeout", self.fin_idle_timeout),
            ("fin_hard_timeout", self.fin_hard_timeout),
        ] {
            if seconds != 0 {
                write!(f, ",{name}={seconds}")?;
            }
        }
        if self.priority != DEFAULT_PRIORITY {
            write!(f, ",priority={}", self.priority)?;
        }
        for (flag, name) in
            [(LearnFlags::SEND_FLOW_REM, ",send_flow_rem"), (LearnFlags::DELETE_LEARNED, ",delete_learned")]
        {
            if self.flags.contains(flag) {
                f.write_str(name)?;
            }
        }
        if self.cookie != 0 {
            write!(f, ",cookie={}", Hex(u128::from(self.cookie)))?;
        }
        if self.limit != 0 {
            write!(f, ",limit={}", self.limit)?;
        }
        if let Some(result) = self.result {
            write!(f, ",result_dst={result}")?;
        }
        for spec in &self.specs {
            write!(f, ",{spec}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for LearnSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MatchValue { dst, value } if dst == Subfield::whole(dst.field) => {
                write!(f, "{}={}", dst.field.name(), Formatted { field: dst.field, value, mask: None })
            }
            Self::MatchValue { dst, value } => write!(f, "{dst}={}", Hex(value)),
            Self::MatchField { dst, src } if dst == src => write!(f, "{dst}"),
            Self::MatchField { dst, src } => write!(f, "{dst}={src}"),
            Self::LoadValue { dst, value } => write!(f, "load:{}->{dst}", Hex(value)),
            Self::LoadField { dst, src } => write!(f, "load:{src}->{dst}"),
            Self::Output { src } => write!(f, "output:{src}"),
        }
    }
}
