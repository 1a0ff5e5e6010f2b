use inspection::services::{Leads, Outcome, Scope, Service};
use openflow::Group;
use serde_json::{Value, json};
use service::engine::Engine;
use service::lb::{Change, Name};

use super::*;
use crate::inspect::services::values;

fn name(name: &str) -> Name {
    Name { namespace: "shop".into(), name: name.into() }
}

/// An engine on node-1 that has told of a Service with so many endpoints on node-2.
fn engine(spec: &Value, port: &Value, endpoints: u16) -> (Engine, Vec<Change>) {
    let mut engine = Engine::new("node-1");
    engine.service(&name("web"), &serde_json::from_value(json!({ "spec": spec })).unwrap());
    let endpoint = |n: u16| {
        let [high, low] = n.to_be_bytes();
        json!({"addresses": [format!("10.0.{}.{low}", 2 + high)], "nodeName": "node-2",
            "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": format!("web-{n}")}})
    };
    let slice = json!({
        "service": "web", "addressType": "IPv4", "ports": [port],
        "endpoints": (1..=endpoints).map(endpoint).collect::<Vec<_>>(),
    });
    engine.slice("shop", "web-1", &serde_json::from_value(slice).unwrap());
    let changes = engine.changes();
    (engine, changes)
}

/// A switch that has the flows and groups of all these changes: the nth flow has counted n packets, and the nth bucket
/// of a group n.
fn switch(changes: &[Change]) -> (Vec<Flow>, Vec<Group>) {
    let (mut flows, mut groups) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Set(id, Some(set)) => {
                let items = pipeline::set(*id, set, set.protocol != Protocol::Sctp);
                flows.extend(items.flows);
                groups.extend(items.groups);
            }
            Change::Frontend(at, Some(target)) => flows.extend(pipeline::frontend(at, target)),
            _ => {}
        }
    }
    (flows, groups)
}

/// Answers as the switch would: only what is asked for.
fn answer(questions: &Questions, flows: &[Flow], groups: &[Group]) -> Counted {
    let mut counted = Counted::default();
    for (flow, packets) in flows.iter().zip(1..) {
        let asked = questions.flows.iter().any(|request| {
            let whole = request.matching == openflow::Match::new() || request.matching == flow.matching;
            flow.cookie == request.cookie && [0xff, flow.table].contains(&request.table) && whole
        });
        if asked {
            counted.flows.insert(flow.key(), packets);
        }
    }
    for group in groups.iter().filter(|group| questions.groups.contains(&group.id)) {
        counted.groups.insert(group.id, (1..).take(group.buckets.len()).collect());
    }
    counted
}

fn shown(spec: &Value, endpoints: u16) -> Service {
    shown_of(spec, &json!({"port": 8080}), endpoints)
}

fn shown_of(spec: &Value, port: &Value, endpoints: u16) -> Service {
    let (engine, changes) = engine(spec, port, endpoints);
    let view = engine.view(&name("web")).unwrap();
    let (flows, groups) = switch(&changes);
    let counted = answer(&questions(&view, false), &flows, &groups);
    values::service(&name("web"), &view, false, Some(&counted))
}

fn cluster_ip() -> Value {
    json!({"clusterIP": "10.96.0.20", "ports": [{"port": 80}]})
}

fn by_endpoint(service: &Service) -> Vec<Option<u64>> {
    service.ports[0].sets[0].endpoints.iter().map(|endpoint| endpoint.connections).collect()
}

#[test]
fn what_is_counted_for_one_endpoint_or_for_buckets_is_told_of_endpoints() {
    let one = shown(&cluster_ip(), 1);
    let set = &one.ports[0].sets[0];
    assert_eq!(
        (set.outcome, set.connections, by_endpoint(&one)),
        (Outcome::Endpoints, Some(1), vec![Some(1)])
    );
    assert_eq!(one.ports[0].frontends[0].connections, Some(2), "the second flow");
    // The fourth bucket leads to the third endpoint, too.
    assert_eq!(by_endpoint(&shown(&cluster_ip(), 3)), [Some(1), Some(2), Some(3 + 4)]);
    let many = shown(&cluster_ip(), 100);
    assert_eq!(many.ports[0].sets[0].endpoints.len(), 100);
    assert!(by_endpoint(&many).iter().all(Option::is_some), "{many:?}");
    let sum: u64 = many.ports[0].endpoints.iter().filter_map(|endpoint| endpoint.connections).sum();
    assert_eq!(sum, by_endpoint(&many).into_iter().flatten().sum::<u64>());
}

