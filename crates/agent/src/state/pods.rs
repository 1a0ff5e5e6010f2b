//! Pods and ports: whose a port is, what it may do, and whose an address is.

use openflow::FlowKey;
use ovsdb::Uuid;
use policy::rules::Direction;
use policy::spec::{Name, Pod};

use super::{LocalPort, Owner, State};
use crate::view::{ClusterPod, PodRef, Question};
use datapath::pipeline;

impl State {
    /// A pod of the cluster is new or changed.
    pub(super) fn pod(&mut self, pod: ClusterPod) {
        let reference = pod.pod.clone();
        // One that is not assigned yet may be this node's by the time its port is there.
        if pod.node != self.node && !pod.node.is_empty() {
            // It may have been this node's under the same name.
            self.pods.remove(&reference);
            self.host_ports_of(&reference, None);
            self.peer(&reference, &pod, pod.facts.addresses.clone());
            return;
        }
        let its = |port: &LocalPort| {
            let uid = port.facts.uid.as_ref();
            port.is_of(&reference) && uid.is_none_or(|uid| pod.uids.contains(uid))
        };
        let ports: Vec<Uuid> =
            self.ports.iter().filter(|(_, port)| its(port)).map(|(uuid, _)| *uuid).collect();
        if ports.is_empty() {
            // The addresses of a pod of this node are its ports': what the API says of them is older.
            self.peer(&reference, &pod, Vec::new());
        }
        self.host_ports_of(&reference, Some(&pod));
        self.pods.insert(pod);
        for port in ports {
            self.enforce(port);
        }
    }

    /// All pods have been listed: what is known of ports is looked at anew, and what is not known of those that an earlier
    /// daemon has programmed is asked.
    pub(super) fn pods_listed(&mut self) {
        let ports: Vec<Uuid> = self.ports.keys().copied().collect();
        for port in ports {
            let programmed = self.ports.get(&port).is_some_and(LocalPort::is_programmed);
            if programmed && self.pod_behind_port(port).is_none() {
                self.ask_about(port);
            }
            self.enforce(port);
        }
    }

    /// Takes a pod in as a peer of others, with these addresses.
    fn peer(&mut self, reference: &PodRef, pod: &ClusterPod, addresses: Vec<std::net::IpAddr>) {
        if pod.host_network || pod.ended {
            self.enforcement.peer_gone(&Name::from(reference));
        } else {
            self.enforcement.peer(&Name::from(reference), &Pod { addresses, ..pod.facts.clone() });
        }
    }

    /// The pod that a port is of, if it is known.
    pub(super) fn pod_behind_port(&self, uuid: Uuid) -> Option<&ClusterPod> {
        let facts = &self.ports.get(&uuid)?.facts;
        let reference = PodRef { namespace: facts.namespace.clone(), name: facts.name.clone() };
        self.pods.get(&reference, facts.uid.as_deref())
    }

    /// Makes a port's flows what they should be by now.
    pub(super) fn enforce(&mut self, uuid: Uuid) {
        if let Some(pod) = self.pod_behind_port(uuid).cloned() {
            self.enforcement.subject(uuid, &pod.facts);
            let its = |port: &&LocalPort| {
                port.is_of(&pod.pod) && port.facts.uid.as_ref().is_none_or(|uid| pod.uids.contains(uid))
            };
            let mut addresses: Vec<_> =
                self.ports.values().filter(its).flat_map(|port| port.facts.addresses()).collect();
            addresses.sort_unstable();
            self.peer(&pod.pod.clone(), &pod, addresses);
        }
        self.port_flows(uuid);
    }

    /// Puts a port's own flows into the store. Until its pod is known it has none: nobody can say what isolates it. But an
    /// earlier daemon could, if it has programmed it: then the pod's object is gone, and all that is sure is its node.
    pub(super) fn port_flows(&mut self, uuid: Uuid) {
        let Some(port) = self.ports.get(&uuid) else { return };
        let known = self.enforcement.knows(uuid) && !self.waiting.contains_key(&uuid);
        let shown = (known || self.was_programmed(port)) && !self.closed.contains(&uuid);
        match port.topology().filter(|_| shown) {
            Some(port) => {
                self.store.set(&Owner::Port(uuid), pipeline::port(&port));
                for direction in Direction::ALL {
                    let flows = self.enforcement.chain(uuid, &port, direction);
                    self.store.set(&Owner::Chain(uuid, direction), flows);
                }
            }
            None => self.no_port_flows(uuid),
        }
    }

