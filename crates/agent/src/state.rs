//! What the daemon knows, and what follows for the switch. No I/O: events go in, the store of wanted flows and a few
//! questions come out, so that everything here can be tested without a switch.

mod events;
mod inspect;
mod interfaces;
mod node;
mod owner;
mod pods;
mod port;
mod remotes;
mod services;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::NodeConfig;
use datapath::pipeline::Families;
use datapath::{PackedGroup, Step, Store, bundle};
use ipnet::IpNet;
use openflow::{CtFlush, FlowKey, Group};
use ovsdb::Uuid;
use policy::rules::Direction;

pub use self::owner::Owner;
pub use self::port::LocalPort;
use crate::balancing::Balancing;
use crate::enforcement::Enforcement;
use crate::host_ports::HostPorts;
use crate::view::{LocalPods, Part, Question};

/// Everything the daemon knows.
#[derive(Debug)]
pub struct State {
    node: String,
    own: Option<Arc<NodeConfig>>,
    own_unusable: Option<String>,
    remotes: BTreeMap<String, NodeConfig>,
    synced: HashSet<Part>,
    pods: LocalPods,
    enforcement: Enforcement,
    /// New ports, which wait for an answer to the question of this number: whether all policies are known.
    waiting: HashMap<Uuid, u64>,
    /// Ports without network since the switch refused a flow that isolates their pods.
    closed: BTreeSet<Uuid>,
    /// Questions that have not been asked yet.
    questions: Vec<Question>,
    last_ticket: u64,
    /// Addresses of this node besides those on the bridge.
    own_addresses: Vec<IpAddr>,
    /// Whether the datapath tells SCTP associations apart.
    tracks_sctp: bool,
    /// Whether the datapath is OVS's userspace one.
    userspace: bool,
    ports: HashMap<Uuid, LocalPort>,
    tunnels: HashMap<String, u32>,
    /// Other nodes whose configuration has become unusable: what was in force for them stays, until they go or
    /// another node takes their addresses.
    stale: BTreeSet<String>,
    /// Other nodes to which no tunnel can be, since their overlay address is of another family than this node's.
    other_family: BTreeSet<String>,
    /// Whether flows of another node were computed anew since the last [`State::take_remotes_changed`].
    remotes_changed: bool,
    store: Store<Owner>,
    groups: Store<Owner, PackedGroup>,
    /// Services, if the node is their proxy.
    balancing: Option<Balancing>,
    host_ports: HostPorts,
    /// Those of the node's addresses that have node ports; all of a family of which there is none here.
    node_port_nets: Vec<IpNet>,
}

