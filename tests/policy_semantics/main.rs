//! What NetworkPolicies say, on the wire: one lab, one set of policies after the other, everything probed from
//! everywhere each time and compared with the oracle, and the oracle with what a person reads in the API's documentation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
// `json!` takes its parts by reference.
#![allow(clippy::print_stdout, clippy::needless_pass_by_value)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use system_tests::agreement::{ALL, FEW};
use system_tests::real::simulated;
use system_tests::stage::{Cast, Stage, labels, name};
use system_tests::{IMAGE, Ping, possible};

/// `ping` does not wait for its last answer longer than twice what the others took, which may be too short on a busy machine.
const LATE: u32 = 1;

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

/// A set of policies, and what a person expects of it.
struct Case {
    what: &'static str,
    policies: Vec<(&'static str, Value)>,
    spots: Vec<(&'static str, bool)>,
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

fn everywhere(policy: &Value) -> Vec<(&'static str, Value)> {
    ["shop/all", "blog/all", "open/all"].map(|name| (name, policy.clone())).to_vec()
}

fn ports() -> Vec<Case> {
    vec![
        Case {
            what: "1: on ingress a named port is the receiver's",
            policies: everywhere(&ingress(json!([{"ports": [{"port": "web"}]}]))),
            spots: vec![
                ("open/hut > shop/web TCP/80", true),
                ("open/hut > shop/web TCP/81", false),
                ("open/hut > shop/db TCP/80", false),
                ("open/hut > shop/db TCP/81", true),
                ("shop/web > blog/page TCP/80", true),
                ("shop/web > blog/page TCP/82", true),
                ("shop/web > blog/page TCP/81", false),
                ("shop/web > blog/cron TCP/80", false),
                ("shop/web > open/hut TCP/80", false),
                ("shop/web > open/hut SCTP/80", false),
            ],
        },
        Case {
            what: "1: on egress a named port is the destination's",
            policies: vec![(
                "shop/out",
                egress(json!([{"ports": [{"port": "web"}, {"port": "dns", "protocol": "UDP"},
                    {"port": "web", "protocol": "SCTP"}]}])),
            )],
            spots: vec![
                ("shop/web > shop/db TCP/81", true),
                ("shop/web > shop/db TCP/80", false),
                ("shop/web > blog/page TCP/82", true),
                ("shop/web > blog/page TCP/81", false),
                ("shop/db > blog/page UDP/81", true),
                ("shop/db > blog/page UDP/80", false),
                ("shop/web > open/hut SCTP/80", true),
                ("shop/web > open/hut TCP/80", false),
                ("shop/web > blog/cron TCP/80", false),
                ("shop/web > outside TCP/80", false),
                ("blog/cron > shop/web TCP/82", true),
            ],
        },
        Case {
            what: "1: a name that nobody has is no port at all",
            policies: everywhere(&ingress(json!([{"ports": [{"port": "nosuch"}]}]))),
            spots: vec![("open/hut > shop/web TCP/80", false), ("open/hut > shop/web ICMP", false)],
        },
        Case {
            what: "2: protocols, ports and ranges",
            policies: vec![
                ("shop/all", ingress(json!([{"ports": [{"port": 80}]}]))),
                ("blog/all", ingress(json!([{"ports": [{"protocol": "UDP"}]}]))),
                (
                    "open/all",
                    ingress(
                        json!([{"ports": [{"port": 80, "endPort": 81}, {"port": 81, "protocol": "SCTP"}]}]),
                    ),
                ),
            ],
            spots: vec![
                ("blog/page > shop/web TCP/80", true),
                ("blog/page > shop/web UDP/80", false),
                ("shop/web > blog/page UDP/81", true),
                ("shop/web > blog/page TCP/80", false),
                ("shop/web > open/inn TCP/81", true),
                ("shop/web > open/inn TCP/82", false),
                ("shop/web > open/inn SCTP/81", true),
                ("shop/web > open/inn SCTP/80", false),
            ],
        },
        Case {
            what: "11: a rule for one protocol isolates for the others",
            policies: vec![
                ("shop/all", ingress(json!([{"ports": [{"protocol": "UDP", "port": 80}]}]))),
                ("blog/all", ingress(json!([{"ports": [{"protocol": "SCTP", "port": 80}]}]))),
                ("open/all", egress(json!([{"ports": [{"protocol": "SCTP"}]}]))),
            ],
            spots: vec![
                ("blog/page > shop/web UDP/80", true),
                ("blog/page > shop/web TCP/80", false),
                ("shop/web > blog/cron SCTP/80", true),
                ("shop/web > blog/cron TCP/80", false),
                ("open/inn > outside SCTP/81", true),
                ("open/inn > outside UDP/81", false),
            ],
        },
        Case {
            what: "18: ICMP passes only where a rule names no ports",
            policies: vec![
                ("shop/all", ingress(json!([{"ports": [{}, {"protocol": "UDP"}, {"protocol": "SCTP"}]}]))),
                ("blog/all", from(json!([{"namespaceSelector": {}}]))),
                ("open/all", egress(json!([{"ports": [{"port": 1, "endPort": 65535}]}]))),
            ],
            spots: vec![
                ("blog/page > shop/web TCP/82", true),
                ("blog/page > shop/web SCTP/81", true),
                ("blog/page > shop/web ICMP", false),
                ("shop/web > blog/page ICMP", true),
                ("open/inn > blog/page TCP/82", true),
                ("open/inn > blog/page ICMP", false),
            ],
        },
    ]
}

fn rules() -> Vec<Case> {
    vec![
        Case {
            what: "3: policy types that are absent, and one without rules",
            policies: vec![
                ("shop/all", json!({"podSelector": {}})),
                ("blog/all", json!({"podSelector": {}, "egress": [{"ports": [{"port": 80}]}]})),
                ("open/all", json!({"podSelector": {}, "policyTypes": ["Egress"]})),
            ],
            spots: vec![
                ("blog/page > shop/web TCP/80", false),
                ("shop/web > open/inn UDP/80", true),
                ("blog/cron > open/inn TCP/80", true),
                ("blog/cron > open/inn TCP/81", false),
                ("shop/web > blog/cron TCP/80", false),
                ("open/hut > outside TCP/80", false),
                ("shop/web > open/hut ICMP", true),
            ],
        },
        Case {
            what: "4: no rule is nothing, an empty rule is everything",
            policies: vec![
                ("shop/all", ingress(json!([]))),
                ("blog/all", ingress(json!([{}]))),
                (
                    "open/all",
                    json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                        "ingress": [{"from": [], "ports": []}], "egress": [{"to": [], "ports": [{"port": 81}]}]}),
                ),
            ],
            spots: vec![
                ("open/hut > shop/web TCP/81", false),
                ("shop/db > blog/page SCTP/80", true),
                ("shop/db > open/hut ICMP", true),
                ("open/hut > blog/page TCP/81", true),
                ("open/hut > blog/page TCP/80", false),
            ],
        },
        Case {
            what: "5: peers are pods of namespaces",
            policies: vec![
                ("shop/db", app("db", from(json!([{"podSelector": {}}])))),
                (
                    "blog/web",
                    app("web", from(json!([{"namespaceSelector": {"matchLabels": {"team": "red"}}}]))),
                ),
                (
                    "blog/cron",
                    app(
                        "cron",
                        from(json!([{"namespaceSelector": {"matchLabels": {"team": "red"}},
                            "podSelector": {"matchLabels": {"app": "db"}}}])),
                    ),
                ),
                (
                    "open/web",
                    app(
                        "web",
                        from(json!([{"namespaceSelector": {"matchLabels": {"team": "blue"}}},
                            {"podSelector": {"matchLabels": {"app": "db"}}},
                            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                             "podSelector": {"matchLabels": {"tier": "back"}}}])),
                    ),
                ),
                ("shop/web", app("web", from(json!([{"namespaceSelector": {}}])))),
            ],
            spots: vec![
                ("shop/web > shop/db TCP/80", true),
                ("blog/page > shop/db TCP/80", false),
                ("shop/web > blog/page TCP/80", true),
                ("blog/cron > blog/page TCP/80", false),
                ("shop/db > blog/cron TCP/80", true),
                ("shop/web > blog/cron TCP/80", false),
                ("shop/db > open/inn TCP/80", true),
                ("shop/web > open/inn TCP/80", false),
                ("blog/cron > open/inn ICMP", true),
                ("open/hut > open/inn TCP/80", false),
                ("open/hut > shop/web UDP/80", true),
            ],
        },
        Case {
            what: "6: expressions, on labels that are there and on labels that are not",
            policies: expressions(),
            spots: vec![
                ("blog/cron > shop/web TCP/80", true),
                ("shop/db > shop/web TCP/80", false),
                ("open/hut > shop/db TCP/80", true),
                ("open/inn > shop/db TCP/80", false),
                ("blog/page > blog/cron TCP/80", true),
                ("shop/web > blog/cron TCP/80", false),
                ("open/hut > blog/page ICMP", true),
                ("shop/db > blog/page ICMP", false),
                ("open/hut > open/inn TCP/80", true),
                ("blog/cron > open/inn TCP/80", true),
                ("shop/web > open/inn TCP/80", false),
                ("open/inn > open/hut TCP/80", true),
                ("blog/cron > open/hut TCP/80", false),
            ],
        },
    ]
}

