//! Servers that say who they are: what a pod of the lab runs instead of a container, or beside one that does nothing.
//!
//! A TCP connection is greeted with one line of JSON and then echoes what it is sent, and so does an SCTP association;
//! where the kernel has no SCTP, an INIT is answered with an INIT ACK whose state cookie is that line. A UDP datagram is
//! answered with it. The line names the pod and the client's address as the pod saw it:
//! `{"namespace":"default","name":"web","client":"10.244.1.3:40312"}`.

mod declared;
mod sctp;

pub use declared::{declared_ports, is_idle};
pub use sctp::SctpResponder;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use crate::probe::{Probe, Protocol};
use crate::{netns, sctp_socket};

/// Connections that may wait to be accepted: Linux's default upper limit (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The pod's namespace; empty for machines.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
}

/// The line that servers answer with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The server's namespace.
    pub namespace: String,
    /// The server's name.
    pub name: String,
    /// The client's address and port as the server saw them.
    pub client: String,
}

impl Identity {
    /// The line for this client, its end included.
    #[must_use]
    pub fn greet(&self, client: SocketAddr) -> String {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port()).to_string();
        let greeting = Greeting { namespace: self.namespace.clone(), name: self.name.clone(), client };
        serde_json::to_string(&greeting).map(|line| line + "\n").unwrap_or_default()
    }
}

/// Why a port is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The namespace is gone.
    #[error(transparent)]
    Enter(#[from] netns::EnterError),
    /// The port is taken, or the address is not there.
    #[error("cannot serve {probe}: {source}")]
    Open {
        /// Protocol and port.
        probe: Probe,
        /// What the kernel said.
        source: io::Error,
    },
    /// A raw socket was not allowed.
    #[error("cannot answer SCTP on {address}: {source}")]
    Raw {
        /// The local address.
        address: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Servers of one identity. They end when this is dropped.
#[derive(Debug)]
pub struct Servers {
    _tasks: JoinSet<()>,
    sctp: Arc<SctpResponder>,
    sctp_ports: Vec<u16>,
}

impl Servers {
    /// Serves `ports` inside the namespace `place`.
    ///
    /// UDP and SCTP sockets are opened per address of `addresses`, so that an answer comes from the address that was asked.
    /// SCTP ports are announced to `sctp`, the one responder of the namespace, which answers where there are no such sockets.
    ///
    /// # Errors
    /// [`ServeError`] when one of the ports cannot be served; then none is.
    pub async fn start(
        place: &Path,
        identity: &Identity,
        ports: &[Probe],
        addresses: &[IpAddr],
        sctp: &Arc<SctpResponder>,
    ) -> Result<Self, ServeError> {
        let wanted = ports.to_vec();
        let addresses = addresses.to_vec();
        let opened = netns::within(place, move || open_all(&wanted, &addresses)).await??;
        let mut tasks = JoinSet::new();
        for socket in opened {
            let identity = identity.clone();
            match socket {
                Opened::Stream(listener) => tasks.spawn(serve_stream(listener, identity)),
                Opened::Udp(socket) => tasks.spawn(serve_udp(socket, identity)),
            };
        }
        let sctp_ports: Vec<u16> =
            ports.iter().filter(|port| port.protocol == Protocol::Sctp).map(|port| port.port).collect();
        for port in &sctp_ports {
            sctp.serve(*port, identity);
        }
        Ok(Self { _tasks: tasks, sctp: Arc::clone(sctp), sctp_ports })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for port in &self.sctp_ports {
            self.sctp.forget(*port);
        }
    }
}

enum Opened {
    Stream(TcpListener),
    Udp(UdpSocket),
}

fn open_all(ports: &[Probe], addresses: &[IpAddr]) -> Result<Vec<Opened>, ServeError> {
    let mut opened = Vec::new();
    for probe in ports {
        let failed = |source| ServeError::Open { probe: *probe, source };
        match probe.protocol {
            Protocol::Tcp => opened.push(Opened::Stream(listen(probe.port).map_err(failed)?)),
            Protocol::Udp => {
                for address in addresses {
                    let socket = std::net::UdpSocket::bind(SocketAddr::new(*address, probe.port));
                    let socket = socket.and_then(|socket| {
                        socket.set_nonblocking(true)?;
                        UdpSocket::from_std(socket)
                    });
                    opened.push(Opened::Udp(socket.map_err(failed)?));
                }
            }
            Protocol::Sctp if sctp_socket::available() => {
                for address in addresses {
                    let listener = sctp_socket::listen(SocketAddr::new(*address, probe.port), BACKLOG);
                    opened.push(Opened::Stream(listener.map_err(failed)?));
                }
            }
            Protocol::Sctp | Protocol::Icmp => {}
        }
    }
    Ok(opened)
}

/// One socket for both families, or for IPv4 alone where the kernel has no IPv6.
fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)).or_else(
        |error| match error.kind() {
            io::ErrorKind::AddrInUse => Err(error),
            _ => std::net::TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
        },
    )?;
    // A whole cluster may connect at once; the standard library's backlog of 128 would drop some.
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve_stream(listener: TcpListener, identity: Identity) {
    // Dropped with the listener: a server that goes takes its connections along.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                connections.spawn(converse(stream, identity.greet(client)));
            }
            Err(error) => {
                // Out of file descriptors, mostly: waits until there are some.
                tracing::warn!(%error, name = identity.name, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, greeting: String) {
    let (mut read, mut write) = stream.split();
    if write.write_all(greeting.as_bytes()).await.is_ok() {
        // A client that goes away in the middle is none of the server's troubles.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    }
}

async fn serve_udp(socket: UdpSocket, identity: Identity) {
    let mut datagram = [0_u8; 2048];
    loop {
        // Errors of single datagrams, such as an ICMP answer to an earlier one, do not end the server.
        if let Ok((_, client)) = socket.recv_from(&mut datagram).await {
            let _ = socket.send_to(identity.greet(client).as_bytes(), client).await;
        }
    }
}
