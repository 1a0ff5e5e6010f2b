//! The daemon's state, fed by hand and settled into a switch.

use std::net::IpAddr;

use agent::state::State;
use agent::view::{ClusterPod, Part, PodRef, ViewEvent};
use anyhow::Context as _;
use api::NodeConfig;
use datapath::Step;
use ipam::PodPort;
use ovs::openflow::Session;
use ovsdb::tables::Interface;
use ovsdb::{RowChange, Uuid};
use policy::spec::{Labels, Name, NetworkPolicySpec, Pod};

/// This node's name; others' are `node-1` and so on.
const NODE: &str = "node-0";

pub(crate) struct Node {
    pub(crate) state: State,
    session: Session,
}

impl Node {
    /// Knows its own configuration, and that everything has been listed.
    pub(crate) fn new(session: Session) -> anyhow::Result<Self> {
        let mut state = State::new(NODE);
        state.view(ViewEvent::Node(Box::new(NodeConfig {
            name: NODE.to_owned(),
            cluster_cidr: "10.0.0.0/8".parse()?,
            pod_cidr: "10.255.0.0/16".parse()?,
            service_cidr: "172.20.0.0/16".parse()?,
            overlay_type: api::OverlayType::Vxlan,
            overlay_ip: "192.0.2.1".parse()?,
            mtu: None,
            generation: None,
        })));
        for part in Part::ALL {
            state.view(ViewEvent::Synced(part));
        }
        Ok(Self { state, session })
    }

    pub(crate) fn namespace(&mut self, name: &str, labels: &Labels) {
        self.state.view(ViewEvent::Namespace(name.to_owned(), labels.clone()));
    }

    pub(crate) fn policy(&mut self, name: &Name, spec: &NetworkPolicySpec) {
        self.state.view(ViewEvent::Policy(reference(name), Box::new(spec.clone())));
    }

    pub(crate) fn policy_gone(&mut self, name: &Name) {
        self.state.view(ViewEvent::PolicyGone(reference(name)));
    }

    /// A pod, here or elsewhere.
    pub(crate) fn pod(&mut self, name: &Name, pod: &Pod, node: usize) {
        self.state.view(ViewEvent::Pod(Box::new(ClusterPod {
            pod: reference(name),
            uids: Vec::new(),
            node: format!("node-{node}"),
            facts: pod.clone(),
            ..ClusterPod::default()
        })));
    }

    pub(crate) fn pod_gone(&mut self, name: &Name) {
        self.state.view(ViewEvent::PodGone(reference(name)));
    }

    /// The port of a pod of this node.
    pub(crate) fn port(&mut self, name: &Name, pod: &Pod, ofport: u32) -> anyhow::Result<()> {
        let ipv4 = pod.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        let facts = PodPort {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            uid: None,
            container_id: format!("{}-{}", name.namespace, name.name),
            ifname: "eth0".to_owned(),
            netns: String::new(),
            mac: ipam::names::mac(ipv4, None).context("no address")?,
            ipv4,
            ipv6: None,
            mtu: None,
        };
        let row = Interface {
            name: facts.port_name(),
            ofport: Some(ofport.into()),
            external_ids: facts.write(),
            ..Interface::default()
        };
        let mut id = [0; 16];
        id.get_mut(..4).context("a uuid is longer")?.copy_from_slice(&ofport.to_be_bytes());
        self.state.interface(&RowChange::Inserted { uuid: Uuid::from_bytes(id), row: row.into() });
        Ok(())
    }

    /// Brings the switch up to date, as the daemon does. How many flows have changed.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<usize> {
        for question in self.state.take_questions() {
            self.state.view(ViewEvent::UpToDate(question));
        }
        self.state.compile();
        let steps = self.state.steps();
        let changed = steps.len();
        if changed > 0 {
            self.session.bundle(steps.iter().map(Step::message).collect()).await?;
            self.state.acknowledge(steps);
        }
        Ok(changed)
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

fn reference(name: &Name) -> PodRef {
    PodRef { namespace: name.namespace.clone(), name: name.name.clone() }
}
