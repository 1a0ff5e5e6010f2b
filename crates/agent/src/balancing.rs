//! The node as the proxy of Services: what follows for the switch, the host and load balancers' health checks.

pub(crate) mod inspect;
mod own_processes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use datapath::pipeline::service::{self as pipeline, SetItems};
use datapath::{PackedGroup, Store, fields};
use openflow::{CtFlush, CtTuple, Group};
use service::engine::Engine;
use service::lb::{At, Change, Frontend, HealthCheck, Name, Protocol, Set, SetId};
use service::problems::{Object, Problem};
use service::spec;
use tracing::warn;

use crate::published::{NodePort, Published};
use crate::state::Owner;

/// Services, and what the node does for them.
pub struct Balancing {
    engine: Engine,
    /// Something has come in since the last [`Self::compile`].
    due: bool,
    /// Something has been compiled.
    begun: bool,
    /// Whether the datapath can translate SCTP.
    sctp: bool,
    /// Sets of SCTP, which may or may not be possible.
    of_sctp: HashMap<SetId, Set>,
    sets: usize,
    /// How many Services something is done for.
    served: usize,
    published: Published,
    own_processes: own_processes::Finder,
    /// Counts its changes.
    version: u64,
    checks: BTreeMap<u16, HealthCheck>,
    forget: Vec<(Frontend, Option<SocketAddr>)>,
    /// What is wrong in the cluster's Services and EndpointSlices.
    problems: BTreeSet<String>,
}

impl fmt::Debug for Balancing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancing").field("published", &self.published).finish_non_exhaustive()
    }
}

