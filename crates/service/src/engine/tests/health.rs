//! Health-check node ports.

use super::build::*;
use crate::lb::*;
use crate::spec::*;

fn checked(kind: &str, policy: &str, port: i32) -> Service {
    exposed(service(&["10.96.0.1", "fd00:96::1"]), kind, 30080).with(|web| {
        web.spec.external_traffic_policy = Some(policy.to_owned());
        web.spec.health_check_node_port = Some(port);
        let https = ServicePort { name: Some("https".to_owned()), port: 443, ..ServicePort::default() };
        web.spec.ports.as_mut().unwrap().push(https);
    })
}

fn answers(node: &Node) -> Vec<(u16, usize)> {
    node.tables.health_checks.iter().map(|(port, check)| (*port, check.local_endpoints)).collect()
}

#[test]
fn each_ready_endpoint_of_this_node_counts_once() {
    let both = |mut slice: Slice| {
        let https = EndpointPort { name: Some("https".to_owned()), protocol: None, port: Some(8443) };
        slice.ports.as_mut().unwrap().push(https);
        slice
    };
    let ipv4 = vec![
        target(on(NODE, "10.0.0.1"), "pod-1"),
        on(NODE, "10.0.0.2"),
        target(on("there", "10.0.0.3"), "pod-3"),
        state(target(on(NODE, "10.0.0.4"), "pod-4"), "-++"),
    ];
    let mut node = Node::of(&checked("LoadBalancer", "Local", 31000), &both(slice("web", ipv4)));
    assert_eq!(answers(&node), [(31000, 2)]);
    let ipv6 = vec![target(on(NODE, "fd00::1"), "pod-1"), target(on(NODE, "fd00::5"), "pod-5")];
    node.slice("web-2", &both(slice("web", ipv6)));
    assert_eq!(answers(&node), [(31000, 3)]);
    node.slice_gone("web-1");
    node.slice_gone("web-2");
    assert_eq!(answers(&node), [(31000, 0)]);
    node.service("web", &checked("LoadBalancer", "Local", 31001));
    assert_eq!(answers(&node), [(31001, 0)]);
    node.service_gone("web");
    assert_eq!(answers(&node), []);
}

#[test]
fn only_load_balancers_with_the_policy_have_one() {
    for (kind, policy, port) in
        [("LoadBalancer", "Cluster", 31000), ("NodePort", "Local", 31000), ("LoadBalancer", "Local", 0)]
    {
        let mut node = Node::new();
        node.service("web", &checked(kind, policy, port));
        assert_eq!(answers(&node), [], "{kind} {policy} {port}");
    }
}

#[test]
fn who_has_one_first_keeps_it() {
    let mut node = Node::new();
    let two = |ip: &str| {
        checked("LoadBalancer", "Local", 31000).with(|web| {
            web.spec.cluster_ips = texts(&[ip]);
            web.spec.ports.as_mut().unwrap()[0].node_port = None;
        })
    };
    node.service("b", &two("10.96.0.1"));
    node.service("a", &two("10.96.0.2"));
    let holder = |node: &Node| node.tables.health_checks[&31000].service.name.to_string();
    assert_eq!(holder(&node), "b");
    assert_eq!(node.problems(), ["spec.healthCheckNodePort"]);
    let changes = node.service_gone("b");
    assert_eq!(holder(&node), "a");
    assert_eq!(changes.iter().filter(|change| matches!(change, Change::HealthCheck(..))).count(), 1);
}
