//! Which endpoints count: their conditions, ports and families, and the same one in several slices.

use super::build::*;
use super::tables::Answer;
use crate::lb::Protocol;
use crate::spec::*;

const IP: &str = "10.96.0.1";

fn answer(slices: &[Slice]) -> Answer {
    let mut node = Node::new();
    node.service("web", &service(&[IP]));
    for (index, slice) in slices.iter().enumerate() {
        node.slice(&index.to_string(), slice);
    }
    node.inside(IP, 80)
}

fn of(endpoints: Vec<Endpoint>) -> Answer {
    answer(&[slice("web", endpoints)])
}

#[test]
fn ready_endpoints_are_used_and_absent_is_ready() {
    let all = vec![
        state(on("a", "10.0.0.1"), "   "),
        state(on("a", "10.0.0.2"), "+++"),
        state(on("a", "10.0.0.3"), "-++"),
        state(on("a", "10.0.0.4"), "-+ "),
    ];
    assert_eq!(of(all), endpoints(&["10.0.0.1:8080", "10.0.0.2:8080"]));
}

#[test]
fn without_a_ready_one_those_that_linger_are_used() {
    let all = vec![
        state(on("a", "10.0.0.1"), "-++"),
        state(on("a", "10.0.0.2"), "--+"),
        // Absent: as ready, which is false.
        state(on("a", "10.0.0.3"), "- +"),
        state(on("a", "10.0.0.4"), "-+-"),
        state(on("a", "10.0.0.5"), "-+ "),
    ];
    assert_eq!(of(all), endpoints(&["10.0.0.1:8080"]));
}

#[test]
fn without_any_connections_are_refused() {
    assert_eq!(answer(&[]), Answer::Refuse);
    assert_eq!(of(vec![]), Answer::Refuse);
    assert_eq!(of(vec![state(on("a", "10.0.0.1"), "-+-")]), Answer::Refuse);
}

#[test]
fn the_better_of_two_states_counts() {
    let with = |text| slice("web", vec![state(on("a", "10.0.0.1"), text)]);
    let used = endpoints(&["10.0.0.1:8080"]);
    for (better, worse) in [("+--", "-++"), ("-++", "-+-"), ("-++", "---")] {
        assert_eq!(answer(&[with(better), with(worse)]), used);
        assert_eq!(answer(&[with(worse), with(better)]), used);
    }
}

#[test]
fn an_endpoint_that_moves_between_slices_stays() {
    let one = || vec![on("a", "10.0.0.1")];
    let mut node = Node::of(&service(&[IP]), &slice("web", one()));
    assert_eq!(node.slice("web-2", &slice("web", one())), []);
    assert_eq!(node.slice("web-1", &slice("web", vec![])), []);
    assert_eq!(node.slice_gone("web-1"), []);
    assert_eq!(node.slice_gone("web-2").len(), 1);
}

#[test]
fn a_slice_that_changes_its_service_leaves_the_old_one() {
    let mut node = Node::of(&service(&[IP]), &slice("web", vec![on("a", "10.0.0.1")]));
    node.service("shop", &service(&["10.96.0.2"]));
    node.slice("web-1", &slice("shop", vec![on("a", "10.0.0.1")]));
    assert_eq!(node.inside(IP, 80), Answer::Refuse);
    assert_eq!(node.inside("10.96.0.2", 80), endpoints(&["10.0.0.1:8080"]));
    node.slice("web-1", &slice("", vec![on("a", "10.0.0.1")]));
    assert_eq!(node.inside("10.96.0.2", 80), Answer::Refuse);
}

#[test]
fn only_the_first_address_counts() {
    let two = on("a", "10.0.0.1").with(|one| one.addresses.push("10.0.0.2".to_owned()));
    assert_eq!(of(vec![two]), endpoints(&["10.0.0.1:8080"]));
}

#[test]
fn a_port_is_that_of_its_name_and_protocol() {
    let port = |name: Option<&str>, protocol: Option<&str>, port| EndpointPort {
        name: name.map(str::to_owned),
        protocol: protocol.map(str::to_owned),
        port,
    };
    let with = |port| slice("web", vec![on("a", "10.0.0.1")]).with(|slice| slice.ports = Some(vec![port]));
    let used = endpoints(&["10.0.0.1:81"]);
    assert_eq!(answer(&[with(port(Some("http"), Some("TCP"), Some(81)))]), used);
    assert_eq!(answer(&[with(port(Some("http"), None, Some(81)))]), used);
    assert_eq!(answer(&[with(port(Some("http"), Some("UDP"), Some(81)))]), Answer::Refuse);
    assert_eq!(answer(&[with(port(Some("dns"), None, Some(81)))]), Answer::Refuse);
    assert_eq!(answer(&[with(port(Some("http"), None, None))]), Answer::Refuse);
}

#[test]
fn a_port_without_a_name_is_that_of_the_empty_name() {
    for (ours, theirs) in [(None, Some("")), (Some(""), None), (None, None)] {
        let own = |name: Option<&str>| name.map(str::to_owned);
        let web = service(&[IP]).with(|web| web.spec.ports.as_mut().unwrap()[0].name = own(ours));
        let slice = slice("web", vec![on("a", "10.0.0.1")])
            .with(|slice| slice.ports.as_mut().unwrap()[0].name = own(theirs));
        assert_eq!(Node::of(&web, &slice).inside(IP, 80), endpoints(&["10.0.0.1:8080"]));
    }
}

#[test]
fn each_family_has_its_own_endpoints() {
    let mut node = Node::of(&service(&[IP, "fd00:96::1"]), &slice("web", vec![on("a", "10.0.0.1")]));
    assert_eq!(node.inside("fd00:96::1", 80), Answer::Refuse);
    node.slice("web-2", &slice("web", vec![on("a", "fd00::1")]));
    assert_eq!(node.inside(IP, 80), endpoints(&["10.0.0.1:8080"]));
    assert_eq!(node.inside("fd00:96::1", 80), endpoints(&["[fd00::1]:8080"]));
    let names = slice("web", vec![on("a", "10.0.0.9")]).with(|slice| slice.address_type = "FQDN".to_owned());
    assert_eq!(node.slice("web-3", &names), []);
    assert_eq!(node.problems(), [""; 0]);
}

#[test]
fn slices_may_come_before_their_service() {
    let mut node = Node::new();
    assert_eq!(node.slice("web-1", &udp_slice("web", vec![on("a", "10.0.0.1")])), []);
    node.service("web", &udp(service(&[IP])));
    assert_eq!(node.leads(at(IP, Protocol::Udp, 80)).inside.answer, endpoints(&["10.0.0.1:8080"]));
    node.service_gone("web");
    node.service("web", &udp(service(&[IP])));
    assert_eq!(node.leads(at(IP, Protocol::Udp, 80)).inside.answer, endpoints(&["10.0.0.1:8080"]));
}
