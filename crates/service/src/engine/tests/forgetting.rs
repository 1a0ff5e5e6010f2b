//! Connections of UDP that must be forgotten.

use super::build::*;
use crate::lb::*;
use crate::spec::*;

const IP: &str = "10.96.0.1";

fn forgotten(changes: &[Change]) -> Vec<(Frontend, Option<String>)> {
    let forgotten = changes.iter().filter_map(|change| match change {
        Change::Forget(frontend, endpoint) => Some((*frontend, endpoint.map(|one| one.to_string()))),
        _ => None,
    });
    forgotten.collect()
}

fn dns() -> Frontend {
    at(IP, Protocol::Udp, 80)
}

fn gone(frontend: Frontend, endpoint: &str) -> (Frontend, Option<String>) {
    (frontend, Some(endpoint.to_owned()))
}

fn two() -> Slice {
    udp_slice("web", vec![on(NODE, "10.0.0.1"), on("there", "10.0.0.2")])
}

#[test]
fn an_endpoint_that_is_gone_is_forgotten_at_all_frontends() {
    let mut node = Node::of(&udp(exposed(service(&[IP]), "NodePort", 30053)), &two());
    let changes = node.slice("web-1", &udp_slice("web", vec![on(NODE, "10.0.0.1")]));
    let nodes = node_port(false, Protocol::Udp, 30053);
    assert_eq!(forgotten(&changes), [gone(dns(), "10.0.0.2:8080"), gone(nodes, "10.0.0.2:8080")]);
    // One that comes is not.
    assert_eq!(forgotten(&node.slice("web-1", &two())), []);
}

#[test]
fn an_endpoint_that_is_no_longer_ready_is_gone() {
    let mut node = Node::of(&udp(service(&[IP])), &two());
    let one = |text| udp_slice("web", vec![state(on(NODE, "10.0.0.1"), text), on("there", "10.0.0.2")]);
    assert_eq!(forgotten(&node.slice("web-1", &one("-++"))), [gone(dns(), "10.0.0.1:8080")]);
    assert_eq!(forgotten(&node.slice("web-1", &one("--+"))), []);
}

#[test]
fn an_endpoint_that_stays_in_one_of_two_sets_is_not_gone() {
    let policy = |text: &str| {
        udp(exposed(service(&[IP]), "NodePort", 30053))
            .with(|web| web.spec.external_traffic_policy = Some(text.to_owned()))
    };
    let mut node = Node::of(&policy("Cluster"), &two());
    // Clients inside still have both.
    assert_eq!(forgotten(&node.service("web", &policy("Local"))), []);
    // One that moves to another node does so with another state of the set outside only.
    let moved = udp_slice("web", vec![on("there", "10.0.0.1"), on("there", "10.0.0.2")]);
    assert_eq!(forgotten(&node.slice("web-1", &moved)), []);
    let nodes = node_port(false, Protocol::Udp, 30053);
    assert_eq!(forgotten(&node.slice("web-1", &two())), [(nodes, None)]);
}

#[test]
fn the_first_endpoint_makes_those_who_tried_in_vain_forgotten() {
    let mut node = Node::new();
    assert_eq!(forgotten(&node.service("web", &udp(service(&[IP])))), [(dns(), None)]);
    assert_eq!(forgotten(&node.slice("web-1", &two())), [(dns(), None)]);
    let none = udp_slice("web", vec![]);
    let both = [gone(dns(), "10.0.0.1:8080"), gone(dns(), "10.0.0.2:8080")];
    assert_eq!(forgotten(&node.slice("web-1", &none)), both);
    node.slice("web-1", &two());
    assert_eq!(forgotten(&node.service_gone("web")), both);
}

#[test]
fn another_service_at_the_same_frontend_has_other_endpoints() {
    let mut node = Node::of(&udp(service(&[IP])), &two());
    node.service("other", &udp(service(&[IP])));
    node.slice("other-1", &udp_slice("other", vec![on(NODE, "10.0.0.1"), on(NODE, "10.0.0.9")]));
    assert_eq!(forgotten(&node.service_gone("web")), [gone(dns(), "10.0.0.2:8080")]);
}

#[test]
fn other_protocols_end_by_themselves() {
    let mut node = Node::of(&service(&[IP]), &slice("web", vec![on(NODE, "10.0.0.1")]));
    assert_eq!(forgotten(&node.slice_gone("web-1")), []);
    let sctp =
        service(&[IP]).with(|web| web.spec.ports.as_mut().unwrap()[0].protocol = Some("SCTP".to_owned()));
    assert_eq!(forgotten(&node.service("web", &sctp)), []);
}
