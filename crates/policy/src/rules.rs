//! What a switch enforces: a handful of small tables, each of which is touched by one kind of event.
//!
//! A packet between a *subject* (a pod of this node) and a *peer* (the other end) is judged in these steps, once for
//! the sender's egress and once for the receiver's ingress:
//!
//! 1. The subject has a chain for the direction, or else nothing isolates it and the packet passes.
//! 2. The peer's address gives an [`Identity`], if a pod has it. Its two ids give a class each; its address gives a CIDR
//!    class, by longest prefix.
//! 3. The verdicts of the policies in the chain are asked one after the other. The packet passes if one of them has a
//!    rule for (peer, protocol, destination port); if none has, it is dropped.
//!
//! Ids are derived from what they stand for, so that a restarted daemon gives everything the id it has in the switch.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// Which way a packet goes, seen from the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// To the subject.
    Ingress,
    /// From the subject.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

/// Stands for a namespace. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceId(pub u32);

/// Stands for a pod's labels and named ports; replicas share one. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelsId(pub u32);

/// Stands for a set of selectors (of namespaces, of pods, or of addresses) that match the same things. Never zero: what
/// no selector matches has no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub u32);

/// Stands for one direction of one policy, and where ingress rules name ports, for one way in which subjects resolve
/// them. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u32);

/// A pod of this node, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(pub u64);

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The pod's namespace.
    pub namespace: NamespaceId,
    /// The pod's labels and named ports.
    pub labels: LabelsId,
}

/// What one direction of one policy allows: whatever any of its rules allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The rules. None: nothing is allowed.
    pub rules: Vec<Rule>,
}

/// Allows what comes from (goes to) any of `peers` on any of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Which of the policy's rules of this direction it comes from, from 0. Several may come from one.
    pub index: u16,
    /// The peers.
    pub peers: Peers,
    /// The destination ports.
    pub ports: Ports,
}

/// Peers of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peers {
    /// Everybody, pods and others.
    Anyone,
    /// Those that any of these matches.
    Some(Vec<Peer>),
}

/// Peers for which all of the conditions hold. At least one of them is a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Only pods: addresses that have an identity. Implied by the next two where they are conditions.
    pub pods_only: bool,
    /// Which namespaces.
    pub namespaces: Namespaces,
    /// Which classes of labels; `None`: no condition.
    pub labels: Option<BTreeSet<ClassId>>,
    /// Which classes of CIDRs; `None`: no condition.
    pub cidrs: Option<BTreeSet<ClassId>>,
}

/// Namespaces of a [`Peer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Namespaces {
    /// No condition.
    Any,
    /// This one.
    One(NamespaceId),
    /// Those of these classes.
    Classes(BTreeSet<ClassId>),
}

/// Destination ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Every port of every protocol, and protocols without ports.
    All,
    /// Those that any of these matches.
    Some(Vec<PortMatch>),
}

/// A protocol that has ports which policies can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

/// Ports of one protocol, as the switch matches them: `port & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortMatch {
    /// The protocol.
    pub protocol: Protocol,
    /// The bits under `mask`.
    pub value: u16,
    /// Which bits count; 0: every port.
    pub mask: u16,
}

/// A change of one entry of one table; `None` takes the entry away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Address to identity. One entry per pod address, whatever policies there are.
    Address(IpAddr, Option<Identity>),
    /// Namespace to class of the namespace selectors that match it.
    Namespace(NamespaceId, Option<ClassId>),
    /// Labels to class of the pod selectors that match them.
    Labels(LabelsId, Option<ClassId>),
    /// CIDR to class of the CIDR sets that contain it, for peers of one direction. The longest prefix counts; an entry
    /// whose class is `None` inside another (an exception) is an entry all the same.
    Cidr(Direction, IpNet, Option<CidrEntry>),
    /// What a policy allows.
    Policy(PolicyId, Option<Arc<Verdict>>),
    /// The policies that select a subject, in ascending order. Never empty: a subject that no policy selects has no entry.
    Subject(SubjectId, Direction, Option<Arc<[PolicyId]>>),
}

/// An entry of the CIDR table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CidrEntry {
    /// The class; `None` where no set contains the CIDR, though one contains a shorter prefix of it.
    pub class: Option<ClassId>,
}
