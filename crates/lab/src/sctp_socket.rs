//! SCTP sockets of the kernel, one-to-one style (RFC 6458 section 4): they connect, listen, read and write as TCP's do, and
//! are handed around as such.
//!
//! Not every kernel has them; there, raw packets have to do ([`crate::sctp`]). Never both: a kernel that has SCTP
//! answers by itself every packet that none of its sockets wants, and would abort what a raw socket has begun.
//!
//! Each socket is bound to one address. Otherwise both ends would tell each other all the addresses of their machines
//! (RFC 9260 section 5.1.2), and associations would have paths that no translation of addresses knows of.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use tokio::net::{TcpListener, TcpSocket};

/// Whether the kernel has SCTP. It is asked once: that loads the module, where there is one.
pub(crate) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| open(Ipv4Addr::LOCALHOST.into()).is_ok())
}

/// A listening socket. In the calling thread's network namespace, as all sockets here.
pub(crate) fn listen(at: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = open(at.ip())?;
    rustix::net::bind(&socket, &at)?;
    rustix::net::listen(&socket, backlog)?;
    TcpListener::from_std(socket.into())
}

/// A socket to be connected to `target`, at the address from which it is reached. It learns of ICMP errors, which
/// associations otherwise sit out (RFC 9260 section 10).
pub(crate) fn client(target: SocketAddr) -> io::Result<TcpSocket> {
    let socket = open(target.ip())?;
    rustix::net::bind(&socket, &SocketAddr::new(source(target)?, 0))?;
    match target {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

fn open(address: IpAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::SCTP))?)
}

/// The address that the routes choose towards `target`. Connecting a UDP socket sends nothing.
fn source(target: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}
