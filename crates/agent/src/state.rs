//! What the daemon knows, and what follows for the switch. No I/O: events go in, the store of wanted flows and a few
//! questions come out, so that everything here can be tested without a switch.

mod inspect;
mod interfaces;
mod owner;
mod pods;
mod remotes;
mod services;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::NodeConfig;
use datapath::pipeline::{self, Families};
use datapath::{Node, PackedGroup, Port, ServiceNets, Step, Store, bundle};
use ipam::PodPort;
use ipnet::IpNet;
use openflow::{CtFlush, FlowKey, Group, MacAddr};
use ovsdb::Uuid;
use policy::rules::Direction;
use policy::spec::Name;
use tracing::warn;

pub use self::owner::Owner;
use crate::balancing::Balancing;
use crate::enforcement::{self, Enforcement};
use crate::host_ports::HostPorts;
use crate::host_setup::gateway;
use crate::view::{LocalPods, Part, PodRef, Question, ViewEvent};

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
    fn is_of(&self, pod: &PodRef) -> bool {
        self.facts.namespace == pod.namespace && self.facts.name == pod.name
    }

    fn is_programmed(&self) -> bool {
        self.ofport.is_some() && self.stamp == self.ofport.map(i64::from)
    }

    /// The port as the pipeline needs it, once it has a number.
    fn topology(&self) -> Option<Port> {
        Some(Port {
            name: self.name.clone(),
            ofport: self.ofport?,
            mac: MacAddr(self.facts.mac),
            ipv4: self.facts.ipv4,
            ipv6: self.facts.ipv6,
        })
    }
}

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

    /// Takes in a change of the cluster.
    pub fn view(&mut self, event: ViewEvent) {
        match event {
            ViewEvent::Node(config) if config.name == self.node => self.set_own(*config),
            ViewEvent::Node(config) => {
                let name = config.name.clone();
                self.stale.remove(&name);
                self.supplant(&config);
                self.remotes.insert(name.clone(), *config);
                self.remote(&name);
            }
            ViewEvent::NodeUnusable(name, why) if name == self.node => {
                warn!(why, "this node's VSwitchConfig cannot be used: what was in force stays");
                self.own_unusable = Some(why);
            }
            ViewEvent::NodeUnusable(name, why) => {
                warn!(
                    node = name,
                    why, "another node's VSwitchConfig cannot be used: what was in force stays"
                );
                if self.remotes.contains_key(&name) {
                    self.stale.insert(name);
                }
            }
            ViewEvent::NodeGone(name) if name == self.node => {
                let why = format!("VSwitchConfig {name} was deleted: what was in force stays");
                warn!(node = name, "{why}");
                self.own_unusable = Some(why);
            }
            ViewEvent::NodeGone(name) => self.forget(&name),
            ViewEvent::Pod(pod) => self.pod(*pod),
            ViewEvent::PodGone(pod) => {
                self.pods.remove(&pod);
                self.host_ports_of(&pod, None);
                self.enforcement.peer_gone(&name(&pod));
            }
            ViewEvent::Namespace(name, labels) => self.enforcement.namespace(&name, &labels),
            ViewEvent::NamespaceGone(name) => self.enforcement.namespace_gone(&name),
            ViewEvent::Policy(policy, spec) => self.enforcement.policy(&name(&policy), &spec),
            ViewEvent::PolicyGone(policy) => self.enforcement.policy_gone(&name(&policy)),
            ViewEvent::UpToDate(answer) => self.up_to_date(&answer),
            ViewEvent::Service(..)
            | ViewEvent::ServiceGone(_)
            | ViewEvent::Slice(..)
            | ViewEvent::SliceGone(_)
            | ViewEvent::Zone(_) => self.service(event),
            ViewEvent::Synced(part) => {
                if self.synced.insert(part) && part == Part::Pods {
                    self.pods_listed();
                }
            }
        }
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

    fn set_own(&mut self, config: NodeConfig) {
        self.own_unusable = None;
        if self.own.as_deref() == Some(&config) {
            return;
        }
        self.own = Some(Arc::new(config));
        self.node_flows();
        self.all_remotes();
    }
}

fn name(reference: &PodRef) -> Name {
    Name { namespace: reference.namespace.clone(), name: reference.name.clone() }
}

fn topology(config: &NodeConfig, proxy: bool) -> Node {
    let gateway_of = |net: IpNet| gateway(net);
    Node {
        cluster_ipv4: config.cluster_cidr.ipv4(),
        cluster_ipv6: config.cluster_cidr.ipv6(),
        pods_ipv4: config.pod_cidr.ipv4(),
        pods_ipv6: config.pod_cidr.ipv6(),
        gateway_ipv4: config.pod_cidr.ipv4().and_then(|net| match gateway_of(net.into())? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }),
        gateway_ipv6: config.pod_cidr.ipv6().and_then(|net| match gateway_of(net.into())? {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        }),
        tracks_sctp: false,
        answers_solicitations: false,
        services: proxy
            .then(|| ServiceNets { ipv4: config.service_cidr.ipv4(), ipv6: config.service_cidr.ipv6() }),
    }
}

#[cfg(test)]
mod tests;
