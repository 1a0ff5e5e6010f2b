//! Hints.

use super::build::*;
use super::tables::Answer;
use crate::spec::*;

const IP: &str = "10.96.0.1";
const ONE: &[&str] = &["10.0.0.1:8080"];
const TWO: &[&str] = &["10.0.0.2:8080"];
const BOTH: &[&str] = &["10.0.0.1:8080", "10.0.0.2:8080"];

/// Two endpoints with these zones and nodes, seen from a zone.
fn answer(zone: Option<&str>, hints: [(&[&str], &[&str]); 2]) -> Answer {
    let [one, two] = hints.map(|(zones, nodes)| move |text| hinted(on("there", text), zones, nodes));
    of(zone, vec![one("10.0.0.1"), two("10.0.0.2")])
}

fn of(zone: Option<&str>, endpoints: Vec<Endpoint>) -> Answer {
    let mut node = Node::of(&service(&[IP]), &slice("web", endpoints));
    node.zone(zone);
    node.inside(IP, 80)
}

#[test]
fn endpoints_for_this_node_come_first() {
    let hints: [(&[&str], &[&str]); 2] = [(&["z1"], &["there"]), (&["z2"], &["there", NODE])];
    assert_eq!(answer(Some("z1"), hints), endpoints(TWO));
    assert_eq!(answer(None, hints), endpoints(TWO));
}

#[test]
fn endpoints_for_this_zone_come_next() {
    let hints: [(&[&str], &[&str]); 2] = [(&["z1", "z3"], &["there"]), (&["z2"], &["there"])];
    assert_eq!(answer(Some("z1"), hints), endpoints(ONE));
    assert_eq!(answer(Some("z2"), hints), endpoints(TWO));
    let hints: [(&[&str], &[&str]); 2] = [(&["z1"], &[]), (&["z2"], &[NODE])];
    assert_eq!(answer(Some("z1"), hints), endpoints(ONE), "one has no hint for nodes");
}

#[test]
fn hints_that_do_not_help_are_passed_over() {
    let hints: [(&[&str], &[&str]); 2] = [(&["z1"], &["there"]), (&["z2"], &["there"])];
    assert_eq!(answer(Some("z3"), hints), endpoints(BOTH), "none is for the zone");
    assert_eq!(answer(None, hints), endpoints(BOTH), "no zone is known");
    assert_eq!(answer(Some(""), hints), endpoints(BOTH), "no zone is known");
    let hints: [(&[&str], &[&str]); 2] = [(&["z1"], &["there"]), (&[], &[])];
    assert_eq!(answer(Some("z1"), hints), endpoints(BOTH), "one has none");
}

#[test]
fn only_ready_endpoints_hints_count() {
    let ready = |zone| hinted(on("there", "10.0.0.1"), &[zone], &[]);
    let lingering = |zones| state(hinted(on("there", "10.0.0.2"), zones, &[]), "-++");
    assert_eq!(of(Some("z1"), vec![ready("z1"), lingering(&[])]), endpoints(ONE));
    assert_eq!(of(Some("z1"), vec![ready("z2"), lingering(&["z1"])]), endpoints(ONE));
    // Where none is ready, hints do not count.
    let other = state(hinted(on("there", "10.0.0.1"), &["z2"], &[]), "-++");
    assert_eq!(of(Some("z1"), vec![other, lingering(&["z1"])]), endpoints(BOTH));
}

#[test]
fn hints_do_not_count_where_a_policy_asks_for_this_node() {
    let web = service(&[IP]).with(|web| web.spec.internal_traffic_policy = Some("Local".to_owned()));
    let all = vec![
        hinted(on(NODE, "10.0.0.1"), &["z2"], &["there"]),
        hinted(on("there", "10.0.0.2"), &["z1"], &[NODE]),
    ];
    let mut node = Node::of(&web, &slice("web", all));
    node.zone(Some("z1"));
    assert_eq!(node.inside(IP, 80), endpoints(ONE));
}

#[test]
fn another_zone_is_news_for_services_with_hints_only() {
    let hinted = slice(
        "web",
        vec![hinted(on("there", "10.0.0.1"), &["z1"], &[]), hinted(on("there", "10.0.0.2"), &["z2"], &[])],
    );
    let mut node = Node::of(&service(&[IP]), &hinted);
    node.service("other", &service(&["10.96.0.2"]));
    node.slice("other-1", &slice("other", vec![on("there", "10.0.0.3")]));
    assert_eq!(node.zone(Some("z1")).len(), 1);
    assert_eq!(node.zone(Some("z1")), []);
    assert_eq!(node.inside(IP, 80), endpoints(ONE));
    assert_eq!(node.zone(None).len(), 1);
    assert_eq!(node.inside(IP, 80), endpoints(BOTH));
}
