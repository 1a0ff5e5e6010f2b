//! Cookies: from a flow back to what it is there for.
//!
//! ```text
//! 63            48 47      40 39                                     0
//! +---------------+----------+----------------------------------------+
//! |    0x6b76     |   kind   |  reason, or hash of the owner's name   |
//! +---------------+----------+----------------------------------------+
//! ```
//!
//! They are derived from what they stand for, so a restarted daemon gives every flow the cookie it already has.

use std::fmt;

/// `kv`: in the cookie of every flow of ours.
const MAGIC: u64 = 0x6b76;
const REF_BITS: u32 = 40;

/// Cookies of all our flows match this value under [`MASK`].
pub const OURS: u64 = MAGIC << 48;
/// See [`OURS`].
pub const MASK: u64 = 0xffff << 48;

/// What a flow is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cookie(pub u64);

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// No port of ours, or a tunnel packet that no known node would send.
    UnknownSource = 1,
    /// A pod sent a MAC or an address that is not its own.
    Spoofed = 2,
    /// Neighbour discovery that nobody answers: duplicate address detection, advertisements, redirects.
    NeighbourIgnored = 3,
    /// Multicast, broadcast or link-local: there is no shared link.
    NotRouted = 4,
    /// An address of this node's pod CIDR that no pod has.
    NoSuchPod = 5,
    /// An address of the cluster's pod CIDR that belongs to no node.
    NoSuchNode = 6,
    /// It came by a tunnel and is for nobody on this node.
    NotForThisNode = 7,
    /// Nothing matched; packets should not get here.
    Unmatched = 8,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::UnknownSource,
        Self::Spoofed,
        Self::NeighbourIgnored,
        Self::NotRouted,
        Self::NoSuchPod,
        Self::NoSuchNode,
        Self::NotForThisNode,
        Self::Unmatched,
    ];
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownSource => "unknown source",
            Self::Spoofed => "spoofed source",
            Self::NeighbourIgnored => "neighbour discovery ignored",
            Self::NotRouted => "not routed",
            Self::NoSuchPod => "no such pod on this node",
            Self::NoSuchNode => "no such node",
            Self::NotForThisNode => "not for this node",
            Self::Unmatched => "unmatched",
        })
    }
}

impl Cookie {
    const STATIC: u64 = 1;
    const PORT: u64 = 2;
    const REMOTE: u64 = 3;
    const DROP: u64 = 4;

    /// A flow that is there on every node.
    #[must_use]
    pub const fn fixed() -> Self {
        Self::new(Self::STATIC, 0)
    }

    /// A flow of the port with this name.
    #[must_use]
    pub fn port(name: &str) -> Self {
        Self::new(Self::PORT, hash(name))
    }

    /// A flow of the remote node with this name.
    #[must_use]
    pub fn remote(name: &str) -> Self {
        Self::new(Self::REMOTE, hash(name))
    }

    /// A flow that drops.
    #[must_use]
    pub const fn drop(reason: DropReason) -> Self {
        Self::new(Self::DROP, reason as u64)
    }

    /// The reason, if this is the cookie of a flow that drops.
    #[must_use]
    pub fn drop_reason(self) -> Option<DropReason> {
        DropReason::ALL.into_iter().find(|&reason| Self::drop(reason) == self)
    }

    const fn new(kind: u64, reference: u64) -> Self {
        Self(OURS | kind << REF_BITS | reference & ((1 << REF_BITS) - 1))
    }
}

/// FNV-1a: stable across builds and machines, unlike the hashes of the standard library.
fn hash(name: &str) -> u64 {
    let folded = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    folded >> (64 - REF_BITS) ^ folded & ((1 << REF_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_ours_and_lead_back_to_the_reason() {
        for cookie in [Cookie::fixed(), Cookie::port("kvs0123456789ab"), Cookie::remote("node-2")] {
            assert_eq!(cookie.0 & MASK, OURS);
            assert_eq!(cookie.drop_reason(), None);
        }
        for reason in DropReason::ALL {
            assert_eq!(Cookie::drop(reason).drop_reason(), Some(reason));
        }
        assert_eq!(Cookie::remote("node-2"), Cookie::remote("node-2"));
        assert_ne!(Cookie::remote("node-2"), Cookie::remote("node-3"));
        assert_ne!(Cookie::remote("node-2"), Cookie::port("node-2"));
    }
}
