//! Messages as bytes: the header all OpenFlow versions share (OpenFlow 1.5.1 section 7.1.1), and the version
//! negotiation (section 6.3.1).

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use openflow::{Hello, Message, VERSION};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Length of the header, bytes.
pub const HEADER: usize = 8;

/// `OFPT_HELLO`.
pub const HELLO: u8 = 0;
/// `OFPT_ERROR`.
pub const ERROR: u8 = 1;
/// `OFPT_ECHO_REQUEST`.
pub const ECHO_REQUEST: u8 = 2;
/// `OFPT_ECHO_REPLY`.
pub const ECHO_REPLY: u8 = 3;
/// `OFPT_PACKET_IN`.
pub const PACKET_IN: u8 = 10;
/// `OFPT_FLOW_REMOVED`.
pub const FLOW_REMOVED: u8 = 11;
/// `OFPT_PORT_STATUS`.
pub const PORT_STATUS: u8 = 12;
/// `OFPT_MULTIPART_REPLY`.
pub const MULTIPART_REPLY: u8 = 19;
/// `OFPMPF_REPLY_MORE`.
const REPLY_MORE: u16 = 1;

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
}

impl Frame {
    /// A message of version 1.5 with `body` behind the header; `None` when it is too long for the header's length.
    #[must_use]
    pub fn new(kind: u8, xid: u32, body: &[u8]) -> Option<Self> {
        let length = u16::try_from(HEADER + body.len()).ok()?;
        let mut bytes = BytesMut::with_capacity(usize::from(length));
        bytes.put_u8(VERSION);
        bytes.put_u8(kind);
        bytes.put_u16(length);
        bytes.put_u32(xid);
        bytes.put_slice(body);
        Some(Self { bytes: bytes.freeze() })
    }

    /// Takes `bytes` for a message if their header says so.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        let frame = Self { bytes };
        let stated = usize::from(u16::from_be_bytes([frame.byte(2)?, frame.byte(3)?]));
        (stated >= HEADER && stated == frame.bytes.len()).then_some(frame)
    }

    /// Version.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.byte(0).unwrap_or_default()
    }

    /// Message type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.byte(1).unwrap_or_default()
    }

    /// Transaction id.
    #[must_use]
    pub fn xid(&self) -> u32 {
        let bytes = self.bytes.get(4..HEADER).and_then(|b| b.try_into().ok()).unwrap_or_default();
        u32::from_be_bytes(bytes)
    }

    /// The bytes behind the header.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether this is a part of a multipart reply that more parts follow.
    #[must_use]
    pub fn more_follows(&self) -> bool {
        let flags = self.body().get(2..4).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes);
        self.kind() == MULTIPART_REPLY && flags & REPLY_MORE != 0
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }
}

/// Reads one message.
///
/// # Errors
/// When the stream ends or fails, and when a header states a length below its own.
pub async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Frame> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let [_, _, high, low, ..] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let Some(rest) = length.checked_sub(HEADER) else {
        let what = format!("the peer does not speak OpenFlow: a message states a length of {length} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    let mut bytes = BytesMut::with_capacity(length);
    bytes.put_slice(&header);
    let mut body = stream.take(rest.try_into().unwrap_or(u64::MAX));
    while bytes.len() < length {
        if body.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer hung up within a message"));
        }
    }
    Ok(Frame { bytes: bytes.freeze() })
}

/// Sends our `HELLO` and reads the peer's.
///
/// # Errors
/// When the stream fails, or the peer does not offer OpenFlow 1.5.
pub async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let refuse = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let ours = Hello::ours();
    let mut hello = Vec::new();
    Message::Hello(ours).encode(0, &mut hello).map_err(|error| refuse(error.to_string()))?;
    stream.write_all(&hello).await?;
    let first = read(stream).await?;
    let theirs = match openflow::Frame::decode(first.bytes()).map(|frame| frame.message) {
        Ok(Message::Hello(theirs)) => theirs,
        Ok(Message::Error(error)) => {
            return Err(refuse(format!("the peer refused our hello: {}", error.reason)));
        }
        _ => {
            return Err(refuse(format!("the peer sent a message of type {} before its hello", first.kind())));
        }
    };
    match ours.negotiate(theirs) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(refuse(format!("{error}, as in ovs-vsctl set bridge k-vswitch0 protocols=OpenFlow15")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a peer that begins with these bytes.
    async fn meet(version: u8, kind: u8, body: &[u8]) -> Result<(), String> {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let mut first = Frame::new(kind, 1, body).unwrap().bytes().to_vec();
        first[0] = version;
        theirs.write_all(&first).await.unwrap();
        negotiate(&mut ours).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn versions_are_agreed_on_by_bitmap_or_by_number() {
        let bitmap = |bits: u32| [&[0, 1, 0, 8], &bits.to_be_bytes()[..]].concat();
        assert_eq!(meet(6, HELLO, &[]).await, Ok(()));
        assert_eq!(meet(6, HELLO, &bitmap(1 << 6 | 1 << 4)).await, Ok(()));
        for (version, body) in [(4, vec![]), (6, bitmap(1 << 4))] {
            let error = meet(version, HELLO, &body).await.unwrap_err();
            assert!(error.contains("protocols=OpenFlow15"), "{error}");
        }
        assert!(meet(6, ECHO_REQUEST, &[]).await.unwrap_err().contains("type 2 before its hello"));
    }

    #[tokio::test]
    async fn a_stream_is_cut_into_messages() {
        let one = Frame::new(ECHO_REQUEST, 7, b"abc").unwrap();
        let two = Frame::new(ECHO_REPLY, 8, b"").unwrap();
        let bytes = [&one.bytes()[..], &two.bytes()[..]].concat();
        let mut stream = &bytes[..];
        assert_eq!(read(&mut stream).await.unwrap(), one);
        assert_eq!(read(&mut stream).await.unwrap(), two);
        assert_eq!(read(&mut stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_length_below_the_header_is_refused() {
        let mut stream = &[6, 0, 0, 7, 0, 0, 0, 0][..];
        assert!(read(&mut stream).await.unwrap_err().to_string().contains("7 bytes"));
    }
}
