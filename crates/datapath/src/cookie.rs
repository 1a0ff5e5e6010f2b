//! Cookies: from a flow back to what it is there for.
//!
//! ```text
//! 63            48 47      40 39                                     0
//! +---------------+----------+----------------------------------------+
//! |    0x6b76     |   kind   |  reason, or hash of the owner's name   |
//! +---------------+----------+----------------------------------------+
//!                                 policies: 39  policy id  8 7  rule  0
//!                                 Services:        23  set id            0
//! ```
//!
//! They are derived from what they stand for, so a restarted daemon gives every flow the cookie it already has.

use std::fmt;

use policy::rules::{Direction, PolicyId};
use service::lb::SetId;

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
    /// Connection tracking cannot make sense of it.
    Invalid = 9,
    /// An address of the Services' CIDR that no Service has, or a protocol without ports to one.
    NoSuchService = 10,
    /// A Service that only takes endpoints of this node, which has none.
    NoLocalEndpoint = 11,
    /// A load balancer's address, from a client that is not among those who may use it.
    SourceNotAllowed = 12,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 12] = [
        Self::UnknownSource,
        Self::Spoofed,
        Self::NeighbourIgnored,
        Self::NotRouted,
        Self::NoSuchPod,
        Self::NoSuchNode,
        Self::NotForThisNode,
        Self::Unmatched,
        Self::Invalid,
        Self::NoSuchService,
        Self::NoLocalEndpoint,
        Self::SourceNotAllowed,
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
            Self::Invalid => "invalid for connection tracking",
            Self::NoSuchService => "no such Service",
            Self::NoLocalEndpoint => "no endpoint on this node",
            Self::SourceNotAllowed => "source not allowed",
        })
    }
}

impl Cookie {
    const STATIC: u64 = 1;
    const PORT: u64 = 2;
    const REMOTE: u64 = 3;
    const DROP: u64 = 4;
    const POLICY: u64 = 5;
    const ISOLATION: u64 = 6;
    const IDENTITY: u64 = 7;
    const CLASS: u64 = 8;
    const LEARNED: u64 = 9;
    const SERVICE: u64 = 10;
    /// Bits of the rule in a policy's cookie.
    const RULE_BITS: u32 = 8;
    /// Stands for every rule from this one on.
    const LAST_RULE: u64 = (1 << Self::RULE_BITS) - 1;

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

    /// A flow of the set with this id: of its frontends and its endpoints.
    #[must_use]
    pub const fn service(set: SetId) -> Self {
        Self::new(Self::SERVICE, set.0 as u64)
    }

    /// A flow that drops.
    #[must_use]
    pub const fn drop(reason: DropReason) -> Self {
        Self::new(Self::DROP, reason as u64)
    }

    /// A flow of a policy that several of its rules share.
    #[must_use]
    pub const fn policy(id: PolicyId) -> Self {
        Self::new(Self::POLICY, (id.0 as u64) << Self::RULE_BITS)
    }

    /// A flow whose packets this rule of a policy allows. Rules from the 255th on share a cookie.
    #[must_use]
    pub fn rule(id: PolicyId, index: u16) -> Self {
        let rule = (u64::from(index) + 1).min(Self::LAST_RULE);
        Self::new(Self::POLICY, u64::from(id.0) << Self::RULE_BITS | rule)
    }

    /// A flow that drops what no policy allows, to or from the port with this name.
    #[must_use]
    pub fn isolation(name: &str, direction: Direction) -> Self {
        let bit = match direction {
            Direction::Ingress => 0,
            Direction::Egress => 1,
        };
        Self::new(Self::ISOLATION, hash(name) & !1 | bit)
    }

    /// A flow that says whose an address is.
    #[must_use]
    pub const fn identity() -> Self {
        Self::new(Self::IDENTITY, 0)
    }

    /// A flow that gives a class.
    #[must_use]
    pub const fn class() -> Self {
        Self::new(Self::CLASS, 0)
    }

    /// A flow that the switch learned.
    #[must_use]
    pub const fn learned() -> Self {
        Self::new(Self::LEARNED, 0)
    }

    /// The policy, and the rule if it is one rule's, whose flow has this cookie.
    #[must_use]
    pub fn policy_rule(self) -> Option<(PolicyId, Option<u16>)> {
        if self.0 >> REF_BITS != OURS >> REF_BITS | Self::POLICY {
            return None;
        }
        let id = u32::try_from(self.0 >> Self::RULE_BITS & u64::from(u32::MAX)).ok()?;
        let rule = u16::try_from(self.0 & Self::LAST_RULE).ok()?;
        Some((PolicyId(id), rule.checked_sub(1)))
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
        let policy = PolicyId(0xfedc_ba98);
        assert_eq!(Cookie::policy(policy).policy_rule(), Some((policy, None)));
        assert_eq!(Cookie::rule(policy, 0).policy_rule(), Some((policy, Some(0))));
        assert_eq!(Cookie::rule(policy, 1000).policy_rule(), Some((policy, Some(254))));
        assert_eq!(Cookie::port("a").policy_rule(), None);
        let isolation = |direction| Cookie::isolation("kvs0123456789ab", direction);
        assert_ne!(isolation(Direction::Ingress), isolation(Direction::Egress));
        assert_eq!(Cookie::remote("node-2"), Cookie::remote("node-2"));
        assert_ne!(Cookie::remote("node-2"), Cookie::remote("node-3"));
        assert_ne!(Cookie::remote("node-2"), Cookie::port("node-2"));
    }
}
