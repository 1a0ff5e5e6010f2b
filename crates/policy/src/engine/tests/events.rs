//! What one event changes, and that it changes nothing else.

use serde_json::json;

use super::cluster::{Cluster, ME, from, labels, name, pod, to, with_port};
use crate::rules::{Change, Direction, Peers, Protocol, SubjectId};

fn kinds(changes: &[Change]) -> Vec<&'static str> {
    let kind = |change: &Change| match change {
        Change::Address(..) => "address",
        Change::Namespace(..) => "namespace",
        Change::Labels(..) => "labels",
        Change::Cidr(..) => "cidr",
        Change::Policy(..) => "policy",
        Change::Subject(..) => "subject",
    };
    changes.iter().map(kind).collect()
}

fn web() -> serde_json::Value {
    from(json!({"podSelector": {"matchLabels": {"app": "web"}}}))
}

#[test]
fn a_policy_over_known_selectors_is_one_policy_and_its_subjects() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", web());
    cluster.engine.policy(&name("a/q"), &super::cluster::spec(web()));
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject"]);
    cluster.engine.policy_gone(&name("a/q"));
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject"]);
}

#[test]
fn a_policy_that_selects_nobody_here_changes_nothing() {
    let mut cluster = Cluster::new();
    cluster.engine.policy(&name("b/p"), &super::cluster::spec(web()));
    assert_eq!(cluster.follow(), []);
}

#[test]
fn a_pod_is_its_addresses() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", web());
    cluster.pod("a/web2", "app=web", &["10.0.0.8", "fd00::8"]);
    assert_eq!(kinds(&cluster.follow()), ["address", "address"]);
    cluster.pod("a/web2", "app=db", &["10.0.0.8", "fd00::8"]);
    assert_eq!(kinds(&cluster.follow()), ["address", "address"]);
    cluster.pod("a/web2", "app=web new=label", &["10.0.0.8"]);
    assert_eq!(
        kinds(&cluster.follow()),
        ["address", "address", "labels"],
        "its labels are new, its class is known"
    );
    cluster.engine.pod_gone(&name("a/web2"));
    assert_eq!(kinds(&cluster.follow()), ["address", "labels"]);
}

#[test]
fn a_relabelled_namespace_is_one_class_and_verdicts_only_if_it_is_new() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"namespaceSelector": {"matchLabels": {"name": "b"}}})));
    cluster.engine.namespace("a", &labels("name=b"));
    assert_eq!(kinds(&cluster.follow()), ["namespace"]);
    cluster.policy("a/q", from(json!({"namespaceSelector": {"matchLabels": {"tier": "x"}}})));
    cluster.engine.namespace("a", &labels("name=b tier=x"));
    assert_eq!(kinds(&cluster.follow()), ["namespace", "policy", "policy"]);
    cluster.engine.namespace("a", &labels("name=b other=x"));
    assert_eq!(
        kinds(&cluster.follow()),
        ["namespace", "policy", "policy"],
        "classes go with the last who has them"
    );
}

#[test]
fn what_comes_and_goes_between_two_questions_is_not_told() {
    let mut cluster = Cluster::new();
    cluster
        .engine
        .policy(&name("a/p"), &super::cluster::spec(to(json!({"ipBlock": {"cidr": "10.0.0.0/8"}}))));
    cluster.engine.policy(&name("a/q"), &super::cluster::spec(web()));
    cluster.pod("c/x", "app=x", &["10.0.0.7"]);
    cluster.engine.namespace("c", &labels("name=b"));
    cluster.engine.policy_gone(&name("a/p"));
    cluster.engine.policy_gone(&name("a/q"));
    cluster.engine.pod_gone(&name("c/x"));
    cluster.engine.namespace_gone("c");
    assert_eq!(cluster.follow(), []);
}

#[test]
fn the_later_claim_on_an_address_counts_and_then_the_earlier_again() {
    let mut cluster = Cluster::new();
    let web = cluster.tables.addresses[&"10.0.0.1".parse().unwrap()];
    cluster.pod("b/db", "app=db", &["10.0.1.2", "10.0.0.1"]);
    assert_eq!(kinds(&cluster.follow()), ["address"]);
    // Being heard of again is no new claim.
    cluster.pod("a/web", "app=web", &["10.0.0.1"]);
    assert_eq!(cluster.follow(), []);
    // Nor is a change of whoever does not have it.
    cluster.pod("a/web", "app=db", &["10.0.0.1"]);
    assert!(!kinds(&cluster.follow()).contains(&"address"));
    cluster.pod("a/web", "app=web", &["10.0.0.1"]);
    cluster.follow();
    cluster.engine.pod_gone(&name("b/db"));
    cluster.follow();
    assert_eq!(cluster.tables.addresses[&"10.0.0.1".parse().unwrap()], web);
}

