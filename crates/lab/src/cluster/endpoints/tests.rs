use super::*;
use serde_json::{Value, json};

fn service(spec: &Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "d", "uid": "u"}, "spec": spec}))
        .unwrap()
}

fn pod(name: &str, addresses: &[&str], port: i32, ready: bool) -> Arc<Pod> {
    let addresses: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "d", "labels": {"app": "x"}},
            "spec": {"nodeName": "n1", "containers": [
                {"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
            "status": {"phase": "Running", "podIPs": addresses,
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
        .unwrap(),
    )
}

/// Name, addresses with their readiness, and port numbers of a slice.
type Seen = (String, Vec<(String, bool)>, Vec<i32>);

fn seen(slices: &[EndpointSlice]) -> Vec<Seen> {
    slices
        .iter()
        .map(|slice| {
            let endpoints = slice.endpoints.iter().map(|endpoint| {
                (endpoint.addresses[0].clone(), endpoint.conditions.as_ref().unwrap().ready.unwrap())
            });
            let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
            (slice.name_any(), endpoints.collect(), ports.collect())
        })
        .collect()
}

#[test]
fn a_dual_stack_service_has_a_slice_per_family() {
    let service = service(&json!({
        "selector": {"app": "x"}, "ipFamilies": ["IPv4", "IPv6"], "ports": [{"port": 80, "targetPort": 8080}],
    }));
    let pods = [pod("a", &["10.0.0.1", "fd00::1"], 1, true), pod("b", &["10.0.0.2", "fd00::2"], 1, false)];
    assert_eq!(
        seen(&slices_of(&service, &pods)),
        [
            ("s-ipv4-0".into(), vec![("10.0.0.1".into(), true), ("10.0.0.2".into(), false)], vec![8080]),
            ("s-ipv6-0".into(), vec![("fd00::1".into(), true), ("fd00::2".into(), false)], vec![8080]),
        ]
    );
}

#[test]
fn a_named_port_splits_the_slices_by_its_number_in_the_pods() {
    let service = service(&json!({
        "selector": {"app": "x"}, "ipFamilies": ["IPv4"], "ports": [{"port": 80, "targetPort": "web"}],
    }));
    let pods = [
        pod("a", &["10.0.0.1"], 8080, true),
        pod("b", &["10.0.0.2"], 9090, true),
        pod("c", &["10.0.0.3"], 8080, true),
    ];
    assert_eq!(
        seen(&slices_of(&service, &pods)),
        [
            ("s-ipv4-0".into(), vec![("10.0.0.1".into(), true), ("10.0.0.3".into(), true)], vec![8080]),
            ("s-ipv4-1".into(), vec![("10.0.0.2".into(), true)], vec![9090]),
        ]
    );
}

#[test]
fn services_without_selector_and_pods_that_ended_have_no_endpoints() {
    assert_eq!(
        slices_of(&service(&json!({"ports": [{"port": 80}]})), &[pod("a", &["10.0.0.1"], 1, true)]),
        []
    );
    let mut ended = pod("a", &["10.0.0.1"], 1, true);
    Arc::make_mut(&mut ended).status.as_mut().unwrap().phase = Some("Succeeded".into());
    assert_eq!(slices_of(&service(&json!({"selector": {"app": "x"}})), &[ended]), []);
}

#[test]
fn many_endpoints_are_spread_over_slices() {
    let pods: Vec<_> = (0..250).map(|i| pod(&format!("p{i}"), &[&format!("10.0.1.{i}")], 1, true)).collect();
    let slices = slices_of(&service(&json!({"selector": {"app": "x"}, "ports": [{"port": 80}]})), &pods);
    let sizes: Vec<usize> = slices.iter().map(|slice| slice.endpoints.len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
}
