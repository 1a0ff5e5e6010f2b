//! What became of one Service, for inspection.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::lb::{External, Frontend as Place, HealthCheck, Name, Protocol, SetId};

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Why nothing is done for it.
    pub skipped: Option<Skipped>,
    /// Seconds for which a client keeps its endpoint.
    pub affinity: Option<u32>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Where load balancers ask, and what is answered.
    pub health_check: Option<(u16, HealthCheck)>,
}

/// Why nothing is done for a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skipped {
    /// It names another proxy.
    OtherProxy,
    /// It is another name for something.
    ExternalName,
    /// It wants no ClusterIP: clients find its endpoints themselves.
    Headless,
    /// It has no ClusterIP yet.
    NoAddress,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name, which may be empty.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Where packets for it go.
    pub frontends: Vec<Frontend>,
    /// What its frontends lead to, as last told.
    pub sets: Vec<Set>,
    /// Everything that slices have for it, in ascending order.
    pub endpoints: Vec<Endpoint>,
}

/// Where a frontend comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A ClusterIP.
    Cluster,
    /// An address of a load balancer.
    LoadBalancer,
    /// An external address.
    External,
    /// A node port.
    NodePort,
    /// A number on the bridge that stands for addresses outside of which no node port does.
    StandIn,
}

/// A frontend of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// What packets to it have as their destination.
    pub place: Place,
    /// Where it comes from.
    pub kind: Kind,
    /// What becomes of them.
    pub state: FrontendState,
    /// The number that stands for it where the host sends it to the bridge.
    pub external: Option<(External, u16)>,
}

/// What becomes of packets to a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontendState {
    /// They go to these sets.
    Leads {
        /// From inside the cluster.
        inside: SetId,
        /// From outside.
        outside: SetId,
        /// Whose packets count; empty: everybody's.
        sources: Arc<[IpNet]>,
    },
    /// They go to the Service that claimed it first.
    Taken(Name),
    /// Nothing was told of it yet.
    Untold,
}

/// Whose a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everybody's whom no policy restricts to this node: endpoints of the whole cluster.
    Cluster,
    /// Of `internalTrafficPolicy: Local`: endpoints of this node.
    LocalInside,
    /// Of `externalTrafficPolicy: Local`: endpoints of this node, which see their clients' addresses.
    LocalOutside,
}

/// A set, as last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its id.
    pub id: SetId,
    /// Of IPv6, not IPv4.
    pub ipv6: bool,
    /// Whose it is.
    pub scope: Scope,
    /// What it does.
    pub set: crate::lb::Set,
}

/// An endpoint of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// The node it is on.
    pub node: Option<Arc<str>>,
    /// Whether that is this node.
    pub local: bool,
    /// It wants connections.
    pub ready: bool,
    /// It can take connections.
    pub serving: bool,
    /// It is about to go.
    pub terminating: bool,
    /// What it is: a kind and a name.
    pub target: Option<(Arc<str>, Arc<str>)>,
    /// Whether a set that was last told has it.
    pub used: bool,
}
