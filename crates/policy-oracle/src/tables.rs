//! The compiled tables, as a switch would hold and read them.
//!
//! [`Tables::judge`] is the text at the top of [`policy::rules`], line by line. [`Tables::apply`] refuses changes that
//! change nothing, and [`Tables::check`] finds what no switch should ever be given.

mod check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use policy::rules::{
    Change, CidrEntry, ClassId, Direction, Identity, LabelsId, NamespaceId, Namespaces, Peer, Peers,
    PolicyId, Ports, SubjectId, Verdict,
};

use crate::Traffic;

pub use check::Fault;

/// All tables. Two that are equal make the same switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    addresses: BTreeMap<IpAddr, Identity>,
    namespaces: BTreeMap<NamespaceId, ClassId>,
    labels: BTreeMap<LabelsId, ClassId>,
    cidrs: BTreeMap<(Direction, IpNet), CidrEntry>,
    policies: BTreeMap<PolicyId, Arc<Verdict>>,
    chains: BTreeMap<(SubjectId, Direction), Arc<[PolicyId]>>,
}

/// What the look-ups say about a peer.
struct Known {
    identity: Option<Identity>,
    namespace_class: Option<ClassId>,
    labels_class: Option<ClassId>,
    cidr_class: Option<ClassId>,
}

impl Tables {
    /// Makes a change.
    ///
    /// # Errors
    /// [`Fault::Idle`] when everything is as the change wants it already.
    pub fn apply(&mut self, change: Change) -> Result<(), Fault> {
        let said = format!("{change:?}");
        let changed = match change {
            Change::Address(key, value) => set(&mut self.addresses, key, value),
            Change::Namespace(key, value) => set(&mut self.namespaces, key, value),
            Change::Labels(key, value) => set(&mut self.labels, key, value),
            Change::Cidr(direction, cidr, value) => set(&mut self.cidrs, (direction, cidr), value),
            Change::Policy(key, value) => set(&mut self.policies, key, value),
            Change::Subject(subject, direction, value) => set(&mut self.chains, (subject, direction), value),
        };
        if changed { Ok(()) } else { Err(Fault::Idle(said)) }
    }

    /// Whether a subject's packet passes.
    #[must_use]
    pub fn judge(&self, subject: SubjectId, direction: Direction, peer: IpAddr, traffic: Traffic) -> bool {
        let Some(chain) = self.chains.get(&(subject, direction)) else { return true };
        let known = self.look_up(direction, peer);
        let verdicts = chain.iter().filter_map(|policy| self.policies.get(policy));
        verdicts
            .flat_map(|verdict| &verdict.rules)
            .any(|rule| matches_peers(&rule.peers, &known) && matches_ports(&rule.ports, traffic))
    }

    fn look_up(&self, direction: Direction, peer: IpAddr) -> Known {
        let identity = self.addresses.get(&peer).copied();
        let containing = self.cidrs.iter().filter(|((of, cidr), _)| *of == direction && cidr.contains(&peer));
        let longest = containing.max_by_key(|((_, cidr), _)| cidr.prefix_len());
        Known {
            identity,
            namespace_class: identity.and_then(|id| self.namespaces.get(&id.namespace).copied()),
            labels_class: identity.and_then(|id| self.labels.get(&id.labels).copied()),
            cidr_class: longest.and_then(|(_, entry)| entry.class),
        }
    }

    /// How many entries there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
            + self.namespaces.len()
            + self.labels.len()
            + self.cidrs.len()
            + self.policies.len()
            + self.chains.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sets or removes; whether that changed anything.
fn set<K: Ord, V: PartialEq + Debug>(table: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> bool {
    if table.get(&key) == value.as_ref() {
        return false;
    }
    match value {
        Some(value) => table.insert(key, value),
        None => table.remove(&key),
    };
    true
}

fn matches_peers(peers: &Peers, known: &Known) -> bool {
    match peers {
        Peers::Anyone => true,
        Peers::Some(peers) => peers.iter().any(|peer| matches_peer(peer, known)),
    }
}

fn matches_peer(peer: &Peer, known: &Known) -> bool {
    let namespaces = match &peer.namespaces {
        Namespaces::Any => true,
        Namespaces::One(id) => known.identity.is_some_and(|identity| identity.namespace == *id),
        Namespaces::Classes(classes) => known.namespace_class.is_some_and(|class| classes.contains(&class)),
    };
    let within = |classes: Option<&std::collections::BTreeSet<ClassId>>, class: Option<ClassId>| match classes
    {
        None => true,
        Some(classes) => class.is_some_and(|class| classes.contains(&class)),
    };
    (!peer.pods_only || known.identity.is_some())
        && namespaces
        && within(peer.labels.as_ref(), known.labels_class)
        && within(peer.cidrs.as_ref(), known.cidr_class)
}

fn matches_ports(ports: &Ports, traffic: Traffic) -> bool {
    match (ports, traffic) {
        (Ports::All, _) => true,
        (Ports::Some(_), Traffic::Other) => false,
        (Ports::Some(matches), Traffic::Port(protocol, port)) => {
            matches.iter().any(|wanted| wanted.protocol == protocol && port & wanted.mask == wanted.value)
        }
    }
}
