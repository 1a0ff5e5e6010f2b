//! What happens to packets.

mod conntrack;
mod controller;
mod decode;
mod display;
mod encode;
mod learn;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use self::conntrack::{Ct, CtZone, Nat, NatDirection, NatFlags, NatRange};
pub use self::controller::{Controller, PacketInReason};
pub(crate) use self::decode::decode_list;
pub(crate) use self::display::List;
pub(crate) use self::encode::encode_list;
pub use self::learn::{Learn, LearnFlags, LearnSpec};

use crate::addr::MacAddr;
use crate::field::{Field, FieldValue};
use crate::port::PortNo;
use crate::subfield::Subfield;

/// An action (OpenFlow 1.5.1 section 5.12 and `ovs-actions(7)`).
///
/// Actions have the form in which Open vSwitch reports them, so that what is read back equals what was sent. Where
/// it rewrites what it is given there is a constructor that yields the rewritten form: [`Self::load`] is a masked
/// `set_field` in OpenFlow 1.5, and [`Self::note`] is padded.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Sends the packet out.
    Output {
        /// Where to.
        port: PortNo,
        /// Bytes of the packet to send to a controller, 0xffff for all; 0 with other ports.
        max_len: u16,
    },
    /// Sends the packet to the port whose number is in a field.
    OutputReg {
        /// Where the number is.
        src: Subfield,
        /// As in `Output`; `ovs-ofctl` sends 0xffff.
        max_len: u16,
    },
    /// Sends the first bytes of the packet out.
    OutputTrunc {
        /// Where to.
        port: PortNo,
        /// How many bytes, at least 14.
        max_len: u32,
    },
    /// Hands the packet to a group.
    Group(u32),
    /// Sends the packet to a controller with more choices than `Output` has.
    Controller(Controller),
    /// Sets the queue for `Output`.
    SetQueue(u32),
    /// Undoes `SetQueue`.
    PopQueue,
    /// Sets bits of a field.
    SetField {
        /// The field.
        field: Field,
        /// The new value of the bits that `mask` selects; other bits are zero.
        value: u128,
        /// Which bits are set; all bits that exist on the wire for the whole field.
        mask: u128,
    },
    /// Copies bits between fields.
    Move {
        /// From where.
        src: Subfield,
        /// To where; as many bits as `src`.
        dst: Subfield,
    },
    /// Puts bits on the stack of the flow tables.
    Push(Subfield),
    /// Takes bits from the stack.
    Pop(Subfield),
    /// Adds a VLAN tag of this Ethernet type.
    PushVlan(u16),
    /// Removes the outermost VLAN tag.
    PopVlan,
    /// Adds an MPLS label of this Ethernet type.
    PushMpls(u16),
    /// Removes the outermost MPLS label; the argument is the Ethernet type of what is left.
    PopMpls(u16),
    /// Sets the TTL of the outermost MPLS label.
    SetMplsTtl(u8),
    /// Decrements the TTL of the outermost MPLS label.
    DecMplsTtl,
    /// Sets the TTL or hop limit.
    SetTtl(u8),
    /// Decrements the TTL or hop limit; a packet whose time is up goes to the controllers with id 0.
    DecTtl,
    /// Like `DecTtl`, with the ids of the controllers.
    DecTtlTo(Vec<u16>),
    /// Looks the packet up in a flow table and comes back.
    Resubmit {
        /// Pretend that the packet came in by this port.
        port: Option<PortNo>,
        /// The table; `None`: the one this flow is in.
        table: Option<u8>,
        /// Look up with the addresses and ports of the connection's original direction.
        ct: bool,
    },
    /// Connection tracking.
    Ct(Ct),
    /// Address translation, only within [`Ct::actions`].
    Nat(Nat),
    /// Forgets what connection tracking found.
    CtClear,
    /// One dimension of a conjunctive match.
    Conjunction {
        /// Identifies the conjunction.
        id: u32,
        /// The dimension, counted from 1 as `ovs-ofctl` does.
        clause: u8,
        /// The number of dimensions, 2 to 64.
        n_clauses: u8,
    },
    /// Adds a flow.
    Learn(Learn),
    /// A comment; its length is 6 plus a multiple of 8 bytes.
    Note(Vec<u8>),
    /// Sets one bit to whether the packet is longer than so many bytes, its Ethernet header included.
    CheckPktLarger {
        /// The length.
        length: u16,
        /// Where the one bit goes.
        dst: Subfield,
    },
    /// Applies a meter.
    Meter(u32),
    /// Runs actions on a copy of the packet.
    Clone(Vec<Action>),
    /// Ends the processing of the packet in this and the resubmitting tables.
    Exit,
    /// Shortens the flow's timeouts once TCP's FIN or RST is seen, to these seconds (0: leave).
    FinTimeout {
        /// New idle timeout.
        idle: u16,
        /// New hard timeout.
        hard: u16,
    },
    /// An action that this crate does not know, as it was on the wire with its header.
    Other(Vec<u8>),
}

