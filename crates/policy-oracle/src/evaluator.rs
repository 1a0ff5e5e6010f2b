//! May a packet pass? Answered from the API's objects, by scanning all of them.
//!
//! The semantics are those of `networking.k8s.io/v1`. What the API server would have refused, and is there all the
//! same, allows nothing, and isolates as if it were right:
//!
//! - A port with an unknown protocol, a number outside 1 to 65535, an `endPort` below its port, above 65535, without a
//!   port or with a named one matches nothing. So does a peer without a field, or with `ipBlock` beside a selector, or
//!   with a selector that has an unknown operator, or values where there must be none, or none where there must be.
//! - A block whose `cidr` or one of whose `except` is no CIDR, or whose `except` is not inside it, contains nothing. An
//!   address with host bits stands for its network.
//! - A policy whose own selector is invalid selects every pod of its namespace and allows nothing.
//! - A policy with an unknown policy type isolates in both directions.
//!
//! A pod's own node, which always reaches it, is not asked about here.

mod block;
mod selector;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy::rules::{Direction, Protocol, SubjectId};
use policy::spec::{IntOrString, Labels, Name, NetworkPolicySpec, Pod, PolicyPeer, PolicyPort};

use selector::Selected;

/// All that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Labels of the namespaces that are known. Only the empty namespace selector matches others.
    pub namespaces: BTreeMap<String, Labels>,
    /// The pods that can be peers.
    pub pods: BTreeMap<Name, Pod>,
    /// The policies.
    pub policies: BTreeMap<Name, NetworkPolicySpec>,
    /// The pods of one node, as that node knows them: later or earlier than they are among `pods`.
    pub subjects: BTreeMap<SubjectId, Pod>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Traffic {
    /// To this port.
    Port(Protocol, u16),
    /// ICMP, or another protocol without ports.
    Other,
}

/// One end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// One of the cluster's pods, under this one of its addresses.
    Pod(&'a Name, IpAddr),
    /// Anybody else.
    Outside(IpAddr),
}

/// The other end, seen from a subject.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its address.
    pub address: IpAddr,
    /// The pod it is, if it is one.
    pub pod: Option<&'a Pod>,
}

/// A rule of either direction.
struct Rule<'a> {
    peers: &'a [PolicyPeer],
    ports: &'a [PolicyPort],
}

impl Cluster {
    /// Whether a packet passes from one end to another: out of the first, if it is a pod, and into the second, if it is
    /// one. A pod that is not in the cluster sends and receives nothing. Inside a pod everything passes.
    #[must_use]
    pub fn allowed(&self, from: End<'_>, to: End<'_>, traffic: Traffic) -> bool {
        if let (End::Pod(from, _), End::Pod(to, _)) = (from, to)
            && from == to
        {
            return true;
        }
        self.egress_allowed(from, to, traffic) && self.ingress_allowed(from, to, traffic)
    }

    /// Whether the sender may send it.
    #[must_use]
    pub fn egress_allowed(&self, from: End<'_>, to: End<'_>, traffic: Traffic) -> bool {
        match from {
            End::Outside(_) => true,
            End::Pod(name, _) => {
                self.pods.get(name).is_some_and(|pod| self.egress(pod, &self.peer(to), traffic))
            }
        }
    }

    /// Whether the receiver may receive it.
    #[must_use]
    pub fn ingress_allowed(&self, from: End<'_>, to: End<'_>, traffic: Traffic) -> bool {
        match to {
            End::Outside(_) => true,
            End::Pod(name, _) => {
                self.pods.get(name).is_some_and(|pod| self.ingress(pod, &self.peer(from), traffic))
            }
        }
    }

    fn peer(&self, end: End<'_>) -> Peer<'_> {
        match end {
            End::Pod(name, address) => Peer { address, pod: self.pods.get(name) },
            End::Outside(address) => Peer { address, pod: None },
        }
    }

    /// Everybody who can be meant by an address: the pods that claim it, or else somebody who is no pod. Two pods claim
    /// one while the news of a change is half told.
    #[must_use]
    pub fn claimants(&self, address: IpAddr) -> Vec<Peer<'_>> {
        let pods = self.pods.values().filter(|pod| pod.addresses.contains(&address));
        let pods: Vec<_> = pods.map(|pod| Peer { address, pod: Some(pod) }).collect();
        if pods.is_empty() { vec![Peer { address, pod: None }] } else { pods }
    }

    /// Whether a pod may send to a peer.
    #[must_use]
    pub fn egress(&self, subject: &Pod, peer: &Peer<'_>, traffic: Traffic) -> bool {
        self.judge(Direction::Egress, subject, peer, traffic)
    }

