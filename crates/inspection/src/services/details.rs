//! Everything about one Service.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Protocol, Skipped};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why nothing is done for it.
    pub skipped: Option<Skipped>,
    /// Seconds for which a client keeps its endpoint after its last new connection.
    pub affinity: Option<u32>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Where load balancers ask whether this node has endpoints.
    pub health_check: Option<HealthCheck>,
    /// What is wrong with it and its EndpointSlices.
    pub problems: Vec<Problem>,
}

/// A health-check node port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The port.
    pub port: u16,
    /// How many endpoints of this node are ready.
    pub local_endpoints: usize,
    /// The HTTP status of the answer: 200 or 503.
    pub status: u16,
    /// Why nobody answers there.
    pub error: Option<String>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name, which may be empty.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Where packets for it go.
    pub frontends: Vec<Frontend>,
    /// What its frontends lead to.
    pub sets: Vec<Set>,
    /// Everything that EndpointSlices have for it.
    pub endpoints: Vec<Endpoint>,
}

/// A destination that leads to a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontend {
    /// Where it comes from.
    pub kind: Kind,
    /// Of IPv6, not IPv4.
    pub ipv6: bool,
    /// Its address; `None`: the node's own ones.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// The node port or stand-in as which what comes from outside is sent to the bridge, and is counted there.
    pub outside_by: Option<u16>,
    /// What becomes of packets to it.
    pub leads: Leads,
    /// Packets of new connections to it.
    pub connections: Option<u64>,
    /// Packets that were dropped, since their senders are not among [`Leads::To`]'s `sources`.
    pub not_allowed: Option<u64>,
}

/// What becomes of packets to a frontend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Leads {
    /// They go to these sets.
    To {
        /// From pods of the node and its own processes.
        inside: Scope,
        /// From outside of the cluster.
        outside: Scope,
        /// Whose packets count, as CIDRs; empty: everybody's.
        sources: Vec<String>,
    },
    /// Another Service had it first.
    Taken {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The switch has not been told yet.
    Untold,
}

/// Which endpoints are in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Those of the whole cluster.
    Cluster,
    /// Those of the node, for clients inside (`internalTrafficPolicy: Local`).
    LocalInside,
    /// Those of the node, for clients outside (`externalTrafficPolicy: Local`).
    LocalOutside,
}

/// Endpoints that connections go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// Its id: part of its flows' cookies, and of its groups' numbers.
    pub id: u32,
    /// Of IPv6, not IPv4.
    pub ipv6: bool,
    /// Which endpoints.
    pub scope: Scope,
    /// What becomes of connections.
    pub outcome: Outcome,
    /// Clients outside keep their address: their packets are not masqueraded.
    pub keeps_client: bool,
    /// Packets of new connections.
    pub connections: Option<u64>,
    /// Which endpoint they went to.
    pub endpoints: Vec<SetEndpoint>,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It goes to one of the endpoints.
    Endpoints,
    /// It is refused: there are no endpoints.
    Refused,
    /// It is refused: the datapath cannot translate SCTP.
    RefusedSctp,
    /// It is dropped: there are endpoints, but none on this node.
    Dropped,
}

/// An endpoint in a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetEndpoint {
    /// Its address.
    pub address: SocketAddr,
    /// Packets of new connections that went to it.
    pub connections: Option<u64>,
}

/// An endpoint of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// The node it is on.
    pub node: Option<String>,
    /// Whether that is the node that tells this.
    pub local: bool,
    /// It wants connections.
    pub ready: bool,
    /// It can take connections.
    pub serving: bool,
    /// It is about to go.
    pub terminating: bool,
    /// What it is.
    pub target: Option<Target>,
    /// Whether a set has it.
    pub used: bool,
    /// Packets of new connections that went to it, by all sets.
    pub connections: Option<u64>,
}

/// What an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `Pod`, mostly.
    pub kind: String,
    /// Its name.
    pub name: String,
}