impl Balancing {
    /// Knows no Service yet.
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self {
            engine: Engine::new(node),
            due: false,
            begun: false,
            sctp: false,
            of_sctp: HashMap::new(),
            sets: 0,
            served: 0,
            published: Published::default(),
            own_processes: own_processes::Finder::default(),
            version: 0,
            checks: BTreeMap::new(),
            forget: Vec::new(),
            problems: BTreeSet::new(),
        }
    }

    /// What groups the switch has, from an earlier daemon: endpoints stay in their parts. Later it is nothing new.
    pub fn recall(&mut self, groups: &[Group]) {
        if !self.begun {
            self.engine.recall(pipeline::recall(groups));
        }
    }

    /// This node's zone.
    pub fn zone(&mut self, zone: Option<&str>) {
        self.due = true;
        self.engine.set_zone(zone);
    }

    /// This node's addresses, at which processes of it may be endpoints.
    pub fn addresses(&mut self, addresses: &[IpAddr]) {
        self.due = true;
        self.own_processes.addresses(addresses);
    }

    /// Takes in a Service.
    pub fn service(&mut self, name: &Name, service: &spec::Service) {
        self.due = true;
        self.served -= usize::from(self.engine.serves(name));
        self.engine.service(name, service);
        self.served += usize::from(self.engine.serves(name));
    }

    /// A Service is gone.
    pub fn service_gone(&mut self, name: &Name) {
        self.due = true;
        self.served -= usize::from(self.engine.serves(name));
        self.engine.service_gone(name);
    }

    /// Takes in an EndpointSlice.
    pub fn slice(&mut self, name: &Name, slice: &spec::Slice) {
        self.due = true;
        self.engine.slice(&name.namespace, &name.name, slice);
    }

    /// An EndpointSlice is gone.
    pub fn slice_gone(&mut self, name: &Name) {
        self.due = true;
        self.engine.slice_gone(&name.namespace, &name.name);
    }

    /// What the host is to send to the bridge.
    #[must_use]
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Which state of [`Self::published`] it is.
    #[must_use]
    pub fn published_version(&self) -> u64 {
        self.version
    }

    /// What health-check node ports answer.
    #[must_use]
    pub fn checks(&self) -> &BTreeMap<u16, HealthCheck> {
        &self.checks
    }

    /// How many Services something is done for: not headless ones and the like.
    #[must_use]
    pub fn served(&self) -> usize {
        self.served
    }

    /// How many sets of endpoints there are.
    #[must_use]
    pub fn sets(&self) -> usize {
        self.sets
    }

    /// How many things are wrong in Services and EndpointSlices.
    #[must_use]
    pub fn problems(&self) -> usize {
        self.problems.len()
    }

    /// The Services themselves.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Connections that the switch must forget once the changes are in it.
    pub fn take_forgotten(&mut self) -> Vec<CtFlush> {
        let forget = std::mem::take(&mut self.forget);
        forget.into_iter().map(|(frontend, endpoint)| flush(&frontend, endpoint)).collect()
    }

    /// Puts what has changed into the stores.
    pub fn compile(&mut self, sctp: bool, store: &mut Store<Owner>, groups: &mut Store<Owner, PackedGroup>) {
        if std::mem::replace(&mut self.sctp, sctp) != sctp {
            for (id, set) in &self.of_sctp {
                put(store, groups, *id, pipeline::set(*id, set, sctp));
            }
        }
        if !std::mem::take(&mut self.due) {
            return;
        }
        self.begun = true;
        for change in self.engine.changes() {
            match change {
                Change::Frontend(frontend, to) => {
                    self.publish(&frontend, to.is_some());
                    self.own_processes.frontend(&frontend, to.as_ref());
                    let owner = Owner::Frontend(frontend);
                    match to {
                        Some(target) => store.set(&owner, pipeline::frontend(&frontend, &target)),
                        None => store.remove(&owner),
                    }
                }
                Change::Set(id, Some(set)) => {
                    self.sets += usize::from(!store.has(&Owner::Set(id)));
                    self.own_processes.set(id, Some(&set));
                    let possible = set.protocol != Protocol::Sctp || sctp;
                    put(store, groups, id, pipeline::set(id, &set, possible));
                    if set.protocol == Protocol::Sctp {
                        self.of_sctp.insert(id, set);
                    }
                }
                Change::Set(id, None) => {
                    self.sets -= usize::from(store.has(&Owner::Set(id)));
                    self.own_processes.set(id, None);
                    self.of_sctp.remove(&id);
                    store.remove(&Owner::Set(id));
                    groups.remove(&Owner::Set(id));
                }
                Change::External(external, Some(number)) => {
                    self.own_processes.external();
                    self.published.external.insert(external, number);
                    self.version += 1;
                }
                Change::External(external, None) => {
                    self.own_processes.external();
                    self.published.external.remove(&external);
                    self.version += 1;
                }
                Change::HealthCheck(port, Some(check)) => {
                    self.checks.insert(port, check);
                }
                Change::HealthCheck(port, None) => {
                    self.checks.remove(&port);
                }
                Change::Forget(frontend, endpoint) => self.forget.push((frontend, endpoint)),
            }
        }
        if let Some(own) = self.own_processes.find(&self.published.external) {
            self.version += u64::from(self.published.own != own);
            self.published.own = own;
        }
        self.complain();
    }

    /// Says what is wrong in objects, once.
    fn complain(&mut self) {
        let mut problems = BTreeSet::new();
        for (object, Problem { path, message }) in self.engine.problems() {
            let what = match object {
                Object::Service(name) => format!("Service {name}: {path}: {message}"),
                Object::Slice(name) => format!("EndpointSlice {name}: {path}: {message}"),
            };
            problems.insert(what);
        }
        for new in problems.difference(&self.problems) {
            warn!("{new}; until then it is left out");
        }
        self.problems = problems;
    }

    fn publish(&mut self, frontend: &Frontend, present: bool) {
        let At::Node { ipv6 } = frontend.at else { return };
        let port = NodePort { ipv6, protocol: frontend.protocol, port: frontend.port };
        let changed = match present {
            true => self.published.node_ports.insert(port),
            false => self.published.node_ports.remove(&port),
        };
        self.version += u64::from(changed);
    }
}

fn put(store: &mut Store<Owner>, groups: &mut Store<Owner, PackedGroup>, id: SetId, items: SetItems) {
    store.set(&Owner::Set(id), items.flows);
    groups.set(&Owner::Set(id), items.groups.into_iter().map(Into::into).collect());
}

/// Connections of clients of a frontend, to one of its endpoints or to nobody: those that were not translated. Of node ports,
/// the node's address does not matter: no other destination has such a port and goes to such an endpoint.
fn flush(frontend: &Frontend, endpoint: Option<SocketAddr>) -> CtFlush {
    let dst = match frontend.at {
        At::Address(address) => Some(address),
        At::Node { .. } | At::StandIn { .. } => None,
    };
    // What was not translated is answered from where it was sent to.
    let (src, src_port) = endpoint.map_or((dst, frontend.port), |to| (Some(to.ip()), to.port()));
    CtFlush {
        ip_proto: frontend.protocol.number(),
        zone: Some(fields::CT_ZONE),
        original: CtTuple { dst, dst_port: frontend.port, ..CtTuple::default() },
        reply: CtTuple { src, src_port, ..CtTuple::default() },
    }
}
