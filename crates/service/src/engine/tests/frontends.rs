//! Which frontends a Service has, and what holds for all of its sets.

use super::build::*;
use crate::lb::*;
use crate::spec::*;

const TCP: Protocol = Protocol::Tcp;

fn frontends(service: &Service) -> Vec<Frontend> {
    let mut node = Node::new();
    node.service("web", service);
    node.frontends()
}

#[test]
fn nothing_is_done_for_services_that_others_serve() {
    let label = ("service.kubernetes.io/service-proxy-name".to_owned(), String::new());
    let other = service(&["10.96.0.1"]).with(|web| web.labels.extend([label]));
    let named = service(&["10.96.0.1"]).with(|web| web.spec.kind = Some("ExternalName".to_owned()));
    for skipped in [other, named, service(&["None"]), service(&[]), service(&[""])] {
        assert_eq!(frontends(&skipped.with(|web| web.spec.external_ips = texts(&["192.0.2.1"]))), []);
    }
}

#[test]
fn a_service_that_becomes_headless_is_taken_away() {
    let mut node = Node::of(&service(&["10.96.0.1"]), &slice("web", vec![on("a", "10.0.0.1")]));
    assert!(!node.frontends().is_empty());
    node.service("web", &service(&["None"]));
    assert_eq!(node.tables, Default::default());
}

#[test]
fn a_cluster_ip_alone_is_one_of_all() {
    let web = service(&["10.96.0.1"]).with(|web| web.spec.cluster_ips = None);
    assert_eq!(frontends(&web), [at("10.96.0.1", TCP, 80)]);
}

#[test]
fn node_ports_are_in_each_family() {
    let both = &["10.96.0.1", "fd00:96::1"];
    let expected = [
        at("10.96.0.1", TCP, 80),
        at("fd00:96::1", TCP, 80),
        node_port(false, TCP, 30080),
        node_port(true, TCP, 30080),
    ];
    assert_eq!(frontends(&exposed(service(both), "NodePort", 30080)), expected);
    assert_eq!(frontends(&exposed(service(both), "LoadBalancer", 30080)), expected);
    assert_eq!(frontends(&exposed(service(both), "NodePort", 0)), expected[..2]);
    assert_eq!(frontends(&exposed(service(both), "ClusterIP", 30080)), expected[..2]);
    let ipv4 = frontends(&exposed(service(&["10.96.0.1"]), "NodePort", 30080));
    assert_eq!(ipv4, [expected[0], expected[2]]);
}

#[test]
fn addresses_outside_are_of_families_that_the_service_has() {
    let web = service(&["10.96.0.1"]).with(|web| {
        web.spec.external_ips = texts(&["192.0.2.1", "2001:db8::1"]);
        web.status = ingress(&["192.0.2.2", "2001:db8::2"]);
    });
    let mut node = Node::new();
    node.service("web", &web);
    let addresses: Vec<_> = node.tables.externals.keys().map(|external| external.address).collect();
    assert_eq!(addresses, [ip("192.0.2.1"), ip("192.0.2.2")]);
    assert_eq!(node.problems(), [""; 0]);
}

#[test]
fn an_address_that_packets_do_not_have_as_their_destination_is_none() {
    let web = exposed(service(&["10.96.0.1"]), "LoadBalancer", 0).with(|web| {
        web.status = ingress(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let ingress = web.status.load_balancer.ingress.as_mut().unwrap();
        ingress[0].ip_mode = Some("Proxy".to_owned());
        ingress[1].ip_mode = Some("VIP".to_owned());
        ingress.push(LoadBalancerIngress::default());
    });
    let mut node = Node::new();
    node.service("web", &web);
    let addresses: Vec<_> = node.tables.externals.keys().map(|external| external.address).collect();
    assert_eq!(addresses, [ip("192.0.2.2"), ip("192.0.2.3")]);
}

#[test]
fn each_port_has_its_own_set() {
    let dns = ServicePort {
        name: Some("dns".to_owned()),
        protocol: Some("UDP".to_owned()),
        port: 53,
        ..Default::default()
    };
    let web = service(&["10.96.0.1"]).with(|web| web.spec.ports.as_mut().unwrap().push(dns));
    let mut node = Node::of(&web, &slice("web", vec![on("a", "10.0.0.1")]));
    let (http, dns) = (at("10.96.0.1", TCP, 80), at("10.96.0.1", Protocol::Udp, 53));
    assert_eq!(node.frontends(), [http, dns]);
    let target = node.tables.frontends[&http].clone();
    assert_ne!(target.inside, node.tables.frontends[&dns].inside);
    assert_eq!(target.inside, target.outside);
    assert_eq!(node.tables.sets[&target.inside].protocol, TCP);
    // Another number is the same set.
    let changes = node.service("web", &web.clone().with(|web| web.spec.ports.as_mut().unwrap()[0].port = 81));
    let moved = [Change::Frontend(at("10.96.0.1", TCP, 81), Some(target)), Change::Frontend(http, None)];
    assert_eq!(changes, moved);
}

#[test]
fn affinity_is_in_all_sets_of_a_service() {
    let sticky = |seconds: Option<i32>| {
        service(&["10.96.0.1", "fd00:96::1"]).with(|web| {
            let client_ip = Some(ClientIpConfig { timeout_seconds: seconds });
            web.spec.session_affinity = Some("ClientIP".to_owned());
            web.spec.session_affinity_config = seconds.map(|_| SessionAffinityConfig { client_ip });
        })
    };
    let affinities = |service: &Service| {
        let mut node = Node::new();
        node.service("web", service);
        node.tables.sets.values().map(|set| set.affinity).collect::<Vec<_>>()
    };
    assert_eq!(affinities(&sticky(Some(60))), [Some(60); 2]);
    assert_eq!(affinities(&sticky(None)), [Some(10_800); 2]);
    let loose = sticky(Some(60)).with(|web| web.spec.session_affinity = Some("None".to_owned()));
    assert_eq!(affinities(&loose), [None; 2]);
}

#[test]
fn one_endpoint_more_is_one_change() {
    let mut node = Node::of(&exposed(service(&["10.96.0.1"]), "NodePort", 30080), &slice("web", vec![]));
    let changes = node.slice("web-1", &slice("web", vec![on("a", "10.0.0.1")]));
    assert!(matches!(changes[..], [Change::Set(_, Some(_))]), "{changes:?}");
}