impl Action {
    /// Sends the packet out of a port.
    #[must_use]
    pub fn output(port: impl Into<PortNo>) -> Self {
        Self::Output { port: port.into(), max_len: 0 }
    }

    /// Sends the first `max_len` bytes (0xffff: all) of the packet to the controllers.
    #[must_use]
    pub fn controller(max_len: u16) -> Self {
        Self::Output { port: PortNo::CONTROLLER, max_len }
    }

    /// Sends the packet back to where it came from, which a plain output to that port would not.
    #[must_use]
    pub fn output_in_port() -> Self {
        Self::Output { port: PortNo::IN_PORT, max_len: 0 }
    }

    /// Sends the packet to the port whose number is in a field.
    #[must_use]
    pub fn output_reg(src: impl Into<Subfield>) -> Self {
        Self::OutputReg { src: src.into(), max_len: u16::MAX }
    }

    /// Sets a whole field.
    #[must_use]
    pub fn set_field(field: Field, value: impl Into<FieldValue>) -> Self {
        Self::set_field_masked(field, value, u128::MAX)
    }

    /// Sets the bits of a field that `mask` selects.
    #[must_use]
    pub fn set_field_masked(field: Field, value: impl Into<FieldValue>, mask: impl Into<FieldValue>) -> Self {
        let mask = mask.into().0 & field.wire_ones();
        let mask = if mask & field.all_ones() == field.all_ones() { field.wire_ones() } else { mask };
        Self::SetField { field, value: value.into().0 & mask, mask }
    }

    /// Loads a value into a range of bits. In OpenFlow 1.5 this is a masked `set_field`, and is read back as such.
    #[must_use]
    pub fn load(dst: impl Into<Subfield>, value: impl Into<FieldValue>) -> Self {
        let dst = dst.into();
        Self::set_field_masked(dst.field, dst.place(value.into().0), dst.mask())
    }

    /// Copies a range of bits.
    #[must_use]
    pub fn move_field(src: impl Into<Subfield>, dst: impl Into<Subfield>) -> Self {
        Self::Move { src: src.into(), dst: dst.into() }
    }

    /// Sets the source Ethernet address.
    #[must_use]
    pub fn set_eth_src(mac: MacAddr) -> Self {
        Self::set_field(Field::EthSrc, mac)
    }

    /// Sets the destination Ethernet address.
    #[must_use]
    pub fn set_eth_dst(mac: MacAddr) -> Self {
        Self::set_field(Field::EthDst, mac)
    }

    /// Sets the IPv4 address of the tunnel's other end.
    #[must_use]
    pub fn set_tun_dst(address: Ipv4Addr) -> Self {
        Self::set_field(Field::TunDst, address)
    }

    /// Sets the IPv6 address of the tunnel's other end.
    #[must_use]
    pub fn set_tun_ipv6_dst(address: Ipv6Addr) -> Self {
        Self::set_field(Field::TunIpv6Dst, address)
    }

