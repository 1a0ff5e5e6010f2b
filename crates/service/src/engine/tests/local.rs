//! `internalTrafficPolicy` and `externalTrafficPolicy`.

use super::build::*;
use super::tables::{Answer, Seen};
use crate::lb::*;
use crate::spec::*;

const IP: &str = "10.96.0.1";
const VIP: &str = "192.0.2.1";

fn local(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn seen(keeps_client: bool, answer: Answer) -> Seen {
    Seen { affinity: None, keeps_client, answer }
}

#[test]
fn inside_only_this_nodes_endpoints_may_count() {
    let web = exposed(service(&[IP]), "NodePort", 30080)
        .with(|web| web.spec.internal_traffic_policy = local("Local"));
    let node = Node::of(&web, &slice("web", vec![on(NODE, "10.0.0.1"), on("there", "10.0.0.2")]));
    let own = seen(false, endpoints(&["10.0.0.1:8080"]));
    let leads = node.leads(at(IP, Protocol::Tcp, 80));
    assert_eq!((&leads.inside, &leads.outside), (&own, &own));
    let all = seen(false, endpoints(&["10.0.0.1:8080", "10.0.0.2:8080"]));
    let leads = node.leads(node_port(false, Protocol::Tcp, 30080));
    assert_eq!((&leads.inside, &leads.outside), (&all, &all));
}

#[test]
fn outside_only_this_nodes_endpoints_may_count_and_see_their_clients() {
    let web = exposed(service(&[IP]), "LoadBalancer", 30080).with(|web| {
        web.spec.external_traffic_policy = local("Local");
        web.spec.external_ips = texts(&["192.0.2.2"]);
        web.status = ingress(&[VIP]);
    });
    let node = Node::of(&web, &slice("web", vec![on(NODE, "10.0.0.1"), on("there", "10.0.0.2")]));
    let own = seen(true, endpoints(&["10.0.0.1:8080"]));
    let all = seen(false, endpoints(&["10.0.0.1:8080", "10.0.0.2:8080"]));
    for frontend in [
        node_port(false, Protocol::Tcp, 30080),
        at(VIP, Protocol::Tcp, 80),
        at("192.0.2.2", Protocol::Tcp, 80),
    ] {
        let leads = node.leads(frontend);
        assert_eq!((&leads.inside, &leads.outside), (&all, &own), "{frontend:?}");
    }
    let leads = node.leads(at(IP, Protocol::Tcp, 80));
    assert_eq!((&leads.inside, &leads.outside), (&all, &all));
}

#[test]
fn the_policy_for_outside_needs_somebody_outside() {
    let one = slice("web", vec![on("there", "10.0.0.2")]);
    let kept = |web: Service| {
        let web = web.with(|web| web.spec.external_traffic_policy = local("Local"));
        Node::of(&web, &one).tables.sets.values().any(|set| set.keeps_client)
    };
    assert!(!kept(service(&[IP])));
    assert!(!kept(service(&[IP]).with(|web| web.status = ingress(&[VIP]))));
    assert!(kept(service(&[IP]).with(|web| web.spec.external_ips = texts(&[VIP]))));
    assert!(kept(exposed(service(&[IP]), "NodePort", 30080)));
}

fn answer(states: &[(&str, &str)]) -> Answer {
    let web = service(&[IP]).with(|web| web.spec.internal_traffic_policy = local("Local"));
    let all = states.iter().enumerate();
    let all = all.map(|(index, (node, text))| state(on(node, &format!("10.0.0.{}", index + 1)), text));
    Node::of(&web, &slice("web", all.collect())).inside(IP, 80)
}

#[test]
fn without_one_here_connections_are_dropped_and_without_any_refused() {
    assert_eq!(answer(&[(NODE, "+"), (NODE, "-++")]), endpoints(&["10.0.0.1:8080"]));
    assert_eq!(answer(&[(NODE, "-++"), ("there", "+")]), endpoints(&["10.0.0.1:8080"]));
    assert_eq!(answer(&[(NODE, "-+-"), ("there", "+")]), Answer::Drop);
    assert_eq!(answer(&[("there", "-++")]), Answer::Drop);
    assert_eq!(answer(&[(NODE, "-+-"), ("there", "--+")]), Answer::Refuse);
    assert_eq!(answer(&[]), Answer::Refuse);
}

#[test]
fn an_endpoint_is_here_if_any_slice_says_so() {
    let web = service(&[IP]).with(|web| web.spec.internal_traffic_policy = local("Local"));
    let mut node = Node::of(&web, &slice("web", vec![state(on("there", "10.0.0.1"), "+")]));
    assert_eq!(node.inside(IP, 80), Answer::Drop);
    node.slice("web-2", &slice("web", vec![state(on(NODE, "10.0.0.1"), "-")]));
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.1:8080"]));
}

#[test]
fn sets_that_nothing_names_are_not_told() {
    let web = exposed(service(&[IP]), "NodePort", 30080);
    let both = web.clone().with(|web| {
        web.spec.external_traffic_policy = local("Local");
        web.spec.internal_traffic_policy = local("Local");
    });
    let mut node = Node::of(&both, &slice("web", vec![on(NODE, "10.0.0.1")]));
    assert_eq!(node.tables.sets.len(), 3);
    node.service("web", &web);
    assert_eq!(node.tables.sets.len(), 1);
    let inside = service(&[IP]).with(|web| web.spec.internal_traffic_policy = local("Local"));
    node.service("web", &inside);
    assert_eq!(node.tables.sets.len(), 1);
}
