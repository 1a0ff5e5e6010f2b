//! Clusters in which something is missing.

use serde_json::json;

use super::super::finding::Verdict;
use super::*;

fn node(accepted: &str, ready: &str, mtu: u16) -> Node {
    let now = "2026-01-01T00:00:00Z";
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "R", "message": format!("about {kind}"),
               "lastTransitionTime": now})
    };
    let config = json!({
        "apiVersion": "kvswitch.io/v1alpha1", "kind": "VSwitchConfig", "metadata": {"name": "a"},
        "spec": {"clusterCIDR": "10.244.0.0/16,fd00:10:244::/48", "podCIDR": "10.244.1.0/24,fd00:10:244:1::/64",
                 "serviceCIDR": "10.96.0.0/16", "overlayType": "vxlan", "overlayIP": "192.0.2.1"},
        "status": {"mtu": mtu, "conditions": [condition("Accepted", accepted), condition("Ready", ready)]},
    });
    Node {
        name: "a".into(),
        pod_cidrs: vec!["10.244.1.0/24".into()],
        config: Some(serde_json::from_value(config).unwrap()),
        ..Node::default()
    }
}

fn said(nodes: &[Node], installed: bool, api_service: Option<&str>) -> Vec<(Verdict, String)> {
    let api_service = api_service.map(|address| address.parse().unwrap());
    let facts = Facts { nodes: nodes.to_vec(), installed, api_service };
    check(&facts, None).into_iter().map(|f| (f.result, f.found)).collect()
}

#[test]
fn a_node_that_is_ready_is_well() {
    let ready = node("True", "True", 1450);
    assert_eq!(said(std::slice::from_ref(&ready), true, Some("10.96.0.1"))[0].0, Verdict::Ok);
    let gateways: Vec<String> = ready.gateways().iter().map(ToString::to_string).collect();
    assert_eq!(gateways, ["10.244.1.1", "fd00:10:244:1::1"]);
}

#[test]
fn what_a_node_lacks_is_named() {
    let one = |node: Node, installed| {
        let found = said(&[node], installed, None);
        assert!(found.len() == 1 && found[0].0 == Verdict::Problem, "{found:?}");
        found[0].1.clone()
    };
    assert!(one(Node { pod_cidrs: vec![], ..node("True", "True", 1450) }, true).contains("no pod CIDR"));
    assert!(one(Node { config: None, ..node("True", "True", 1450) }, true).contains("no VSwitchConfig"));
    assert!(one(node("False", "True", 1450), true).contains("not accepted: about Accepted"));
    assert!(one(node("True", "False", 1450), true).contains("not ready: about Ready"));
    let before = said(&[Node { config: None, ..node("True", "True", 1450) }], false, None);
    assert!(before[0].0 == Verdict::Ok && before[0].1.contains("not installed"));
}

#[test]
fn what_does_not_agree_is_named() {
    let wrong = said(&[node("True", "True", 1450)], true, Some("10.43.0.1"));
    assert!(wrong[0].0 == Verdict::Problem && wrong[0].1.contains("10.43.0.1"), "{wrong:?}");
    let mtus = said(&[node("True", "True", 1450), node("True", "True", 1400)], true, None);
    assert!(mtus[0].0 == Verdict::Note && mtus[0].1.contains("1400 on some nodes"), "{mtus:?}");
}
