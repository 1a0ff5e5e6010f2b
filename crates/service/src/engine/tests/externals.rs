//! Addresses outside: sources, and what the host sends to the bridge.

use super::build::*;
use crate::lb::*;
use crate::spec::*;

const IP: &str = "10.96.0.1";
const VIP: &str = "192.0.2.1";
const EXTERNAL: &str = "192.0.2.9";
const TCP: Protocol = Protocol::Tcp;

fn balanced(node_port: i32) -> Service {
    exposed(service(&[IP]), "LoadBalancer", node_port).with(|web| web.status = ingress(&[VIP]))
}

fn from(ranges: &[&str], service: Service) -> Service {
    service.with(|web| web.spec.load_balancer_source_ranges = texts(ranges))
}

fn number(node: &Node, address: &str) -> Option<u16> {
    let external = External { address: ip(address), protocol: TCP, port: 80 };
    node.tables.externals.get(&external).copied()
}

fn with(service: &Service) -> Node {
    Node::of(service, &slice("web", vec![on("there", "10.0.0.1")]))
}

#[test]
fn the_services_own_node_port_stands_for_its_addresses() {
    let node = with(&balanced(30080).with(|web| web.spec.external_ips = texts(&[EXTERNAL])));
    assert_eq!((number(&node, VIP), number(&node, EXTERNAL)), (Some(30080), Some(30080)));
    let addresses = [at(IP, TCP, 80), at(VIP, TCP, 80), at(EXTERNAL, TCP, 80)];
    assert_eq!(node.frontends(), [&addresses[..], &[node_port(false, TCP, 30080)]].concat());
}

#[test]
fn without_a_node_port_a_number_stands_in() {
    let web = balanced(0).with(|web| web.spec.external_ips = texts(&[EXTERNAL]));
    let node = with(&web);
    let stand_in = number(&node, VIP).unwrap();
    assert_eq!(number(&node, EXTERNAL), Some(stand_in), "both lead to the same");
    assert!(!(30000..=32767).contains(&stand_in));
    assert!(!node.frontends().contains(&node_port(false, TCP, stand_in)), "it is nobody's node port");
    assert_eq!(node.leads(standing_in(false, TCP, stand_in)), node.leads(at(VIP, TCP, 80)));
    assert_eq!(number(&with(&web), VIP), Some(stand_in), "it is derived from what it stands for");
}

#[test]
fn only_host_ports_are_at_loopback_addresses() {
    let web = service(&[]).with(|web| {
        web.spec.kind = Some(HOST_PORTS.to_owned());
        web.spec.external_ips = texts(&["127.0.0.1", "127.9.9.9", "::1", EXTERNAL]);
    });
    let mut node = with(&web);
    node.slice("web-2", &slice("web", vec![on("there", "fd00::1")]));
    assert!(node.problems().is_empty());
    assert!(number(&node, "::1").is_some());
    let numbers = ["127.0.0.1", "127.9.9.9", EXTERNAL].map(|address| number(&node, address));
    assert!(numbers[0].is_some() && numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");

    let web = balanced(30080).with(|web| web.spec.external_ips = texts(&["127.0.0.1"]));
    assert_eq!(number(&with(&web), "127.0.0.1"), None);
}

#[test]
fn a_node_port_that_lets_everybody_in_does_not_stand_for_an_address_that_does_not() {
    let web = from(&["10.0.0.0/8", "10.1.2.3/16"], balanced(30080));
    let node = with(&web.with(|web| web.spec.external_ips = texts(&[EXTERNAL])));
    let stand_in = number(&node, VIP).unwrap();
    assert_ne!(stand_in, 30080);
    assert_eq!(number(&node, EXTERNAL), Some(30080), "sources are of load balancers' addresses");
    let ranges = ["10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()];
    for frontend in [at(VIP, TCP, 80), standing_in(false, TCP, stand_in)] {
        assert!(node.leads(frontend).sources.into_iter().eq(ranges), "{frontend:?}");
    }
    for frontend in [at(IP, TCP, 80), at(EXTERNAL, TCP, 80), node_port(false, TCP, 30080)] {
        assert!(node.leads(frontend).sources.is_empty(), "{frontend:?}");
    }
}

#[test]
fn where_nobody_may_come_from_there_is_no_frontend() {
    for ranges in [&["fd00::/8"][..], &["10.0.0.0"], &["x", ""]] {
        let node = with(&from(ranges, balanced(30080)));
        assert_eq!(node.frontends(), [at(IP, TCP, 80), node_port(false, TCP, 30080)], "{ranges:?}");
        assert!(node.tables.externals.is_empty());
        assert!(node.problems().contains(&"spec.loadBalancerSourceRanges".to_owned()));
    }
    let node = with(&from(&["x", "10.0.0.0/8"], balanced(30080)));
    assert_eq!(node.leads(at(VIP, TCP, 80)).sources.len(), 1);
    assert_eq!(node.problems(), ["spec.loadBalancerSourceRanges[0]"]);
    // The same address as an external one does not make it everybody's.
    let both = from(&["fd00::/8"], balanced(30080)).with(|web| web.spec.external_ips = texts(&[VIP]));
    assert!(with(&both).tables.externals.is_empty());
    assert_eq!(with(&from(&[], balanced(30080))).leads(at(VIP, TCP, 80)).sources.len(), 0);
}

#[test]
fn a_stand_in_gives_way_to_a_node_port() {
    let mut node = with(&balanced(0));
    let before = number(&node, VIP).unwrap();
    let other = exposed(service(&["10.96.0.2"]), "NodePort", i32::from(before));
    node.service("other", &other);
    let after = number(&node, VIP).unwrap();
    assert_ne!(after, before);
    assert_eq!(node.leads(standing_in(false, TCP, after)), node.leads(at(VIP, TCP, 80)));
    assert_eq!(node.leads(node_port(false, TCP, before)), node.leads(at("10.96.0.2", TCP, 80)));
    assert!(!node.frontends().contains(&standing_in(false, TCP, before)));
    // It comes and goes unseen.
    node.service_gone("other");
    node.engine.service(&name("other"), &exposed(service(&["10.96.0.2"]), "NodePort", i32::from(after)));
    node.engine.service_gone(&name("other"));
    node.tables.follow(&mut node.engine);
    assert_eq!(number(&node, VIP), Some(before), "its first choice is free again");
}

#[test]
fn a_node_port_of_another_protocol_is_not_in_the_way() {
    let mut node = with(&balanced(0));
    let before = number(&node, VIP).unwrap();
    node.service("other", &udp(exposed(service(&["10.96.0.2"]), "NodePort", i32::from(before))));
    assert_eq!(number(&node, VIP), Some(before));
}

#[test]
fn stand_ins_differ() {
    let mut node = Node::new();
    let mut numbers = std::collections::BTreeSet::new();
    for index in 1..=200 {
        let vip = format!("192.0.2.{index}");
        let one = service(&[&format!("10.96.0.{index}")]).with(|web| web.status = ingress(&[&vip]));
        node.service(&format!("web-{index}"), &one);
        numbers.extend(number(&node, &vip));
    }
    assert_eq!(numbers.len(), 200);
}