    /// Whether a pod may receive from a peer.
    #[must_use]
    pub fn ingress(&self, subject: &Pod, peer: &Peer<'_>, traffic: Traffic) -> bool {
        self.judge(Direction::Ingress, subject, peer, traffic)
    }

    /// Whether the policies let a subject's packet pass in a direction.
    #[must_use]
    pub fn judge(&self, direction: Direction, subject: &Pod, peer: &Peer<'_>, traffic: Traffic) -> bool {
        let mut isolated = false;
        for (name, spec) in &self.policies {
            let selected = selector::select(&spec.pod_selector, &subject.labels);
            if name.namespace != subject.namespace || !isolates(spec, direction) || selected == Selected::No {
                continue;
            }
            isolated = true;
            let allows = |rule: &Rule<'_>| {
                self.matches_any_peer(rule.peers, &name.namespace, peer)
                    && matches_any_port(rule.ports, direction, subject, peer, traffic)
            };
            if selected == Selected::Yes && rules(spec, direction).iter().any(allows) {
                return true;
            }
        }
        !isolated
    }

    fn matches_any_peer(&self, peers: &[PolicyPeer], namespace: &str, peer: &Peer<'_>) -> bool {
        peers.is_empty() || peers.iter().any(|wanted| self.matches_peer(wanted, namespace, peer))
    }

    fn matches_peer(&self, wanted: &PolicyPeer, namespace: &str, peer: &Peer<'_>) -> bool {
        match (&wanted.ip_block, &wanted.namespace_selector, &wanted.pod_selector) {
            (Some(block), None, None) => block::contains(block, peer.address),
            (Some(_), _, _) | (None, None, None) => false,
            (None, namespaces, pods) => {
                let Some(pod) = peer.pod else { return false };
                let in_namespace = match namespaces {
                    None => pod.namespace == namespace,
                    Some(selector) => match self.namespaces.get(&pod.namespace) {
                        Some(labels) => selector::select(selector, labels) == Selected::Yes,
                        None => selector::is_empty(selector),
                    },
                };
                let pods = pods.as_ref();
                in_namespace
                    && pods.is_none_or(|selector| selector::select(selector, &pod.labels) == Selected::Yes)
            }
        }
    }
}

/// Whether the policy isolates its pods in a direction.
fn isolates(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let listed = |name: &str| types.iter().any(|listed| listed == name);
    if types.iter().any(|listed| listed != "Ingress" && listed != "Egress") {
        return true;
    }
    match direction {
        Direction::Ingress => types.is_empty() || listed("Ingress"),
        Direction::Egress if types.is_empty() => !spec.egress.as_deref().unwrap_or_default().is_empty(),
        Direction::Egress => listed("Egress"),
    }
}

fn rules(spec: &NetworkPolicySpec, direction: Direction) -> Vec<Rule<'_>> {
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.as_deref().unwrap_or_default().iter();
            rules.map(|rule| Rule { peers: or_empty(&rule.from), ports: or_empty(&rule.ports) }).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.as_deref().unwrap_or_default().iter();
            rules.map(|rule| Rule { peers: or_empty(&rule.to), ports: or_empty(&rule.ports) }).collect()
        }
    }
}

fn or_empty<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

fn matches_any_port(
    ports: &[PolicyPort],
    direction: Direction,
    subject: &Pod,
    peer: &Peer<'_>,
    traffic: Traffic,
) -> bool {
    if ports.is_empty() {
        return true;
    }
    let Traffic::Port(protocol, number) = traffic else { return false };
    // Names are those of whoever receives.
    let receiver = match direction {
        Direction::Ingress => Some(subject),
        Direction::Egress => peer.pod,
    };
    ports.iter().any(|port| matches_port(port, receiver, protocol, number))
}

fn matches_port(wanted: &PolicyPort, receiver: Option<&Pod>, protocol: Protocol, number: u16) -> bool {
    let wanted_protocol = match wanted.protocol.as_deref() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(_) => return false,
    };
    if wanted_protocol != protocol {
        return false;
    }
    match (&wanted.port, wanted.end_port) {
        (None, None) => true,
        (None, Some(_)) | (Some(IntOrString::String(_)), Some(_)) => false,
        (Some(IntOrString::String(name)), None) => {
            let declared = receiver.map(|pod| pod.ports.as_slice()).unwrap_or_default();
            declared.iter().any(|port| port.name == *name && port.protocol == protocol && port.port == number)
        }
        (Some(IntOrString::Int(first)), last) => {
            let last = last.map_or(*first, i64::from);
            let valid = 1 <= *first && *first <= last && last <= 65535;
            valid && (*first..=last).contains(&i64::from(number))
        }
    }
}
