//! What NetworkPolicy means: the lines of the API's documentation, one test each.

use serde_json::json;

use super::cluster::{ALL, Cluster, ME, from, labels, name, pod, spec, to, with_port};
use crate::rules::{Direction, Protocol, SubjectId};

fn icmp(cluster: &Cluster) -> bool {
    cluster.tables.passes(Direction::Ingress, ME, "10.0.0.1", (None, 0))
}

#[test]
fn a_named_port_on_ingress_is_the_subjects_own() {
    let mut cluster = Cluster::new();
    let other = SubjectId(2);
    cluster.engine.subject(ME, &with_port(pod("a/me", "", &[]), "http", Protocol::Tcp, 8080));
    cluster.engine.subject(other, &with_port(pod("a/other", "", &[]), "http", Protocol::Tcp, 9090));
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}));
    assert!(cluster.passes_from("10.0.0.1", 8080) && !cluster.passes_from("10.0.0.1", 9090));
    let passes =
        |port| cluster.tables.passes(Direction::Ingress, other, "10.0.0.1", (Some(Protocol::Tcp), port));
    assert!(passes(9090) && !passes(8080));
}

#[test]
fn a_named_port_on_egress_is_the_destinations() {
    let mut cluster = Cluster::new();
    let declare = |cluster: &mut Cluster, id: &str, app: &str, address: &str, port| {
        cluster.engine.pod(&name(id), &with_port(pod(id, app, &[address]), "http", Protocol::Tcp, port));
    };
    declare(&mut cluster, "a/web", "app=web", "10.0.0.1", 8080);
    declare(&mut cluster, "b/web", "app=web", "10.0.1.1", 9090);
    cluster.policy(
        "a/p",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": "http"}]}]}),
    );
    assert!(cluster.passes_to("10.0.0.1", 8080) && !cluster.passes_to("10.0.0.1", 9090));
    assert!(cluster.passes_to("10.0.1.1", 9090) && !cluster.passes_to("10.0.1.1", 8080));
    assert!(!cluster.passes_to("10.0.0.2", 8080) && !cluster.passes_to("192.0.2.1", 8080));
    // A pod that gives the name another number later on.
    declare(&mut cluster, "a/db", "app=db", "10.0.0.2", 7070);
    cluster.follow();
    assert!(cluster.passes_to("10.0.0.2", 7070) && !cluster.passes_to("10.0.0.2", 8080));
}

#[test]
fn a_named_port_and_a_peer_must_both_hold() {
    for (peer, reaches) in [
        (json!({"podSelector": {"matchLabels": {"app": "web"}}}), [true, false, false]),
        (json!({"ipBlock": {"cidr": "10.0.1.0/24"}}), [false, false, true]),
        (json!({"namespaceSelector": {}}), [true, true, true]),
    ] {
        let mut cluster = Cluster::new();
        for (id, app, address) in
            [("a/web", "app=web", "10.0.0.1"), ("a/db", "app=db", "10.0.0.2"), ("b/db", "app=db", "10.0.1.2")]
        {
            cluster.engine.pod(&name(id), &with_port(pod(id, app, &[address]), "http", Protocol::Tcp, 8080));
        }
        let rule = json!({"to": [peer], "ports": [{"port": "http"}]});
        cluster.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}));
        let found = ["10.0.0.1", "10.0.0.2", "10.0.1.2"].map(|peer| cluster.passes_to(peer, 8080));
        assert_eq!(found, reaches, "{peer}");
        assert!(!cluster.passes_to("10.0.1.1", 8080), "b/web has no such port");
    }
}

#[test]
fn a_name_that_no_port_has_matches_nothing() {
    let mut cluster = Cluster::new();
    let ports = json!([{"ports": [{"port": "http"}]}]);
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": ports, "egress": ports}));
    assert_eq!((cluster.senders(), cluster.receivers()), (String::new(), String::new()));
}

#[test]
fn a_name_of_another_protocol_is_another_name() {
    let mut cluster = Cluster::new();
    cluster.engine.subject(ME, &with_port(pod("a/me", "", &[]), "dns", Protocol::Udp, 53));
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "dns"}]}]}));
    assert!(!cluster.passes_from("10.0.0.1", 53));
    let udp = (Some(Protocol::Udp), 53);
    assert!(!cluster.tables.passes(Direction::Ingress, ME, "10.0.0.1", udp), "no protocol means TCP");
}

