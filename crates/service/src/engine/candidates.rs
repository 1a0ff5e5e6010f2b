//! All endpoints that slices have for a port, each once.

use std::cmp::Reverse;
use std::net::SocketAddr;

use super::compiled::Port;
use super::slices::{Endpoint, Slice};

#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) address: SocketAddr,
    /// Its best state.
    pub(crate) endpoint: &'a Endpoint,
    /// On this node: any slice says so.
    pub(crate) local: bool,
}

/// In ascending order of addresses. Of several with one address the state is the best one: while an endpoint moves from
/// one slice to another, both have it for a time, and one may be behind.
pub(crate) fn candidates<'a>(
    slices: impl Iterator<Item = &'a Slice>,
    port: &Port,
    ipv6: bool,
) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    for slice in slices.filter(|slice| slice.ipv6 == ipv6) {
        let own = |other: &&(_, _, _)| (&other.0, other.1) == (&port.name, port.protocol);
        for (_, _, number) in slice.ports.iter().filter(own) {
            all.extend(slice.endpoints.iter().map(|endpoint| Candidate {
                address: SocketAddr::new(endpoint.ip, *number),
                endpoint,
                local: endpoint.local,
            }));
        }
    }
    all.sort_by_key(|one| (one.address, Reverse(rank(one.endpoint))));
    all.dedup_by(|worse, better| {
        let same = worse.address == better.address;
        better.local |= same && worse.local;
        same
    });
    all
}

/// The higher, the better: wants connections, can take some that nobody else takes, can take some.
fn rank(endpoint: &Endpoint) -> (bool, bool, bool, bool) {
    (endpoint.ready, endpoint.lingers(), endpoint.serving, endpoint.local)
}
