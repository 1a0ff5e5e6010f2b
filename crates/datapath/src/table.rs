//! The flow tables. Their numbers are fixed for good: a restarted or newer daemon finds the flows where they were.

use std::fmt;

/// A flow table. Packets only ever go to a higher one; look-ups that come back (`resubmit`) may ask a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// By `in_port`: pod, tunnel, the node itself or what it forwards.
    Classify = 0,
    /// A pod may send only its own MAC and addresses; the node, no pod's.
    SpoofGuard = 10,
    /// ARP requests and neighbour solicitations are answered here.
    Neighbour = 20,
    /// Completes an answer to a neighbour solicitation.
    NeighbourAdvert = 21,
    /// Asks connection tracking for the packet's connection.
    Conntrack = 30,
    /// What connection tracking found: replies of allowed connections are told apart.
    ConnectionState = 31,
    /// Looked up: replies of protocols that the datapath does not track by ports. Its flows are learned.
    LearnedReplies = 32,
    /// By destination: which Service, and so which set of endpoints.
    Service = 40,
    /// By destination port, for what was sent to a node port.
    NodePort = 41,
    /// Looked up: the endpoint that a client is to keep. Its flows are learned.
    Affinity = 42,
    /// What becomes of connections to a set: one of its endpoints, a refusal, or nothing.
    Select = 43,
    /// One of the parts of a large set.
    Part = 44,
    /// The endpoint that the client keeps, or a new one that it will keep.
    Endpoint = 45,
    /// Hides the client of a Service from the endpoint where the answers would not come back otherwise.
    Masquerade = 46,
    /// Connections that nobody takes: they are handed to the host, which says so.
    Refuse = 47,
    /// On to the host, with the mark that it refuses by.
    Refused = 48,
    /// Hides the sender behind the node's masquerade address.
    Hide = 49,
    /// Pods whose egress policies isolate: their chains.
    Egress = 50,
    /// Looked up: who the destination is.
    EgressPeer = 51,
    /// Looked up: a pod's address to its namespace and labels.
    Identity = 52,
    /// Looked up: class of the peer's namespace.
    NamespaceClass = 53,
    /// Looked up: class of the peer's labels.
    LabelsClass = 54,
    /// Looked up: class of the destination's address.
    EgressCidr = 55,
    /// Looked up: class of the source's address.
    IngressCidr = 56,
    /// Looked up: whether one policy allows the packet.
    Verdict = 60,
    /// Whether any of the sender's policies allows it.
    EgressEnd = 61,
    /// What the sender's policies do not allow is dropped.
    EgressDrop = 62,
    /// What the sender may send. Apart from drops for the datapath's sake: see `pipeline::policy`.
    EgressPass = 63,
    /// By destination address: which port, which MAC, which tunnel.
    Route = 100,
    /// Pods whose ingress policies isolate: their chains.
    Ingress = 110,
    /// Looked up: who the source is.
    IngressPeer = 111,
    /// Whether any of the receiver's policies allows it.
    IngressEnd = 112,
    /// What the receiver's policies do not allow is dropped.
    IngressDrop = 113,
    /// What the receiver may get.
    IngressPass = 114,
    /// New connections are remembered.
    Commit = 140,
    /// One hop less for packets from pod to pod.
    Ttl = 150,
    /// Out of the port that was found.
    Output = 200,
}

impl Table {
    /// All tables, by number.
    pub const ALL: [Self; 37] = [
        Self::Classify,
        Self::SpoofGuard,
        Self::Neighbour,
        Self::NeighbourAdvert,
        Self::Conntrack,
        Self::ConnectionState,
        Self::LearnedReplies,
        Self::Service,
        Self::NodePort,
        Self::Affinity,
        Self::Select,
        Self::Part,
        Self::Endpoint,
        Self::Masquerade,
        Self::Refuse,
        Self::Refused,
        Self::Hide,
        Self::Egress,
        Self::EgressPeer,
        Self::Identity,
        Self::NamespaceClass,
        Self::LabelsClass,
        Self::EgressCidr,
        Self::IngressCidr,
        Self::Verdict,
        Self::EgressEnd,
        Self::EgressDrop,
        Self::EgressPass,
        Self::Route,
        Self::Ingress,
        Self::IngressPeer,
        Self::IngressEnd,
        Self::IngressDrop,
        Self::IngressPass,
        Self::Commit,
        Self::Ttl,
        Self::Output,
    ];

    /// Whether its flows are the switch's own, made by flows of ours that learn: they are not the daemon's to compare.
    #[must_use]
    pub const fn is_learned(number: u8) -> bool {
        number == Self::LearnedReplies.number() || number == Self::Affinity.number()
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name in documents and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::SpoofGuard => "spoof-guard",
            Self::Neighbour => "neighbour",
            Self::NeighbourAdvert => "neighbour-advert",
            Self::Conntrack => "conntrack",
            Self::ConnectionState => "connection-state",
            Self::LearnedReplies => "learned-replies",
            Self::Service => "service",
            Self::NodePort => "node-port",
            Self::Affinity => "affinity",
            Self::Select => "select",
            Self::Part => "part",
            Self::Endpoint => "endpoint",
            Self::Masquerade => "masquerade",
            Self::Refuse => "refuse",
            Self::Refused => "refused",
            Self::Hide => "hide",
            Self::Egress => "egress",
            Self::EgressPeer => "egress-peer",
            Self::Identity => "identity",
            Self::NamespaceClass => "namespace-class",
            Self::LabelsClass => "labels-class",
            Self::EgressCidr => "egress-cidr",
            Self::IngressCidr => "ingress-cidr",
            Self::Verdict => "verdict",
            Self::EgressEnd => "egress-end",
            Self::EgressDrop => "egress-drop",
            Self::EgressPass => "egress-pass",
            Self::Route => "route",
            Self::Ingress => "ingress",
            Self::IngressPeer => "ingress-peer",
            Self::IngressEnd => "ingress-end",
            Self::IngressDrop => "ingress-drop",
            Self::IngressPass => "ingress-pass",
            Self::Commit => "commit",
            Self::Ttl => "ttl",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
