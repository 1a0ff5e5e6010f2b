//! The daemon's state, told of a cluster and settled into a switch.

use std::collections::BTreeMap;
use std::net::IpAddr;

use agent::state::State;
use agent::view::{ClusterPod, Part, PodRef, ViewEvent};
use datapath::Change;
use ipam::PodPort;
use openflow::{FlowMod, Match, Message};
use ovs::openflow::Session;
use ovsdb::tables::Interface;
use ovsdb::{RowChange, Uuid};
use policy::spec::{Name, Pod};
use policy_oracle::Cluster;
use policy_oracle::generate::Event;

use crate::switch::{PORTS, TUNNEL};

/// The outer address of the other node.
pub(crate) const REMOTE: &str = "192.0.2.102";
/// What the gateway of this node has.
pub(crate) const GATEWAYS: [&str; 2] = ["10.255.0.1", "fd00:255::1"];

/// All addresses that generated pods have are in the other node's block: what is no pod of this node is there.
const REMOTE_PODS: &str = "10.0.0.0/16,fd00::/64";

/// A node, and what it has been told.
pub(crate) struct Node {
    state: State,
    session: Session,
    pub(crate) cluster: Cluster,
    /// Ports of the pods that are here, as the database has them.
    pub(crate) ports: BTreeMap<Name, (u32, PodPort)>,
    /// How many times ports have been numbered: none has the uuid of an earlier one.
    ports_made: u64,
}

/// The number of a generated pod's port, if its place is here: every other pod is of this node.
pub(crate) fn home(name: &Name) -> Option<u32> {
    let slot: u32 = name.name.strip_prefix('p')?.parse().ok()?;
    let number = PORTS.start() + slot;
    (slot.is_multiple_of(2) && PORTS.contains(&number)).then_some(number)
}

/// The event as it can be here: a port has one address of each family.
pub(crate) fn possible(mut event: Event) -> Option<Event> {
    match &mut event {
        // Subjects are the pods that are here.
        Event::Subject(..) | Event::SubjectGone(_) => return None,
        Event::Pod(name, pod) if home(name).is_some() => {
            let first = |v4| pod.addresses.iter().copied().find(|address| address.is_ipv4() == v4);
            pod.addresses = [first(true), first(false)].into_iter().flatten().collect();
        }
        _ => {}
    }
    Some(event)
}

fn config(name: &str, endpoint: &str, pods: &str) -> ViewEvent {
    ViewEvent::Node(Box::new(api::NodeConfig {
        name: name.to_owned(),
        cluster_cidr: "10.0.0.0/8,fd00::/16".parse().unwrap(),
        pod_cidr: pods.parse().unwrap(),
        service_cidr: "172.20.0.0/16".parse().unwrap(),
        overlay_type: api::OverlayType::Vxlan,
        overlay_ip: endpoint.parse().unwrap(),
        mtu: None,
        generation: None,
    }))
}

fn reference(name: &Name) -> PodRef {
    PodRef { namespace: name.namespace.clone(), name: name.name.clone() }
}

fn port_of(name: &Name, pod: &Pod) -> Option<PodPort> {
    let ipv4 = pod.addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let ipv6 = pod.addresses.iter().find_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    });
    Some(PodPort {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        uid: None,
        container_id: format!("{}-{}", name.namespace, name.name),
        ifname: "eth0".to_owned(),
        netns: String::new(),
        mac: ipam::names::mac(ipv4, ipv6)?,
        ipv4,
        ipv6,
        mtu: None,
    })
}

impl Node {
    /// Knows the nodes, and that everything has been listed. The switch is emptied.
    pub(crate) async fn new(session: Session) -> Self {
        let mut state = State::new("node-0");
        state.view(config("node-0", "192.0.2.101", "10.255.0.0/16,fd00:255::/64"));
        state.view(config("node-1", REMOTE, REMOTE_PODS));
        let row = Interface {
            name: agent::bridge::tunnel_name(api::OverlayType::Vxlan).to_owned(),
            ofport: Some(TUNNEL.into()),
            ..Interface::default()
        };
        state.interface(&RowChange::Inserted { uuid: Uuid::from_bytes([0xff; 16]), row: row.into() });
        for part in Part::ALL {
            state.view(ViewEvent::Synced(part));
        }
        let all = FlowMod::delete(u8::MAX, Match::new());
        session.bundle(vec![Message::FlowMod(all)]).await.unwrap();
        Self { state, session, cluster: Cluster::default(), ports: BTreeMap::new(), ports_made: 0 }
    }

