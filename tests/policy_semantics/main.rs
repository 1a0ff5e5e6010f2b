//! What NetworkPolicies say, on the wire: one lab, one set of policies after the other, everything probed from
//! everywhere each time and compared with the oracle, and the oracle with what a person reads in the API's documentation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
// `json!` takes its parts by reference.
#![allow(clippy::print_stdout, clippy::needless_pass_by_value)]

mod cases;
mod ends;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use system_tests::agreement::{ALL, FEW};
use system_tests::possible;
use system_tests::stage::{Cast, Stage, labels};

use cases::{blocks, ports, rules, together};

/// One lab at a time: everything is probed from everywhere.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const NAMESPACES: [(&str, &[(&str, &str)]); 3] =
    [("shop", &[("team", "red")]), ("blog", &[("team", "blue")]), ("open", &[])];

/// Three pods on each of two nodes, with names for other ports each, and a pod on each node's own network.
fn cast() -> Vec<Cast> {
    let pod = |name, node, labels, ports| Cast { name, node, labels, ports, ..Cast::default() };
    let on_host = |name, node| Cast { on_host: true, ..pod(name, node, &[("app", "web")], &[]) };
    vec![
        pod("shop/web", 1, &[("app", "web")], &[&[("web", "TCP", 80), ("dns", "UDP", 80)]]),
        pod("shop/db", 2, &[("app", "db"), ("tier", "back")], &[&[("web", "TCP", 81)]]),
        pod(
            "blog/page",
            2,
            &[("app", "web"), ("tier", "")],
            &[&[("web", "TCP", 80)], &[("web", "TCP", 82), ("dns", "UDP", 81)]],
        ),
        pod("blog/cron", 1, &[("app", "cron")], &[]),
        pod("open/hut", 1, &[], &[&[("web", "SCTP", 80)]]),
        pod("open/inn", 2, &[("app", "web")], &[]),
        on_host("shop/host1", 1),
        on_host("blog/host2", 2),
    ]
}

fn ingress(rules: Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules})
}

fn egress(rules: Value) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules})
}

/// Selects pods by their `app`.
fn app(app: &str, mut policy: Value) -> Value {
    policy["podSelector"] = json!({"matchLabels": {"app": app}});
    policy
}

fn from(peers: Value) -> Value {
    ingress(json!([{"from": peers}]))
}

/// What has gone wrong so far.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn note(&mut self, result: Result<(), String>) {
        if let Err(text) = result {
            println!("FAILED: {text}");
            self.0.push(text);
            assert!(self.0.len() < 5, "enough:\n{}", self.0.join("\n"));
        }
    }

    fn step(&mut self, stage: &Stage, what: &str, spots: &[(&str, bool)]) {
        self.probe(stage, what, FEW, spots);
    }

    fn none(&self, stage: &Stage) {
        assert!(self.0.is_empty(), "{}\n{}", self.0.join("\n"), stage.lab.tails());
    }

    fn probe(&mut self, stage: &Stage, what: &str, probes: &[&str], spots: &[(&str, bool)]) {
        self.note(stage.spots(spots).map_err(|text| format!("{what}: {text}")));
        self.note(stage.agree(what, probes));
    }
}

/// Line 15: what changes takes effect.
fn changes(stage: &mut Stage, failures: &mut Failures) {
    let guests = json!([{"namespaceSelector": {"matchLabels": {"team": "red"}}},
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "guest"}}}]);
    stage.policies(&[
        ("shop/db", app("db", from(guests.clone()))),
        ("blog/guest", app("guest", egress(json!([])))),
    ]);
    failures.step(
        stage,
        "15: before the changes",
        &[
            ("blog/page > shop/db TCP/80", false),
            ("open/inn > shop/db TCP/80", false),
            ("blog/page > open/inn TCP/80", true),
        ],
    );
    stage.relabel("blog/page", &labels(&[("app", "guest")]));
    stage.namespace("open", labels(&[("team", "red")]));
    failures.step(
        stage,
        "15: a pod and a namespace with other labels",
        &[
            ("blog/page > shop/db TCP/80", false),
            ("blog/page > open/inn TCP/80", false),
            ("open/inn > shop/db TCP/80", true),
            ("blog/cron > shop/db TCP/80", false),
        ],
    );
    stage.relabel("blog/page", &labels(&[("app", "web"), ("tier", "")]));
    stage.relabel("blog/cron", &labels(&[("app", "guest")]));
    stage.namespace("open", labels(&[]));
    stage.policy("blog/guest", &app("guest", egress(json!([{"ports": [{"port": 80}]}]))));
    failures.step(
        stage,
        "15: changed again, and the policy edited",
        &[
            ("blog/cron > shop/db TCP/80", true),
            ("blog/cron > shop/db TCP/81", false),
            ("open/inn > shop/db TCP/80", false),
            ("blog/page > open/inn TCP/80", true),
        ],
    );
    let old = stage.address("blog/cron", true);
    stage.leave(&["blog/cron"]);
    stage.enter(&[Cast { name: "blog/cron", node: 1, labels: &[("app", "guest")], ..Cast::default() }]);
    assert_ne!(stage.address("blog/cron", true), old, "it should have another address");
    failures.step(
        stage,
        "15: the pod is back under another address",
        &[("blog/cron > shop/db TCP/80", true)],
    );
    stage.policies(&[]);
    failures.step(stage, "15: without policies", &[("blog/cron > shop/db TCP/81", true)]);
    stage.relabel("blog/cron", &labels(&[("app", "cron")]));
}

#[test]
fn policies_mean_on_the_wire_what_the_api_says() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let mut stage = Stage::up(2, &NAMESPACES, &cast());
    let mut failures = Failures::default();
    failures.step(&stage, "without policies", &[]);
    let others = [rules(), blocks(&stage), together()].into_iter().flatten();
    let cases = ports().into_iter().map(|case| (case, ALL)).chain(others.map(|case| (case, FEW)));
    for (case, probes) in cases {
        stage.policies(&case.policies);
        failures.probe(&stage, case.what, probes, &case.spots);
    }
    changes(&mut stage, &mut failures);
    failures.none(&stage);
}