#[test]
fn all_numbers_that_a_pod_gives_a_name_count() {
    let mut cluster = Cluster::new();
    let me = with_port(pod("a/me", "", &[]), "http", Protocol::Tcp, 80);
    cluster.engine.subject(ME, &with_port(me, "http", Protocol::Tcp, 8080));
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": "http"}]}]}));
    assert!(cluster.passes_from("10.0.0.1", 80) && cluster.passes_from("10.0.0.1", 8080));
}

#[test]
fn no_protocol_means_tcp_and_no_port_every_port() {
    let mut cluster = Cluster::new();
    let passes = |cluster: &Cluster, protocol, port| {
        cluster.tables.passes(Direction::Ingress, ME, "10.0.0.1", (Some(protocol), port))
    };
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"port": 53}]}]}));
    assert!(passes(&cluster, Protocol::Tcp, 53) && !passes(&cluster, Protocol::Udp, 53));
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [{"protocol": "UDP"}]}]}));
    assert!(passes(&cluster, Protocol::Udp, 1) && passes(&cluster, Protocol::Udp, 65535));
    assert!(!passes(&cluster, Protocol::Tcp, 1) && !passes(&cluster, Protocol::Sctp, 1) && !icmp(&cluster));
}

#[test]
fn a_range_includes_both_ends() {
    let mut cluster = Cluster::new();
    let port = json!({"port": 80, "endPort": 90});
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [port]}]}));
    let passing: Vec<u16> = (70..100).filter(|port| cluster.passes_from("10.0.0.1", *port)).collect();
    assert_eq!(passing, (80..=90).collect::<Vec<_>>());
}

#[test]
fn ingress_is_isolated_always_and_egress_if_there_are_rules() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", json!({"podSelector": {}}));
    assert_eq!((&*cluster.senders(), &*cluster.receivers()), ("", ALL));
    cluster.policy("a/p", json!({"podSelector": {}, "egress": []}));
    assert_eq!((&*cluster.senders(), &*cluster.receivers()), ("", ALL));
    cluster.policy("a/p", json!({"podSelector": {}, "egress": [{"ports": [{"port": 443}]}]}));
    assert_eq!((&*cluster.senders(), &*cluster.receivers()), ("", ""));
}

#[test]
fn listed_types_isolate_with_or_without_rules() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]}));
    assert_eq!((&*cluster.senders(), &*cluster.receivers()), (ALL, ""));
    let rules = json!([{"ports": [{"port": 443}]}]);
    cluster.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress"], "egress": rules}));
    assert_eq!((&*cluster.senders(), &*cluster.receivers()), ("", ALL));
}

#[test]
fn no_rules_allow_nothing_and_an_empty_one_everything() {
    let mut cluster = Cluster::new();
    for ingress in [json!(null), json!([])] {
        cluster.policy("a/p", json!({"podSelector": {}, "ingress": ingress}));
        assert_eq!(cluster.senders(), "");
        assert_eq!(cluster.tables.policies.len(), 1, "an empty verdict is an entry");
    }
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": [], "ports": []}]}));
    assert_eq!(cluster.senders(), ALL);
    assert!(icmp(&cluster));
}

#[test]
fn a_pod_selector_alone_means_the_policys_namespace() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"podSelector": {"matchLabels": {"app": "web"}}})));
    assert_eq!(cluster.senders(), "a/web");
    cluster.policy("a/p", from(json!({"podSelector": {}})));
    assert_eq!(cluster.senders(), "a/web a/db");
}

#[test]
fn a_namespace_selector_alone_means_all_their_pods() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"namespaceSelector": {"matchLabels": {"name": "b"}}})));
    assert_eq!(cluster.senders(), "b/web b/db");
    cluster.policy("a/p", from(json!({"namespaceSelector": {}})));
    assert_eq!(cluster.senders(), "a/web a/db b/web b/db");
}

