//! Bytes to actions.

use super::{Action, Controller, Ct, Learn, Nat, code};
use crate::matching::read_tlv;
use crate::port::PortNo;
use crate::subfield::{Subfield, read_header};
use crate::vendor::NICIRA;
use crate::wire::{DecodeError, Reader};

/// How deep `ct` and `clone` may be nested; Open vSwitch itself allows less.
const MAX_DEPTH: usize = 16;

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the actions that fill the rest of a structure. `depth` counts the actions around it.
pub(crate) fn decode_list(r: &mut Reader<'_>, depth: usize) -> Result<Vec<Action>> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::Depth(MAX_DEPTH));
    }
    let mut actions = Vec::new();
    while !r.is_empty() {
        actions.push(decode(r, depth)?);
    }
    Ok(actions)
}

fn decode(r: &mut Reader<'_>, depth: usize) -> Result<Action> {
    let (length, mut body) = r.sized("action", 2, 8)?;
    if length % 8 != 0 {
        return Err(DecodeError::Length { what: "action", length });
    }
    let whole = body.rest();
    let code = body.u16()?;
    body.skip(2)?;
    let action = match code {
        code::EXPERIMENTER if body.u32()? == NICIRA => nicira(&mut body, depth),
        _ => standard(&mut body, code),
    };
    match action {
        Err(DecodeError::Unknown { .. }) => Ok(Action::Other(whole.to_vec())),
        action => action,
    }
}

fn standard(r: &mut Reader<'_>, code: u16) -> Result<Action> {
    Ok(match code {
        code::OUTPUT => Action::Output { port: PortNo::new(r.u32()?), max_len: r.u16()? },
        code::SET_MPLS_TTL => Action::SetMplsTtl(r.u8()?),
        code::DEC_MPLS_TTL => Action::DecMplsTtl,
        code::PUSH_VLAN => Action::PushVlan(r.u16()?),
        code::POP_VLAN => Action::PopVlan,
        code::PUSH_MPLS => Action::PushMpls(r.u16()?),
        code::POP_MPLS => Action::PopMpls(r.u16()?),
        code::SET_QUEUE => Action::SetQueue(r.u32()?),
        code::GROUP => Action::Group(r.u32()?),
        code::SET_NW_TTL => Action::SetTtl(r.u8()?),
        code::DEC_NW_TTL => Action::DecTtl,
        code::SET_FIELD => set_field(r)?,
        code::COPY_FIELD => {
            let (n_bits, src, dst) = (r.u16()?, r.u16()?, r.u16()?);
            r.skip(2)?;
            let src = Subfield::new(read_header(r)?, src, n_bits);
            let dst = Subfield::new(read_header(r)?, dst, n_bits);
            Action::Move { src, dst }
        }
        code::METER => Action::Meter(r.u32()?),
        _ => return Err(DecodeError::Unknown { what: "action", code: u64::from(code) }),
    })
}

fn set_field(r: &mut Reader<'_>) -> Result<Action> {
    let tlv = read_tlv(r)?;
    let (field, value, mask) =
        tlv.wire_field().ok_or(DecodeError::Unknown { what: "field to set", code: 0 })?;
    Ok(Action::set_field_masked(field, value, mask.unwrap_or(u128::MAX)))
}

fn nicira(r: &mut Reader<'_>, depth: usize) -> Result<Action> {
    let subtype = r.u16()?;
    Ok(match subtype {
        code::NX_RESUBMIT => Action::Resubmit { port: other_port(r.u16()?), table: None, ct: false },
        code::NX_RESUBMIT_TABLE | code::NX_RESUBMIT_TABLE_CT => {
            let (port, table) = (other_port(r.u16()?), r.u8()?);
            let ct = subtype == code::NX_RESUBMIT_TABLE_CT;
            Action::Resubmit { port, table: (table != 0xff).then_some(table), ct }
        }
        code::NX_POP_QUEUE => Action::PopQueue,
        code::NX_NOTE => Action::Note(r.rest().to_vec()),
        code::NX_OUTPUT_REG => {
            let ofs_nbits = r.u16()?;
            let src = Subfield::from_ofs_nbits(read_header(r)?, ofs_nbits);
            Action::OutputReg { src, max_len: r.u16()? }
        }
        code::NX_OUTPUT_REG2 => {
            let (ofs_nbits, max_len) = (r.u16()?, r.u16()?);
            Action::OutputReg { src: Subfield::from_ofs_nbits(read_header(r)?, ofs_nbits), max_len }
        }
        code::NX_LEARN => Action::Learn(Learn::decode(r, false)?),
        code::NX_LEARN2 => Action::Learn(Learn::decode(r, true)?),
        code::NX_EXIT => Action::Exit,
        code::NX_FIN_TIMEOUT => Action::FinTimeout { idle: r.u16()?, hard: r.u16()? },
        code::NX_CONTROLLER => Action::Controller(Controller::decode(r)?),
        code::NX_CONTROLLER2 => Action::Controller(Controller::decode_properties(r)?),
        code::NX_DEC_TTL_CNT_IDS => {
            let n = r.u16()?;
            r.skip(4)?;
            Action::DecTtlTo((0..n).map(|_| r.u16()).collect::<Result<_>>()?)
        }
        code::NX_STACK_PUSH => Action::Push(stack(r)?),
        code::NX_STACK_POP => Action::Pop(stack(r)?),
        code::NX_CONJUNCTION => {
            let (clause, n_clauses) = (r.u8()?.wrapping_add(1), r.u8()?);
            Action::Conjunction { id: r.u32()?, clause, n_clauses }
        }
        code::NX_CT => Action::Ct(Ct::decode(r, depth + 1)?),
        code::NX_NAT => Action::Nat(Nat::decode(r)?),
        code::NX_OUTPUT_TRUNC => Action::OutputTrunc { port: PortNo::from_u16(r.u16()?), max_len: r.u32()? },
        code::NX_CLONE => {
            r.skip(6)?;
            Action::Clone(decode_list(r, depth + 1)?)
        }
        code::NX_CT_CLEAR => Action::CtClear,
        code::NX_CHECK_PKT_LARGER => {
            let (length, ofs) = (r.u16()?, r.u16()?);
            Action::CheckPktLarger { length, dst: Subfield::new(read_header(r)?, ofs, 1) }
        }
        _ => return Err(DecodeError::Unknown { what: "Nicira action", code: u64::from(subtype) }),
    })
}

/// The port to pretend, where `IN_PORT` stands for the one the packet came in by.
fn other_port(number: u16) -> Option<PortNo> {
    Some(PortNo::from_u16(number)).filter(|port| *port != PortNo::IN_PORT)
}

fn stack(r: &mut Reader<'_>) -> Result<Subfield> {
    let ofs = r.u16()?;
    let field = read_header(r)?;
    Ok(Subfield { field, ofs, n_bits: r.u16()? })
}
