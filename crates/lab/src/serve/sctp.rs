//! The SCTP side of a network namespace where the kernel has no SCTP: one responder, since raw sockets all get every packet.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::ipproto;
use tokio::task::JoinSet;

use super::{Identity, ServeError};
use crate::netns;
use crate::raw::{self, RawSocket};
use crate::sctp::{Chunk, Packet};
use crate::sctp_socket;

/// Initiate tag of every responder: nothing is remembered between packets, and nothing follows an INIT ACK.
const TAG: u32 = 0x6b76_7377;

type Ports = Arc<Mutex<BTreeMap<u16, Identity>>>;

/// Answers SCTP in one network namespace until dropped.
#[derive(Debug)]
pub struct SctpResponder {
    ports: Ports,
    _tasks: JoinSet<()>,
}

impl SctpResponder {
    /// Begins to answer on `addresses`: with ABORT, as no port is served yet. Where the kernel has SCTP, that is left to it.
    ///
    /// # Errors
    /// [`ServeError::Raw`] when an address is not there or raw sockets are not allowed.
    pub async fn start(place: &Path, addresses: &[IpAddr]) -> Result<Arc<Self>, ServeError> {
        let wanted = if sctp_socket::available() { vec![] } else { addresses.to_vec() };
        let sockets = netns::within(place, move || {
            let open = |address: IpAddr| {
                let socket: io::Result<_> = raw::open_bound(address, ipproto::SCTP).and_then(RawSocket::new);
                socket.map_err(|source| ServeError::Raw { address, source })
            };
            wanted.into_iter().map(open).collect::<Result<Vec<_>, _>>()
        });
        let ports = Ports::default();
        let mut tasks = JoinSet::new();
        for socket in sockets.await?? {
            tasks.spawn(respond(socket, Arc::clone(&ports)));
        }
        Ok(Arc::new(Self { ports, _tasks: tasks }))
    }

    /// Serves a port from now on.
    pub(super) fn serve(&self, port: u16, identity: &Identity) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(port, identity.clone());
    }

    /// Stops to serve a port.
    pub(super) fn forget(&self, port: u16) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}

async fn respond(socket: RawSocket, ports: Ports) {
    loop {
        let Ok((bytes, client)) = socket.receive().await else {
            // Errors of a raw socket are about single packets; the pause keeps a lasting one from spinning.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let answer = Packet::decode(&bytes).and_then(|packet| {
            let ports = ports.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&packet, client, ports.get(&packet.destination))
        });
        if let Some(answer) = answer {
            let _ = socket.send_to(&answer.encode(), client).await;
        }
    }
}

/// The answer to one packet, or `None` where the RFC wants silence or we are the client.
fn answer(packet: &Packet, client: IpAddr, server: Option<&Identity>) -> Option<Packet> {
    let Chunk::Init { initiate } = packet.chunk else { return None };
    let chunk = match server {
        Some(identity) => {
            let greeting = identity.greet(SocketAddr::new(client, packet.source));
            Chunk::InitAck { initiate: TAG, cookie: greeting.trim_end().as_bytes().to_vec() }
        }
        // RFC 9260 section 8.4, rule 3: an INIT that nobody wants is aborted with its own tag.
        None => Chunk::Abort,
    };
    Some(Packet { source: packet.destination, destination: packet.source, tag: initiate, chunk })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_is_answered_and_nothing_else_is() {
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let me = Identity { namespace: "ns".into(), name: "pod".into() };
        let init = Packet { source: 5, destination: 80, tag: 0, chunk: Chunk::Init { initiate: 9 } };

        let served = answer(&init, client, Some(&me)).unwrap();
        assert_eq!((served.source, served.destination, served.tag), (80, 5, 9));
        let Chunk::InitAck { cookie, .. } = served.chunk else { panic!("{served:?}") };
        assert_eq!(
            String::from_utf8(cookie).unwrap(),
            r#"{"namespace":"ns","name":"pod","client":"192.0.2.1:5"}"#
        );

        assert_eq!(answer(&init, client, None).unwrap().chunk, Chunk::Abort);
        for chunk in [Chunk::Abort, Chunk::InitAck { initiate: 1, cookie: vec![] }, Chunk::Other(3)] {
            let packet = Packet { chunk, ..init.clone() };
            assert_eq!(answer(&packet, client, Some(&me)), None);
        }
    }
}