#[test]
fn both_in_one_peer_mean_and_two_peers_or() {
    let (web, b) = (json!({"matchLabels": {"app": "web"}}), json!({"matchLabels": {"name": "b"}}));
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"namespaceSelector": b, "podSelector": web})));
    assert_eq!(cluster.senders(), "b/web");
    let peers = json!([{"namespaceSelector": b}, {"podSelector": web}]);
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": peers}]}));
    assert_eq!(cluster.senders(), "a/web b/web b/db");
    cluster.policy("a/p", from(json!({"namespaceSelector": {}, "podSelector": web})));
    assert_eq!(cluster.senders(), "a/web b/web");
    cluster.policy("a/p", from(json!({"namespaceSelector": b, "podSelector": {}})));
    assert_eq!(cluster.senders(), "b/web b/db");
}

#[test]
fn match_expressions_mean_what_they_say() {
    for (operator, values, passing) in [
        ("In", json!(["web", "x"]), "a/web"),
        ("NotIn", json!(["web"]), "a/db a/bare"),
        ("Exists", json!(null), "a/web a/db"),
        ("DoesNotExist", json!(null), "a/bare"),
    ] {
        let mut cluster = Cluster::new();
        cluster.pod("a/bare", "", &["10.0.0.3"]);
        let one = json!({"key": "app", "operator": operator, "values": values});
        cluster.policy("a/p", from(json!({"podSelector": {"matchExpressions": [one]}})));
        let bare = cluster.passes_from("10.0.0.3", 80).then_some("a/bare".to_owned());
        let all: Vec<String> =
            [cluster.senders()].into_iter().filter(|all| !all.is_empty()).chain(bare).collect();
        assert_eq!(all.join(" "), passing, "{operator}");
    }
}

#[test]
fn an_exception_subtracts_only_from_its_own_block() {
    let block = json!({"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.1.0/24"]}});
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(block.clone()));
    assert_eq!(cluster.senders(), "a/web a/db");
    let peers = json!([block, {"ipBlock": {"cidr": "10.0.1.2/32"}}]);
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"from": peers}]}));
    assert_eq!(cluster.senders(), "a/web a/db b/db");
    cluster.policy("a/q", from(json!({"namespaceSelector": {"matchLabels": {"name": "b"}}})));
    assert_eq!(cluster.senders(), "a/web a/db b/web b/db");
}

#[test]
fn a_block_means_pods_and_everybody_else() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", to(json!({"ipBlock": {"cidr": "0.0.0.0/0"}})));
    assert_eq!((cluster.receivers(), cluster.passes_to("2001:db8::1", 80)), (ALL.to_owned(), false));
    assert_eq!(cluster.senders(), ALL, "the tables of directions are apart");
}

#[test]
fn a_block_with_host_bits_is_its_network() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.policy("a/p", from(json!({"ipBlock": {"cidr": "10.0.1.77/24"}}))), []);
    assert_eq!(cluster.senders(), "b/web b/db");
}

#[test]
fn policies_add_up_in_any_order() {
    let (web, db) = (
        from(json!({"podSelector": {"matchLabels": {"app": "web"}}})),
        from(json!({"podSelector": {"matchLabels": {"app": "db"}}})),
    );
    let (mut one, mut two) = (Cluster::new(), Cluster::new());
    one.policy("a/p", web.clone());
    one.policy("a/q", db.clone());
    two.policy("a/q", db);
    two.policy("a/p", web);
    assert_eq!(one.senders(), "a/web a/db");
    assert_eq!(one.tables, two.tables);
}

#[test]
fn a_rule_for_one_protocol_isolates_for_all() {
    for protocol in ["UDP", "SCTP"] {
        let mut cluster = Cluster::new();
        let port = json!({"protocol": protocol, "port": 80});
        cluster.policy("a/p", json!({"podSelector": {}, "ingress": [{"ports": [port]}]}));
        assert_eq!((&*cluster.senders(), icmp(&cluster)), ("", false));
    }
}

#[test]
fn other_protocols_pass_where_no_ports_are_named() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"podSelector": {}})));
    assert!(icmp(&cluster));
    let rule = json!({"from": [{"podSelector": {}}], "ports": [{"port": 80}]});
    cluster.policy("a/p", json!({"podSelector": {}, "ingress": [rule]}));
    assert!(!icmp(&cluster));
}

