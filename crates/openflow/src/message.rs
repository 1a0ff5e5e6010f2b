//! Messages and their headers.

mod display;
mod framing;

pub use self::display::WithXid;
pub use self::framing::Decoder;

use crate::bundle::{BundleAdd, BundleControl};
use crate::conntrack::CtFlush;
use crate::error::ErrorMsg;
use crate::flow::{FlowMod, FlowRemoved};
use crate::group::GroupMod;
use crate::hello::{Hello, VERSION};
use crate::meter::MeterMod;
use crate::multipart::{MultipartReply, MultipartRequest};
use crate::packet::{PacketIn, PacketOut};
use crate::ports::PortStatus;
use crate::switch::{AsyncConfig, Features, RoleRequest, SwitchConfig};
use crate::vendor::NICIRA;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Bytes of a header.
const HEADER: usize = 8;

/// The header that every message begins with (OpenFlow 1.5.1 section 7.1.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Header {
    /// The version, 6 for OpenFlow 1.5.
    pub version: u8,
    /// The type of the message.
    pub kind: u8,
    /// Bytes of the message, this header included.
    pub length: u16,
    /// The transaction id: replies and errors have that of the message they belong to.
    pub xid: u32,
}

impl Header {
    /// Reads the header of a message of which perhaps no more than the header is there.
    ///
    /// # Errors
    ///
    /// When there are less than eight bytes or the length is less than eight.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new("message header", bytes);
        let this = Self { version: r.u8()?, kind: r.u8()?, length: r.u16()?, xid: r.u32()? };
        if usize::from(this.length) < HEADER {
            return Err(DecodeError::Length { what: "message", length: usize::from(this.length) });
        }
        Ok(this)
    }
}

/// A message with its transaction id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The transaction id.
    pub xid: u32,
    /// The message.
    pub message: Message,
}

/// A message of OpenFlow 1.5.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// The first message in both directions.
    Hello(Hello),
    /// Something is wrong with a message.
    Error(ErrorMsg),
    /// Asks whether the peer is there; the data comes back.
    EchoRequest(Vec<u8>),
    /// The peer is there.
    EchoReply(Vec<u8>),
    /// A message of an extension that this crate does not know.
    Experimenter {
        /// Who defines it.
        experimenter: u32,
        /// Which one it is.
        kind: u32,
        /// The rest of the message.
        body: Vec<u8>,
    },
    /// Asks what the switch is.
    FeaturesRequest,
    /// What the switch is.
    FeaturesReply(Features),
    /// Asks for the switch's configuration.
    GetConfigRequest,
    /// The switch's configuration.
    GetConfigReply(SwitchConfig),
    /// Sets the switch's configuration.
    SetConfig(SwitchConfig),
    /// A packet from the switch.
    PacketIn(PacketIn),
    /// A packet from the switch, in Open vSwitch's own form; see [`Message::SetPacketInFormat`].
    PacketIn2(PacketIn),
    /// Lets a paused packet go on.
    Resume(PacketIn),
    /// Chooses the form of packet-in: 0 for OpenFlow's, 2 for Open vSwitch's own.
    SetPacketInFormat(u32),
    /// A flow is gone.
    FlowRemoved(FlowRemoved),
    /// A port came, went or changed.
    PortStatus(PortStatus),
    /// A packet for the switch.
    PacketOut(PacketOut),
    /// Changes flows.
    FlowMod(FlowMod),
    /// Changes a group.
    GroupMod(GroupMod),
    /// Changes a meter.
    MeterMod(MeterMod),
    /// Asks for one or more multipart replies.
    MultipartRequest(MultipartRequest),
    /// One part of a reply.
    MultipartReply {
        /// Whether further parts follow.
        more: bool,
        /// The entries of this part.
        body: MultipartReply,
    },
    /// Asks to finish everything that came before.
    BarrierRequest,
    /// Everything that came before is finished.
    BarrierReply,
    /// Asks for a role, or to have one.
    RoleRequest(RoleRequest),
    /// The role.
    RoleReply(RoleRequest),
    /// Asks what the switch sends unasked.
    GetAsyncRequest,
    /// What the switch sends unasked.
    GetAsyncReply(AsyncConfig),
    /// Sets what the switch sends unasked.
    SetAsync(AsyncConfig),
    /// Controls a bundle.
    BundleControl(BundleControl),
    /// Adds a message to a bundle.
    BundleAdd(BundleAdd),
    /// Has the switch forget connections.
    CtFlush(CtFlush),
    /// Has the switch forget all connections of a zone.
    CtFlushZone(u16),
    /// A message of a type that this crate does not know.
    Other {
        /// The type.
        kind: u8,
        /// The rest of the message.
        body: Vec<u8>,
    },
}

