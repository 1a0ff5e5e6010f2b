//! What the engine keeps of a Service.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::claims::Place;
use crate::lb::{At, Frontend, Protocol};
use crate::view::{Kind, Skipped};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compiled {
    pub(crate) skipped: Option<Skipped>,
    /// Each once, ClusterIPs first.
    pub(crate) addresses: Box<[(IpAddr, Kind)]>,
    pub(crate) ports: Box<[Port]>,
    pub(crate) affinity: Option<u32>,
    pub(crate) internal_local: bool,
    pub(crate) external_local: bool,
    pub(crate) health_check: Option<u16>,
    /// Whose packets to load balancers' addresses count. `None`: everybody's.
    pub(crate) sources: Option<Sources>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: Arc<str>,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) node_port: Option<u16>,
}

/// Per family; none of a family: nobody's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) ipv4: Arc<[IpNet]>,
    pub(crate) ipv6: Arc<[IpNet]>,
}

/// Something a port of a Service would have.
pub(crate) struct Wanted<'a> {
    pub(crate) frontend: Frontend,
    pub(crate) kind: Kind,
    pub(crate) ipv6: bool,
    pub(crate) port: &'a Port,
}

impl Compiled {
    /// Whether it has a ClusterIP of a family.
    pub(crate) fn has_family(&self, ipv6: bool) -> bool {
        self.addresses.iter().any(|(address, kind)| *kind == Kind::Cluster && address.is_ipv6() == ipv6)
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = bool> {
        [false, true].into_iter().filter(|ipv6| self.has_family(*ipv6))
    }

    /// Whose packets count, empty: everybody's. `None`: nobody's.
    pub(crate) fn sources(&self, kind: Kind, ipv6: bool) -> Option<Arc<[IpNet]>> {
        match &self.sources {
            Some(sources) if kind == Kind::LoadBalancer => {
                let sources = if ipv6 { &sources.ipv6 } else { &sources.ipv4 };
                (!sources.is_empty()).then(|| Arc::clone(sources))
            }
            _ => Some(Arc::default()),
        }
    }

    /// The frontends it would have, each once. One that nobody may use is none.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = Wanted<'_>> {
        self.ports.iter().flat_map(move |port| {
            let addresses = self.addresses.iter().filter_map(move |(address, kind)| {
                let ipv6 = address.is_ipv6();
                self.sources(*kind, ipv6)?;
                Some((At::Address(*address), port.port, *kind, ipv6))
            });
            let nodes = self
                .families()
                .filter_map(move |ipv6| Some((At::Node { ipv6 }, port.node_port?, Kind::NodePort, ipv6)));
            addresses.chain(nodes).map(move |(at, number, kind, ipv6)| {
                let frontend = Frontend { at, protocol: port.protocol, port: number };
                Wanted { frontend, kind, ipv6, port }
            })
        })
    }

    /// What it claims.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let frontends = self.wanted().map(|wanted| Place::Frontend(wanted.frontend));
        frontends.chain(self.health_check.map(Place::HealthCheck))
    }
}
