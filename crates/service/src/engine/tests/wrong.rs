//! What is wrong counts as if it were not there, and is said.

use super::build::*;
use crate::lb::*;
use crate::problems::Object;
use crate::spec::*;

fn port(name: &str, protocol: &str, port: i32, node_port: Option<i32>) -> ServicePort {
    ServicePort { name: Some(name.to_owned()), protocol: Some(protocol.to_owned()), port, node_port }
}

#[test]
fn what_is_wrong_with_a_service_is_said_and_the_rest_counts() {
    let web = service(&["10.96.0.1", "10.96.0.256"]).with(|web| {
        web.spec.kind = Some("LoadBalancer".to_owned());
        web.spec.external_traffic_policy = Some("Local".to_owned());
        web.spec.ports = Some(vec![
            port("a", "TCP", 80, Some(30080)),
            port("b", "ICMP", 81, None),
            port("c", "TCP", 65536, None),
            port("a", "TCP", 82, None),
            port("d", "TCP", 80, None),
            port("e", "TCP", 83, Some(-1)),
            port("f", "TCP", 84, Some(30080)),
        ]);
        web.spec.external_ips = texts(&["192.0.2.1/32", "127.0.0.1", "::"]);
        web.spec.load_balancer_source_ranges = texts(&[" 10.0.0.0/8 ", "10.0.0.0/33"]);
        web.spec.session_affinity = Some("ClientIP".to_owned());
        let client_ip = Some(ClientIpConfig { timeout_seconds: Some(86_401) });
        web.spec.session_affinity_config = Some(SessionAffinityConfig { client_ip });
        web.spec.health_check_node_port = Some(70_000);
        web.status = ingress(&["192.0.2.1", "localhost"]);
    });
    let node = Node::of(&web, &slice("web", vec![]));
    let mut problems = node.problems();
    problems.sort_unstable();
    assert_eq!(
        problems,
        [
            "spec.clusterIPs[1]",
            "spec.externalIPs[0]",
            "spec.externalIPs[1]",
            "spec.externalIPs[2]",
            "spec.healthCheckNodePort",
            "spec.loadBalancerSourceRanges[1]",
            "spec.ports[1].protocol",
            "spec.ports[2].port",
            "spec.ports[3].name",
            "spec.ports[4].port",
            "spec.ports[5].nodePort",
            "spec.ports[6].nodePort",
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            "status.loadBalancer.ingress[1].ip",
        ]
    );
    let addresses = node.tables.frontends.keys().filter(|one| one.at == At::Address(ip("10.96.0.1")));
    assert_eq!(addresses.map(|one| one.port).collect::<Vec<_>>(), [80, 83, 84]);
    assert!(node.tables.sets.values().all(|set| set.affinity == Some(10_800)));
    assert!(node.tables.health_checks.is_empty());
}

#[test]
fn what_is_wrong_with_a_slice_is_said_and_the_rest_counts() {
    let wrong = slice(
        "web",
        vec![
            on("a", "10.0.0.1"),
            on("a", "10.0.0.x"),
            on("a", "fd00::1"),
            on("a", "169.254.1.1"),
            Endpoint::default(),
        ],
    )
    .with(|slice| {
        slice.address_type = "IPv4".to_owned();
        let http = Some("http".to_owned());
        let port = |protocol: &str, port| EndpointPort {
            name: http.clone(),
            protocol: Some(protocol.to_owned()),
            port: Some(port),
        };
        slice.ports.as_mut().unwrap().extend([port("ICMP", 1), port("TCP", 0)]);
    });
    let mut node = Node::of(&service(&["10.96.0.1"]), &wrong);
    let slice_name = Object::Slice(Name { namespace: "shop".into(), name: "web-1".into() });
    assert!(node.engine.problems().all(|(object, _)| object == slice_name));
    assert_eq!(
        node.problems(),
        [
            "ports[1].protocol",
            "ports[2].port",
            "endpoints[1].addresses[0]",
            "endpoints[2].addresses[0]",
            "endpoints[3].addresses[0]",
            "endpoints[4].addresses[0]",
        ]
    );
    assert_eq!(node.inside("10.96.0.1", 80), endpoints(&["10.0.0.1:8080"]));
    let other = wrong.clone().with(|slice| slice.address_type = "IP".to_owned());
    node.slice("web-1", &other);
    assert_eq!(node.problems(), ["addressType"]);
    node.slice_gone("web-1");
    assert_eq!(node.problems(), [""; 0]);
}

#[test]
fn a_service_without_any_right_address_has_none() {
    let mut node = Node::new();
    node.service("web", &exposed(service(&["bogus"]), "NodePort", 30080));
    assert_eq!(node.frontends(), []);
    assert_eq!(node.problems(), ["spec.clusterIPs[0]"]);
    node.service_gone("web");
    assert_eq!(node.problems(), [""; 0]);
}

#[test]
fn an_address_of_ipv4_in_ipv6_is_one_of_ipv4() {
    let mut node = Node::new();
    node.service("web", &service(&["::ffff:10.96.0.1"]));
    assert_eq!(node.frontends(), [at("10.96.0.1", Protocol::Tcp, 80)]);
}