fn expressions() -> Vec<(&'static str, Value)> {
    let select = |key: &str, operator: &str, values: &[&str]| {
        let mut requirement = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            requirement["values"] = json!(values);
        }
        json!({"matchExpressions": [requirement]})
    };
    let pods = |selector: Value| from(json!([{"namespaceSelector": {}, "podSelector": selector}]));
    let namespaces = |selector: Value| from(json!([{"namespaceSelector": selector}]));
    let unlabelled = |mut policy: Value| {
        policy["podSelector"] = select("app", "DoesNotExist", &[]);
        policy
    };
    vec![
        ("shop/web", app("web", pods(select("app", "In", &["web", "cron"])))),
        ("shop/db", app("db", pods(select("app", "NotIn", &["web"])))),
        ("blog/cron", app("cron", pods(select("tier", "Exists", &[])))),
        ("blog/web", app("web", pods(select("tier", "DoesNotExist", &[])))),
        ("open/web", app("web", namespaces(select("team", "NotIn", &["red"])))),
        ("open/none", unlabelled(namespaces(select("team", "DoesNotExist", &[])))),
    ]
}

/// Cases that name addresses.
fn blocks(stage: &Stage) -> Vec<Case> {
    let block = |cidr: &str, except: &[String]| json!({"ipBlock": {"cidr": cidr, "except": except}});
    let one = |pod: &str| [true, false].map(|ipv4| stage.block(pod, ipv4, 32));
    let [page4, page6] = one("blog/page");
    let but_page = json!([
        block("10.244.0.0/16", std::slice::from_ref(&page4)),
        block("fd00:10:244::/48", std::slice::from_ref(&page6))
    ]);
    let nested = json!([
        block("0.0.0.0/0", &["10.244.0.0/16".to_owned(), "203.0.113.0/24".to_owned()]),
        block("10.244.1.0/24", &[stage.block("shop/web", true, 31)]),
        block("::/0", &["fd00::/8".to_owned(), "2001:db8:203::1/128".to_owned()]),
        block("fd00:10:244:1::/64", &[stage.block("shop/web", false, 31)]),
    ]);
    vec![
        Case {
            what: "7: an exception is one of its own entry only",
            policies: vec![
                ("shop/db", app("db", from(but_page.clone()))),
                ("shop/web", app("web", from(but_page.clone()))),
                ("shop/too", app("web", from(json!([block(&page4, &[]), block(&page6, &[])])))),
                (
                    "open/out",
                    egress(json!([{"to": [block("203.0.113.0/24", &[]), block("2001:db8::/32", &[])]}])),
                ),
            ],
            spots: vec![
                ("blog/page > shop/db TCP/80", false),
                ("blog/cron > shop/db TCP/80", true),
                ("blog/page > shop/web TCP/80", true),
                ("blog/cron > shop/web ICMP", true),
                ("open/inn > outside UDP/80", true),
                ("open/inn > blog/page UDP/80", false),
            ],
        },
        Case {
            what: "7: blocks in exceptions of blocks",
            policies: vec![
                ("blog/all", from(nested.clone())),
                (
                    "open/out",
                    egress(json!([{"to": nested, "ports": [{"port": 80}]}, {"to": [
                    {"podSelector": {}}], "ports": [{"port": "web", "protocol": "SCTP"}]}])),
                ),
            ],
            spots: vec![
                ("shop/db > blog/cron TCP/80", false),
                ("shop/web > blog/page TCP/80", false),
                ("open/inn > outside TCP/80", false),
                ("open/inn > shop/db TCP/80", false),
                ("open/inn > open/hut SCTP/80", true),
            ],
        },
        Case {
            what: "17: a block of one family says nothing of the other",
            policies: vec![
                ("shop/all", from(json!([block("0.0.0.0/0", &[])]))),
                ("blog/all", from(json!([block(&stage.block("shop/web", false, 32), &[])]))),
            ],
            spots: vec![],
        },
    ]
}

