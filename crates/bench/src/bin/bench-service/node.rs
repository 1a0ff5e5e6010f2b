//! The daemon's state, fed by hand and settled into a switch.

use agent::state::State;
use agent::view::{Part, PodRef, ViewEvent};
use api::NodeConfig;
use datapath::Step;
use ipam::PodPort;
use ovs::openflow::Session;
use ovsdb::tables::Interface;
use ovsdb::{RowChange, Uuid};
use service::spec::Slice;

use crate::cluster::{self, ENDPOINTS};
use crate::pods::Pod;

const NODE: &str = "node-0";
const NAMESPACE: &str = "bench";

/// Knows its own configuration, and that everything has been listed.
pub(crate) fn state() -> anyhow::Result<State> {
    let mut state = State::new(NODE).with_proxy(&[]);
    state.view(ViewEvent::Node(Box::new(NodeConfig {
        name: NODE.to_owned(),
        cluster_cidr: "10.0.0.0/8".parse()?,
        pod_cidr: "10.255.0.0/16".parse()?,
        service_cidr: "172.16.0.0/12".parse()?,
        overlay_type: api::OverlayType::Vxlan,
        overlay_ip: "192.0.2.1".parse()?,
        mtu: None,
        generation: None,
    })));
    for part in Part::ALL.into_iter().chain(Part::PROXY) {
        state.view(ViewEvent::Synced(part));
    }
    Ok(state)
}

/// A Service with its endpoints.
pub(crate) fn service(state: &mut State, number: usize) {
    state.view(ViewEvent::Service(reference(number), Box::new(cluster::service(number))));
    let endpoints = cluster::elsewhere(number, ENDPOINTS);
    slice(state, number, cluster::slice(number, &endpoints, ENDPOINTS));
}

/// Endpoints of a Service, in place of those it had.
pub(crate) fn slice(state: &mut State, number: usize, slice: Slice) {
    state.view(ViewEvent::Slice(reference(number), Box::new(slice)));
}

fn reference(number: usize) -> PodRef {
    PodRef { namespace: NAMESPACE.to_owned(), name: cluster::name(number) }
}

/// The daemon of a node with a switch.
pub(crate) struct Node {
    pub(crate) state: State,
    session: Session,
}

impl Node {
    pub(crate) fn new(session: Session) -> anyhow::Result<Self> {
        Ok(Self { state: state()?, session })
    }

    /// The port of a pod of this node.
    pub(crate) fn port(&mut self, pod: &Pod, ofport: u32) -> anyhow::Result<()> {
        let facts = PodPort {
            namespace: NAMESPACE.to_owned(),
            name: pod.name.to_owned(),
            uid: None,
            container_id: pod.name.to_owned(),
            ifname: "eth0".to_owned(),
            netns: String::new(),
            mac: pod.mac,
            ipv4: Some(pod.address),
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
        id[..4].copy_from_slice(&ofport.to_be_bytes());
        self.state.interface(&RowChange::Inserted { uuid: Uuid::from_bytes(id), row: row.into() });
        self.state.view(ViewEvent::Pod(Box::new(pod.in_cluster(NAMESPACE, NODE))));
        Ok(())
    }

    /// Brings the switch up to date, as the daemon does. How many flows and groups have changed.
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
}
