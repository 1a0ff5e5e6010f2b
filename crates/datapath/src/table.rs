//! The flow tables. Their numbers are fixed for good: a restarted or newer daemon finds the flows where they were.

use std::fmt;

/// A flow table. Packets only ever go to a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// By `in_port`: pod, tunnel or gateway.
    Classify = 0,
    /// A pod may send only its own MAC and addresses.
    SpoofGuard = 10,
    /// ARP requests and neighbour solicitations are answered here.
    Neighbour = 20,
    /// Completes an answer to a neighbour solicitation.
    NeighbourAdvert = 21,
    /// By destination address: which port, which MAC, which tunnel.
    Route = 100,
    /// One hop less for packets from pod to pod.
    Ttl = 150,
    /// Out of the port that was found.
    Output = 200,
}

impl Table {
    /// All tables, in the order in which packets pass them.
    pub const ALL: [Self; 7] = [
        Self::Classify,
        Self::SpoofGuard,
        Self::Neighbour,
        Self::NeighbourAdvert,
        Self::Route,
        Self::Ttl,
        Self::Output,
    ];

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
            Self::Route => "route",
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
