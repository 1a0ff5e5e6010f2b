//! SCTP probes where the kernel has no SCTP: INIT out, INIT ACK or ABORT back.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::ipproto;

use super::run::Answer;
use crate::raw::{self, RawSocket};
use crate::sctp::{Chunk, Packet};

/// A number nobody can guess: ports and tags of different probes must differ.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A raw SCTP socket that talks to the target only.
pub(super) fn open(target: IpAddr) -> io::Result<OwnedFd> {
    raw::open_connected(target, ipproto::SCTP)
}

/// Asks, and a second time half way.
pub(super) async fn probe(socket: OwnedFd, port: u16, timeout: Duration) -> io::Result<Answer> {
    let socket = RawSocket::new(socket)?;
    let random = random().to_be_bytes();
    let [a, b, c, d, e, f, ..] = random;
    // Ports of the dynamic range (RFC 6335 section 6); a tag is never 0 (RFC 9260 section 3.3.2).
    let source = 0xc000 | u16::from_be_bytes([a, b]);
    let tag = u32::from_be_bytes([c, d, e, f]) | 1;
    let init = Packet { source, destination: port, tag: 0, chunk: Chunk::Init { initiate: tag } }.encode();
    loop {
        socket.send(&init).await?;
        if let Ok(answer) = tokio::time::timeout(timeout / 2, answer(&socket, port, source, tag)).await {
            return answer;
        }
    }
}

/// Waits for the packet that belongs to our INIT: the socket gets all SCTP packets of the peer.
async fn answer(socket: &RawSocket, port: u16, source: u16, tag: u32) -> io::Result<Answer> {
    loop {
        let (bytes, _) = socket.receive().await?;
        let Some(packet) = Packet::decode(&bytes) else { continue };
        if (packet.source, packet.destination, packet.tag) != (port, source, tag) {
            continue;
        }
        match packet.chunk {
            Chunk::InitAck { initiate, cookie } => {
                // Tells the peer, and the connection trackers on the way, that nothing will follow.
                let abort = Packet { source, destination: port, tag: initiate, chunk: Chunk::Abort };
                socket.send(&abort.encode()).await?;
                return Ok(Answer::Said(String::from_utf8_lossy(&cookie).into_owned()));
            }
            Chunk::Abort => return Ok(Answer::Refused),
            Chunk::Init { .. } | Chunk::Other(_) => {}
        }
    }
}
