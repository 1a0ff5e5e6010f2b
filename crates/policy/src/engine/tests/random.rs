//! Random events: what the engine told bit by bit is what an engine tells that hears of the end only.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use proptest::sample::select;

use super::tables::Tables;
use crate::engine::Engine;
use crate::rules::{Protocol, SubjectId};
use crate::spec::*;

#[derive(Clone, Debug)]
enum Event {
    Namespace(String, Labels),
    NamespaceGone(String),
    Pod(Name, Pod),
    PodGone(Name),
    Policy(Name, NetworkPolicySpec),
    PolicyGone(Name),
    Subject(SubjectId, Pod),
    SubjectGone(SubjectId),
    Ask,
}

/// What is known in the end, and in which order addresses were claimed.
#[derive(Default)]
struct State {
    namespaces: BTreeMap<String, Labels>,
    pods: BTreeMap<Name, Pod>,
    claims: Vec<(IpAddr, Name)>,
    policies: BTreeMap<Name, NetworkPolicySpec>,
    subjects: BTreeMap<SubjectId, Pod>,
}

impl State {
    fn follow(&mut self, event: &Event) {
        match event.clone() {
            Event::Namespace(name, labels) => drop(self.namespaces.insert(name, labels)),
            Event::NamespaceGone(name) => drop(self.namespaces.remove(&name)),
            Event::Pod(name, pod) => {
                self.claims.retain(|(address, of)| *of != name || pod.addresses.contains(address));
                for address in &pod.addresses {
                    let claim = (*address, name.clone());
                    if !self.claims.contains(&claim) {
                        self.claims.push(claim);
                    }
                }
                self.pods.insert(name, pod);
            }
            Event::PodGone(name) => {
                self.claims.retain(|(_, of)| *of != name);
                self.pods.remove(&name);
            }
            Event::Policy(name, spec) => drop(self.policies.insert(name, spec)),
            Event::PolicyGone(name) => drop(self.policies.remove(&name)),
            Event::Subject(id, pod) => drop(self.subjects.insert(id, pod)),
            Event::SubjectGone(id) => drop(self.subjects.remove(&id)),
            Event::Ask => {}
        }
    }

    /// Tells a new engine, in one of two orders.
    fn compile(&self, policies_first: bool) -> Tables {
        let mut engine = Engine::new();
        if policies_first {
            self.policies.iter().for_each(|(name, spec)| drop(engine.policy(name, spec)));
        }
        self.subjects.iter().rev().for_each(|(id, pod)| engine.subject(*id, pod));
        let mut pods = self.pods.clone();
        for (name, pod) in &mut pods {
            pod.addresses.clear();
            engine.pod(name, pod);
        }
        for (address, name) in &self.claims {
            let pod = pods.get_mut(name).unwrap();
            pod.addresses.push(*address);
            engine.pod(name, pod);
        }
        self.namespaces.iter().for_each(|(name, labels)| engine.namespace(name, labels));
        if !policies_first {
            self.policies.iter().rev().for_each(|(name, spec)| drop(engine.policy(name, spec)));
        }
        let mut tables = Tables::default();
        tables.follow(&mut engine);
        tables
    }
}

fn tell(engine: &mut Engine, event: &Event) {
    match event {
        Event::Namespace(name, labels) => engine.namespace(name, labels),
        Event::NamespaceGone(name) => engine.namespace_gone(name),
        Event::Pod(name, pod) => engine.pod(name, pod),
        Event::PodGone(name) => engine.pod_gone(name),
        Event::Policy(name, spec) => drop(engine.policy(name, spec)),
        Event::PolicyGone(name) => engine.policy_gone(name),
        Event::Subject(id, pod) => engine.subject(*id, pod),
        Event::SubjectGone(id) => engine.subject_gone(*id),
        Event::Ask => {}
    }
}

fn text(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(of).prop_map(str::to_owned)
}

const KEYS: [&str; 4] = ["app", "tier", "job-name", "pod-template-hash"];
const VALUES: [&str; 3] = ["a", "b", ""];
const NAMESPACES: [&str; 3] = ["x", "y", "z"];

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map(text(&KEYS), text(&VALUES), 0..4)
}

fn name() -> impl Strategy<Value = Name> {
    (text(&NAMESPACES), text(&["1", "2", "3"])).prop_map(|(namespace, name)| Name { namespace, name })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(&[Protocol::Tcp, Protocol::Udp][..])
}

fn pod(namespace: String) -> impl Strategy<Value = Pod> {
    let port = (text(&["http", "dns"]), protocol(), 80..83_u16);
    let port = port.prop_map(|(name, protocol, port)| NamedPort { name, protocol, port });
    let address = (0..5_u8).prop_map(|last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
    let (ports, addresses) = (prop::collection::vec(port, 0..3), prop::collection::vec(address, 0..3));
    (labels(), ports, addresses).prop_map(move |(labels, ports, addresses)| Pod {
        namespace: namespace.clone(),
        labels,
        ports,
        addresses,
    })
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let requirement = (text(&KEYS), text(&["In", "NotIn", "Exists", "DoesNotExist", "Equals"]));
    let values = prop::option::of(prop::collection::vec(text(&VALUES), 0..3));
    let requirement = (requirement, values).prop_map(|((key, operator), values)| {
        let values = values.filter(|_| operator.ends_with("In"));
        Requirement { key, operator, values }
    });
    let labels = prop::option::weighted(0.7, prop::collection::btree_map(text(&KEYS), text(&VALUES), 0..2));
    let requirements = prop::option::weighted(0.5, prop::collection::vec(requirement, 0..2));
    (labels, requirements)
        .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions })
}

