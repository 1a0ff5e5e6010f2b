use serde_json::{Value, json};

use super::*;

fn line(name: &str, change: &Value) -> Value {
    let mut line = json!({
        "namespace": "shop", "name": name, "skipped": null, "kinds": ["cluster", "node_port"],
        "addresses": ["10.96.0.20", "fd00:10:96::20"],
        "ports": [{"protocol": "TCP", "port": 80, "node_port": 30080}, {"protocol": "UDP", "port": 53, "node_port": null}],
        "frontends": 6, "endpoints": {"total": 3, "ready": 2, "terminating": 0}, "problems": 0,
    });
    for (key, value) in change.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

fn node(name: &str, services: &[Value], problems: &Value) -> Listing {
    let listing = json!({"node": name, "proxy": true, "tracks_sctp": false, "services": services, "problems": problems});
    serde_json::from_value(listing).unwrap()
}

fn off(name: &str) -> Listing {
    Listing { node: name.to_owned(), ..Listing::default() }
}

fn none_ready(terminating: usize) -> Value {
    json!({"endpoints": {"total": 1, "ready": 0, "terminating": terminating}})
}

#[test]
fn a_row_says_how_a_service_is_and_which_nodes_have_it_otherwise() {
    let skipped = |why: &str| json!({"skipped": why, "kinds": [], "addresses": [], "endpoints": {"total": 0, "ready": 0, "terminating": 0}});
    let sctp = json!({"ports": [{"protocol": "SCTP", "port": 38412, "node_port": null}]});
    let services = [
        line("a-web", &json!({})),
        line("b-none", &none_ready(0)),
        line("c-going", &none_ready(1)),
        line("d-headless", &skipped("headless")),
        line("e-sctp", &sctp),
        line("f-wrong", &json!({"problems": 2})),
        line("g-other", &json!({})),
        line("h-new", &json!({})),
    ];
    let wrong = json!([
        {"namespace": "shop", "service": "f-wrong", "slice": null, "path": "spec.ports", "message": "use another"},
        {"namespace": "shop", "service": "f-wrong", "slice": "f-1", "path": "endpoints[0].addresses[0]", "message": "odd"},
    ]);
    let mut others = services.to_vec();
    others[6] = line("g-other", &json!({"frontends": 5}));
    others.pop();
    let listings = [node("node-1", &services, &wrong), node("node-2", &others, &wrong), off("node-3")];
    insta::assert_snapshot!(lines(&rows(&listings), &listings).join("\n"));
}

#[test]
fn nodes_that_are_no_proxies_have_no_rows() {
    let listings = [off("node-1"), off("node-2")];
    assert_eq!(rows(&listings), []);
    let lines = lines(&[], &listings);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let listings = [node("node-1", &[], &json!([]))];
    assert_eq!(super::lines(&[], &listings), ["no Services"]);
}