#[test]
fn with_an_affinity_it_is_the_kept_endpoint_that_counts() {
    let mut spec = cluster_ip();
    spec["sessionAffinity"] = json!("ClientIP");
    let service = shown(&spec, 3);
    assert_eq!(service.affinity, Some(10_800));
    // The first flow looks for what is kept, the next ones are the endpoints'.
    assert_eq!(
        (service.ports[0].sets[0].connections, by_endpoint(&service)),
        (Some(1), vec![Some(2), Some(3), Some(4)])
    );
}

#[test]
fn what_is_dropped_or_refused_is_counted_under_its_own_cookie() {
    let none = shown(&cluster_ip(), 0);
    let set = &none.ports[0].sets[0];
    assert_eq!((set.outcome, set.connections), (Outcome::Refused, Some(1)));
    let sctp = json!({"clusterIP": "10.96.0.20", "ports": [{"port": 80, "protocol": "SCTP"}]});
    let sctp = shown_of(&sctp, &json!({"port": 8080, "protocol": "SCTP"}), 1);
    assert_eq!(sctp.ports[0].sets[0].outcome, Outcome::RefusedSctp);
    assert_eq!((sctp.ports[0].sets[0].connections, by_endpoint(&sctp)), (Some(1), vec![None]));
    let local = json!({
        "type": "LoadBalancer", "clusterIP": "10.96.0.20", "ports": [{"port": 80, "nodePort": 30_080}],
        "externalTrafficPolicy": "Local", "healthCheckNodePort": 32_000,
    });
    let local = shown(&local, 2);
    let set = local.ports[0].sets.iter().find(|set| set.scope == Scope::LocalOutside).unwrap();
    assert_eq!((set.outcome, set.connections.is_some(), set.keeps_client), (Outcome::Dropped, true, true));
    let check = local.health_check.unwrap();
    assert_eq!((check.port, check.local_endpoints, check.status), (32_000, 0, 503));
    let node_port = local.ports[0].frontends.iter().find(|one| one.address.is_none()).unwrap();
    let expected = Leads::To { inside: Scope::Cluster, outside: Scope::LocalOutside, sources: vec![] };
    assert_eq!(node_port.leads, expected);
}

#[test]
fn those_who_may_not_use_an_address_are_counted_apart() {
    let mut engine = Engine::new("node-1");
    let service = json!({
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.20", "ports": [{"port": 80}],
            "loadBalancerSourceRanges": ["192.0.2.0/24", "198.51.100.0/24"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
    });
    engine.service(&name("web"), &serde_json::from_value(service).unwrap());
    let (flows, groups) = switch(&engine.changes());
    let view = engine.view(&name("web")).unwrap();
    let counted = answer(&questions(&view, false), &flows, &groups);
    let service = values::service(&name("web"), &view, false, Some(&counted));
    let frontends = &service.ports[0].frontends;
    let balanced = frontends.iter().find(|one| one.address == Some([203, 0, 113, 7].into())).unwrap();
    assert!(balanced.not_allowed.is_some_and(|packets| packets > 0), "{balanced:?}");
    assert!(balanced.outside_by.is_some(), "{balanced:?}");
    let cluster = frontends.iter().find(|one| one.address == Some([10, 96, 0, 20].into())).unwrap();
    assert_eq!(cluster.not_allowed, Some(0));
}

#[test]
fn without_a_switch_there_are_no_counts() {
    let (engine, _) = engine(&cluster_ip(), &json!({"port": 8080}), 2);
    let view = engine.view(&name("web")).unwrap();
    let service = values::service(&name("web"), &view, false, None);
    assert_eq!((service.ports[0].sets[0].connections, by_endpoint(&service)), (None, vec![None, None]));
    assert_eq!(service.ports[0].frontends[0].connections, None);
    assert_eq!(service.ports[0].endpoints[0].target.as_ref().map(|one| one.name.as_str()), Some("web-1"));
}
