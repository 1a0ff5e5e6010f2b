//! What the API server would have refused: it allows nothing, isolates all the same, and is told.

// JSON is written where it is given.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::cluster::{ALL, Cluster, from, name};

/// The paths of what is wrong, where a policy is that allows only what is wrong.
fn wrong(policy: Value) -> Vec<String> {
    let mut cluster = Cluster::new();
    let problems = cluster.policy("a/p", policy.clone());
    assert_eq!(cluster.senders(), "", "{policy} allows something");
    let known: Vec<_> =
        cluster.engine.problems().map(|(name, problem)| (name.clone(), problem.clone())).collect();
    assert_eq!(known, problems.iter().map(|one| (name("a/p"), one.clone())).collect::<Vec<_>>());
    assert!(problems.iter().all(|problem| problem.message.len() > 10), "{problems:?}");
    problems.into_iter().map(|problem| problem.path).collect()
}

#[test]
fn a_port_that_is_wrong_allows_nothing() {
    for (port, field) in [
        (json!({"protocol": "ICMP", "port": 80}), "protocol"),
        (json!({"protocol": "tcp"}), "protocol"),
        (json!({"protocol": ""}), "protocol"),
        (json!({"port": 0}), "port"),
        (json!({"port": 65536}), "port"),
        (json!({"port": -1}), "port"),
        (json!({"port": 1, "endPort": 65536}), "port"),
        (json!({"port": 90, "endPort": 80}), "endPort"),
        (json!({"endPort": 80}), "endPort"),
        (json!({"port": "http", "endPort": 80}), "endPort"),
        (json!({"port": "80"}), "port"),
        (json!({"port": ""}), "port"),
    ] {
        let policy = json!({"podSelector": {}, "ingress": [{}, {"ports": [port]}]});
        let mut with_a_good_rule = Cluster::new();
        with_a_good_rule.policy("a/p", policy);
        assert_eq!(with_a_good_rule.senders(), ALL, "the other rule stands");
        let found = wrong(json!({"podSelector": {}, "ingress": [{"ports": [port]}]}));
        assert_eq!(found, [format!("spec.ingress[0].ports[0].{field}")], "{port}");
    }
}

#[test]
fn a_peer_that_is_wrong_matches_nobody() {
    let peer = |peer: Value| wrong(from(peer));
    assert_eq!(peer(json!({})), ["spec.ingress[0].from[0]"]);
    let both = json!({"ipBlock": {"cidr": "0.0.0.0/0"}, "podSelector": {}});
    assert_eq!(peer(both), ["spec.ingress[0].from[0]"]);
    for (one, field) in [
        (json!({"key": "app", "operator": "Equals", "values": ["web"]}), "operator"),
        (json!({"key": "app", "operator": "In"}), "values"),
        (json!({"key": "app", "operator": "NotIn", "values": []}), "values"),
        (json!({"key": "app", "operator": "Exists", "values": ["web"]}), "values"),
        (json!({"key": "", "operator": "DoesNotExist"}), "key"),
        (json!({"key": ":TCP:http", "operator": "DoesNotExist"}), "key"),
    ] {
        for kind in ["podSelector", "namespaceSelector"] {
            let path = format!("spec.ingress[0].from[0].{kind}.matchExpressions[0].{field}");
            assert_eq!(peer(json!({kind: {"matchExpressions": [one]}})), [path], "{one}");
        }
    }
}

#[test]
fn a_block_that_is_wrong_contains_nobody() {
    for (block, path) in [
        (json!({"cidr": "10.0.0.0"}), "cidr"),
        (json!({"cidr": "10.0.0.0/33"}), "cidr"),
        (json!({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}), "except[0]"),
        (json!({"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/8"]}), "except[1]"),
        (json!({"cidr": "10.0.0.0/8", "except": ["all"]}), "except[0]"),
    ] {
        assert_eq!(
            wrong(from(json!({"ipBlock": block}))),
            [format!("spec.ingress[0].from[0].ipBlock.{path}")]
        );
    }
}

#[test]
fn a_wrong_peer_takes_nothing_from_the_others() {
    let mut cluster = Cluster::new();
    let peers = json!([{}, {"podSelector": {"matchLabels": {"app": "web"}}}, {"ipBlock": {"cidr": "x"}},
        {"ipBlock": {"cidr": "10.0.1.1/32"}}]);
    let problems = cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": peers}]}));
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["spec.ingress[0].from[0]", "spec.ingress[0].from[2].ipBlock.cidr"]);
    assert_eq!(cluster.senders(), "a/web b/web");
}

#[test]
fn a_wrong_selector_of_subjects_selects_all_and_allows_nothing() {
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "Is", "values": ["x"]}]});
    let found = wrong(
        json!({"podSelector": selector, "ingress": [{}, {"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}]}),
    );
    assert_eq!(found, ["spec.podSelector.matchExpressions[0].operator"]);
}

#[test]
fn a_wrong_type_isolates_in_both_directions() {
    let mut cluster = Cluster::new();
    let rules = json!([{"to": [{"podSelector": {}}]}]);
    let policy = json!({"podSelector": {}, "policyTypes": ["Ingress", "egress"], "egress": rules});
    let problems = cluster.policy("a/p", policy);
    assert_eq!(problems[0].path, "spec.policyTypes[1]");
    assert_eq!((&*cluster.senders(), &*cluster.receivers()), ("", "a/web a/db"));
}

#[test]
fn what_is_put_right_is_no_problem_any_more() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.policy("a/p", from(json!({}))).len(), 1);
    assert_eq!(cluster.policy("a/p", from(json!({"podSelector": {}}))), []);
    assert_eq!(cluster.engine.problems().count(), 0);
    cluster.policy("a/p", from(json!({})));
    cluster.engine.policy_gone(&name("a/p"));
    assert_eq!(cluster.engine.problems().count(), 0);
}
