//! Actions as `ovs-ofctl` writes them.

use std::fmt;

use super::Action;
use crate::addr::{Dotted, Hex};
use crate::field::Formatted;
use crate::port::PortNo;

/// A list of actions; an empty one is written `drop`.
pub(crate) struct List<'a>(pub(crate) &'a [Action]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else { return f.write_str("drop") };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|action| write!(f, ",{action}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { port: PortNo::CONTROLLER, max_len } => write!(f, "CONTROLLER:{max_len}"),
            Self::Output { port, .. } if port.get() <= PortNo::MAX_ORDINARY => write!(f, "output:{port}"),
            Self::Output { port, .. } => write!(f, "{port}"),
            Self::OutputReg { src, .. } => write!(f, "output:{src}"),
            Self::OutputTrunc { port, max_len } => write!(f, "output(port={port},max_len={max_len})"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::Controller(controller) => write!(f, "{controller}"),
            Self::SetQueue(id) => write!(f, "set_queue:{id}"),
            Self::PopQueue => f.write_str("pop_queue"),
            Self::SetField { field, value, mask } => {
                let formatted = Formatted { field: *field, value: *value, mask: Some(*mask) };
                write!(f, "set_field:{formatted}->{}", field.name())
            }
            Self::Move { src, dst } => write!(f, "move:{src}->{dst}"),
            Self::Push(range) => write!(f, "push:{range}"),
            Self::Pop(range) => write!(f, "pop:{range}"),
            Self::PushVlan(ethertype) => write!(f, "push_vlan:{}", Hex(u128::from(*ethertype))),
            Self::PopVlan => f.write_str("pop_vlan"),
            Self::PushMpls(ethertype) => write!(f, "push_mpls:{ethertype:#06x}"),
            Self::PopMpls(ethertype) => write!(f, "pop_mpls:{ethertype:#06x}"),
            Self::SetMplsTtl(ttl) => write!(f, "set_mpls_ttl({ttl})"),
            Self::DecMplsTtl => f.write_str("dec_mpls_ttl"),
            Self::SetTtl(ttl) => write!(f, "mod_nw_ttl:{ttl}"),
            Self::DecTtl => f.write_str("dec_ttl"),
            Self::DecTtlTo(ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                write!(f, "dec_ttl({})", ids.join(","))
            }
            Self::Resubmit { port, table, ct } => resubmit(f, *port, *table, *ct),
            Self::Ct(ct) => write!(f, "{ct}"),
            Self::Nat(nat) => write!(f, "{nat}"),
            Self::CtClear => f.write_str("ct_clear"),
            Self::Conjunction { id, clause, n_clauses } => {
                write!(f, "conjunction({id},{clause}/{n_clauses})")
            }
            Self::Learn(learn) => write!(f, "{learn}"),
            Self::Note(bytes) => write!(f, "note:{}", Dotted(bytes)),
            Self::CheckPktLarger { length, dst } => write!(f, "check_pkt_larger({length})->{dst}"),
            Self::Meter(id) => write!(f, "meter:{id}"),
            Self::Clone(actions) => write!(f, "clone({})", List(actions)),
            Self::Exit => f.write_str("exit"),
            Self::FinTimeout { idle, hard } => {
                let items = [("idle_timeout", *idle), ("hard_timeout", *hard)];
                let items: Vec<_> =
                    items.iter().filter(|item| item.1 != 0).map(|(name, n)| format!("{name}={n}")).collect();
                write!(f, "fin_timeout({})", items.join(","))
            }
            Self::Other(bytes) => write!(f, "unknown:{}", Dotted(bytes)),
        }
    }
}

fn resubmit(f: &mut fmt::Formatter<'_>, port: Option<PortNo>, table: Option<u8>, ct: bool) -> fmt::Result {
    if let (Some(port), None) = (port, table) {
        return write!(f, "resubmit:{port}");
    }
    f.write_str("resubmit(")?;
    if let Some(port) = port {
        write!(f, "{port}")?;
    }
    f.write_str(",")?;
    if let Some(table) = table {
        write!(f, "{table}")?;
    }
    f.write_str(if ct { ",ct)" } else { ")" })
}
