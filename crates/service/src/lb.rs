//! What a switch does for Services: a packet to a *frontend* goes to one of the endpoints of a *set*.
//!
//! 1. The packet's destination is a [`Frontend`]: its [`Target`] names a set for clients inside the cluster (pods, and
//!    nodes' own processes) and one for clients outside.
//! 2. The [`Set`] says what becomes of a new connection: it goes to one of the endpoints, each as likely as any other; it
//!    is refused; or it is dropped.
//! 3. With an affinity, a client that was given an endpoint keeps it while the endpoint is in the set.
//!
//! Ids are derived from what they stand for, so that a restarted daemon gives everything the id it has in the switch.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

/// A protocol that Services have ports of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its number in IP headers.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Its name, as the API has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// Stands for a set of endpoints: one port of a Service in one family, and who may use it. Of 24 bits, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetId(pub u32);

impl SetId {
    /// The highest.
    pub const MAX: u32 = (1 << 24) - 1;
}

/// Where a frontend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    /// At this address: a ClusterIP, a load balancer's address, an external address.
    Address(IpAddr),
    /// At the node's own addresses of a family: a node port. The host also sends what comes from outside for other
    /// addresses to one of these or to a stand-in, see [`Change::External`].
    Node {
        /// Of IPv6, not IPv4.
        ipv6: bool,
    },
    /// At no address of its own: a port that only the host sends packets to, as if it were a node port. Its number is no
    /// node port of the same family and protocol.
    StandIn {
        /// Of IPv6, not IPv4.
        ipv6: bool,
    },
}

/// What packets to a Service have as their destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frontend {
    /// Where.
    pub at: At,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// What becomes of connections to a frontend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The set for pods of this node and the node's own processes.
    pub inside: SetId,
    /// The set for clients outside of the cluster.
    pub outside: SetId,
    /// Whose packets count (`loadBalancerSourceRanges`); all others are dropped. Empty: everybody's.
    pub sources: Arc<[IpNet]>,
}

/// What becomes of a new connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// The protocol of its endpoints.
    pub protocol: Protocol,
    /// Seconds for which a client keeps its endpoint after its last new connection; `None`: it does not.
    pub affinity: Option<u32>,
    /// Clients outside keep their address: their packets are not masqueraded. All endpoints are on this node.
    pub keeps_client: bool,
    /// The endpoints, or what happens without any.
    pub backends: Backends,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Backends {
    /// One of these.
    Endpoints(Parts),
    /// Nobody: the client is told so at once.
    Refuse,
    /// Nobody on this node, though somebody elsewhere: dropped.
    Drop,
}

/// Endpoints in parts of almost equal size. An endpoint stays in its part for as long as it can, so that one that comes or
/// goes changes one part, or two where another has to move for the sake of balance.
///
/// The number of parts is a power of two; no part is empty; each has at most [`Parts::SIZE`] endpoints (unless there are
/// more than [`Parts::MOST`] parts would hold), of one family, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parts(pub Vec<Arc<[SocketAddr]>>);

impl Parts {
    /// The most endpoints in a part.
    pub const SIZE: usize = 32;
    /// The most parts.
    pub const MOST: usize = 256;

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|part| part.is_empty())
    }

    /// The endpoints.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().flat_map(|part| part.iter().copied())
    }
}

/// A destination that the host sends to the bridge, as if to a node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct External {
    /// The load balancer's or external address.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// A Service's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name in it.
    pub name: Arc<str>,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a health-check node port answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The Service.
    pub service: Name,
    /// How many of its endpoints on this node are ready; each counts once, whatever ports and families it has.
    pub local_endpoints: usize,
}

/// A change of one entry; `None` takes the entry away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Where a frontend's connections go.
    Frontend(Frontend, Option<Target>),
    /// What a set does. Sets that no frontend names are not told of.
    Set(SetId, Option<Set>),
    /// The number of the [`At::Node`] or [`At::StandIn`] frontend of the same protocol and family that stands for a
    /// destination outside.
    External(External, Option<u16>),
    /// What is answered at a health-check node port.
    HealthCheck(u16, Option<HealthCheck>),
    /// Connections of a connectionless protocol to this frontend that went to this endpoint must be forgotten: it is
    /// gone, or (`None`) there were no endpoints and now there are.
    Forget(Frontend, Option<SocketAddr>),
}
