//! This node itself: its configuration, its addresses, what its datapath can do, and the flows that every node has.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use api::NodeConfig;
use datapath::pipeline;
use datapath::{Node, ServiceNets};

use super::{Owner, State};
use crate::enforcement;
use crate::host_setup::{gateway_ipv4, gateway_ipv6};
use crate::view::Part;

impl State {
    /// What the daemon waits for before it may touch a flow; `None` when nothing is missing.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        let waits = |part: Part| {
            let kinds = part.kinds();
            format!(
                "waiting for the list of {kinds} from the Kubernetes API: is it reached, and may the daemon list and \
                 watch {kinds}?"
            )
        };
        if !self.synced.contains(&Part::Nodes) {
            return Some(waits(Part::Nodes));
        }
        match (&self.own, &self.own_unusable) {
            (Some(_), _) => {}
            (None, Some(why)) => return Some(why.clone()),
            (None, None) => {
                return Some(format!(
                    "waiting for VSwitchConfig {}: is k-vswitch-controller running, and is the Node registered?",
                    self.node
                ));
            }
        }
        let proxy = Part::PROXY.into_iter().filter(|_| self.balancing.is_some());
        Part::ALL
            .into_iter()
            .chain(proxy)
            .find(|part| !self.synced.contains(part))
            .map(waits)
            .or_else(|| self.unresolved())
    }

    /// Why this node's present `VSwitchConfig` is not what is in force.
    #[must_use]
    pub fn unusable(&self) -> Option<&str> {
        self.own_unusable.as_deref()
    }

    /// Whether the datapath tells SCTP associations apart by their ports.
    pub fn set_tracks_sctp(&mut self, tracks: bool) {
        if std::mem::replace(&mut self.tracks_sctp, tracks) != tracks {
            self.node_flows();
        }
    }

    /// Whether the datapath is OVS's userspace one, which has fragments one by one.
    pub fn set_userspace(&mut self, userspace: bool) {
        if std::mem::replace(&mut self.userspace, userspace) != userspace {
            self.node_flows();
        }
    }

    /// This node's addresses on its uplink.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        if self.own_addresses != addresses {
            if let Some(balancing) = &mut self.balancing {
                balancing.addresses(&addresses);
                self.host_ports.addresses(&addresses, balancing);
            }
            self.own_addresses = addresses;
            self.node_flows();
        }
    }

    fn node_flows(&mut self) {
        let Some(own) = &self.own else { return };
        let node = Node {
            tracks_sctp: self.tracks_sctp,
            answers_solicitations: self.userspace,
            ..topology(own, self.balancing.is_some())
        };
        let gateways = [node.gateway_ipv4.map(IpAddr::V4), node.gateway_ipv6.map(IpAddr::V6)];
        let addresses: BTreeSet<IpAddr> =
            gateways.into_iter().flatten().chain(self.own_addresses.iter().copied()).collect();
        self.store.set(&Owner::Node, pipeline::node(&node));
        self.store.set(&Owner::OwnNode, enforcement::own_node(addresses.iter().copied()));
        if self.balancing.is_some() {
            let hashes = pipeline::service::hashes().into_iter().map(Into::into);
            self.groups.set(&Owner::Hashes, hashes.collect());
            let nets = &self.node_port_nets;
            let has = |address: &IpAddr| {
                let mut same = nets.iter().filter(|net| net.addr().is_ipv4() == address.is_ipv4()).peekable();
                same.peek().is_none() || same.any(|net| net.contains(address))
            };
            let own = addresses.into_iter().filter(has).map(pipeline::service::node_address).collect();
            self.store.set(&Owner::NodePorts, own);
        }
    }

    pub(super) fn set_own(&mut self, config: NodeConfig) {
        self.own_unusable = None;
        if self.own.as_deref() == Some(&config) {
            return;
        }
        self.own = Some(Arc::new(config));
        self.node_flows();
        self.all_remotes();
    }
}

fn topology(config: &NodeConfig, proxy: bool) -> Node {
    Node {
        cluster_ipv4: config.cluster_cidr.ipv4(),
        cluster_ipv6: config.cluster_cidr.ipv6(),
        pods_ipv4: config.pod_cidr.ipv4(),
        pods_ipv6: config.pod_cidr.ipv6(),
        gateway_ipv4: config.pod_cidr.ipv4().and_then(gateway_ipv4),
        gateway_ipv6: config.pod_cidr.ipv6().and_then(gateway_ipv6),
        tracks_sctp: false,
        answers_solicitations: false,
        services: proxy
            .then(|| ServiceNets { ipv4: config.service_cidr.ipv4(), ipv6: config.service_cidr.ipv6() }),
    }
}
