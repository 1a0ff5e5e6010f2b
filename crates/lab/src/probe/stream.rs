//! Probes by sockets that the kernel has: TCP, UDP, and SCTP's where it has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::run::Answer;
use crate::sctp_socket;

/// No target's words are longer.
const LINE: u64 = 1024;

/// A TCP connection that is established is an answer, and so is an SCTP association; a reset or an abort is an error of the
/// socket. Half way a second one is tried beside the first: the kernel repeats a lost SYN only after a second, and a lost INIT
/// after three, when most probes have ended.
pub(super) async fn connect(
    first: TcpSocket,
    second: TcpSocket,
    target: SocketAddr,
    timeout: Duration,
) -> io::Result<Answer> {
    let mut first = std::pin::pin!(first.connect(target));
    let connected = match tokio::time::timeout(timeout / 2, &mut first).await {
        Ok(connected) => connected,
        Err(_) => tokio::select! {
            connected = first => connected,
            connected = second.connect(target) => connected,
        },
    };
    connected.map(Answer::Connected)
}

/// Two sockets, of which the second is for a second try.
pub(super) fn open_tcp(target: SocketAddr) -> io::Result<(TcpSocket, TcpSocket)> {
    let open = || if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    Ok((open()?, open()?))
}

/// The same for SCTP.
pub(super) fn open_sctp(target: SocketAddr) -> io::Result<(TcpSocket, TcpSocket)> {
    Ok((sctp_socket::client(target)?, sctp_socket::client(target)?))
}

/// The first line that a server says of its own accord, without the line's end.
pub(super) async fn first_line(connection: TcpStream, wait: Duration) -> Option<String> {
    let mut line = String::new();
    let mut reader = BufReader::new(connection.take(LINE));
    let read = tokio::time::timeout(wait, reader.read_line(&mut line)).await;
    match read {
        Ok(Ok(len)) if len > 0 => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

/// A connected UDP socket, which learns of ICMP errors.
pub(super) fn open_udp(target: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

/// Any datagram back is an answer. Asks a second time half way, since a single datagram may get lost.
pub(super) async fn udp(socket: std::net::UdpSocket, timeout: Duration) -> io::Result<Answer> {
    let socket = UdpSocket::from_std(socket)?;
    let mut buffer = [0_u8; 1024];
    loop {
        socket.send(b"who are you?\n").await?;
        if let Ok(received) = tokio::time::timeout(timeout / 2, socket.recv(&mut buffer)).await {
            let words = buffer.get(..received?).unwrap_or_default();
            return Ok(Answer::Said(String::from_utf8_lossy(words).trim_end().to_owned()));
        }
    }
}