/// Type codes: OpenFlow 1.5.1 section 7.1.1, and those of Nicira's extensions.
mod code {
    pub(super) const HELLO: u8 = 0;
    pub(super) const ERROR: u8 = 1;
    pub(super) const ECHO_REQUEST: u8 = 2;
    pub(super) const ECHO_REPLY: u8 = 3;
    pub(super) const EXPERIMENTER: u8 = 4;
    pub(super) const FEATURES_REQUEST: u8 = 5;
    pub(super) const FEATURES_REPLY: u8 = 6;
    pub(super) const GET_CONFIG_REQUEST: u8 = 7;
    pub(super) const GET_CONFIG_REPLY: u8 = 8;
    pub(super) const SET_CONFIG: u8 = 9;
    pub(super) const PACKET_IN: u8 = 10;
    pub(super) const FLOW_REMOVED: u8 = 11;
    pub(super) const PORT_STATUS: u8 = 12;
    pub(super) const PACKET_OUT: u8 = 13;
    pub(super) const FLOW_MOD: u8 = 14;
    pub(super) const GROUP_MOD: u8 = 15;
    pub(super) const MULTIPART_REQUEST: u8 = 18;
    pub(super) const MULTIPART_REPLY: u8 = 19;
    pub(super) const BARRIER_REQUEST: u8 = 20;
    pub(super) const BARRIER_REPLY: u8 = 21;
    pub(super) const ROLE_REQUEST: u8 = 24;
    pub(super) const ROLE_REPLY: u8 = 25;
    pub(super) const GET_ASYNC_REQUEST: u8 = 26;
    pub(super) const GET_ASYNC_REPLY: u8 = 27;
    pub(super) const SET_ASYNC: u8 = 28;
    pub(super) const METER_MOD: u8 = 29;
    pub(super) const BUNDLE_CONTROL: u8 = 33;
    pub(super) const BUNDLE_ADD: u8 = 34;

    pub(super) const NX_SET_PACKET_IN_FORMAT: u32 = 16;
    pub(super) const NX_RESUME: u32 = 28;
    pub(super) const NX_CT_FLUSH_ZONE: u32 = 29;
    pub(super) const NX_PACKET_IN2: u32 = 30;
    pub(super) const NX_CT_FLUSH: u32 = 32;
}

/// The flag which says that further parts of a reply follow.
const MORE: u16 = 1;

/// How deep messages may be within messages: one in a bundle.
const MAX_DEPTH: usize = 1;

impl Frame {
    /// Reads one whole message, header included.
    ///
    /// A hello or an error of any version is read: they are how versions are agreed on.
    ///
    /// # Errors
    ///
    /// When the bytes are not one message of OpenFlow 1.5.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_nested(bytes, 0)
    }

    pub(crate) fn decode_nested(bytes: &[u8], depth: usize) -> Result<Self, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Depth(MAX_DEPTH));
        }
        let header = Header::parse(bytes)?;
        if usize::from(header.length) != bytes.len() {
            return Err(DecodeError::Length { what: "message", length: usize::from(header.length) });
        }
        let mut r = Reader::new("message", bytes);
        r.skip(HEADER)?;
        if header.version != VERSION && !matches!(header.kind, code::HELLO | code::ERROR) {
            return Err(DecodeError::Version(header.version));
        }
        let message = match header.kind {
            code::HELLO => Message::Hello(Hello::decode(header.version, &mut r)?),
            kind => Message::decode(kind, &mut r, depth)?,
        };
        Ok(Self { xid: header.xid, message })
    }
}

