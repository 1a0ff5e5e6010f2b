//! Raw IP sockets under tokio, for SCTP and ICMP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use tokio::net::UdpSocket;

/// Larger than any packet of these protocols that the lab sends.
const PACKET: usize = 2048;

/// Opens a raw socket. Blocking; in the calling thread's network namespace.
pub(crate) fn open(address: IpAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol))?)
}

/// Opens a raw socket that receives and sends only as `local`.
pub(crate) fn open_bound(local: IpAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let socket = open(local, protocol)?;
    rustix::net::bind(&socket, &SocketAddr::new(local, 0))?;
    Ok(socket)
}

/// Opens a raw socket that talks to `peer` only, and learns of ICMP errors about it.
pub(crate) fn open_connected(peer: IpAddr, protocol: Protocol) -> io::Result<OwnedFd> {
    let socket = open(peer, protocol)?;
    rustix::net::connect(&socket, &SocketAddr::new(peer, 0))?;
    Ok(socket)
}

/// A raw socket known to the runtime.
///
/// It is wrapped as the other kind of datagram socket, whose system calls are the same.
pub(crate) struct RawSocket(UdpSocket);

impl RawSocket {
    /// Hands a socket to the runtime.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Sends to the connected peer.
    pub(crate) async fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.0.send(payload).await.map(|_| ())
    }

    /// Sends to `peer`. The port of a raw socket's address has no meaning and is 0 (raw(7), ipv6(7)).
    pub(crate) async fn send_to(&self, payload: &[u8], peer: IpAddr) -> io::Result<()> {
        self.0.send_to(payload, SocketAddr::new(peer, 0)).await.map(|_| ())
    }

    /// Receives one packet: what follows the IP header, and who sent it.
    pub(crate) async fn receive(&self) -> io::Result<(Vec<u8>, IpAddr)> {
        let mut buffer = [0_u8; PACKET];
        let (len, from) = self.0.recv_from(&mut buffer).await?;
        let packet = buffer.get(..len).unwrap_or_default();
        // Raw IPv4 sockets deliver the IP header too (raw(7)), raw IPv6 sockets do not (RFC 3542 section 3).
        let header = match packet.first() {
            Some(first) if from.is_ipv4() => usize::from(first & 0xf) * 4,
            _ => 0,
        };
        Ok((packet.get(header..).unwrap_or_default().to_vec(), from.ip()))
    }
}
