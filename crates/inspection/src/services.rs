//! What a node's daemon says of Services: `GET /services` is answered with a [`Listing`], which has a line for each
//! Service, and `GET /services/NAMESPACE/NAME` with a [`Shown`], which has everything about one.
//!
//! What is counted are the packets that a set of endpoints was chosen for, or an endpoint: the first of each connection,
//! and those that are sent again while nobody answers. Counters are `None` where the switch could not be asked;
//! [`Shown::counters`] then says why. They begin anew when what counts them is changed.

mod details;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use self::details::{
    Endpoint, Frontend, HealthCheck, Leads, Outcome, Port, Scope, Service, Set, SetEndpoint, Target,
};
use crate::Counters;

/// All Services, as a node knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The node.
    pub node: String,
    /// Whether its bridge is the proxy of Services; if not, there is nothing to tell of them.
    pub proxy: bool,
    /// Whether the datapath tells SCTP associations apart by their ports. If not, connections to Services by SCTP are
    /// refused. `None` before the switch has been asked.
    pub tracks_sctp: Option<bool>,
    /// A line for each.
    pub services: Vec<Line>,
    /// What is wrong in Services and EndpointSlices of the cluster.
    pub problems: Vec<Problem>,
}

/// A Service, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why nothing is done for it.
    pub skipped: Option<Skipped>,
    /// Where its frontends come from.
    pub kinds: BTreeSet<Kind>,
    /// Its ClusterIPs.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<LinePort>,
    /// How many destinations lead to it.
    pub frontends: usize,
    /// Its endpoints.
    pub endpoints: Tally,
    /// How many things are wrong with it and its EndpointSlices.
    pub problems: usize,
}

/// A port, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePort {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Its number at nodes' addresses.
    pub node_port: Option<u16>,
}

/// How many endpoints there are: each counts once, whatever ports and families it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All of them.
    pub total: usize,
    /// Those that want connections.
    pub ready: usize,
    /// Those that are about to go, and take connections while nobody else does.
    pub terminating: usize,
}

/// One Service, as a node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The node.
    pub node: String,
    /// Whether its bridge is the proxy of Services.
    pub proxy: bool,
    /// Where the counters are from.
    pub counters: Counters,
    /// The Service, if the node knows one of this name.
    pub service: Option<Service>,
}

/// Why nothing is done for a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// Where a frontend comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A ClusterIP.
    Cluster,
    /// A node port.
    NodePort,
    /// An address of a load balancer.
    LoadBalancer,
    /// An external address.
    External,
    /// A number on the bridge that stands for addresses outside of which no node port does.
    StandIn,
}

impl Kind {
    /// As the API calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::External => "ExternalIP",
            Self::StandIn => "stand-in",
        }
    }
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// Something that counts as if it were not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The namespace.
    pub namespace: String,
    /// The Service that it concerns.
    pub service: String,
    /// The EndpointSlice it is in; `None`: the Service itself.
    pub slice: Option<String>,
    /// Where, as in `spec.ports[1].nodePort`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}
