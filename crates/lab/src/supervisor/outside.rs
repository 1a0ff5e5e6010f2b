//! The world outside the cluster, and what every machine serves.

use crate::layout::{Layout, Place};
use crate::plan;
use crate::probe::{Probe, Protocol};
use crate::serve::{Identity, SctpResponder, ServeError, Servers};

/// The echo service's port (RFC 862): served by every machine, nodes included.
const ECHO: u16 = 7;

/// Ports that the outside serves besides: the ones that examples and tests like to use.
const WELL_KNOWN: [u16; 4] = [80, 81, 82, 443];

/// TCP, UDP and SCTP on these ports.
fn all_protocols(ports: &[u16]) -> Vec<Probe> {
    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    ports.iter().flat_map(|port| protocols.map(|protocol| Probe { protocol, port: *port })).collect()
}

/// What every machine serves.
pub(super) fn echo_ports() -> Vec<Probe> {
    all_protocols(&[ECHO])
}

/// Begins to serve as the outside.
pub(super) async fn serve(layout: &Layout) -> Result<Servers, ServeError> {
    let place = layout.netns(&Place::Outside);
    let addresses = [plan::GATEWAY.both(), plan::OUTSIDE.both()].concat();
    let sctp = SctpResponder::start(&place, &addresses).await?;
    let mut ports = echo_ports();
    ports.extend(all_protocols(&WELL_KNOWN));
    let identity = Identity { namespace: String::new(), name: "outside".to_owned() };
    Servers::start(&place, &identity, &ports, &addresses, &sctp).await
}
