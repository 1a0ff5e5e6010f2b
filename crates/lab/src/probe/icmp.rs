//! ICMP (RFC 792) and ICMPv6 (RFC 4443) echo.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::ipproto;

use super::run::Answer;
use super::sctp::random;
use crate::raw::{self, RawSocket};

/// Echo request and reply, by family.
const ECHO: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// A raw ICMP socket that talks to the target only.
pub(super) fn open(target: IpAddr) -> io::Result<OwnedFd> {
    raw::open_connected(target, if target.is_ipv4() { ipproto::ICMP } else { ipproto::ICMPV6 })
}

/// Sends an echo request, and a second one half way, and waits for the reply to either.
pub(super) async fn probe(socket: OwnedFd, target: IpAddr, timeout: Duration) -> io::Result<Answer> {
    let socket = RawSocket::new(socket)?;
    let (request, reply) = if target.is_ipv4() { ECHO } else { ECHO_V6 };
    let mark = random().to_be_bytes();
    let message = echo(request, &mark);
    loop {
        socket.send(&message).await?;
        let answered = async {
            loop {
                let (bytes, _) = socket.receive().await?;
                if bytes.first() == Some(&reply) && bytes.get(4..12) == Some(&mark[..]) {
                    return Ok(Answer::Said("echo reply".to_owned()));
                }
            }
        };
        if let Ok(answer) = tokio::time::timeout(timeout / 2, answered).await {
            return answer;
        }
    }
}

/// Type, code, checksum, and eight bytes of identifier, sequence number and data that come back unchanged.
fn echo(kind: u8, mark: &[u8; 8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(mark);
    // RFC 1071. The kernel computes the one of ICMPv6 (RFC 3542 section 3.1) and overwrites this.
    let sum = message.chunks(2).fold(0_u32, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([
            pair.first().copied().unwrap_or(0),
            pair.get(1).copied().unwrap_or(0),
        ]))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&(!folded).to_be_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_makes_the_message_sum_to_all_ones() {
        let message = echo(8, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