fn block() -> impl Strategy<Value = IpBlock> {
    let cidr =
        text(&["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.3/31", "10.0.0.1/32", "::/0", "10.0.0.0/x"]);
    let except = text(&["10.0.0.0/8", "10.0.0.2/31", "10.0.0.0/32", "10.0.0.0/30", "fd00::/8"]);
    (cidr, prop::option::weighted(0.4, prop::collection::vec(except, 0..3)))
        .prop_map(|(cidr, except)| IpBlock { cidr, except })
}

fn peer() -> impl Strategy<Value = PolicyPeer> {
    prop_oneof![
        3 => selector().prop_map(|s| PolicyPeer { pod_selector: Some(s), ..Default::default() }),
        2 => selector().prop_map(|s| PolicyPeer { namespace_selector: Some(s), ..Default::default() }),
        2 => (selector(), selector()).prop_map(|(n, p)| PolicyPeer {
            namespace_selector: Some(n), pod_selector: Some(p), ..Default::default()
        }),
        3 => block().prop_map(|b| PolicyPeer { ip_block: Some(b), ..Default::default() }),
        1 => Just(PolicyPeer::default()),
    ]
}

fn port() -> impl Strategy<Value = PolicyPort> {
    let number = (79..84_i64).prop_map(IntOrString::Int);
    let port = prop_oneof![number, text(&["http", "dns", "none"]).prop_map(IntOrString::String)];
    let end = prop::option::weighted(0.2, 80..85_i32);
    (prop::option::of(text(&["TCP", "UDP", "ICMP"])), prop::option::weighted(0.9, port), end)
        .prop_map(|(protocol, port, end_port)| PolicyPort { protocol, port, end_port })
}

fn spec() -> impl Strategy<Value = NetworkPolicySpec> {
    let side = || {
        let peers = prop::option::weighted(0.9, prop::collection::vec(peer(), 0..4));
        prop::collection::vec((peers, prop::option::weighted(0.7, prop::collection::vec(port(), 0..4))), 0..3)
    };
    let types = prop::option::weighted(0.5, prop::collection::vec(text(&["Ingress", "Egress"]), 0..3));
    (selector(), types, side(), side()).prop_map(|(pod_selector, policy_types, ingress, egress)| {
        NetworkPolicySpec {
            pod_selector,
            policy_types,
            ingress: Some(ingress.into_iter().map(|(from, ports)| IngressRule { from, ports }).collect()),
            egress: Some(egress.into_iter().map(|(to, ports)| EgressRule { to, ports }).collect()),
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    let id = || (0..3_u64).prop_map(SubjectId);
    prop_oneof![
        2 => (text(&NAMESPACES), labels()).prop_map(|(name, labels)| Event::Namespace(name, labels)),
        1 => text(&NAMESPACES).prop_map(Event::NamespaceGone),
        4 => name().prop_flat_map(|name| pod(name.namespace.clone()).prop_map(move |pod| Event::Pod(name.clone(), pod))),
        2 => name().prop_map(Event::PodGone),
        4 => (name(), spec()).prop_map(|(name, spec)| Event::Policy(name, spec)),
        2 => name().prop_map(Event::PolicyGone),
        3 => (id(), text(&NAMESPACES).prop_flat_map(pod)).prop_map(|(id, pod)| Event::Subject(id, pod)),
        1 => id().prop_map(Event::SubjectGone),
        3 => Just(Event::Ask),
    ]
}

proptest! {
    #[test]
    fn what_is_told_bit_by_bit_is_what_is_told_at_once(events in prop::collection::vec(event(), 1..40)) {
        let (mut engine, mut tables, mut state) = (Engine::new(), Tables::default(), State::default());
        for event in &events {
            state.follow(event);
            tell(&mut engine, event);
            if matches!(event, Event::Ask) {
                tables.follow(&mut engine);
            }
        }
        tables.follow(&mut engine);
        prop_assert_eq!(&tables, &state.compile(true));
        prop_assert_eq!(&tables, &state.compile(false));
        // Everything goes again, and nothing is left.
        state.policies.keys().for_each(|name| engine.policy_gone(name));
        state.subjects.keys().for_each(|id| engine.subject_gone(*id));
        state.namespaces.keys().for_each(|name| engine.namespace_gone(name));
        state.pods.keys().for_each(|name| engine.pod_gone(name));
        tables.follow(&mut engine);
        prop_assert_eq!(&tables, &Tables::default());
        prop_assert!(engine.is_empty());
    }

    #[test]
    fn telling_the_same_again_changes_nothing(events in prop::collection::vec(event(), 1..20)) {
        let (mut engine, mut state) = (Engine::new(), State::default());
        for event in &events {
            state.follow(event);
            tell(&mut engine, event);
        }
        engine.changes();
        state.policies.iter().for_each(|(name, spec)| drop(engine.policy(name, spec)));
        state.subjects.iter().for_each(|(id, pod)| engine.subject(*id, pod));
        state.namespaces.iter().for_each(|(name, labels)| engine.namespace(name, labels));
        state.pods.iter().for_each(|(name, pod)| engine.pod(name, pod));
        prop_assert_eq!(engine.changes(), vec![]);
    }
}