impl Message {
    fn decode(kind: u8, r: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        Ok(match kind {
            code::ERROR => Self::Error(ErrorMsg::decode(r)?),
            code::ECHO_REQUEST => Self::EchoRequest(r.rest().to_vec()),
            code::ECHO_REPLY => Self::EchoReply(r.rest().to_vec()),
            code::EXPERIMENTER => Self::decode_experimenter(r)?,
            code::FEATURES_REQUEST => Self::FeaturesRequest,
            code::FEATURES_REPLY => Self::FeaturesReply(Features::decode(r)?),
            code::GET_CONFIG_REQUEST => Self::GetConfigRequest,
            code::GET_CONFIG_REPLY => Self::GetConfigReply(SwitchConfig::decode(r)?),
            code::SET_CONFIG => Self::SetConfig(SwitchConfig::decode(r)?),
            code::PACKET_IN => Self::PacketIn(PacketIn::decode(r)?),
            code::FLOW_REMOVED => Self::FlowRemoved(FlowRemoved::decode(r)?),
            code::PORT_STATUS => Self::PortStatus(PortStatus::decode(r)?),
            code::PACKET_OUT => Self::PacketOut(PacketOut::decode(r)?),
            code::FLOW_MOD => Self::FlowMod(FlowMod::decode(r)?),
            code::GROUP_MOD => Self::GroupMod(GroupMod::decode(r)?),
            code::METER_MOD => Self::MeterMod(MeterMod::decode(r)?),
            code::MULTIPART_REQUEST => {
                let kind = r.u16()?;
                r.skip(6)?;
                Self::MultipartRequest(MultipartRequest::decode(kind, r)?)
            }
            code::MULTIPART_REPLY => {
                let (kind, flags) = (r.u16()?, r.u16()?);
                r.skip(4)?;
                Self::MultipartReply { more: flags & MORE != 0, body: MultipartReply::decode(kind, r)? }
            }
            code::BARRIER_REQUEST => Self::BarrierRequest,
            code::BARRIER_REPLY => Self::BarrierReply,
            code::ROLE_REQUEST => Self::RoleRequest(RoleRequest::decode(r)?),
            code::ROLE_REPLY => Self::RoleReply(RoleRequest::decode(r)?),
            code::GET_ASYNC_REQUEST => Self::GetAsyncRequest,
            code::GET_ASYNC_REPLY => Self::GetAsyncReply(AsyncConfig::decode(r)?),
            code::SET_ASYNC => Self::SetAsync(AsyncConfig::decode(r)?),
            code::BUNDLE_CONTROL => Self::BundleControl(BundleControl::decode(r)?),
            code::BUNDLE_ADD => Self::BundleAdd(BundleAdd::decode(r, depth)?),
            kind => Self::Other { kind, body: r.rest().to_vec() },
        })
    }

    fn decode_experimenter(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (experimenter, kind) = (r.u32()?, r.u32()?);
        Ok(match (experimenter, kind) {
            (NICIRA, code::NX_SET_PACKET_IN_FORMAT) => Self::SetPacketInFormat(r.u32()?),
            (NICIRA, code::NX_RESUME) => Self::Resume(PacketIn::decode_properties(r)?),
            (NICIRA, code::NX_PACKET_IN2) => Self::PacketIn2(PacketIn::decode_properties(r)?),
            (NICIRA, code::NX_CT_FLUSH) => Self::CtFlush(CtFlush::decode(r)?),
            (NICIRA, code::NX_CT_FLUSH_ZONE) => {
                r.skip(6)?;
                Self::CtFlushZone(r.u16()?)
            }
            _ => Self::Experimenter { experimenter, kind, body: r.rest().to_vec() },
        })
    }

