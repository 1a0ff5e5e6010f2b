//! OpenFlow 1.5 with the Nicira and Open vSwitch extensions: a sans-IO codec.
//!
//! Bytes in, typed messages out, and back. There is no socket here, no clock and no task: the `ovs` crate connects
//! to a switch, and `datapath` says what should be in it.
//!
//! # The parts
//!
//! From the small to the large, each one made of those before it:
//!
//! - [`Field`] names a field of packets or metadata, [`Subfield`] a range of its bits;
//! - [`Match`] says which packets, [`Action`] and [`Instructions`] what happens to them;
//! - [`Flow`], [`Group`] and [`Meter`] are what a switch keeps, [`FlowMod`], [`GroupMod`] and [`MeterMod`] change it;
//! - [`Message`] is any of the messages, [`Frame`] one with its transaction id, and [`Decoder`] cuts a stream of
//!   bytes into them; [`Hello::negotiate`] says which version to speak.
//!
//! # What it holds to
//!
//! *Read back equals sent.* A desired state is compared with what the switch reports, so values have one form each,
//! the one that Open vSwitch reports, and the constructors make it.
//!
//! *Rendered as `ovs-ofctl` renders it.* `Display` gives the text of Open vSwitch 3.1, for people, for tests, and
//! for feeding it back to that program.
//!
//! *Nothing from the wire is trusted.* Every length is checked; any bytes decode or give a [`DecodeError`], and
//! nothing panics. Flows that somebody else put into the switch can be read even if they use fields and actions
//! that are unknown here: those are carried along as raw bytes.

mod action;
mod addr;
mod bundle;
mod conntrack;
mod error;
mod field;
mod flags;
mod flow;
mod group;
mod hello;
mod instruction;
mod matching;
mod message;
mod meter;
mod multipart;
mod packet;
mod port;
mod ports;
mod property;
mod subfield;
mod switch;
mod vendor;
mod wire;

pub use crate::action::{
    Action, Controller, Ct, CtZone, Learn, LearnFlags, LearnSpec, Nat, NatDirection, NatFlags, NatRange,
    PacketInReason,
};
pub use crate::addr::{MacAddr, ParseMacAddrError};
pub use crate::bundle::{BundleAdd, BundleControl, BundleControlType, BundleFlags};
pub use crate::conntrack::{CtFlush, CtIcmp, CtTuple};
pub use crate::error::{ErrorMsg, ErrorReason};
pub use crate::field::{Field, FieldValue};
pub use crate::flags::{CtState, TcpFlags};
pub use crate::flow::{
    AggregateStats, Flow, FlowCommand, FlowFlags, FlowKey, FlowMod, FlowRemoved, FlowRemovedReason,
    FlowRequest, FlowStats, Stats,
};
pub use crate::group::{
    Bucket, BucketPosition, BucketStats, Group, GroupCommand, GroupFeatures, GroupMod, GroupStats, GroupType,
    SelectionMethod,
};
pub use crate::hello::{Hello, NegotiationError, VERSION};
pub use crate::instruction::{Instructions, WriteMetadata};
pub use crate::matching::{Match, MatchField};
pub use crate::message::{Decoder, Frame, Header, Message, WithXid};
pub use crate::meter::{Meter, MeterBand, MeterBandType, MeterCommand, MeterFlags, MeterMod, MeterStats};
pub use crate::multipart::{MultipartReply, MultipartRequest};
pub use crate::packet::{PacketIn, PacketOut};
pub use crate::port::PortNo;
pub use crate::ports::{EthernetLink, Port, PortReason, PortStats, PortStatus};
pub use crate::subfield::Subfield;
pub use crate::switch::{AsyncConfig, Features, Role, RoleRequest, SwitchConfig, SwitchDesc};
pub use crate::wire::{DecodeError, EncodeError};