fn together() -> Vec<Case> {
    let open = |port: u16| ingress(json!([{"ports": [{"port": port}]}]));
    let names = ["shop/a", "shop/b", "shop/c"];
    let shut = ingress(json!([]));
    let add =
        |order: [usize; 3]| order.map(|n| (names[n], [open(80), shut.clone(), open(82)][n].clone())).to_vec();
    let spots = vec![
        ("blog/page > shop/web TCP/80", true),
        ("blog/page > shop/web TCP/81", false),
        ("blog/page > shop/web TCP/82", true),
    ];
    let all = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    vec![
        Case { what: "8: policies add up", policies: add([0, 1, 2]), spots: spots.clone() },
        Case {
            what: "4, 8: and without the open ones nothing is left",
            policies: vec![(names[1], shut.clone())],
            spots: vec![("blog/page > shop/web TCP/80", false)],
        },
        Case { what: "8: in whatever order they come", policies: add([1, 2, 0]), spots },
        Case {
            what: "9: its own node and itself always reach a pod",
            policies: everywhere(&all),
            spots: vec![
                ("shop/host1 > shop/web TCP/80", true),
                ("shop/host1 > shop/db TCP/80", false),
                ("shop/web > shop/host1 SCTP/80", true),
                ("shop/web > blog/host2 ICMP", false),
                ("shop/web > shop/web TCP/80", true),
                ("shop/web > open/hut TCP/80", false),
            ],
        },
        Case {
            what: "10: replies pass, and only replies",
            policies: vec![
                ("shop/shut", all.clone()),
                ("blog/shut", all),
                ("shop/in", app("db", from(json!([{"namespaceSelector": {}, "podSelector": {}}])))),
                ("blog/out", egress(json!([{"to": [{"namespaceSelector": {}}]}]))),
                ("shop/out", app("web", egress(json!([{"to": [{"podSelector": {}}]}])))),
            ],
            spots: vec![
                ("blog/page > shop/db TCP/80", true),
                ("shop/db > blog/page TCP/80", false),
                ("blog/cron > shop/db SCTP/80", true),
                ("shop/db > blog/cron SCTP/80", false),
                ("shop/web > shop/db ICMP", true),
                ("shop/db > shop/web ICMP", false),
                ("open/hut > shop/db UDP/80", true),
            ],
        },
        Case {
            what: "14: pods on a node's network are the node",
            policies: vec![
                ("shop/web", app("web", ingress(json!([])))),
                ("shop/db", app("db", from(json!([{"podSelector": {"matchLabels": {"app": "web"}}}])))),
                ("blog/all", from(json!([{"namespaceSelector": {}}]))),
                (
                    "open/all",
                    from(json!([
                    {"ipBlock": {"cidr": "172.30.0.0/24"}}, {"ipBlock": {"cidr": "fd00:30::/64"}},
                    {"ipBlock": {"cidr": "10.244.1.1/32"}}, {"ipBlock": {"cidr": "fd00:10:244:1::1/128"}},
                    {"ipBlock": {"cidr": "10.244.2.1/32"}}, {"ipBlock": {"cidr": "fd00:10:244:2::1/128"}}])),
                ),
            ],
            spots: vec![
                ("open/inn > shop/host1 TCP/80", true),
                ("open/inn > shop/web TCP/80", false),
                ("shop/web > shop/db TCP/80", true),
                ("shop/host1 > shop/db TCP/80", false),
                ("blog/host2 > blog/cron TCP/80", false),
                ("shop/host1 > open/inn TCP/80", true),
                ("shop/web > open/inn TCP/80", false),
            ],
        },
    ]
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

/// Line 13: only guests may talk to `blog/page`, and `blog/cron` is one.
fn guests_only(stage: &mut Stage, failures: &mut Failures) {
    let guest = json!([{"podSelector": {"matchLabels": {"app": "guest"}}}]);
    stage.policies(&[("blog/web", app("web", from(guest))), ("open/none", ingress(json!([])))]);
    stage.relabel("blog/cron", &labels(&[("app", "guest")]));
    failures.step(
        stage,
        "13: before the ends",
        &[("blog/cron > blog/page TCP/80", true), ("open/hut > blog/page TCP/80", false)],
    );
}

/// Blue teams may talk to `shop/web`.
fn blue_teams() -> (&'static str, Value) {
    let blue = json!([{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]);
    ("shop/web", app("web", from(blue)))
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

#[test]
fn a_pod_that_is_about_to_end_is_still_itself() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let mut cast = cast();
    for pod in &mut cast {
        // Its containers do not end before all of this is over.
        pod.lingers = if pod.name == "blog/page" { 25 } else { 0 };
    }
    let mut stage = Stage::up(2, &NAMESPACES, &cast);
    let mut failures = Failures::default();
    guests_only(&mut stage, &mut failures);

    // It keeps its policies: its node cannot take it away, the plugin being out of order.
    let (leaving, friend, stranger) =
        (stage.port("blog/page"), stage.port("blog/cron").open(), stage.port("shop/web").open());
    let plugin = stage.lab.folder().join("nodes/node-2/cni/bin/k-vswitch-cni");
    let aside = plugin.with_extension("aside");
    std::fs::rename(&plugin, &aside).unwrap();
    stage.api.delete_pod("blog", "page", false);
    std::thread::sleep(std::time::Duration::from_secs(1));
    for address in leaving.addresses() {
        let (_, lost) = Ping::start(&friend, address, 20).finish();
        let (sent, denied) = Ping::start(&stranger, address, 20).finish();
        let right = lost <= LATE && sent == denied;
        let what = format!("13: a terminating pod at {address}: friend lost {lost}, stranger {denied}");
        failures.note(if right { Ok(()) } else { Err(what) });
    }
    // And is still who it was for others.
    stage.policies(&[blue_teams()]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (_, lost) = Ping::start(&leaving.open(), stage.port("shop/web").ipv4, 20).finish();
    failures.note(if lost <= LATE {
        Ok(())
    } else {
        Err(format!("13: {lost} pings of a terminating peer lost"))
    });
    std::fs::rename(&aside, &plugin).unwrap();
    stage.leave(&["blog/page"]);
    stage.enter(&[cast.into_iter().find(|pod| pod.name == "blog/page").unwrap()]);
    failures.step(&stage, "13: the pod is back", &[("blog/page > shop/web TCP/80", true)]);
    failures.none(&stage);
}

#[test]
fn a_pod_that_has_completed_is_nobody() {
    if !possible() || !simulated("its kubelet writes a pod's status, and takes one away that has completed") {
        return;
    }
    let _alone = alone();
    let mut stage = Stage::up(2, &NAMESPACES, &cast());
    let mut failures = Failures::default();
    guests_only(&mut stage, &mut failures);

    // A pod that has completed, and whose addresses another one has now.
    let ghost = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "ghost", "namespace": "blog", "labels": {"app": "guest"}},
        "spec": {"nodeName": "nowhere", "containers": [{"name": "c", "image": IMAGE}]}});
    stage.lab.apply(&ghost);
    let held: Vec<Value> =
        stage.cluster.pods[&name("open/hut")].addresses.iter().map(|ip| json!({"ip": ip})).collect();
    stage.api.set_pod_status(
        "blog",
        "ghost",
        &json!({"phase": "Succeeded", "podIP": held[0]["ip"], "podIPs": held}),
    );
    std::thread::sleep(std::time::Duration::from_millis(500));
    failures.step(
        &stage,
        "13: the addresses of a completed pod are another's",
        &[("open/hut > blog/page TCP/80", false)],
    );
    stage.api.delete_pod("blog", "ghost", true);

    // A running pod completes: what selects it lets its address in no longer. Its sandbox goes on, in a lab.
    stage.policies(&[blue_teams()]);
    failures.step(&stage, "13: before it completes", &[("blog/cron > shop/web TCP/80", true)]);
    let done = stage.port("blog/cron");
    stage.api.set_pod_status("blog", "cron", &json!({"phase": "Succeeded"}));
    let to = stage.port("shop/web");
    let begin = std::time::Instant::now();
    let silent = || {
        let (sent, lost) = Ping::start(&done.open(), to.ipv6, 10).finish();
        sent == lost
    };
    while !silent() && begin.elapsed().as_secs() < 10 {}
    failures.note(if silent() { Ok(()) } else { Err("13: a completed pod is still a peer".to_owned()) });
    failures.none(&stage);
}
