//! The few SCTP packets (RFC 9260) that tell whether a port is reached: INIT, INIT ACK and ABORT.
//!
//! Not every kernel has SCTP sockets. Where there are none, both sides of a probe work on raw ones. The responder answers
//! INIT with INIT ACK on the ports it serves and with ABORT on others; what it has to say about itself travels in the state
//! cookie (section 5.1.3), whose content is the responder's own business. No association is ever established.

/// Chunk types (section 3.2).
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;

/// Parameter type of the state cookie (section 3.3.3).
const STATE_COOKIE: u16 = 7;

/// Length of the common header (section 3.1), and of a chunk's header.
const COMMON_HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;
/// Length of INIT's and INIT ACK's fixed part after the chunk header.
const INIT_BODY: usize = 16;

/// One packet with one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Verification tag: the initiate tag that the receiver has chosen, 0 with INIT.
    pub tag: u32,
    /// The first chunk.
    pub chunk: Chunk,
}

/// The chunks that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Section 3.3.2.
    Init {
        /// Initiate tag: what the answer's verification tag must be.
        initiate: u32,
    },
    /// Section 3.3.3.
    InitAck {
        /// Initiate tag of the answering side.
        initiate: u32,
        /// The state cookie.
        cookie: Vec<u8>,
    },
    /// Section 3.3.7.
    Abort,
    /// Any other chunk type.
    Other(u8),
}

impl Packet {
    /// The packet as bytes, checksum included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend(self.source.to_be_bytes());
        out.extend(self.destination.to_be_bytes());
        out.extend(self.tag.to_be_bytes());
        out.extend([0; 4]);
        match &self.chunk {
            Chunk::Init { initiate } => push_chunk(&mut out, INIT, &init_body(*initiate)),
            Chunk::InitAck { initiate, cookie } => {
                let mut body = init_body(*initiate);
                body.extend(STATE_COOKIE.to_be_bytes());
                body.extend(length(cookie.len() + CHUNK_HEADER));
                body.extend(cookie);
                push_chunk(&mut out, INIT_ACK, &body);
            }
            Chunk::Abort => push_chunk(&mut out, ABORT, &[]),
            Chunk::Other(kind) => push_chunk(&mut out, *kind, &[]),
        }
        // Section 6.8 and appendix A: CRC32c over the packet with a zero checksum, least significant byte first.
        let sum = crc32c(&out).to_le_bytes();
        if let Some(field) = out.get_mut(8..COMMON_HEADER) {
            field.copy_from_slice(&sum);
        }
        out
    }

    /// Reads a packet; `None` when it is too short, inconsistent, or its checksum is wrong.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, chunks) = bytes.split_at_checked(COMMON_HEADER)?;
        let sum: [u8; 4] = header.get(8..)?.try_into().ok()?;
        let mut zeroed = bytes.to_vec();
        zeroed.get_mut(8..COMMON_HEADER)?.fill(0);
        if crc32c(&zeroed).to_le_bytes() != sum {
            return None;
        }
        let (head, rest) = chunks.split_at_checked(CHUNK_HEADER)?;
        let body_len = usize::from(be16(head, 2)?).checked_sub(CHUNK_HEADER)?;
        let body = rest.get(..body_len)?;
        let chunk = match *head.first()? {
            INIT => Chunk::Init { initiate: be32(body.get(..INIT_BODY)?, 0)? },
            INIT_ACK => Chunk::InitAck {
                initiate: be32(body.get(..INIT_BODY)?, 0)?,
                cookie: state_cookie(body.get(INIT_BODY..)?).unwrap_or_default(),
            },
            ABORT => Chunk::Abort,
            other => Chunk::Other(other),
        };
        Some(Self { source: be16(header, 0)?, destination: be16(header, 2)?, tag: be32(header, 4)?, chunk })
    }
}

/// Initiate tag, receiver window, numbers of streams, first TSN: values that any receiver takes.
fn init_body(initiate: u32) -> Vec<u8> {
    let mut body = Vec::with_capacity(INIT_BODY);
    body.extend(initiate.to_be_bytes());
    body.extend(65_535_u32.to_be_bytes());
    body.extend(1_u16.to_be_bytes());
    body.extend(1_u16.to_be_bytes());
    body.extend(1_u32.to_be_bytes());
    body
}

fn push_chunk(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.extend([kind, 0]);
    out.extend(length(body.len() + CHUNK_HEADER));
    out.extend(body);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn state_cookie(mut parameters: &[u8]) -> Option<Vec<u8>> {
    loop {
        let len = usize::from(be16(parameters, 2)?);
        let parameter = parameters.get(..len)?;
        if be16(parameter, 0)? == STATE_COOKIE {
            return Some(parameter.get(CHUNK_HEADER..)?.to_vec());
        }
        parameters = parameters.get(len.max(CHUNK_HEADER).next_multiple_of(4)..)?;
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// CRC32c (RFC 9260 appendix A), bit by bit: a probe has a hundred bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    /// The Castagnoli polynomial, reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_has_its_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720 appendix B.4");
    }

    #[test]
    fn packets_are_read_as_they_were_written() {
        let chunks = [
            Chunk::Init { initiate: 7 },
            Chunk::InitAck { initiate: 0xdead_beef, cookie: b"who I am".to_vec() },
            Chunk::InitAck { initiate: 1, cookie: b"odd".to_vec() },
            Chunk::Abort,
            Chunk::Other(10),
        ];
        for chunk in chunks {
            let packet = Packet { source: 40_000, destination: 80, tag: 3, chunk };
            let bytes = packet.encode();
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(Packet::decode(&bytes).as_ref(), Some(&packet));
        }
    }

    #[test]
    fn an_init_has_the_bytes_of_the_rfc() {
        let bytes =
            Packet { source: 1, destination: 2, tag: 0, chunk: Chunk::Init { initiate: 0x0102_0304 } }
                .encode();
        assert_eq!(bytes.get(..8).unwrap(), [0, 1, 0, 2, 0, 0, 0, 0], "ports, verification tag 0");
        assert_eq!(bytes.get(12..16).unwrap(), [1, 0, 0, 20], "type, flags, length");
        assert_eq!(bytes.get(16..20).unwrap(), [1, 2, 3, 4], "initiate tag");
        assert_eq!(bytes.get(24..28).unwrap(), [0, 1, 0, 1], "one stream each way");
    }

    #[test]
    fn damaged_packets_are_not_read() {
        let bytes = Packet { source: 1, destination: 2, tag: 0, chunk: Chunk::Abort }.encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            *damaged.get_mut(at).unwrap() ^= 0x10;
            assert_eq!(Packet::decode(&damaged), None, "byte {at}");
            assert_eq!(Packet::decode(bytes.get(..at).unwrap()), None, "cut at {at}");
        }
    }
}