#[test]
fn an_address_that_goes_to_another_pod_is_that_pods() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"podSelector": {"matchLabels": {"app": "web"}}})));
    // The completed pod's address is given away before it is gone.
    cluster.pod("a/new", "app=db", &["10.0.0.1"]);
    cluster.follow();
    assert!(!cluster.passes_from("10.0.0.1", 80));
    cluster.engine.pod_gone(&name("a/web"));
    assert_eq!(
        cluster.follow().iter().filter(|change| matches!(change, crate::rules::Change::Address(..))).count(),
        0
    );
}

#[test]
fn a_subject_keeps_its_policies_when_its_pod_has_gone() {
    let mut cluster = Cluster::new();
    cluster.pod("a/me", "app=me", &["10.0.0.9"]);
    cluster.policy("a/p", json!({"podSelector": {"matchLabels": {"app": "me"}}}));
    cluster.engine.pod_gone(&name("a/me"));
    cluster.follow();
    assert_eq!(cluster.senders(), "");
}

#[test]
fn all_addresses_of_a_pod_are_selected() {
    let mut cluster = Cluster::new();
    cluster.pod("a/web", "app=web", &["10.0.0.1", "fd00::1", "::ffff:10.0.0.5"]);
    cluster.policy("a/p", from(json!({"podSelector": {"matchLabels": {"app": "web"}}})));
    let passes = ["10.0.0.1", "fd00::1", "10.0.0.5", "fd00::2"].map(|peer| cluster.passes_from(peer, 80));
    assert_eq!(passes, [true, true, true, false]);
}

#[test]
fn what_is_relabelled_moved_or_edited_takes_effect() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", from(json!({"podSelector": {"matchLabels": {"app": "web"}}})));
    cluster.pod("a/db", "app=web", &["10.0.0.2"]);
    cluster.follow();
    assert_eq!(cluster.senders(), "a/web a/db");
    cluster.pod("a/db", "app=web", &["10.0.0.3"]);
    cluster.follow();
    assert_eq!((&*cluster.senders(), cluster.passes_from("10.0.0.3", 80)), ("a/web", true));
    cluster.policy("a/p", from(json!({"namespaceSelector": {"matchLabels": {"name": "b"}}})));
    assert_eq!(cluster.senders(), "b/web b/db");
    cluster.engine.namespace("b", &labels("name=c"));
    cluster.follow();
    assert_eq!(cluster.senders(), "");
    cluster.engine.policy_gone(&name("a/p"));
    cluster.follow();
    assert_eq!(cluster.senders(), ALL);
}

#[test]
fn a_namespace_that_is_not_known_is_only_in_all_namespaces() {
    let absent = json!({"matchExpressions": [{"key": "name", "operator": "DoesNotExist"}]});
    for (selector, passes) in [(json!({}), true), (absent, false)] {
        let mut cluster = Cluster::new();
        cluster.pod("c/web", "app=web", &["10.0.2.1"]);
        cluster.policy("a/p", from(json!({"namespaceSelector": selector})));
        assert_eq!(cluster.passes_from("10.0.2.1", 80), passes);
        cluster.engine.namespace("c", &labels(""));
        cluster.follow();
        assert!(cluster.passes_from("10.0.2.1", 80));
    }
}

#[test]
fn a_policy_selects_in_its_own_namespace_only() {
    let mut cluster = Cluster::new();
    cluster.policy("b/p", json!({"podSelector": {}}));
    assert_eq!(cluster.senders(), ALL);
    assert!(cluster.tables.policies.is_empty());
    cluster.engine.subject(ME, &pod("b/me", "", &[]));
    cluster.follow();
    assert_eq!(cluster.senders(), "");
}

#[test]
fn people_can_ask_which_policies_select_a_pod() {
    let mut cluster = Cluster::new();
    cluster.policy("a/p", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    cluster.engine.policy(&name("a/q"), &spec(json!({"podSelector": {"matchLabels": {"app": "none"}}})));
    let found: Vec<_> = cluster.engine.selecting(ME).collect();
    let directions: Vec<_> =
        found.iter().map(|(name, direction, _)| (name.name.as_str(), *direction)).collect();
    assert_eq!(directions, [("p", Direction::Ingress), ("p", Direction::Egress)]);
    for (policy, direction, id) in found {
        assert_eq!(cluster.engine.policy_of(id), Some((policy, direction)));
        assert_eq!(cluster.tables.subjects[&(ME, direction)][..], [id]);
    }
}
