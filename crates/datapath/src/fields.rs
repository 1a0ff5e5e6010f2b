//! Every bit that tables hand to each other, named once.

use std::net::IpAddr;

use openflow::{Field, PortNo, Subfield};

/// Where the packet came from, one of [`source`]. `reg0[0..3]`.
pub const SOURCE: Subfield = Subfield::new(Field::Reg0, 0, 4);

/// Where the packet goes, one of [`destination`]; zero until it has been routed. `reg0[4..7]`.
pub const DESTINATION: Subfield = Subfield::new(Field::Reg0, 4, 4);

/// The packet is a reply of a connection that was allowed, or an error about one: no policy is asked. `reg0[8]`.
pub const REPLY: Subfield = Subfield::new(Field::Reg0, 8, 1);

/// A policy of the subject allows the packet. `reg0[9]`.
pub const ALLOWED: Subfield = Subfield::new(Field::Reg0, 9, 1);

/// The peer's address is a pod's. `reg0[10]`.
pub const PEER_IS_POD: Subfield = Subfield::new(Field::Reg0, 10, 1);

/// The sender's address is hidden from the receiver, or was: the packet goes by the zone of masquerading. `reg0[11]`.
pub const MASQUERADED: Subfield = Subfield::new(Field::Reg0, 11, 1);

/// The packet belongs to a connection that a Service sent on: it is remembered already. `reg0[12]`.
pub const SENT_ON: Subfield = Subfield::new(Field::Reg0, 12, 1);

/// The port the packet leaves by, set when it is routed, as [`port`] has it. `reg1`.
pub const OUTPUT: Subfield = Subfield::new(Field::Reg1, 0, 32);

/// Which part of a large set of endpoints the packet goes to. `reg2`.
pub const PART: Subfield = Subfield::new(Field::Reg2, 0, 32);

/// The set of endpoints of the Service that the packet goes to. `reg3`.
pub const SET: Field = Field::Reg3;

/// All of the peer's ids and classes, to set them to zero at once. `reg4` to `reg7`.
pub const PEER: Field = Field::Xxreg1;

/// Id of the peer's namespace, zero if it is no pod. `reg4`.
pub const NAMESPACE: Field = Field::Reg4;

/// Id of the peer's labels, zero if it is no pod. `reg5`.
pub const LABELS: Field = Field::Reg5;

/// Class of the peer's namespace. `reg6`.
pub const NAMESPACE_CLASS: Field = Field::Reg6;

/// Class of the peer's labels. `reg7`.
pub const LABELS_CLASS: Field = Field::Reg7;

/// Class of the peer's address. `reg8`.
pub const CIDR_CLASS: Field = Field::Reg8;

/// The policy that is asked. `reg9`.
pub const POLICY: Field = Field::Reg9;

/// The part of a long chain of policies that comes next, from 0. `reg10`.
pub const CHAIN_PART: Field = Field::Reg10;

/// Port of the endpoint that the client is to keep, with [`CHOSEN`] set; its address is in [`ADDRESS`]. `reg11`.
pub const ENDPOINT: Field = Field::Reg11;

/// In [`ENDPOINT`]: there is one.
pub const CHOSEN: u32 = 1 << 16;

/// The peer's address if it may be a pod's; IPv4 as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2). `reg12` to `reg15`.
pub const ADDRESS: Field = Field::Xxreg3;

/// The IPv4 address in [`ADDRESS`]. `reg15`.
pub const ADDRESS_IPV4: Field = Field::Reg15;

/// An address as [`ADDRESS`] has it.
#[must_use]
pub const fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => MAPPED | address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// `::ffff:0.0.0.0` (RFC 4291 section 2.5.5.2).
pub const MAPPED: u128 = 0xffff_0000_0000;

/// The zone of connection tracking in which all of the bridge's connections are: `kv`.
pub const CT_ZONE: u16 = 0x6b76;

/// The zone in which senders' addresses are hidden: of connections that a Service sent on and whose answers would find
/// another way back.
pub const MASQUERADE_ZONE: u16 = CT_ZONE + 1;

/// Bits of `ct_mark` in [`CT_ZONE`], of connections that a Service sent on.
pub mod mark {
    /// The set whose endpoint it went to.
    pub const SET: u32 = (1 << 24) - 1;
    /// The client, which is outside of the cluster, keeps its address.
    pub const KEEPS_CLIENT: u32 = 1 << 24;
}

/// Bits of `ct_mark` that are never set. Policies' tables look at them all the same: see `pipeline::policy`.
pub mod never {
    /// On the way of what the sender may send.
    pub const EGRESS_PASS: u32 = 1 << 28;
    /// On the way of what the receiver may get.
    pub const INGRESS_PASS: u32 = 1 << 29;
    /// On the way of what the sender's policies do not allow.
    pub const EGRESS_DROP: u32 = 1 << 30;
    /// On the way of what the receiver's policies do not allow.
    pub const INGRESS_DROP: u32 = 1 << 31;
}

/// A port's number in [`OUTPUT`]. Open vSwitch outputs to a number in a register only if it is one of its own, of 16
/// bits: the bridge's own interface is 0xfffe there.
#[must_use]
pub const fn port(port: PortNo) -> u32 {
    let number = port.get();
    if number > PortNo::MAX_ORDINARY { number & 0xffff } else { number }
}

/// Values of [`SOURCE`].
pub mod source {
    /// A pod of this node.
    pub const POD: u8 = 1;
    /// What the node forwards: packets of others.
    pub const GATEWAY: u8 = 2;
    /// Another node, by the overlay.
    pub const TUNNEL: u8 = 3;
    /// The node itself.
    pub const HOST: u8 = 4;
}

/// Values of [`DESTINATION`].
pub mod destination {
    /// A pod of this node.
    pub const POD: u8 = 1;
    /// The node itself, or what it forwards.
    pub const GATEWAY: u8 = 2;
    /// Another node, by the overlay.
    pub const TUNNEL: u8 = 3;
}
