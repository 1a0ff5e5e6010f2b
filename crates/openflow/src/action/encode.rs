//! Actions to bytes.

use super::{Action, code};
use crate::subfield::{Subfield, write_nxm_header};
use crate::vendor::NICIRA;
use crate::wire::Writer;

pub(crate) fn encode_list(actions: &[Action], w: &mut Writer<'_>) {
    for action in actions {
        action.encode(w);
    }
}

/// Writes a standard action. `body` writes what follows the type and length.
fn standard(w: &mut Writer<'_>, code: u16, body: impl FnOnce(&mut Writer<'_>)) {
    let start = w.position();
    w.u16(code);
    w.u16(0);
    body(w);
    w.align8(start);
    w.patch_length("action", start + 2, start);
}

/// Writes an action of Nicira's. `body` writes what follows the subtype.
fn nicira(w: &mut Writer<'_>, subtype: u16, body: impl FnOnce(&mut Writer<'_>)) {
    standard(w, code::EXPERIMENTER, |w| {
        w.u32(NICIRA);
        w.u16(subtype);
        body(w);
    });
}

/// Writes an action of Nicira's without arguments.
fn nicira_plain(w: &mut Writer<'_>, subtype: u16) {
    nicira(w, subtype, |w| w.zeros(6));
}

fn stack(w: &mut Writer<'_>, subtype: u16, range: Subfield) {
    nicira(w, subtype, |w| {
        w.u16(range.ofs);
        write_nxm_header(w, range.field);
        w.u16(range.n_bits);
        w.zeros(6);
    });
}

impl Action {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Output { port, max_len } => standard(w, code::OUTPUT, |w| {
                w.u32(port.get());
                w.u16(*max_len);
                w.zeros(6);
            }),
            Self::OutputReg { src, max_len } => nicira(w, code::NX_OUTPUT_REG, |w| {
                w.u16(src.ofs_nbits());
                write_nxm_header(w, src.field);
                w.u16(*max_len);
                w.zeros(6);
            }),
            Self::OutputTrunc { port, max_len } => nicira(w, code::NX_OUTPUT_TRUNC, |w| {
                w.u16(port.to_u16());
                w.u32(*max_len);
            }),
            Self::Group(id) => standard(w, code::GROUP, |w| w.u32(*id)),
            Self::Controller(controller) if controller.needs_properties() => {
                nicira(w, code::NX_CONTROLLER2, |w| controller.encode_properties(w));
            }
            Self::Controller(controller) => nicira(w, code::NX_CONTROLLER, |w| controller.encode(w)),
            Self::SetQueue(id) => standard(w, code::SET_QUEUE, |w| w.u32(*id)),
            Self::PopQueue => nicira_plain(w, code::NX_POP_QUEUE),
            Self::SetField { field, value, mask } => standard(w, code::SET_FIELD, |w| {
                let masked = *mask != field.wire_ones();
                w.u32(field.oxm_header(masked));
                w.uint(*value, field.n_bytes());
                if masked {
                    w.uint(*mask, field.n_bytes());
                }
            }),
            Self::Move { src, dst } => standard(w, code::COPY_FIELD, |w| {
                w.u16(dst.n_bits);
                w.u16(src.ofs);
                w.u16(dst.ofs);
                w.zeros(2);
                w.u32(src.field.oxm_header(false));
                w.u32(dst.field.oxm_header(false));
            }),
            Self::Push(range) => stack(w, code::NX_STACK_PUSH, *range),
            Self::Pop(range) => stack(w, code::NX_STACK_POP, *range),
            Self::PushVlan(ethertype) => standard(w, code::PUSH_VLAN, |w| w.u16(*ethertype)),
            Self::PopVlan => standard(w, code::POP_VLAN, |w| w.zeros(4)),
            Self::PushMpls(ethertype) => standard(w, code::PUSH_MPLS, |w| w.u16(*ethertype)),
            Self::PopMpls(ethertype) => standard(w, code::POP_MPLS, |w| w.u16(*ethertype)),
            Self::SetMplsTtl(ttl) => standard(w, code::SET_MPLS_TTL, |w| w.u8(*ttl)),
            Self::DecMplsTtl => standard(w, code::DEC_MPLS_TTL, |w| w.zeros(4)),
            Self::SetTtl(ttl) => standard(w, code::SET_NW_TTL, |w| w.u8(*ttl)),
            Self::DecTtl => standard(w, code::DEC_NW_TTL, |w| w.zeros(4)),
            Self::DecTtlTo(ids) => nicira(w, code::NX_DEC_TTL_CNT_IDS, |w| {
                w.u16(u16::try_from(ids.len()).unwrap_or(u16::MAX));
                w.zeros(4);
                ids.iter().for_each(|id| w.u16(*id));
            }),
            Self::Resubmit { port, table, ct } => {
                let subtype = match (table, ct) {
                    (_, true) => code::NX_RESUBMIT_TABLE_CT,
                    (Some(_), false) => code::NX_RESUBMIT_TABLE,
                    (None, false) => code::NX_RESUBMIT,
                };
                nicira(w, subtype, |w| {
                    w.u16(port.unwrap_or(crate::PortNo::IN_PORT).to_u16());
                    w.u8(if subtype == code::NX_RESUBMIT { 0 } else { table.unwrap_or(0xff) });
                    w.zeros(3);
                });
            }
            Self::Ct(ct) => nicira(w, code::NX_CT, |w| ct.encode(w)),
            Self::Nat(nat) => nicira(w, code::NX_NAT, |w| nat.encode(w)),
            Self::CtClear => nicira_plain(w, code::NX_CT_CLEAR),
            Self::Conjunction { id, clause, n_clauses } => nicira(w, code::NX_CONJUNCTION, |w| {
                w.u8(clause.wrapping_sub(1));
                w.u8(*n_clauses);
                w.u32(*id);
            }),
            Self::Learn(learn) => {
                let subtype = if learn.needs_second_form() { code::NX_LEARN2 } else { code::NX_LEARN };
                nicira(w, subtype, |w| learn.encode(w));
            }
            Self::Note(bytes) => nicira(w, code::NX_NOTE, |w| w.bytes(bytes)),
            Self::CheckPktLarger { length, dst } => nicira(w, code::NX_CHECK_PKT_LARGER, |w| {
                w.u16(*length);
                w.u16(dst.ofs);
                write_nxm_header(w, dst.field);
                w.zeros(6);
            }),
            Self::Meter(id) => standard(w, code::METER, |w| w.u32(*id)),
            Self::Clone(actions) => nicira(w, code::NX_CLONE, |w| {
                w.zeros(6);
                encode_list(actions, w);
            }),
            Self::Exit => nicira_plain(w, code::NX_EXIT),
            Self::FinTimeout { idle, hard } => nicira(w, code::NX_FIN_TIMEOUT, |w| {
                w.u16(*idle);
                w.u16(*hard);
                w.zeros(2);
            }),
            Self::Other(bytes) => w.bytes(bytes),
        }
    }
}
