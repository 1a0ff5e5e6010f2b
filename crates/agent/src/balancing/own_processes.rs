//! Which connections from outside go straight to processes of the host, past the bridge: those that are to see their
//! clients' addresses (`externalTrafficPolicy: Local`), where the node has one endpoint of a Service's port, at an address of the
//! node's own.
//!
//! The bridge sends what it has no pod for to the host with the client hidden, or answers would not come back to it. With several
//! endpoints on one node it is the bridge that has to choose, and so it hides the clients of those that are processes.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use service::lb::{At, Backends, External, Frontend, Protocol, Set, SetId, Target};

use crate::published::{NodePort, Own, OwnProcesses};

/// The number of a node port or a stand-in: no number is both.
type Number = (bool, Protocol, u16);

/// What it depends on.
#[derive(Default)]
pub(super) struct Finder {
    /// The node's addresses.
    addresses: Vec<IpAddr>,
    /// Sets that are to show clients' addresses and have one endpoint.
    single: HashMap<SetId, SocketAddr>,
    /// Where node ports and stand-ins lead.
    targets: HashMap<Number, (Frontend, Target)>,
    /// Something of this has changed.
    due: bool,
}

impl Finder {
    /// The node's addresses.
    pub(super) fn addresses(&mut self, addresses: &[IpAddr]) {
        if self.addresses != addresses {
            self.addresses = addresses.to_vec();
            self.due = true;
        }
    }

    /// A set has changed, or is gone.
    pub(super) fn set(&mut self, id: SetId, set: Option<&Set>) {
        let single = set.and_then(single);
        let before = match single {
            Some(endpoint) => self.single.insert(id, endpoint),
            None => self.single.remove(&id),
        };
        self.due |= before != single;
    }

    /// A frontend has changed, or is gone. Those of addresses are reached by what stands for them on the bridge.
    pub(super) fn frontend(&mut self, frontend: &Frontend, target: Option<&Target>) {
        let (At::Node { ipv6 } | At::StandIn { ipv6 }) = frontend.at else { return };
        let number = (ipv6, frontend.protocol, frontend.port);
        match target {
            Some(target) => {
                self.due |= self.single.contains_key(&target.outside);
                self.targets.insert(number, (*frontend, target.clone()));
            }
            None => {
                let before = self.targets.remove(&number);
                self.due |= before.is_some_and(|(_, target)| self.single.contains_key(&target.outside));
            }
        }
    }

    /// What stands for an address outside has changed.
    pub(super) fn external(&mut self) {
        self.due |= !self.single.is_empty();
    }

    /// What goes straight to processes; `None`: what did before.
    pub(super) fn find(&mut self, external: &BTreeMap<External, u16>) -> Option<OwnProcesses> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        let mut found = OwnProcesses::default();
        if !self.single.values().any(|endpoint| self.addresses.contains(&endpoint.ip())) {
            return Some(found);
        }
        for ((ipv6, protocol, port), (frontend, target)) in &self.targets {
            if let (At::Node { .. }, Some(own)) = (frontend.at, self.own(target)) {
                found.node_ports.insert(NodePort { ipv6: *ipv6, protocol: *protocol, port: *port }, own.to);
            }
        }
        for (at, number) in external {
            let target = self.targets.get(&(at.address.is_ipv6(), at.protocol, *number));
            found.external.extend(target.and_then(|(_, target)| Some((*at, self.own(target)?))));
        }
        Some(found)
    }

    fn own(&self, target: &Target) -> Option<Own> {
        let to = *self.single.get(&target.outside)?;
        let sources = target.sources.clone();
        self.addresses.contains(&to.ip()).then_some(Own { to, sources })
    }
}

fn single(set: &Set) -> Option<SocketAddr> {
    match &set.backends {
        Backends::Endpoints(parts) if set.keeps_client && parts.len() == 1 => parts.iter().next(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use service::lb::Parts;

    use super::*;

    const LOCAL: SetId = SetId(1);
    const CLUSTER: SetId = SetId(2);

    fn set(keeps_client: bool, endpoints: &[&str]) -> Set {
        let endpoints: Vec<SocketAddr> = endpoints.iter().map(|one| one.parse().unwrap()).collect();
        let backends = Backends::Endpoints(Parts(vec![endpoints.into()]));
        Set { protocol: Protocol::Tcp, affinity: None, keeps_client, backends }
    }

    fn frontend(at: At, port: u16) -> Frontend {
        Frontend { at, protocol: Protocol::Tcp, port }
    }

    fn target(outside: SetId, sources: &[&str]) -> Target {
        let sources = sources.iter().map(|net| net.parse().unwrap()).collect();
        Target { inside: CLUSTER, outside, sources }
    }

    #[test]
    fn only_what_one_process_answers_that_is_to_see_its_clients_goes_straight_there() {
        let external =
            External { address: "198.51.100.1".parse().unwrap(), protocol: Protocol::Tcp, port: 80 };
        let externals = BTreeMap::from([(external, 60_000)]);
        let mut finder = Finder::default();
        assert_eq!(finder.find(&externals), None);
        finder.set(LOCAL, Some(&set(true, &["192.0.2.1:8080"])));
        finder.set(CLUSTER, Some(&set(false, &["192.0.2.1:8080"])));
        finder.frontend(&frontend(At::Node { ipv6: false }, 30_001), Some(&target(LOCAL, &[])));
        finder.frontend(&frontend(At::Node { ipv6: false }, 30_002), Some(&target(CLUSTER, &[])));
        let restricted = target(LOCAL, &["203.0.113.0/24"]);
        finder.frontend(&frontend(At::StandIn { ipv6: false }, 60_000), Some(&restricted));
        assert_eq!(finder.find(&externals), Some(OwnProcesses::default()), "nobody knows the node's address");

        finder.addresses(&["192.0.2.1".parse().unwrap()]);
        let found = finder.find(&externals).unwrap();
        let to: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        let port = NodePort { ipv6: false, protocol: Protocol::Tcp, port: 30_001 };
        assert_eq!(found.node_ports, [(port, to)].into());
        assert_eq!(found.external, [(external, Own { to, sources: restricted.sources.clone() })].into());
        assert_eq!(finder.find(&externals), None, "nothing has changed");

        let gone = |finder: &mut Finder| {
            finder.find(&externals).is_some_and(|found| found == OwnProcesses::default())
        };
        // A second one, in a pod.
        finder.set(LOCAL, Some(&set(true, &["10.0.1.2:8080", "192.0.2.1:8080"])));
        assert!(gone(&mut finder));
        finder.set(LOCAL, Some(&set(true, &["10.0.1.2:8080"])));
        assert!(gone(&mut finder));
        finder.set(LOCAL, Some(&set(true, &["192.0.2.1:8080"])));
        assert!(!gone(&mut finder));
        finder.set(LOCAL, None);
        assert!(gone(&mut finder));
    }
}
