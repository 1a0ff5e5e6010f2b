//! Frontends that several Services claim.

use super::build::*;
use crate::lb::*;
use crate::view::FrontendState;

const IP: &str = "10.96.0.1";
const TCP: Protocol = Protocol::Tcp;

fn shared() -> Node {
    let mut node = Node::new();
    for (service_name, last) in [("c", 3), ("a", 1), ("b", 2)] {
        node.service(service_name, &service(&[IP]));
        node.slice(service_name, &slice(service_name, vec![on("there", &format!("10.0.0.{last}"))]));
    }
    node
}

#[test]
fn who_had_it_first_keeps_it_until_it_lets_go() {
    let mut node = shared();
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.3:8080"]));
    assert_eq!(node.problems(), ["spec.clusterIPs", "spec.clusterIPs"]);
    // It changes, but not in this.
    node.service("c", &exposed(service(&[IP]), "NodePort", 30080));
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.3:8080"]));
    // It has another address.
    node.service("c", &service(&["10.96.0.9"]));
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.1:8080"]));
    assert_eq!(node.inside("10.96.0.9", 80), endpoints(&["10.0.0.3:8080"]));
    // It comes back, and has to wait.
    node.service("c", &service(&[IP]));
    node.service_gone("a");
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.2:8080"]));
    node.service_gone("b");
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.3:8080"]));
    assert_eq!(node.problems(), [""; 0]);
}

#[test]
fn who_waits_has_no_sets_for_it() {
    let mut node = shared();
    assert_eq!((node.tables.sets.len(), node.tables.frontends.len()), (1, 1));
    let changes = node.slice("a", &slice("a", vec![on("there", "10.0.0.7")]));
    assert_eq!(changes, []);
    let view = node.engine.view(&name("a")).unwrap();
    assert_eq!(view.ports[0].frontends[0].state, FrontendState::Taken(name("c")));
    assert!(!view.ports[0].endpoints[0].used);
}

#[test]
fn who_waits_for_a_node_port_has_a_stand_in() {
    let web = |ip: &str, vip: &str| {
        exposed(service(&[ip]), "LoadBalancer", 30080).with(|web| web.status = ingress(&[vip]))
    };
    let mut node = Node::new();
    node.service("b", &web("10.96.0.1", "192.0.2.1"));
    node.service("a", &web("10.96.0.2", "192.0.2.2"));
    let number = |node: &Node, text: &str| {
        node.tables.externals[&External { address: ip(text), protocol: TCP, port: 80 }]
    };
    assert_eq!(number(&node, "192.0.2.1"), 30080);
    let stand_in = number(&node, "192.0.2.2");
    assert_ne!(stand_in, 30080);
    assert_eq!(node.problems(), ["spec.ports"]);
    node.service_gone("b");
    assert_eq!(number(&node, "192.0.2.2"), 30080);
    assert!(!node.frontends().contains(&node_port(false, TCP, stand_in)));
}

#[test]
fn ports_of_an_address_may_be_of_different_services() {
    let mut node = Node::new();
    let external = |port| {
        service(&[IP]).with(|web| {
            web.spec.ports.as_mut().unwrap()[0].port = port;
            web.spec.external_ips = texts(&["192.0.2.1"]);
        })
    };
    node.service("a", &external(80));
    node.service("b", &external(81));
    assert_eq!(node.problems(), [""; 0]);
    assert_eq!(node.tables.externals.len(), 2);
}