#[test]
fn replicas_and_revisions_share_labels_until_a_policy_asks_for_the_difference() {
    let mut cluster = Cluster::new();
    let ids = |cluster: &Cluster| {
        let id = |address: &str| cluster.tables.addresses[&address.parse().unwrap()].1;
        (id("10.0.0.11"), id("10.0.0.12"))
    };
    for (index, address) in ["10.0.0.11", "10.0.0.12"].into_iter().enumerate() {
        let text =
            format!("app=set statefulset.kubernetes.io/pod-name=set-{index} batch.kubernetes.io/x={index}");
        cluster.pod(&format!("a/set-{index}"), &text, &[address]);
    }
    cluster.follow();
    let (one, two) = ids(&cluster);
    assert_eq!(one, two);
    // Of the subjects a policy may ask what it likes.
    let key = "statefulset.kubernetes.io/pod-name";
    cluster.policy("b/q", json!({"podSelector": {"matchLabels": {key: "set-0"}}}));
    assert_eq!(ids(&cluster), (one, two));
    // Somewhere, not for a pod of this node.
    cluster.engine.policy(
        &name("b/p"),
        &super::cluster::spec(from(json!({"podSelector": {"matchLabels": {key: "set-1"}}}))),
    );
    assert_eq!(kinds(&cluster.follow()), ["address", "address"]);
    let (a, b) = ids(&cluster);
    assert!(a != b && a != one && b != one);
    cluster.policy("a/p", from(json!({"podSelector": {"matchLabels": {key: "set-1"}}})));
    assert_eq!(["10.0.0.11", "10.0.0.12"].map(|peer| cluster.passes_from(peer, 80)), [false, true]);
    cluster.engine.policy_gone(&name("a/p"));
    cluster.engine.policy_gone(&name("b/p"));
    cluster.follow();
    assert_eq!(ids(&cluster), (one, two));
}

#[test]
fn only_where_ports_have_names_is_there_a_policy_per_way_to_resolve_them() {
    let mut cluster = Cluster::new();
    for (id, port) in [(2, 80), (3, 80), (4, 8080)] {
        let me = with_port(pod("a/x", "", &[]), "http", Protocol::Tcp, port);
        cluster
            .engine
            .subject(SubjectId(id), &with_port(me, "other", Protocol::Tcp, u16::try_from(id).unwrap()));
    }
    cluster.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": "http"}]}], "egress": [{"ports": [{"port": 53}]}]}),
    );
    // Nobody's, 80 and 8080, and egress.
    assert_eq!(cluster.tables.policies.len(), 4);
    let chain = |id| cluster.tables.subjects[&(SubjectId(id), Direction::Ingress)].clone();
    assert_eq!(chain(2), chain(3));
    assert!(chain(2) != chain(4) && chain(1) != chain(2));
    cluster.engine.subject_gone(SubjectId(4));
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject", "subject"]);
}

#[test]
fn a_set_of_blocks_costs_its_prefixes_one_class_and_one_peer() {
    let mut cluster = Cluster::new();
    let block = |n: usize| json!({"ipBlock": {"cidr": format!("100.{}.{}.0/24", n / 100, n % 100 * 2)}});
    let peers: Vec<_> = (0..300).map(block).collect();
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": peers}]}));
    assert_eq!(cluster.tables.cidrs.len(), 300);
    let classes: std::collections::BTreeSet<_> = cluster.tables.cidrs.values().collect();
    assert_eq!(classes.len(), 1);
    let verdict = cluster.tables.policies.values().next().unwrap();
    assert!(matches!(&verdict.rules[0].peers, Peers::Some(peers) if peers.len() == 1));
    // The same set in another policy adds no entry.
    let peers: Vec<_> = (0..300).rev().map(block).collect();
    cluster.engine.policy(
        &name("a/q"),
        &super::cluster::spec(json!({"podSelector": {}, "ingress": [{"from": peers}]})),
    );
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject"]);
}

#[test]
fn an_exception_inside_another_set_is_an_entry_without_a_class() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.1.0/24"]}})));
    let text = |cluster: &Cluster| {
        let entries = cluster.tables.cidrs.iter();
        entries.map(|((_, cidr), class)| format!("{cidr} {}", class.is_some())).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(text(&cluster), "10.0.0.0/8 true, 10.0.1.0/24 false");
    cluster.policy("a/q", from(json!({"ipBlock": {"cidr": "10.0.1.0/24"}})));
    assert_eq!(text(&cluster), "10.0.0.0/8 true, 10.0.1.0/24 true");
    assert_eq!(cluster.senders(), "a/web a/db b/web b/db");
    cluster.engine.policy_gone(&name("a/p"));
    cluster.follow();
    assert_eq!(text(&cluster), "10.0.1.0/24 true");
    assert_eq!(cluster.senders(), "b/web b/db");
}

#[test]
fn a_subject_that_moves_has_other_policies() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "me"}}}));
    cluster.engine.subject(ME, &pod("a/me", "app=you", &[]));
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject"]);
    cluster.engine.subject(ME, &pod("a/me", "app=me", &[]));
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject"]);
    cluster.engine.subject_gone(ME);
    assert_eq!(kinds(&cluster.follow()), ["policy", "subject"]);
}
