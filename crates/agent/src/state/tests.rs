use std::collections::BTreeSet;

use policy::spec::Pod;

use ipam::PodPort;
use ovsdb::RowChange;
use ovsdb::tables::Interface;

use super::*;
use crate::view::{ClusterPod, PodRef, Question, ViewEvent};

fn config(n: u8) -> NodeConfig {
    NodeConfig {
        name: format!("node-{n}"),
        cluster_cidr: "10.0.0.0/16".parse().unwrap(),
        pod_cidr: format!("10.0.{n}.0/24").parse().unwrap(),
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        overlay_type: api::OverlayType::Vxlan,
        overlay_ip: format!("192.0.2.{n}").parse().unwrap(),
        mtu: None,
        generation: Some(1),
    }
}

fn uuid(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

pub(super) fn pod_row(n: u8, ofport: Option<i64>, stamp: Option<i64>) -> Interface {
    let facts = PodPort {
        namespace: "default".into(),
        name: format!("pod-{n}"),
        uid: Some(format!("uid-{n}")),
        container_id: format!("cid-{n}"),
        ifname: "eth0".into(),
        netns: "/run/netns/x".into(),
        mac: [0x0a, 0x58, 10, 0, 1, n],
        ipv4: Some([10, 0, 1, n].into()),
        ipv6: None,
        mtu: None,
    };
    let mut external_ids = facts.write();
    if let Some(stamp) = stamp {
        external_ids.insert(ipam::keys::PROGRAMMED.into(), stamp.to_string());
    }
    Interface { name: facts.port_name(), ofport, external_ids, ..Interface::default() }
}

/// A view without secrets: it has told all it knows.
fn answer(state: &mut State) {
    for question in state.take_questions() {
        state.view(ViewEvent::UpToDate(question));
    }
}

pub(super) fn inserted(n: u8, row: Interface) -> RowChange<Interface> {
    RowChange::Inserted { uuid: uuid(n), row: row.into() }
}

fn tunnel(ofport: Option<i64>) -> Interface {
    Interface { name: "kvs-vxlan".into(), kind: "vxlan".into(), ofport, ..Interface::default() }
}

pub(super) fn pod(n: u8) -> ClusterPod {
    ClusterPod {
        pod: PodRef { namespace: "default".into(), name: format!("pod-{n}") },
        uids: vec![format!("uid-{n}")],
        node: "node-1".into(),
        facts: Pod {
            namespace: "default".into(),
            labels: [("n".to_owned(), n.to_string())].into(),
            addresses: vec![[10, 0, 1, n].into()],
            ..Pod::default()
        },
        ..ClusterPod::default()
    }
}

pub(super) fn deny_all(direction: &str) -> Box<policy::spec::NetworkPolicySpec> {
    Box::new(policy::spec::NetworkPolicySpec {
        policy_types: Some(vec![direction.to_owned()]),
        ..policy::spec::NetworkPolicySpec::default()
    })
}

pub(super) fn policy(name: &str) -> PodRef {
    PodRef { namespace: "default".into(), name: name.into() }
}

/// Knows the node, a namespace, and the pods that rows in these tests are about.
pub(super) fn ready() -> State {
    let mut state = State::new("node-1");
    state.view(ViewEvent::Node(Box::new(config(1))));
    state.view(ViewEvent::Namespace("default".into(), policy::spec::Labels::new()));
    for n in [5, 6] {
        state.view(ViewEvent::Pod(Box::new(pod(n))));
    }
    for part in Part::ALL {
        state.view(ViewEvent::Synced(part));
    }
    state.interface(&inserted(200, tunnel(Some(9))));
    state
}

/// Sends the changes to an imaginary switch; returns how many there were.
pub(super) fn settle(state: &mut State) -> usize {
    answer(state);
    state.compile();
    let changes = state.store().changes();
    state.store().acknowledge(&changes);
    changes.len()
}

#[test]
fn nothing_is_touched_before_all_nodes_and_this_one_are_known() {
    let mut state = State::new("node-1");
    assert!(state.waits_for().unwrap().contains("list of VSwitchConfigs"));
    state.view(ViewEvent::Synced(Part::Nodes));
    assert!(state.waits_for().unwrap().contains("VSwitchConfig node-1"));
    state.view(ViewEvent::NodeUnusable("node-1".into(), "no podCIDR".into()));
    assert_eq!(state.waits_for().as_deref(), Some("no podCIDR"));
    state.view(ViewEvent::Node(Box::new(config(1))));
    for (part, kinds) in
        [(Part::Namespaces, "Namespaces"), (Part::Policies, "NetworkPolicies"), (Part::Pods, "Pods")]
    {
        assert!(state.waits_for().unwrap().contains(&format!("list of {kinds}")));
        state.view(ViewEvent::Synced(part));
    }
    assert_eq!(state.waits_for(), None);
}

#[test]
fn the_work_for_one_event_does_not_grow_with_the_cluster() {
    let mut state = ready();
    for n in 2..=250 {
        state.view(ViewEvent::Node(Box::new(config(n))));
    }
    for n in 2..=101 {
        state.view(ViewEvent::Pod(Box::new(pod(n))));
    }
    for n in 2..=100 {
        state.interface(&inserted(n, pod_row(n, Some(n.into()), None)));
    }
    settle(&mut state);
    state.interface(&inserted(101, pod_row(101, Some(101), None)));
    assert_eq!(settle(&mut state), 7, "a pod with IPv4");
    state.view(ViewEvent::NodeGone("node-77".into()));
    assert_eq!(settle(&mut state), 3, "a node with one CIDR");
    state.view(ViewEvent::Node(Box::new(config(78))));
    assert_eq!(settle(&mut state), 0, "an event that changes nothing");
}

#[test]
fn a_port_has_flows_as_long_as_it_has_a_number() {
    let mut state = ready();
    settle(&mut state);
    for (number, changes) in [(None, 1), (Some(-1), 0)] {
        state.interface(&inserted(5, pod_row(5, number, None)));
        assert_eq!(settle(&mut state), changes, "whose its address is");
    }
    state.interface(&inserted(5, pod_row(5, Some(7), None)));
    assert!(settle(&mut state) > 0);
    assert_eq!(state.unstamped(), vec![(uuid(5), 7)]);
    state.interface(&inserted(5, pod_row(5, Some(7), Some(7))));
    assert_eq!((settle(&mut state), state.unstamped()), (0, vec![]));
    // Another number after a restart of OVS: the old stamp does not count.
    state.interface(&inserted(5, pod_row(5, Some(8), Some(7))));
    assert_eq!(state.unstamped(), vec![(uuid(5), 8)]);
    state.interface(&RowChange::Deleted { uuid: uuid(5), row: pod_row(5, Some(8), None).into() });
    assert!(settle(&mut state) > 0);
    assert_eq!(state.ports().count(), 0);
}

#[test]
fn a_port_that_does_not_say_what_it_should_gets_no_network() {
    let mut state = ready();
    let mut row = pod_row(5, Some(7), None);
    row.external_ids.insert(ipam::keys::MAC.into(), "nonsense".into());
    settle(&mut state);
    state.interface(&inserted(5, row));
    assert_eq!((settle(&mut state), state.unstamped()), (0, vec![]));
}

#[test]
fn remote_nodes_wait_for_the_tunnel_and_follow_it() {
    let mut state = State::new("node-1");
    state.view(ViewEvent::Node(Box::new(config(2))));
    state.view(ViewEvent::Node(Box::new(config(1))));
    state.view(ViewEvent::Synced(Part::Nodes));
    assert_eq!(state.reachable().count(), 0);
    state.interface(&inserted(200, tunnel(None)));
    assert_eq!(state.reachable().count(), 0);
    state.interface(&inserted(200, tunnel(Some(9))));
    assert_eq!(state.reachable().count(), 1);
    settle(&mut state);
    let text: Vec<String> = state.store().changes().iter().map(|c| format!("{:?}", c.key())).collect();
    assert_eq!(text, Vec::<String>::new());
    // GRE has a port of its own, which is not there yet.
    state.view(ViewEvent::Node(Box::new(NodeConfig { overlay_type: api::OverlayType::Gre, ..config(1) })));
    assert_eq!(state.reachable().count(), 0);
}

#[test]
fn a_node_whose_overlay_address_is_of_another_family_has_no_flows_and_is_named() {
    let mut state = ready();
    let over = |n: u8, ip: &str| {
        ViewEvent::Node(Box::new(NodeConfig { overlay_ip: ip.parse().unwrap(), ..config(n) }))
    };
    let named = |state: &State| state.other_family().iter().cloned().collect::<Vec<_>>();
    settle(&mut state);
    state.view(over(2, "2001:db8::2"));
    assert_eq!((settle(&mut state), state.reachable().count()), (0, 0));
    assert_eq!(named(&state), ["node-2"]);
    state.view(over(3, "192.0.2.3"));
    assert_eq!((settle(&mut state), state.reachable().count()), (3, 1));
    // This node's own address changes: now it is the others that cannot be reached.
    state.view(over(1, "2001:db8::1"));
    settle(&mut state);
    assert_eq!(state.reachable().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["node-2"]);
    assert_eq!(named(&state), ["node-3"]);
    state.view(ViewEvent::NodeGone("node-3".into()));
    assert_eq!(named(&state), Vec::<String>::new());
}

#[test]
fn the_database_anew_leaves_only_what_is_in_it() {
    let mut state = ready();
    state.view(ViewEvent::Node(Box::new(config(2))));
    state.interface(&inserted(5, pod_row(5, Some(5), Some(5))));
    state.interface(&inserted(6, pod_row(6, Some(6), Some(6))));
    settle(&mut state);
    state.reset_interfaces();
    state.interface(&inserted(200, tunnel(Some(9))));
    state.interface(&inserted(6, pod_row(6, Some(6), Some(6))));
    assert_eq!(settle(&mut state), 7, "only the port that is gone, and whose its address was");
    let left: BTreeSet<Uuid> = state.ports().map(|(uuid, _)| uuid).collect();
    assert_eq!(left, BTreeSet::from([uuid(6)]));
}

#[test]
fn what_is_in_force_stays_when_this_nodes_configuration_goes_wrong() {
    let mut state = ready();
    settle(&mut state);
    state.view(ViewEvent::NodeUnusable("node-1".into(), "overlap".into()));
    assert_eq!((settle(&mut state), state.waits_for(), state.unusable()), (0, None, Some("overlap")));
    state.view(ViewEvent::NodeGone("node-1".into()));
    assert_eq!(settle(&mut state), 0);
    assert!(state.unusable().unwrap().contains("deleted"));
    state.view(ViewEvent::Node(Box::new(config(1))));
    assert_eq!(state.unusable(), None);
}

#[test]
fn pods_count_only_once_they_have_been_listed() {
    let mut state = State::new("node-1");
    state.view(ViewEvent::Pod(Box::new(pod(9))));
    assert!(state.pods().is_none());
    state.view(ViewEvent::Synced(Part::Pods));
    assert_eq!(state.pods().unwrap().len(), 1);
}

#[test]
fn a_port_has_no_network_before_its_pod_is_known() {
    let mut state = ready();
    settle(&mut state);
    state.interface(&inserted(9, pod_row(9, Some(9), None)));
    let asks =
        |state: &mut State| state.take_questions().into_iter().filter_map(|q| q.unknown).collect::<Vec<_>>();
    assert_eq!(asks(&mut state), ["pod-9"]);
    assert_eq!((settle(&mut state), state.unstamped()), (0, vec![]));
    state.ask_again();
    assert_eq!(asks(&mut state), ["pod-9"]);
    state.view(ViewEvent::UpToDate(Question { namespace: "default".into(), ticket: 2, unknown: None }));
    // Another pod of this name, whose labels may be others.
    state.view(ViewEvent::Pod(Box::new(ClusterPod { uids: vec!["old".into()], ..pod(9) })));
    settle(&mut state);
    assert_eq!(state.unstamped(), vec![]);
    state.view(ViewEvent::Pod(Box::new(pod(9))));
    assert!(settle(&mut state) > 0);
    assert_eq!(state.unstamped(), vec![(uuid(9), 9)]);
}

#[test]
fn a_pod_is_isolated_from_its_first_flow_on() {
    let mut state = ready();
    state.view(ViewEvent::Policy(policy("deny"), deny_all("Ingress")));
    settle(&mut state);
    state.interface(&inserted(5, pod_row(5, Some(5), None)));
    let questions = state.take_questions();
    assert_eq!(settle(&mut state), 1, "before all policies are known, no more than whose its address is");
    for question in questions {
        assert_eq!(question.namespace, "default");
        state.view(ViewEvent::UpToDate(Question { namespace: "other".into(), ..question.clone() }));
        assert_eq!(settle(&mut state), 0);
        state.view(ViewEvent::UpToDate(question));
    }
    state.compile();
    let tables: BTreeSet<u8> = state.store().changes().iter().map(|change| change.key().table).collect();
    assert!(tables.contains(&datapath::Table::Ingress.number()), "{tables:?}");
    assert!(!tables.contains(&datapath::Table::Egress.number()), "{tables:?}");
    settle(&mut state);
    state.view(ViewEvent::PolicyGone(policy("deny")));
    assert_eq!(settle(&mut state), 2, "the chain and its end");
}

#[test]
fn a_pod_whose_chain_the_switch_refuses_has_no_network() {
    let mut state = ready();
    state.view(ViewEvent::Policy(policy("deny"), deny_all("Ingress")));
    state.interface(&inserted(5, pod_row(5, Some(5), None)));
    settle(&mut state);
    let chain = Owner::Chain(uuid(5), Direction::Ingress);
    let key = state.store().keys(&chain).next().unwrap().clone();
    assert!(state.close(&key));
    assert!(!state.store().has(&Owner::Port(uuid(5))));
    assert_eq!(state.closed(), 1);
    state.open_again();
    assert!(state.store().has(&chain) && state.store().has(&Owner::Port(uuid(5))));
    let verdict = FlowKey { table: datapath::Table::Verdict.number(), ..key };
    assert!(!state.close(&verdict), "without a verdict less is allowed");
}

#[test]
fn a_pod_keeps_its_policies_until_its_port_is_gone() {
    let mut state = ready();
    state.view(ViewEvent::Policy(policy("deny"), deny_all("Egress")));
    state.interface(&inserted(5, pod_row(5, Some(5), Some(5))));
    settle(&mut state);
    state.view(ViewEvent::PodGone(pod(5).pod));
    assert_eq!(settle(&mut state), 1, "only its address is no pod's any more");
    let mut again = ready();
    again.view(ViewEvent::PodGone(pod(5).pod));
    again.interface(&inserted(5, pod_row(5, Some(5), Some(5))));
    again.compile();
    let tables: Vec<u8> = again.store().changes().iter().map(|change| change.key().table).collect();
    for table in [datapath::Table::Egress, datapath::Table::Ingress] {
        assert!(tables.contains(&table.number()), "a restarted daemon isolates it in both directions");
    }
}

/// Addresses that are somebody's, by what the switch should have.
fn identities(state: &mut State) -> BTreeSet<String> {
    state.compile();
    let addresses = (1..=20).map(|n| IpAddr::from([10, 0, 1, n]));
    let known = addresses.filter(|address| state.store().has(&Owner::Address(*address)));
    known.map(|address| address.to_string()).collect()
}

#[test]
fn the_api_does_not_give_a_local_pod_an_address_that_its_port_has_not() {
    let mut state = ready();
    assert!(identities(&mut state).is_empty(), "no port, no address");
    state.interface(&inserted(5, pod_row(5, Some(5), None)));
    assert_eq!(identities(&mut state), BTreeSet::from(["10.0.1.5".to_owned()]));
    state.interface(&RowChange::Deleted { uuid: uuid(5), row: pod_row(5, Some(5), None).into() });
    // The kubelet tells of the pod, still with the address that another one may have by now.
    state.view(ViewEvent::Pod(Box::new(pod(5))));
    assert!(identities(&mut state).is_empty());
}

#[test]
fn an_old_port_that_goes_takes_nothing_from_the_pods_new_one() {
    for uid in ["uid-5", "uid-of-the-one-before"] {
        let mut state = ready();
        state.interface(&inserted(5, pod_row(5, Some(5), None)));
        let mut old = pod_row(5, Some(6), None);
        old.external_ids.insert(ipam::keys::IPV4.into(), "10.0.1.6".into());
        old.external_ids.insert(ipam::keys::POD_UID.into(), uid.into());
        state.interface(&inserted(6, old.clone()));
        state.interface(&RowChange::Deleted { uuid: uuid(6), row: old.into() });
        assert_eq!(identities(&mut state), BTreeSet::from(["10.0.1.5".to_owned()]), "{uid}");
    }
}

#[test]
fn a_pod_that_runs_and_was_not_listed_is_asked_about_before_anything_is_changed() {
    let mut state = State::new("node-1");
    state.view(ViewEvent::Node(Box::new(config(1))));
    state.interface(&inserted(5, pod_row(5, Some(5), Some(5))));
    Part::ALL.into_iter().for_each(|part| state.view(ViewEvent::Synced(part)));
    assert!(state.waits_for().unwrap().contains("default/pod-5"));
    state.view(ViewEvent::Pod(Box::new(pod(5))));
    answer(&mut state);
    assert_eq!(state.waits_for(), None);
    state.compile();
    assert!(!state.store().has(&Owner::Chain(uuid(5), Direction::Ingress)), "nothing isolates it");
}

#[test]
fn a_local_pod_is_known_by_its_ports_address_before_the_api_knows_it() {
    let mut state = ready();
    let mut early = pod(7);
    early.facts.addresses.clear();
    state.view(ViewEvent::Pod(Box::new(early)));
    state.interface(&inserted(7, pod_row(7, Some(7), None)));
    state.compile();
    let is_identity = |key: &FlowKey| key.table == datapath::Table::Identity.number();
    let known = state.store().changes().iter().filter(|change| is_identity(&change.key())).count();
    assert_eq!(known, 1, "this pod's");
    settle(&mut state);
    state.interface(&RowChange::Deleted { uuid: uuid(7), row: pod_row(7, Some(7), None).into() });
    state.compile();
    let changes = state.store().changes();
    assert!(changes.iter().any(|change| is_identity(&change.key())), "its address is free");
}
