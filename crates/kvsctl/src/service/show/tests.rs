use serde_json::{Value, json};

use super::*;

fn node(name: &str, local: bool, connections: u64) -> Shown {
    let leads = |outside: &str, sources: Value| json!({"state": "to", "inside": "cluster", "outside": outside, "sources": sources});
    let frontend = |kind: &str, address: Value, port: u16, leads: Value| {
        let connections = (leads["state"] == "to").then_some(connections);
        json!({"kind": kind, "ipv6": false, "address": address, "port": port, "outside_by": null, "leads": leads,
            "connections": connections, "not_allowed": 0})
    };
    let mut balanced =
        frontend("load_balancer", json!("192.0.2.7"), 80, leads("local_outside", json!(["198.51.100.0/24"])));
    balanced["outside_by"] = json!(1080);
    let mut stand_in =
        frontend("stand_in", Value::Null, 1080, leads("local_outside", json!(["198.51.100.0/24"])));
    stand_in["not_allowed"] = json!(4);
    let taken = json!({"state": "taken", "namespace": "shop", "name": "first"});
    let endpoint = |address: &str, node: &str, state: [bool; 3], used: bool| {
        let [ready, serving, terminating] = state;
        json!({"address": address, "node": node, "local": false, "ready": ready, "serving": serving,
            "terminating": terminating, "target": {"kind": "Pod", "name": format!("web-{node}")}, "used": used,
            "connections": if used { json!(connections) } else { Value::Null }})
    };
    let in_set = json!([{"address": "10.0.1.2:8080", "connections": connections}]);
    let local_set = json!({
        "id": 8, "ipv6": false, "scope": "local_outside", "keeps_client": local, "connections": connections,
        "outcome": if local { "endpoints" } else { "dropped" },
        "endpoints": if local { in_set.clone() } else { json!([]) },
    });
    let shown = json!({
        "node": name, "proxy": true, "counters": {"state": "read"},
        "service": {
            "namespace": "shop", "name": "web", "skipped": null, "affinity": 600,
            "health_check": {"port": 32000, "local_endpoints": u8::from(local),
                "status": if local { 200 } else { 503 }, "error": null},
            "problems": [{"namespace": "shop", "service": "web", "slice": null, "path": "spec", "message": "use another"}],
            "ports": [{
                "name": "http", "protocol": "TCP", "port": 80,
                "frontends": [
                    frontend("cluster", json!("10.96.0.20"), 80, leads("cluster", json!([]))),
                    frontend("node_port", Value::Null, 30080, leads("local_outside", json!([]))),
                    balanced,
                    frontend("external", json!("192.0.2.8"), 80, taken),
                    stand_in,
                ],
                "sets": [
                    {"id": 7, "ipv6": false, "scope": "cluster", "outcome": "endpoints", "keeps_client": false,
                        "connections": connections, "endpoints": in_set},
                    local_set,
                ],
                "endpoints": [
                    endpoint("10.0.1.2:8080", "node-1", [true, true, false], true),
                    endpoint("10.0.2.2:8080", "node-2", [false, true, true], false),
                    endpoint("10.0.2.3:8080", "node-2", [false, false, false], false),
                ],
            }],
        },
    });
    serde_json::from_value(shown).unwrap()
}

#[test]
fn a_service_on_several_nodes_is_shown_once_with_sums() {
    let answers = [node("node-1", true, 3), node("node-2", false, 5)];
    insta::assert_snapshot!("several_nodes", lines(&answers).join("\n"));
}

#[test]
fn one_node_is_shown_alone() {
    let mut answer = node("node-2", false, 5);
    answer.counters = Counters::Unavailable { why: "no switch".to_owned() };
    insta::assert_snapshot!("one_node", lines(&[answer]).join("\n"));
}

#[test]
fn what_is_skipped_says_why() {
    let mut answer = node("node-1", true, 0);
    if let Some(service) = &mut answer.service {
        service.skipped = Some(inspection::services::Skipped::Headless);
        service.ports.clear();
        service.problems.clear();
        (service.affinity, service.health_check) = (None, None);
    }
    let lines = lines(&[answer]);
    assert_eq!(
        lines,
        ["Service shop/web on node-1", "headless: clients find its endpoints themselves, by DNS"]
    );
}

#[test]
fn a_service_that_no_node_has_is_nothing() {
    let absent = Shown { service: None, ..node("node-1", true, 0) };
    assert_eq!(lines(&[absent]), Vec::<String>::new());
}
