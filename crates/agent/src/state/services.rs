//! Services, if the node is their proxy.

use service::lb::Name;

use super::State;
use crate::view::{PodRef, ViewEvent};

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

fn shared(name: &PodRef) -> Name {
    Name { namespace: name.namespace.as_str().into(), name: name.name.as_str().into() }
}
