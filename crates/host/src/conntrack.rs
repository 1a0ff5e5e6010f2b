//! The host's connection tracking, by ctnetlink (`linux/netfilter/nfnetlink_conntrack.h`): which UDP it tracks, and having it
//! forget some.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{DecodeError, Emitable, NLA_F_NESTED, NlasIterator, Parseable};
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::{Netlink, Result};

/// `NFNL_SUBSYS_CTNETLINK` in the high byte, `IPCTNL_MSG_CT_GET` or `IPCTNL_MSG_CT_DELETE` in the low one.
const GET: u16 = 0x0101;
const DELETE: u16 = 0x0102;

/// Attributes of an entry.
const TUPLE_ORIGINAL: u16 = 1;
const STATUS: u16 = 3;
const ID: u16 = 12;
const ZONE: u16 = 18;
/// Attributes of a tuple.
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
/// Attributes of a tuple's addresses.
const IPV4_DESTINATION: u16 = 2;
const IPV6_DESTINATION: u16 = 4;
/// Attributes of a tuple's protocol.
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;

/// In an entry's status, `IPS_DST_NAT` (`linux/netfilter/nf_conntrack_common.h`).
const DESTINATION_TRANSLATED: u32 = 1 << 5;
/// UDP's number (RFC 768).
const UDP: u8 = 17;
/// Length of `nfgenmsg`: family, version, resource.
const HEADER_LEN: usize = 4;

/// A socket to the connection tracking of one network namespace.
#[derive(Debug)]
pub struct Conntrack(Netlink);

/// What is tracked of an exchange of UDP datagrams, in the host's own zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConnection {
    /// Where the client sends its datagrams.
    pub destination: SocketAddr,
    /// They go to somebody else than that.
    pub translated: bool,
    /// Address family, as the kernel numbers it.
    family: u8,
    /// The original tuple and the id, as the kernel told them: by both it finds the entry again, and no later one.
    tuple: Vec<u8>,
    id: Vec<u8>,
}

impl Conntrack {
    /// Opens a socket in the calling thread's namespace.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`] if the kernel gives no socket.
    pub fn open() -> Result<Self> {
        Netlink::open_protocol(NETLINK_NETFILTER, "of this process".into()).map(Self)
    }

    /// All UDP that is tracked, outside of zones (which are others' and Open vSwitch's).
    ///
    /// # Errors
    /// [`crate::Error::Kernel`], also where the kernel has no ctnetlink.
    pub fn udp(&mut self) -> Result<Vec<UdpConnection>> {
        let everything = Request { family: 0, attributes: Vec::new() };
        let found: Vec<Entry> = self.0.dump(|| "list tracked connections".to_owned(), GET, &everything)?;
        Ok(found.into_iter().filter_map(|entry| entry.0).collect())
    }

    /// Has the kernel forget one. One that is gone already is no error.
    ///
    /// # Errors
    /// [`crate::Error::Kernel`].
    pub fn forget(&mut self, connection: &UdpConnection) -> Result<()> {
        let mut attributes = Vec::new();
        push_attribute(&mut attributes, TUPLE_ORIGINAL | NLA_F_NESTED, &connection.tuple);
        push_attribute(&mut attributes, ID, &connection.id);
        let request = Request { family: connection.family, attributes };
        let action = || format!("forget a tracked connection to {}", connection.destination);
        match self.0.change(action, DELETE, 0, &request) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

struct Request {
    family: u8,
    attributes: Vec<u8>,
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        let message = [&[self.family, 0, 0, 0][..], &self.attributes].concat();
        if let Some(place) = buffer.get_mut(..message.len()) {
            place.copy_from_slice(&message);
        }
    }
}

/// An attribute: length with its header, type, value, padding to a multiple of four.
fn push_attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(HEADER_LEN + value.len()).unwrap_or(u16::MAX);
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// `None`: not UDP, or in a zone.
struct Entry(Option<UdpConnection>);

impl Parseable<[u8]> for Entry {
    fn parse(payload: &[u8]) -> std::result::Result<Self, DecodeError> {
        let Some((header, attributes)) = payload.split_at_checked(HEADER_LEN) else {
            return Err("a tracked connection without a header".into());
        };
        let (mut tuple, mut id, mut status) = (Vec::new(), Vec::new(), 0);
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            match attribute.kind() {
                TUPLE_ORIGINAL => tuple = attribute.value().to_vec(),
                ID => id = attribute.value().to_vec(),
                STATUS => status = attribute.value().try_into().map(u32::from_be_bytes).unwrap_or(0),
                ZONE => return Ok(Self(None)),
                _ => {}
            }
        }
        let family = header.first().copied().unwrap_or(0);
        let translated = status & DESTINATION_TRANSLATED != 0;
        let connection = destination(&tuple)?.map(|destination| UdpConnection {
            destination,
            translated,
            family,
            tuple,
            id,
        });
        Ok(Self(connection))
    }
}

/// Where a tuple of UDP goes; `None`: it is not UDP's.
fn destination(tuple: &[u8]) -> std::result::Result<Option<SocketAddr>, DecodeError> {
    let (mut address, mut protocol, mut port) = (None, None, None);
    for part in NlasIterator::new(tuple) {
        let part = part?;
        for attribute in NlasIterator::new(part.value()) {
            let attribute = attribute?;
            let value = attribute.value();
            match (part.kind(), attribute.kind()) {
                (TUPLE_ADDRESSES, IPV4_DESTINATION) => {
                    address = value.try_into().ok().map(|bytes: [u8; 4]| IpAddr::V4(Ipv4Addr::from(bytes)));
                }
                (TUPLE_ADDRESSES, IPV6_DESTINATION) => {
                    address = value.try_into().ok().map(|bytes: [u8; 16]| IpAddr::V6(Ipv6Addr::from(bytes)));
                }
                (TUPLE_PROTOCOL, PROTOCOL_NUMBER) => protocol = value.first().copied(),
                (TUPLE_PROTOCOL, DESTINATION_PORT) => {
                    port = value.try_into().ok().map(u16::from_be_bytes);
                }
                _ => {}
            }
        }
    }
    let udp = protocol == Some(UDP);
    Ok(address.zip(port).filter(|_| udp).map(|(address, port)| SocketAddr::new(address, port)))
}
