//! Views.

use super::build::*;
use crate::lb::*;
use crate::view::{FrontendState, Kind, Scope, Skipped};

#[test]
fn a_view_shows_what_became_of_a_service() {
    let web = exposed(service(&["10.96.0.1"]), "LoadBalancer", 0).with(|web| {
        web.spec.external_traffic_policy = Some("Local".to_owned());
        web.spec.health_check_node_port = Some(31000);
        web.status = ingress(&["192.0.2.1"]);
    });
    let all = vec![
        target(on(NODE, "10.0.0.1"), "pod-1"),
        on("there", "10.0.0.2"),
        state(on("there", "10.0.0.3"), "-++"),
    ];
    let node = Node::of(&web, &slice("web", all));
    let view = node.engine.view(&name("web")).unwrap();
    assert_eq!((view.skipped, view.affinity), (None, None));
    let check = HealthCheck { service: name("web"), local_endpoints: 1 };
    assert_eq!(view.health_check, Some((31000, check)));
    let [port] = &view.ports[..] else { panic!("{view:?}") };
    assert_eq!((&*port.name, port.protocol, port.port), ("http", Protocol::Tcp, 80));

    let kinds: Vec<_> = port.frontends.iter().map(|frontend| frontend.kind).collect();
    assert_eq!(kinds, [Kind::Cluster, Kind::LoadBalancer, Kind::StandIn]);
    let [cluster, balancer, stand_in] = &port.frontends[..] else { panic!("{port:?}") };
    assert_eq!((cluster.place, &cluster.external), (at("10.96.0.1", Protocol::Tcp, 80), &None));
    let (external, number) = balancer.external.unwrap();
    assert_eq!(node.tables.externals[&external], number);
    assert_eq!(stand_in.place, standing_in(false, Protocol::Tcp, number));
    let target = &node.tables.frontends[&balancer.place];
    let (inside, outside, sources) = (target.inside, target.outside, target.sources.clone());
    assert_eq!(balancer.state, FrontendState::Leads { inside, outside, sources });

    let sets: Vec<_> = port.sets.iter().map(|set| (set.id, set.ipv6, set.scope)).collect();
    assert_eq!(sets, [(inside, false, Scope::Cluster), (outside, false, Scope::LocalOutside)]);
    assert!(port.sets.iter().all(|set| node.tables.sets[&set.id] == set.set));

    let shown: Vec<_> = port.endpoints.iter().map(|one| (one.local, one.ready, one.used)).collect();
    assert_eq!(shown, [(true, true, true), (false, true, true), (false, false, false)]);
    let [first, _, last] = &port.endpoints[..] else { panic!("{port:?}") };
    assert_eq!(first.address, "10.0.0.1:8080".parse().unwrap());
    assert_eq!(first.target, Some(("Pod".into(), "pod-1".into())));
    assert_eq!((first.node.as_deref(), last.node.as_deref()), (Some(NODE), Some("there")));
    assert_eq!((last.serving, last.terminating), (true, true));
}

#[test]
fn a_view_says_why_nothing_is_done() {
    let mut node = Node::new();
    let skipped = |node: &mut Node, ips: &[&str]| {
        node.service("web", &service(ips));
        node.engine.view(&name("web")).unwrap().skipped
    };
    assert_eq!(skipped(&mut node, &["None"]), Some(Skipped::Headless));
    assert_eq!(skipped(&mut node, &[]), Some(Skipped::NoAddress));
    assert_eq!(skipped(&mut node, &["10.96.0.1"]), None);
    node.slice("web-1", &slice("web", vec![on("a", "10.0.0.1")]));
    node.service("web", &service(&["None"]));
    assert_eq!(node.engine.view(&name("web")).unwrap().ports[0].endpoints.len(), 1);
}

#[test]
fn services_are_those_that_were_told_of() {
    let mut node = Node::new();
    node.slice("other-1", &slice("other", vec![]));
    node.service("web", &service(&["10.96.0.1"]));
    node.service("api", &service(&["None"]));
    assert!(node.engine.services().eq([&name("api"), &name("web")]));
    assert_eq!(node.engine.view(&name("other")), None);
    node.service_gone("web");
    assert!(node.engine.services().eq([&name("api")]));
}

#[test]
fn nothing_is_shown_as_told_before_it_is() {
    let mut node = Node::new();
    node.engine.service(&name("web"), &service(&["10.96.0.1"]));
    let view = node.engine.view(&name("web")).unwrap();
    assert_eq!(view.ports[0].frontends[0].state, FrontendState::Untold);
    assert_eq!(view.ports[0].sets, []);
}