    /// Takes in what happens at once, and brings the switch up to date. The tables of the flows that this has put there.
    pub(crate) async fn tell(&mut self, events: &[Event]) -> Vec<u8> {
        for event in events {
            self.cluster.apply(event.clone());
        }
        let wanted: BTreeMap<Name, (u32, PodPort)> = self
            .cluster
            .pods
            .iter()
            .filter_map(|(name, pod)| Some((name.clone(), (home(name)?, port_of(name, pod)?))))
            .collect();
        // Whether the port or its pod's object goes first is not said.
        let late = events.len().is_multiple_of(2);
        if !late {
            self.remove_ports(&wanted);
        }
        for event in events {
            self.view(event.clone());
        }
        self.remove_ports(&wanted);
        for (name, (number, port)) in wanted {
            if !self.ports.contains_key(&name) {
                self.add_port(name, number, port);
            }
        }
        self.settle().await
    }

    fn view(&mut self, event: Event) {
        self.state.view(match event {
            Event::Namespace(name, labels) => ViewEvent::Namespace(name, labels),
            Event::NamespaceGone(name) => ViewEvent::NamespaceGone(name),
            Event::Pod(name, facts) => ViewEvent::Pod(Box::new(ClusterPod {
                pod: reference(&name),
                node: if home(&name).is_some() { "node-0" } else { "node-1" }.to_owned(),
                facts,
                ..ClusterPod::default()
            })),
            Event::PodGone(name) => ViewEvent::PodGone(reference(&name)),
            Event::Policy(name, spec) => ViewEvent::Policy(reference(&name), Box::new(spec)),
            Event::PolicyGone(name) => ViewEvent::PolicyGone(reference(&name)),
            Event::Subject(..) | Event::SubjectGone(_) => return,
        });
    }

    /// Removes the ports that are not to stay as they are.
    fn remove_ports(&mut self, wanted: &BTreeMap<Name, (u32, PodPort)>) {
        let goes: Vec<Name> = self
            .ports
            .iter()
            .filter(|(name, (_, port))| wanted.get(*name).is_none_or(|(_, new)| !same(port, new)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in goes {
            let (number, port) = self.ports.remove(&name).unwrap();
            let (uuid, row) = row(number, &port);
            self.state.interface(&RowChange::Deleted { uuid, row: row.into() });
        }
    }

    fn add_port(&mut self, name: Name, number: u32, mut port: PodPort) {
        // Every attachment is a container of its own.
        self.ports_made += 1;
        port.container_id = format!("c{}", self.ports_made);
        let (uuid, row) = row(number, &port);
        self.state.interface(&RowChange::Inserted { uuid, row: row.into() });
        self.ports.insert(name, (number, port));
    }

    /// Brings the switch up to date, as the daemon does.
    async fn settle(&mut self) -> Vec<u8> {
        for question in self.state.take_questions() {
            self.state.view(ViewEvent::UpToDate(question));
        }
        self.state.compile();
        let changes = self.state.store().changes();
        if !changes.is_empty() {
            self.session.bundle(changes.iter().map(Change::message).collect()).await.unwrap();
            self.state.store().acknowledge(&changes);
        }
        let put = changes.iter().filter_map(|change| match change {
            Change::Put(flow) => Some(flow.table),
            Change::Delete(_) => None,
        });
        put.collect()
    }
}

fn same(old: &PodPort, new: &PodPort) -> bool {
    (old.mac, old.ipv4, old.ipv6) == (new.mac, new.ipv4, new.ipv6)
}

fn row(number: u32, port: &PodPort) -> (Uuid, Interface) {
    let mut id = [0; 16];
    let made: u64 = port.container_id.strip_prefix('c').unwrap().parse().unwrap();
    id[..8].copy_from_slice(&made.to_be_bytes());
    let row = Interface {
        name: port.port_name(),
        ofport: Some(number.into()),
        external_ids: port.write(),
        ..Interface::default()
    };
    (Uuid::from_bytes(id), row)
}