    fn code(&self) -> u8 {
        match self {
            Self::Hello(_) => code::HELLO,
            Self::Error(_) => code::ERROR,
            Self::EchoRequest(_) => code::ECHO_REQUEST,
            Self::EchoReply(_) => code::ECHO_REPLY,
            Self::Experimenter { .. }
            | Self::PacketIn2(_)
            | Self::Resume(_)
            | Self::SetPacketInFormat(_)
            | Self::CtFlush(_)
            | Self::CtFlushZone(_) => code::EXPERIMENTER,
            Self::FeaturesRequest => code::FEATURES_REQUEST,
            Self::FeaturesReply(_) => code::FEATURES_REPLY,
            Self::GetConfigRequest => code::GET_CONFIG_REQUEST,
            Self::GetConfigReply(_) => code::GET_CONFIG_REPLY,
            Self::SetConfig(_) => code::SET_CONFIG,
            Self::PacketIn(_) => code::PACKET_IN,
            Self::FlowRemoved(_) => code::FLOW_REMOVED,
            Self::PortStatus(_) => code::PORT_STATUS,
            Self::PacketOut(_) => code::PACKET_OUT,
            Self::FlowMod(_) => code::FLOW_MOD,
            Self::GroupMod(_) => code::GROUP_MOD,
            Self::MeterMod(_) => code::METER_MOD,
            Self::MultipartRequest(_) => code::MULTIPART_REQUEST,
            Self::MultipartReply { .. } => code::MULTIPART_REPLY,
            Self::BarrierRequest => code::BARRIER_REQUEST,
            Self::BarrierReply => code::BARRIER_REPLY,
            Self::RoleRequest(_) => code::ROLE_REQUEST,
            Self::RoleReply(_) => code::ROLE_REPLY,
            Self::GetAsyncRequest => code::GET_ASYNC_REQUEST,
            Self::GetAsyncReply(_) => code::GET_ASYNC_REPLY,
            Self::SetAsync(_) => code::SET_ASYNC,
            Self::BundleControl(_) => code::BUNDLE_CONTROL,
            Self::BundleAdd(_) => code::BUNDLE_ADD,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// Appends the message with its header to `out`.
    ///
    /// # Errors
    ///
    /// When something in it is longer than OpenFlow's length fields can say; `out` is then as it was.
    pub fn encode(&self, xid: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let mut w = Writer::new(out);
        self.encode_into(xid, &mut w);
        let result = w.finish();
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    pub(crate) fn encode_into(&self, xid: u32, w: &mut Writer<'_>) {
        let start = w.position();
        w.u8(VERSION);
        w.u8(self.code());
        w.zeros(2);
        w.u32(xid);
        self.encode_body(xid, w);
        w.patch_length("message", start + 2, start);
    }

    fn encode_body(&self, xid: u32, w: &mut Writer<'_>) {
        match self {
            Self::Hello(hello) => hello.encode(w),
            Self::Error(error) => error.encode(w),
            Self::EchoRequest(data) | Self::EchoReply(data) => w.bytes(data),
            Self::Experimenter { experimenter, kind, body } => {
                w.u32(*experimenter);
                w.u32(*kind);
                w.bytes(body);
            }
            Self::FeaturesRequest
            | Self::GetConfigRequest
            | Self::BarrierRequest
            | Self::BarrierReply
            | Self::GetAsyncRequest => {}
            Self::FeaturesReply(features) => features.encode(w),
            Self::GetConfigReply(config) | Self::SetConfig(config) => config.encode(w),
            Self::PacketIn(packet) => packet.encode(w),
            Self::FlowRemoved(removed) => removed.encode(w),
            Self::PortStatus(status) => status.encode(w),
            Self::PacketOut(packet) => packet.encode(w),
            Self::FlowMod(modify) => modify.encode(w),
            Self::GroupMod(modify) => modify.encode(w),
            Self::MeterMod(modify) => modify.encode(w),
            Self::MultipartRequest(request) => {
                w.u16(request.kind());
                w.zeros(6);
                request.encode(w);
            }
            Self::MultipartReply { more, body } => {
                w.u16(body.kind());
                w.u16(if *more { MORE } else { 0 });
                w.zeros(4);
                body.encode(w);
            }
            Self::RoleRequest(role) | Self::RoleReply(role) => role.encode(w),
            Self::GetAsyncReply(config) | Self::SetAsync(config) => config.encode(w),
            Self::BundleControl(control) => control.encode(w),
            Self::BundleAdd(add) => add.encode(xid, w),
            Self::PacketIn2(packet) => nicira(w, code::NX_PACKET_IN2, |w| packet.encode_properties(w)),
            Self::Resume(packet) => nicira(w, code::NX_RESUME, |w| packet.encode_properties(w)),
            Self::SetPacketInFormat(format) => {
                nicira(w, code::NX_SET_PACKET_IN_FORMAT, |w| w.u32(*format));
            }
            Self::CtFlush(flush) => nicira(w, code::NX_CT_FLUSH, |w| flush.encode(w)),
            Self::CtFlushZone(zone) => nicira(w, code::NX_CT_FLUSH_ZONE, |w| {
                w.zeros(6);
                w.u16(*zone);
            }),
            Self::Other { body, .. } => w.bytes(body),
        }
    }
}

fn nicira(w: &mut Writer<'_>, kind: u32, body: impl FnOnce(&mut Writer<'_>)) {
    w.u32(NICIRA);
    w.u32(kind);
    body(w);
}
