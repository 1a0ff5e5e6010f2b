//! A small cluster, to write tests with: one engine, the tables it leads to, and short ways to say things.

// JSON is written where it is given.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::tables::Tables;
use crate::engine::{Engine, Problem};
use crate::rules::{Change, Direction, Protocol, SubjectId};
use crate::spec::{Labels, Name, NamedPort, NetworkPolicySpec, Pod};

#[derive(Default)]
pub(super) struct Cluster {
    pub(super) engine: Engine,
    pub(super) tables: Tables,
}

pub(super) fn labels(text: &str) -> Labels {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap();
    Name { namespace: namespace.to_owned(), name: name.to_owned() }
}

/// `namespace/name`, labels as in `app=web tier=front`, addresses.
pub(super) fn pod(id: &str, text: &str, addresses: &[&str]) -> Pod {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Pod { namespace: name(id).namespace, labels: labels(text), ports: Vec::new(), addresses }
}

pub(super) fn with_port(mut pod: Pod, name: &str, protocol: Protocol, port: u16) -> Pod {
    pod.ports.push(NamedPort { name: name.to_owned(), protocol, port });
    pod
}

pub(super) fn spec(spec: Value) -> NetworkPolicySpec {
    serde_json::from_value(spec).unwrap()
}

/// A policy for all pods with one ingress rule.
pub(super) fn from(peer: Value) -> Value {
    json!({"podSelector": {}, "ingress": [{"from": [peer]}]})
}

/// A policy for all pods with one egress rule.
pub(super) fn to(peer: Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [peer]}]})
}

pub(super) const ME: SubjectId = SubjectId(1);

impl Cluster {
    /// Namespaces `a` and `b`, labelled `name`; the subject is `a/me` with `app=me`; peers are `a/web` (10.0.0.1),
    /// `a/db` (10.0.0.2), `b/web` (10.0.1.1) and `b/db` (10.0.1.2), each with `app`.
    pub(super) fn new() -> Self {
        let mut cluster = Self::default();
        cluster.engine.namespace("a", &labels("name=a"));
        cluster.engine.namespace("b", &labels("name=b"));
        cluster.pod("a/web", "app=web", &["10.0.0.1"]);
        cluster.pod("a/db", "app=db", &["10.0.0.2"]);
        cluster.pod("b/web", "app=web", &["10.0.1.1"]);
        cluster.pod("b/db", "app=db", &["10.0.1.2"]);
        cluster.engine.subject(ME, &pod("a/me", "app=me", &[]));
        cluster.follow();
        cluster
    }

    pub(super) fn pod(&mut self, id: &str, text: &str, addresses: &[&str]) {
        self.engine.pod(&name(id), &pod(id, text, addresses));
    }

    pub(super) fn policy(&mut self, id: &str, policy: Value) -> Vec<Problem> {
        let problems = self.engine.policy(&name(id), &spec(policy));
        self.follow();
        problems
    }

    pub(super) fn follow(&mut self) -> Vec<Change> {
        self.tables.follow(&mut self.engine)
    }

    /// Whether TCP passes from an address to the subject.
    pub(super) fn passes_from(&self, peer: &str, port: u16) -> bool {
        self.tables.passes(Direction::Ingress, ME, peer, (Some(Protocol::Tcp), port))
    }

    /// Whether TCP passes from the subject to an address.
    pub(super) fn passes_to(&self, peer: &str, port: u16) -> bool {
        self.tables.passes(Direction::Egress, ME, peer, (Some(Protocol::Tcp), port))
    }

    /// Which of the five peers may send to the subject: `a/web`, `a/db`, `b/web`, `b/db`, and 192.0.2.1 outside.
    pub(super) fn senders(&self) -> String {
        self.those(|peer| self.passes_from(peer, 80))
    }

    /// Which of the five may be sent to.
    pub(super) fn receivers(&self) -> String {
        self.those(|peer| self.passes_to(peer, 80))
    }

    fn those(&self, passes: impl Fn(&str) -> bool) -> String {
        let peers = [
            ("a/web", "10.0.0.1"),
            ("a/db", "10.0.0.2"),
            ("b/web", "10.0.1.1"),
            ("b/db", "10.0.1.2"),
            ("out", "192.0.2.1"),
        ];
        let passing: Vec<&str> =
            peers.into_iter().filter(|(_, peer)| passes(peer)).map(|(name, _)| name).collect();
        passing.join(" ")
    }
}

pub(super) const ALL: &str = "a/web a/db b/web b/db out";