    /// Sets the VLAN id (12 bits) of a packet that has a tag.
    #[must_use]
    pub fn set_vlan_vid(vid: u16) -> Self {
        Self::set_field(Field::VlanVid, vid | 0x1000)
    }

    /// Looks the packet up in a table and comes back.
    #[must_use]
    pub fn resubmit(table: u8) -> Self {
        Self::Resubmit { port: None, table: Some(table), ct: false }
    }

    /// A comment, padded with zero bytes as the switch pads it.
    #[must_use]
    pub fn note(text: impl Into<Vec<u8>>) -> Self {
        let mut bytes = text.into();
        bytes.resize(6 + bytes.len().saturating_sub(6).next_multiple_of(8), 0);
        Self::Note(bytes)
    }

    /// Sets a bit to whether the packet, its Ethernet header included, is longer than `length` bytes.
    #[must_use]
    pub fn check_pkt_larger(length: u16, dst: impl Into<Subfield>) -> Self {
        Self::CheckPktLarger { length, dst: dst.into() }
    }
}

impl From<Ct> for Action {
    fn from(ct: Ct) -> Self {
        Self::Ct(ct)
    }
}

impl From<Learn> for Action {
    fn from(learn: Learn) -> Self {
        Self::Learn(learn)
    }
}

impl From<Controller> for Action {
    fn from(controller: Controller) -> Self {
        Self::Controller(controller)
    }
}

/// Type codes of actions: OpenFlow 1.5.1 section 7.2.6 and, for the Nicira extensions, `ovs-actions(7)`.
mod code {
    pub(super) const OUTPUT: u16 = 0;
    pub(super) const SET_MPLS_TTL: u16 = 15;
    pub(super) const DEC_MPLS_TTL: u16 = 16;
    pub(super) const PUSH_VLAN: u16 = 17;
    pub(super) const POP_VLAN: u16 = 18;
    pub(super) const PUSH_MPLS: u16 = 19;
    pub(super) const POP_MPLS: u16 = 20;
    pub(super) const SET_QUEUE: u16 = 21;
    pub(super) const GROUP: u16 = 22;
    pub(super) const SET_NW_TTL: u16 = 23;
    pub(super) const DEC_NW_TTL: u16 = 24;
    pub(super) const SET_FIELD: u16 = 25;
    pub(super) const COPY_FIELD: u16 = 28;
    pub(super) const METER: u16 = 29;
    pub(super) const EXPERIMENTER: u16 = 0xffff;

    pub(super) const NX_RESUBMIT: u16 = 1;
    pub(super) const NX_POP_QUEUE: u16 = 5;
    pub(super) const NX_NOTE: u16 = 8;
    pub(super) const NX_RESUBMIT_TABLE: u16 = 14;
    pub(super) const NX_OUTPUT_REG: u16 = 15;
    pub(super) const NX_LEARN: u16 = 16;
    pub(super) const NX_EXIT: u16 = 17;
    pub(super) const NX_FIN_TIMEOUT: u16 = 19;
    pub(super) const NX_CONTROLLER: u16 = 20;
    pub(super) const NX_DEC_TTL_CNT_IDS: u16 = 21;
    pub(super) const NX_STACK_PUSH: u16 = 27;
    pub(super) const NX_STACK_POP: u16 = 28;
    pub(super) const NX_OUTPUT_REG2: u16 = 32;
    pub(super) const NX_CONJUNCTION: u16 = 34;
    pub(super) const NX_CT: u16 = 35;
    pub(super) const NX_NAT: u16 = 36;
    pub(super) const NX_CONTROLLER2: u16 = 37;
    pub(super) const NX_OUTPUT_TRUNC: u16 = 39;
    pub(super) const NX_CLONE: u16 = 42;
    pub(super) const NX_CT_CLEAR: u16 = 43;
    pub(super) const NX_RESUBMIT_TABLE_CT: u16 = 44;
    pub(super) const NX_LEARN2: u16 = 45;
    pub(super) const NX_CHECK_PKT_LARGER: u16 = 49;
}
