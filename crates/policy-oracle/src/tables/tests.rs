use std::collections::BTreeSet;

use policy::rules::{PortMatch, Protocol, Rule};

use super::*;

const SUBJECT: SubjectId = SubjectId(1);
const POLICY: PolicyId = PolicyId(7);
const TCP_80: Traffic = Traffic::Port(Protocol::Tcp, 80);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rule(peers: Peers, ports: Ports) -> Rule {
    Rule { index: 0, peers, ports }
}

fn peer(namespaces: Namespaces, labels: Option<u32>, cidrs: Option<u32>) -> Peer {
    let set = |class: u32| BTreeSet::from([ClassId(class)]);
    Peer { pods_only: false, namespaces, labels: labels.map(set), cidrs: cidrs.map(set) }
}

/// One subject, one ingress policy with these rules; two pods: 10.0.0.1 in namespace 1 with labels 1, 10.0.0.2 in
/// namespace 2 with labels 2.
fn tables(rules: Vec<Rule>) -> Tables {
    let mut tables = Tables::default();
    let identity =
        |namespace, labels| Some(Identity { namespace: NamespaceId(namespace), labels: LabelsId(labels) });
    let entry = |class: Option<u32>| Some(CidrEntry { class: class.map(ClassId) });
    for change in [
        Change::Address(ip("10.0.0.1"), identity(1, 1)),
        Change::Address(ip("10.0.0.2"), identity(2, 2)),
        Change::Namespace(NamespaceId(1), Some(ClassId(11))),
        Change::Labels(LabelsId(1), Some(ClassId(21))),
        Change::Cidr(Direction::Ingress, "10.0.0.0/8".parse().unwrap(), entry(Some(31))),
        Change::Cidr(Direction::Ingress, "10.0.0.2/31".parse().unwrap(), entry(None)),
        Change::Cidr(Direction::Egress, "10.0.0.2/32".parse().unwrap(), entry(Some(31))),
        Change::Policy(POLICY, Some(Arc::new(Verdict { rules }))),
        Change::Subject(SUBJECT, Direction::Ingress, Some([POLICY].into())),
    ] {
        tables.apply(change).unwrap();
    }
    tables
}

fn passes(tables: &Tables, peer: &str, traffic: Traffic) -> bool {
    tables.judge(SUBJECT, Direction::Ingress, ip(peer), traffic)
}

#[test]
fn without_a_chain_all_passes_and_without_rules_nothing() {
    let tables = tables(vec![]);
    assert!(!passes(&tables, "10.0.0.1", TCP_80));
    assert!(tables.judge(SUBJECT, Direction::Egress, ip("10.0.0.1"), TCP_80));
    assert!(tables.judge(SubjectId(2), Direction::Ingress, ip("10.0.0.1"), TCP_80));
}

#[test]
fn all_conditions_of_a_peer_hold() {
    let judge = |peer: Peer| {
        let tables = tables(vec![rule(Peers::Some(vec![peer]), Ports::All)]);
        ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.9.9.9", "9.9.9.9"].map(|ip| passes(&tables, ip, TCP_80))
    };
    let one = |id| Namespaces::One(NamespaceId(id));
    let class = |class| Namespaces::Classes(BTreeSet::from([ClassId(class)]));
    assert_eq!(judge(peer(one(2), None, None)), [false, true, false, false, false]);
    assert_eq!(judge(peer(class(11), None, None)), [true, false, false, false, false]);
    assert_eq!(judge(peer(Namespaces::Any, Some(21), None)), [true, false, false, false, false]);
    assert_eq!(judge(peer(one(2), Some(21), None)), [false; 5]);
    assert_eq!(judge(peer(Namespaces::Any, None, Some(31))), [true, false, false, true, false]);
    let pods = Peer { pods_only: true, ..peer(Namespaces::Any, None, None) };
    assert_eq!(judge(pods), [true, true, false, false, false]);
}

#[test]
fn ports_match_under_their_masks() {
    let port = |value, mask| PortMatch { protocol: Protocol::Tcp, value, mask };
    let ports = Ports::Some(vec![port(80, 0xffff), port(128, 0xff80)]);
    let tables = tables(vec![rule(Peers::Anyone, ports)]);
    let tcp = |number| passes(&tables, "10.0.0.1", Traffic::Port(Protocol::Tcp, number));
    assert_eq!([80, 81, 127, 128, 255, 256].map(tcp), [true, false, false, true, true, false]);
    assert!(!passes(&tables, "10.0.0.1", Traffic::Port(Protocol::Udp, 80)));
    assert!(!passes(&tables, "10.0.0.1", Traffic::Other));
}

#[test]
fn what_changes_nothing_and_what_refers_to_nothing_is_found() {
    let mut tables = tables(vec![rule(Peers::Anyone, Ports::All)]);
    let known = tables.check();
    assert!(known.is_empty(), "{known:?}");
    let again = Change::Namespace(NamespaceId(1), Some(ClassId(11)));
    assert!(matches!(tables.apply(again), Err(Fault::Idle(_))));
    tables.apply(Change::Policy(POLICY, None)).unwrap();
    assert!(matches!(tables.check()[..], [Fault::Dangling(_)]));
    tables.apply(Change::Subject(SUBJECT, Direction::Ingress, None)).unwrap();
    assert!(tables.check().is_empty());
}
