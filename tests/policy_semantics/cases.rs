//! Sets of policies, line by line of what their fields mean.

use serde_json::{Value, json};
use system_tests::stage::Stage;

use crate::{app, egress, from, ingress};

/// A set of policies, and what a person expects of it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) policies: Vec<(&'static str, Value)>,
    pub(crate) spots: Vec<(&'static str, bool)>,
}

fn everywhere(policy: &Value) -> Vec<(&'static str, Value)> {
    ["shop/all", "blog/all", "open/all"].map(|name| (name, policy.clone())).to_vec()
}

pub(crate) fn ports() -> Vec<Case> {
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

pub(crate) fn rules() -> Vec<Case> {
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
pub(crate) fn blocks(stage: &Stage) -> Vec<Case> {
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

pub(crate) fn together() -> Vec<Case> {
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
