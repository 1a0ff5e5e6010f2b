//! Messages as `ovs-ofctl ofp-print` writes them.

use std::fmt;

use super::{Frame, Message};
use crate::addr::Dotted;
use crate::error::ErrorReason;
use crate::multipart::message_name;

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message.with_xid(self.xid))
    }
}

/// A message as part of a frame.
#[derive(Debug)]
pub struct WithXid<'a> {
    xid: u32,
    message: &'a Message,
}

impl Message {
    /// The message with a transaction id, for printing.
    #[must_use]
    pub fn with_xid(&self, xid: u32) -> WithXid<'_> {
        WithXid { xid, message: self }
    }

    /// The name of the type, as `ovs-ofctl` prints it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "OFPT_HELLO",
            Self::Error(_) => "OFPT_ERROR",
            Self::EchoRequest(_) => "OFPT_ECHO_REQUEST",
            Self::EchoReply(_) => "OFPT_ECHO_REPLY",
            Self::Experimenter { .. } => "OFPT_EXPERIMENTER",
            Self::FeaturesRequest => "OFPT_FEATURES_REQUEST",
            Self::FeaturesReply(_) => "OFPT_FEATURES_REPLY",
            Self::GetConfigRequest => "OFPT_GET_CONFIG_REQUEST",
            Self::GetConfigReply(_) => "OFPT_GET_CONFIG_REPLY",
            Self::SetConfig(_) => "OFPT_SET_CONFIG",
            Self::PacketIn(_) => "OFPT_PACKET_IN",
            Self::PacketIn2(_) => "NXT_PACKET_IN2",
            Self::Resume(_) => "NXT_RESUME",
            Self::SetPacketInFormat(_) => "NXT_SET_PACKET_IN_FORMAT",
            Self::FlowRemoved(_) => "OFPT_FLOW_REMOVED",
            Self::PortStatus(_) => "OFPT_PORT_STATUS",
            Self::PacketOut(_) => "OFPT_PACKET_OUT",
            Self::FlowMod(_) => "OFPT_FLOW_MOD",
            Self::GroupMod(_) => "OFPT_GROUP_MOD",
            Self::MeterMod(_) => "OFPT_METER_MOD",
            Self::MultipartRequest(request) => message_name(request.kind()),
            Self::MultipartReply { body, .. } => message_name(body.kind()),
            Self::BarrierRequest => "OFPT_BARRIER_REQUEST",
            Self::BarrierReply => "OFPT_BARRIER_REPLY",
            Self::RoleRequest(_) => "OFPT_ROLE_REQUEST",
            Self::RoleReply(_) => "OFPT_ROLE_REPLY",
            Self::GetAsyncRequest => "OFPT_GET_ASYNC_REQUEST",
            Self::GetAsyncReply(_) => "OFPT_GET_ASYNC_REPLY",
            Self::SetAsync(_) => "OFPT_SET_ASYNC",
            Self::BundleControl(_) => "OFPT_BUNDLE_CONTROL",
            Self::BundleAdd(_) => "OFPT_BUNDLE_ADD_MESSAGE",
            Self::CtFlush(_) => "NXT_CT_FLUSH",
            Self::CtFlushZone(_) => "NXT_CT_FLUSH_ZONE",
            Self::Other { .. } => "OFPT_UNKNOWN",
        }
    }
}

impl fmt::Display for WithXid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.message {
            Message::MultipartRequest(_) => " request",
            Message::MultipartReply { .. } => " reply",
            _ => "",
        };
        write!(f, "{}{suffix} (OF1.5) (xid={:#x}):", self.message.name(), self.xid)?;
        self.body(f)
    }
}

impl WithXid<'_> {
    fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message {
            Message::Hello(hello) => write!(f, "\n {hello}"),
            Message::Error(error) => {
                writeln!(f, " {}", error.reason)?;
                match (error.reason, Frame::decode(&error.data)) {
                    (ErrorReason::Standard { kind: 0, .. }, _) => {
                        f.write_str(&String::from_utf8_lossy(&error.data))
                    }
                    (_, Ok(frame)) => write!(f, "{frame}"),
                    (_, Err(_)) => write!(f, "{}", Dotted(&error.data)),
                }
            }
            Message::EchoRequest(data) | Message::EchoReply(data) => {
                write!(f, " {} bytes of payload", data.len())
            }
            Message::Experimenter { experimenter, kind, body } => {
                write!(f, " experimenter={experimenter:#010x} type={kind} body={}", Dotted(body))
            }
            Message::FeaturesRequest
            | Message::GetConfigRequest
            | Message::BarrierRequest
            | Message::BarrierReply
            | Message::GetAsyncRequest => Ok(()),
            Message::FeaturesReply(features) => write!(f, " {features}"),
            Message::GetConfigReply(config) | Message::SetConfig(config) => write!(f, " {config}"),
            Message::PacketIn(packet) | Message::PacketIn2(packet) | Message::Resume(packet) => {
                write!(f, " {packet}")
            }
            Message::SetPacketInFormat(format) => f.write_str(match format {
                0 => " format=standard",
                1 => " format=nxt_packet_in",
                2 => " format=nxt_packet_in2",
                other => return write!(f, " format={other}"),
            }),
            Message::FlowRemoved(removed) => write!(f, " {removed}"),
            Message::PortStatus(status) => write!(f, " {status}"),
            Message::PacketOut(packet) => write!(f, " {packet}"),
            Message::FlowMod(modify) => write!(f, " {modify}"),
            Message::GroupMod(modify) => write!(f, "\n {modify}"),
            Message::MeterMod(modify) => write!(f, " {modify}"),
            Message::MultipartRequest(request) => write!(f, "{request}"),
            Message::MultipartReply { more, body } => {
                write!(f, "{}{body}", if *more { " flags=[more]" } else { "" })
            }
            Message::RoleRequest(role) | Message::RoleReply(role) => write!(f, " {role}"),
            Message::GetAsyncReply(config) | Message::SetAsync(config) => write!(f, "{config}"),
            Message::BundleControl(control) => write!(f, "\n {control}"),
            Message::BundleAdd(add) => {
                f.write_str("\n ")?;
                add.write(f, self.xid)
            }
            Message::CtFlush(flush) => write!(f, " {flush}"),
            Message::CtFlushZone(zone) => write!(f, " zone_id={zone}"),
            Message::Other { kind, body } => write!(f, " type={kind} body={}", Dotted(body)),
        }
    }
}