impl State {
    /// A daemon that knows nothing yet, on the node of this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            own: None,
            own_unusable: None,
            remotes: BTreeMap::new(),
            synced: HashSet::new(),
            pods: LocalPods::default(),
            enforcement: Enforcement::default(),
            waiting: HashMap::new(),
            closed: BTreeSet::new(),
            questions: Vec::new(),
            last_ticket: 0,
            own_addresses: Vec::new(),
            tracks_sctp: false,
            userspace: false,
            ports: HashMap::new(),
            tunnels: HashMap::new(),
            stale: BTreeSet::new(),
            other_family: BTreeSet::new(),
            remotes_changed: false,
            store: Store::default(),
            groups: Store::default(),
            balancing: None,
            host_ports: HostPorts::default(),
            node_port_nets: Vec::new(),
        }
    }

    /// The daemon is the proxy of Services, with node ports at the node's addresses in these networks; of a family
    /// of which there is none, at all of them.
    #[must_use]
    pub fn with_proxy(mut self, node_port_nets: &[IpNet]) -> Self {
        self.balancing = Some(Balancing::new(&self.node));
        self.node_port_nets = node_port_nets.to_vec();
        self
    }

    /// This node's configuration, the last usable one.
    #[must_use]
    pub fn own(&self) -> Option<&Arc<NodeConfig>> {
        self.own.as_ref()
    }

    /// The wanted flows.
    pub fn store(&mut self) -> &mut Store<Owner> {
        &mut self.store
    }

    /// What groups the switch has, be they from an earlier daemon.
    pub fn recall(&mut self, groups: &[Group]) {
        if let Some(balancing) = &mut self.balancing {
            balancing.recall(groups);
        }
    }

    /// The wanted groups.
    pub fn groups(&mut self) -> &mut Store<Owner, PackedGroup> {
        &mut self.groups
    }

    /// What must change in the switch.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        bundle::steps(self.store.changes(), self.groups.changes())
    }

    /// The switch has acknowledged all of `steps`.
    pub fn acknowledge(&mut self, steps: Vec<Step>) {
        let (mut flows, mut groups) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Flow(change) => flows.push(change),
                Step::Group(change) => groups.push(change),
            }
        }
        self.store.acknowledge(&flows);
        self.groups.acknowledge(&groups);
    }

    /// Services, if the node is their proxy.
    #[must_use]
    pub fn balancing(&self) -> Option<&Balancing> {
        self.balancing.as_ref()
    }

    /// Connections that the switch must forget once all changes are in it.
    pub fn take_forgotten(&mut self) -> Vec<CtFlush> {
        self.balancing.as_mut().map(Balancing::take_forgotten).unwrap_or_default()
    }

    /// The pods of this node, once they have been listed.
    #[must_use]
    pub fn pods(&self) -> Option<&LocalPods> {
        self.synced.contains(&Part::Pods).then_some(&self.pods)
    }

    /// The pods' ports.
    pub fn ports(&self) -> impl Iterator<Item = (Uuid, &LocalPort)> {
        self.ports.iter().map(|(uuid, port)| (*uuid, port))
    }

    /// The other nodes.
    pub fn remotes(&self) -> impl ExactSizeIterator<Item = &NodeConfig> {
        self.remotes.values()
    }

    /// The other nodes to which there is a tunnel.
    pub fn reachable(&self) -> impl Iterator<Item = &NodeConfig> {
        self.remotes
            .iter()
            .filter(|(name, _)| self.store.has(&Owner::Remote((*name).clone())))
            .map(|(_, c)| c)
    }

    /// The other nodes to which no tunnel can be, since their overlay address is of another family than this node's.
    #[must_use]
    pub fn other_family(&self) -> &BTreeSet<String> {
        &self.other_family
    }

    /// Whether any of the port's flows is one of `keys`.
    #[must_use]
    pub fn wants_any(&self, port: Uuid, keys: &[FlowKey]) -> bool {
        let owners = [
            Owner::Port(port),
            Owner::Chain(port, Direction::Ingress),
            Owner::Chain(port, Direction::Egress),
        ];
        !keys.is_empty()
            && owners.iter().flat_map(|owner| self.store.keys(owner)).any(|key| keys.contains(key))
    }

    /// Ports whose flows are wanted under a number that their row does not carry as its stamp. To be asked after the
    /// switch has acknowledged all changes.
    #[must_use]
    pub fn unstamped(&self) -> Vec<(Uuid, u32)> {
        self.ports
            .iter()
            .filter(|(uuid, port)| {
                self.store.has(&Owner::Port(**uuid)) && port.stamp != port.ofport.map(i64::from)
            })
            .filter_map(|(uuid, port)| Some((*uuid, port.ofport?)))
            .collect()
    }

    /// What is to be asked of the view.
    pub fn take_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    /// Brings the store up to date with all events taken in so far.
    pub fn compile(&mut self) {
        let Some(own) = &self.own else { return };
        if let Some(balancing) = &mut self.balancing {
            balancing.compile(self.tracks_sctp, &mut self.store, &mut self.groups);
        }
        let families = Families {
            ipv4: own.pod_cidr.ipv4().is_some(),
            ipv6: own.pod_cidr.ipv6().is_some(),
            fragments: self.userspace,
        };
        for port in self.enforcement.compile(families, &mut self.store) {
            self.port_flows(port);
        }
    }

    /// How many things are wrong in the cluster's policies.
    #[must_use]
    pub fn policy_problems(&self) -> usize {
        self.enforcement.problems()
    }

    /// How many policies select a pod of this node.
    #[must_use]
    pub fn policies(&self) -> usize {
        self.enforcement.policies()
    }

    /// How many addresses of pods there are, in the whole cluster.
    #[must_use]
    pub fn identities(&self) -> usize {
        self.enforcement.identities()
    }
}

#[cfg(test)]
mod tests;
