//! Which policies hold for the pods of this node, and the flows that follow.
//!
//! A *subject* is a port whose pod is known. What it is known as stays with the port: a pod whose object is deleted keeps
//! its policies until its port is gone. A port whose pod is not known yet has no network; one that an earlier daemon had
//! programmed, and whose pod is gone from the API, reaches its own node only.

mod in_force;
mod inspect;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use datapath::pipeline::{self, Families};
use datapath::{Port, Store};
use ovsdb::Uuid;
use policy::engine::{Engine, Problem};
use policy::rules::{Change, Direction, PolicyId, SubjectId};
use policy::spec::{Labels, Name, NetworkPolicySpec, Pod};
use tracing::warn;

use self::in_force::{Entry, InForce};
use crate::state::Owner;

/// The policies that isolate a subject in each direction; `None`: nothing does.
type Chains = [Option<Arc<[PolicyId]>>; 2];

#[derive(Debug)]
struct Subject {
    id: SubjectId,
    chains: Chains,
}

/// Policies, and the ports they hold for.
#[derive(Default)]
pub struct Enforcement {
    engine: Engine,
    subjects: HashMap<Uuid, Subject>,
    ports: HashMap<SubjectId, Uuid>,
    last: u64,
    verdicts: InForce,
    families: Option<Families>,
    /// Addresses that are somebody's.
    identities: usize,
    /// Problems of each policy that has any.
    problems: usize,
}

impl std::fmt::Debug for Enforcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enforcement").field("subjects", &self.subjects).finish_non_exhaustive()
    }
}

impl Enforcement {
    /// Takes in a namespace.
    pub fn namespace(&mut self, name: &str, labels: &Labels) {
        self.engine.namespace(name, labels);
    }

    /// Takes out a namespace.
    pub fn namespace_gone(&mut self, name: &str) {
        self.engine.namespace_gone(name);
    }

    /// Takes in a possible peer, or takes it out if it has no address.
    pub fn peer(&mut self, name: &Name, pod: &Pod) {
        if pod.addresses.is_empty() {
            self.engine.pod_gone(name);
        } else {
            self.engine.pod(name, pod);
        }
    }

    /// Takes out a possible peer.
    pub fn peer_gone(&mut self, name: &Name) {
        self.engine.pod_gone(name);
    }

    /// Takes in a policy. What is wrong with it is said in the log; it holds nevertheless, and what is wrong allows
    /// nothing.
    pub fn policy(&mut self, name: &Name, spec: &NetworkPolicySpec) {
        let before: Vec<Problem> = self
            .engine
            .problems()
            .filter(|(of, _)| *of == name)
            .map(|(_, problem)| problem.clone())
            .collect();
        let problems = self.engine.policy(name, spec);
        // A list that is repeated repeats what was said.
        for Problem { path, message } in problems.iter().filter(|problem| !before.contains(problem)) {
            warn!(
                policy = %format_args!("{}/{}", name.namespace, name.name), path, message,
                "a NetworkPolicy is not valid: it isolates, and what is wrong in it allows nothing"
            );
        }
        self.problems = self.engine.problems().count();
    }

    /// Takes out a policy.
    pub fn policy_gone(&mut self, name: &Name) {
        self.engine.policy_gone(name);
        self.problems = self.engine.problems().count();
    }

    /// How many things are wrong in the cluster's policies.
    #[must_use]
    pub fn problems(&self) -> usize {
        self.problems
    }

    /// How many policies select a pod of this node.
    #[must_use]
    pub fn policies(&self) -> usize {
        self.verdicts.policies()
    }

    /// How many addresses of pods there are, in the whole cluster.
    #[must_use]
    pub fn identities(&self) -> usize {
        self.identities
    }

    /// The pod behind a port is known to be this one.
    pub fn subject(&mut self, port: Uuid, pod: &Pod) {
        let last = &mut self.last;
        let subject = self.subjects.entry(port).or_insert_with(|| {
            *last += 1;
            Subject { id: SubjectId(*last), chains: Chains::default() }
        });
        self.ports.insert(subject.id, port);
        self.engine.subject(subject.id, pod);
    }

    /// A port is gone.
    pub fn subject_gone(&mut self, port: Uuid) {
        if let Some(subject) = self.subjects.remove(&port) {
            self.ports.remove(&subject.id);
            self.engine.subject_gone(subject.id);
        }
    }

    /// Whether the pod behind a port is known.
    #[must_use]
    pub fn knows(&self, port: Uuid) -> bool {
        self.subjects.contains_key(&port)
    }

    /// Puts what has changed into the store. Returns the ports whose chains have changed.
    pub fn compile(&mut self, families: Families, store: &mut Store<Owner>) -> HashSet<Uuid> {
        let mut changed = HashSet::new();
        if self.families.replace(families) != Some(families) {
            for (id, Entry { verdict, .. }) in self.verdicts.iter() {
                store.set(&Owner::Policy(id), pipeline::verdict(id, verdict, families));
            }
        }
        for change in self.engine.changes() {
            match change {
                Change::Address(address, to) => {
                    let owner = Owner::Address(address);
                    let flow = to.map(|identity| pipeline::identity(address, identity));
                    self.identities += usize::from(flow.is_some());
                    self.identities -= usize::from(store.has(&owner));
                    put(store, &owner, flow);
                }
                Change::Namespace(id, to) => {
                    let flow = to.map(|class| pipeline::namespace_class(id, class));
                    put(store, &Owner::Namespace(id), flow);
                }
                Change::Labels(id, to) => {
                    put(store, &Owner::Labels(id), to.map(|class| pipeline::labels_class(id, class)));
                }
                Change::Cidr(direction, net, to) => {
                    let flow = to.map(|entry| pipeline::cidr_class(direction, net, entry));
                    put(store, &Owner::Cidr(direction, net), flow);
                }
                Change::Policy(id, Some(verdict)) => {
                    store.set(&Owner::Policy(id), pipeline::verdict(id, &verdict, families));
                    if let Some((name, direction)) = self.engine.policy_of(id) {
                        self.verdicts.set(id, Entry { name: name.clone(), direction, verdict });
                    }
                }
                Change::Policy(id, None) => {
                    store.remove(&Owner::Policy(id));
                    self.verdicts.remove(id);
                }
                Change::Subject(id, direction, chain) => {
                    let Some(port) = self.ports.get(&id) else { continue };
                    if let Some(subject) = self.subjects.get_mut(port) {
                        if let Some(slot) = subject.chains.get_mut(index(direction)) {
                            *slot = chain;
                        }
                        changed.insert(*port);
                    }
                }
            }
        }
        changed
    }

    /// The chains of a port, as flows. A port whose pod is not known is allowed nothing.
    #[must_use]
    pub fn chain(&self, uuid: Uuid, port: &Port, direction: Direction) -> Vec<openflow::Flow> {
        match self.subjects.get(&uuid) {
            Some(subject) => match subject.chains.get(index(direction)) {
                Some(Some(policies)) => pipeline::chain(port, direction, policies),
                _ => Vec::new(),
            },
            None => pipeline::chain(port, direction, &[]),
        }
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

fn put(store: &mut Store<Owner>, owner: &Owner, flow: Option<openflow::Flow>) {
    match flow {
        Some(flow) => store.set(owner, vec![flow]),
        None => store.remove(owner),
    }
}

/// The node's own addresses, which its pods always reach.
#[must_use]
pub fn own_node(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<openflow::Flow> {
    addresses.into_iter().map(pipeline::own_node).collect()
}
