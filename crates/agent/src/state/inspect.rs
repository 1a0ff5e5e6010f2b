//! What there is to tell of pods and their policies.

use inspection::{Counters, Inspection, Pod, PodState};
use ovsdb::Uuid;
use policy::rules::Direction;

use super::{LocalPort, State};
use crate::balancing::Balancing;

impl State {
    /// Pods of this node and what isolates them, as far as all events have been compiled. There are no counters in it.
    #[must_use]
    pub fn inspection(&self) -> Inspection {
        let mut pods: Vec<Pod> = self.ports.iter().map(|(uuid, port)| self.pod_behind(*uuid, port)).collect();
        pods.sort_unstable_by(|a, b| (&a.namespace, &a.name, &a.port).cmp(&(&b.namespace, &b.name, &b.port)));
        Inspection {
            node: self.node.clone(),
            tracks_sctp: None,
            flows: self.store.len(),
            identities: self.enforcement.identities(),
            services: self.balancing.as_ref().map(Balancing::served),
            counters: Counters::Unavailable { why: "the switch has not been asked".to_owned() },
            pods,
            policies: self.enforcement.in_force(),
            invalid: self.enforcement.invalid(),
        }
    }

    /// Whether the datapath is known to tell SCTP associations apart by their ports.
    #[must_use]
    pub fn tracks_sctp(&self) -> bool {
        self.tracks_sctp
    }

    /// Name of this node.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    fn pod_behind(&self, uuid: Uuid, port: &LocalPort) -> Pod {
        let known = self.enforcement.knows(uuid);
        let state = match self.was_programmed(port) {
            true if !known => PodState::Orphan,
            false if !known || self.waiting.contains_key(&uuid) => PodState::Unknown,
            _ => PodState::Known,
        };
        Pod {
            namespace: port.facts.namespace.clone(),
            name: port.facts.name.clone(),
            addresses: port.facts.addresses().collect(),
            port: port.name.clone(),
            state,
            ingress: self.enforcement.isolation(uuid, Direction::Ingress),
            egress: self.enforcement.isolation(uuid, Direction::Egress),
        }
    }
}

#[cfg(test)]
mod tests;