    /// Whether an earlier daemon, or this one, has shown a port to the network.
    pub(super) fn was_programmed(&self, port: &LocalPort) -> bool {
        self.synced.contains(&crate::view::Part::Pods) && port.is_programmed()
    }

    /// The switch has refused a flow. Without one of a pod's chain the pod would not be isolated: then it has no network
    /// at all until [`State::open_again`]. Whether that is so.
    pub fn close(&mut self, refused: &FlowKey) -> bool {
        let Some(Owner::Chain(uuid, _)) = self.store.owner(refused) else { return false };
        let uuid = *uuid;
        self.closed.insert(uuid);
        self.no_port_flows(uuid);
        true
    }

    /// Tries once more what [`State::close`] has closed.
    pub fn open_again(&mut self) {
        for uuid in std::mem::take(&mut self.closed) {
            self.port_flows(uuid);
        }
    }

    /// How many ports are closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed.len()
    }

    fn no_port_flows(&mut self, uuid: Uuid) {
        self.store.remove(&Owner::Port(uuid));
        for direction in Direction::ALL {
            self.store.remove(&Owner::Chain(uuid, direction));
        }
    }

    /// Forgets what follows from a port that is gone.
    pub(super) fn drop_port(&mut self, uuid: Uuid, port: &LocalPort) {
        self.enforcement.subject_gone(uuid);
        self.waiting.remove(&uuid);
        self.closed.remove(&uuid);
        self.no_port_flows(uuid);
        // Its address is free to be another's, whatever the API still says, but what another port of the pod has.
        let reference = PodRef { namespace: port.facts.namespace.clone(), name: port.facts.name.clone() };
        if !self.pods.contains(&reference, port.facts.uid.as_deref()) {
            return;
        }
        let other = self.ports.iter().find(|(_, other)| other.is_of(&reference)).map(|(uuid, _)| *uuid);
        match other {
            Some(other) => self.enforce(other),
            None => self.enforcement.peer_gone(&Name::from(&reference)),
        }
    }

    /// Ports that waited for this answer have their policies now.
    pub(super) fn up_to_date(&mut self, answer: &Question) {
        let ports = &self.ports;
        let answered = |uuid: &Uuid, ticket: u64| {
            let namespace = ports.get(uuid).map(|port| &port.facts.namespace);
            ticket <= answer.ticket && namespace == Some(&answer.namespace)
        };
        let ready: Vec<Uuid> = self
            .waiting
            .iter()
            .filter(|(uuid, ticket)| answered(uuid, **ticket))
            .map(|(uuid, _)| *uuid)
            .collect();
        for uuid in ready {
            self.waiting.remove(&uuid);
            self.enforce(uuid);
        }
    }

    /// A pod that starts must not be ahead of policies that are older than it.
    pub(super) fn ask_about(&mut self, uuid: Uuid) {
        let Some(port) = self.ports.get(&uuid) else { return };
        let (namespace, pod) = (port.facts.namespace.clone(), port.facts.name.clone());
        let known = self.pod_behind_port(uuid).is_some();
        self.last_ticket += 1;
        self.waiting.insert(uuid, self.last_ticket);
        let unknown = (!known).then_some(pod);
        self.questions.push(Question { namespace, unknown, ticket: self.last_ticket });
    }

    /// Asks once more about pods that start and that nobody has told of.
    pub fn ask_again(&mut self) {
        let unknown = |uuid: &&Uuid| !self.enforcement.knows(**uuid) && !self.store.has(&Owner::Port(**uuid));
        let ports: Vec<Uuid> = self.ports.keys().filter(unknown).copied().collect();
        for port in ports {
            self.ask_about(port);
        }
    }

    /// What keeps the daemon from programming: a pod that runs and that the list did not have. The list may be older than
    /// the pod, and isolating a pod that runs would cost it packets.
    pub(super) fn unresolved(&self) -> Option<String> {
        let asked = |(uuid, port): &(&Uuid, &LocalPort)| {
            port.is_programmed() && !self.enforcement.knows(**uuid) && self.waiting.contains_key(*uuid)
        };
        let (_, port) = self.ports.iter().find(asked)?;
        Some(format!(
            "asking the Kubernetes API about pod {}/{}, which runs here and was not listed",
            port.facts.namespace, port.facts.name
        ))
    }
}
