//! Services, if the node is their proxy.

use service::lb::Name;

use super::State;
use crate::view::{ClusterPod, PodRef, ViewEvent};

impl State {
    /// Takes in a change of what a proxy of Services looks at.
    pub(super) fn service(&mut self, event: ViewEvent) {
        let Some(balancing) = &mut self.balancing else { return };
        match event {
            ViewEvent::Service(name, service) => balancing.service(&shared(&name), &service),
            ViewEvent::ServiceGone(name) => balancing.service_gone(&shared(&name)),
            ViewEvent::Slice(name, slice) => balancing.slice(&shared(&name), &slice),
            ViewEvent::SliceGone(name) => balancing.slice_gone(&shared(&name)),
            ViewEvent::Zone(zone) => balancing.zone(zone.as_deref()),
            _ => {}
        }
    }
}

impl State {
    /// Ports of the node that lead to a pod, if it is this node's.
    pub(super) fn host_ports_of(&mut self, reference: &PodRef, pod: Option<&ClusterPod>) {
        let Some(balancing) = &mut self.balancing else { return };
        match pod {
            Some(pod) => self.host_ports.pod(pod, balancing),
            None => self.host_ports.gone(reference, balancing),
        }
    }
}

fn shared(name: &PodRef) -> Name {
    Name { namespace: name.namespace.as_str().into(), name: name.name.as_str().into() }
}
