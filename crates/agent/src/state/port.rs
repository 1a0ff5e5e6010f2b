//! A pod's port.

use datapath::Port;
use ipam::PodPort;
use openflow::MacAddr;

use crate::view::PodRef;

/// A pod's port as the database has it.
#[derive(Clone, Debug)]
pub struct LocalPort {
    /// Name of the port and of the host's end of the veth pair.
    pub name: String,
    /// The pod, its addresses and its attachment.
    pub facts: PodPort,
    /// The port's number; `None` while OVS has not (or cannot) opened the interface.
    pub ofport: Option<u32>,
    /// The stamp that the row carries.
    pub stamp: Option<i64>,
}

impl LocalPort {
    pub(super) fn is_of(&self, pod: &PodRef) -> bool {
        self.facts.namespace == pod.namespace && self.facts.name == pod.name
    }

    pub(super) fn is_programmed(&self) -> bool {
        self.ofport.is_some() && self.stamp == self.ofport.map(i64::from)
    }

    /// The port as the pipeline needs it, once it has a number.
    pub(super) fn topology(&self) -> Option<Port> {
        Some(Port {
            name: self.name.clone(),
            ofport: self.ofport?,
            mac: MacAddr(self.facts.mac),
            ipv4: self.facts.ipv4,
            ipv6: self.facts.ipv6,
        })
    }
}
