//! Asking an address for an answer, with a packet of a size that nobody on the way may fragment.
//!
//! An ICMP echo where the process may send one, which takes `CAP_NET_RAW` or a group in `net.ipv4.ping_group_range`; a
//! UDP packet to a port where nobody listens if not: the refusal is as good as an answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

/// Where traceroute begins: nobody listens there.
const NOBODY: u16 = 33_434;
/// How often is asked, and how long is waited for each answer.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_millis(700);

/// A packet that is small enough for any path.
pub(super) const SMALL: u32 = 100;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer.
    Answered,
    /// Nothing.
    Silent,
    /// Somebody on the way, or the node itself, says that the packet is too large.
    TooLarge,
    /// The node cannot send there.
    Unreachable(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Raw,
    Ping,
    Udp,
}

/// Asks `target` with a packet of so many bytes, IP header included, in the calling thread's network namespace.
pub(super) fn ask(target: IpAddr, bytes: u32) -> Outcome {
    tries(target, bytes, TRIES).unwrap_or_else(|error| Outcome::Unreachable(error.to_string()))
}

/// The largest packet that is answered, of those between a size that is and one that is not.
pub(super) fn largest(target: IpAddr, answered: u32, not: u32) -> u32 {
    let (mut low, mut high) = (answered, not);
    while high - low > 1 {
        let middle = low.midpoint(high);
        // Twice: one that is lost for another reason would make the path look smaller than it is.
        let passes = tries(target, middle, 2);
        if matches!(passes, Ok(Outcome::Answered)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Asks until there is an answer, to this or an earlier one, or no use in asking again.
fn tries(target: IpAddr, bytes: u32, times: u32) -> io::Result<Outcome> {
    let (socket, kind) = open(target)?;
    let mark = mark();
    let mut outcome = Outcome::Silent;
    for _ in 0..times {
        outcome = once(&socket, kind, target, bytes, &mark)?;
        if matches!(outcome, Outcome::Answered | Outcome::TooLarge) {
            break;
        }
    }
    Ok(outcome)
}

fn open(target: IpAddr) -> io::Result<(OwnedFd, Kind)> {
    let (family, icmp) = match target {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let kinds: [(Kind, SocketType, Option<Protocol>); 3] = [
        (Kind::Raw, SocketType::RAW, Some(icmp)),
        (Kind::Ping, SocketType::DGRAM, Some(icmp)),
        (Kind::Udp, SocketType::DGRAM, None),
    ];
    let mut failed = Errno::PERM;
    for (kind, of_type, protocol) in kinds {
        match rustix::net::socket_with(family, of_type, SocketFlags::CLOEXEC, protocol) {
            Ok(socket) => {
                match target {
                    IpAddr::V4(_) => sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
                    IpAddr::V6(_) => sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
                }
                let port = if kind == Kind::Udp { NOBODY } else { 0 };
                rustix::net::connect(&socket, &SocketAddr::new(target, port))?;
                return Ok((socket, kind));
            }
            Err(error) => failed = error,
        }
    }
    Err(failed.into())
}

fn once(socket: &OwnedFd, kind: Kind, target: IpAddr, bytes: u32, mark: &[u8; 8]) -> io::Result<Outcome> {
    let headers = if target.is_ipv4() { 20 } else { 40 };
    let message = message(kind, target, mark, usize::try_from(bytes.saturating_sub(headers)).unwrap_or(0));
    match rustix::net::send(socket, &message, SendFlags::empty()) {
        Ok(_) => {}
        // (An error on a packet sent before is told here too.)
        Err(error) => return outcome(error, kind),
    }
    let deadline = Instant::now() + WAIT;
    let mut buffer = vec![0_u8; 65_536];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Outcome::Silent);
        }
        sockopt::set_socket_timeout(socket, Timeout::Recv, Some(left.max(Duration::from_millis(1))))?;
        match rustix::net::recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _)) => {
                let packet = buffer.get(..length).unwrap_or_default();
                if kind == Kind::Udp || is_reply(packet, kind, target, mark) {
                    return Ok(Outcome::Answered);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return outcome(error, kind),
        }
    }
}

fn outcome(error: Errno, kind: Kind) -> io::Result<Outcome> {
    match error {
        Errno::CONNREFUSED if kind == Kind::Udp => Ok(Outcome::Answered),
        Errno::MSGSIZE => Ok(Outcome::TooLarge),
        Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::PERM | Errno::ACCESS | Errno::CONNREFUSED => {
            Ok(Outcome::Unreachable(io::Error::from(error).to_string()))
        }
        _ => Err(error.into()),
    }
}

/// What follows the IP header for ICMP; for UDP, whose header the kernel writes, what follows that.
fn message(kind: Kind, target: IpAddr, mark: &[u8; 8], length: usize) -> Vec<u8> {
    if kind == Kind::Udp {
        return vec![0; length.saturating_sub(8)];
    }
    let mut message = vec![if target.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0, 0, 0, 0];
    message.extend(mark);
    message.resize(length.max(message.len()), 0);
    // RFC 1071; the kernel overwrites it but in raw IPv4 packets.
    let mut sum: u32 = message
        .chunks(2)
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair.first().copied().unwrap_or(0),
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if let (Some(field), Ok(sum)) = (message.get_mut(2..4), u16::try_from(sum)) {
        field.copy_from_slice(&(!sum).to_be_bytes());
    }
    message
}

/// Raw IPv4 sockets deliver the IP header too.
fn is_reply(packet: &[u8], kind: Kind, target: IpAddr, mark: &[u8; 8]) -> bool {
    let header = match packet.first() {
        Some(first) if kind == Kind::Raw && target.is_ipv4() => usize::from(first & 0xf) * 4,
        _ => 0,
    };
    let reply = if target.is_ipv4() { 0 } else { 129 };
    let message = packet.get(header..).unwrap_or_default();
    message.first() == Some(&reply) && message.get(8..16) == Some(&mark[..])
}

/// What no packet before this one carried.
fn mark() -> [u8; 8] {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (now.as_secs() << 32 ^ u64::from(now.subsec_nanos()) ^ u64::from(std::process::id()) << 16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_itself_answers() {
        for target in ["127.0.0.1", "127.0.0.2"] {
            assert_eq!(ask(target.parse().unwrap(), SMALL), Outcome::Answered, "{target}");
        }
    }

    #[test]
    fn a_packet_has_the_size_and_the_checksum_that_it_should() {
        let message = message(Kind::Raw, "192.0.2.1".parse().unwrap(), &[1, 2, 3, 4, 5, 6, 7, 8], 1480);
        assert_eq!(message.len(), 1480);
        let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        let mut reply = message.clone();
        reply[0] = 0;
        assert!(is_reply(&reply, Kind::Ping, "192.0.2.1".parse().unwrap(), &[1, 2, 3, 4, 5, 6, 7, 8]));
        assert!(!is_reply(&message, Kind::Ping, "192.0.2.1".parse().unwrap(), &[1, 2, 3, 4, 5, 6, 7, 8]));
    }
}
