//! What an operator is shown of policies, with traffic that they allow and drop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use serde_json::{Value, json};
use system_tests::{Lab, pod, possible};

fn labelled(name: &str, node: u16) -> Value {
    let mut pod = pod(name, node);
    pod["metadata"]["labels"] = json!({"app": name});
    pod
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

fn of(app: &str) -> Value {
    json!({"matchLabels": {"app": app}})
}

/// A web server that a friend may ask and that may ask nobody; both on one node, a stranger on the other.
fn stage() -> Lab {
    let lab = Lab::up(&["--nodes", "2"]);
    let from = |app: &str| json!([{"podSelector": of(app)}]);
    let allow = json!({"podSelector": of("web"), "policyTypes": ["Ingress"], "ingress": [
        {"from": from("nobody")},
        {"from": from("friend"), "ports": [{"port": 80}, {"protocol": "UDP", "port": 53, "endPort": 60}]},
    ]});
    let items = [
        labelled("web", 1),
        labelled("friend", 1),
        labelled("stranger", 2),
        policy("let-friends-in", &allow),
        policy("ask-nobody", &json!({"podSelector": of("web"), "policyTypes": ["Egress"]})),
    ];
    lab.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}));
    lab.wait_for_pods(3);
    lab.reaches("default/friend", "default/web");
    lab
}

fn shown(lab: &Lab, pod: &str) -> Value {
    let text = lab.inspect(&["policy", "show", pod, "-o", "json"]);
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Asserts that nobody answers.
fn nobody_answers(lab: &Lab, from: &str, to: &str) {
    let results = lab.json(&["probe", "--from", from, "--to", to, "--probe", "TCP/80", "--timeout", "300ms"]);
    assert!(results.as_array().unwrap().iter().all(|result| result["result"] == "dropped"), "{results}");
}

#[test]
fn packets_are_shown_at_the_rule_that_allowed_them_and_at_the_direction_that_dropped_them() {
    if !possible() {
        return;
    }
    let lab = stage();
    let web = shown(&lab, "web");
    assert_eq!((&web["node"], &web["state"]), (&json!("node-1"), &json!("known")));
    let names = |web: &Value, direction: &str| -> Vec<String> {
        let policies = web[direction]["policies"].as_array().unwrap();
        policies.iter().map(|policy| policy["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (names(&web, "ingress"), names(&web, "egress")),
        (vec!["let-friends-in".into()], vec!["ask-nobody".into()])
    );
    let rules = &web["ingress"]["policies"][0]["rules"];
    assert_eq!(rules[0]["in_force"], false, "nobody has such labels: {rules}");
    assert_eq!(rules[1]["text"], "from app=friend on TCP/80, UDP/53-60");
    lab.until("the allowed packets to be counted", || {
        count(&shown(&lab, "web")["ingress"]["policies"][0]["rules"][1]["packets"]) > 0
    });
    let web = shown(&lab, "web");
    assert_eq!((&web["ingress"]["dropped"], &web["egress"]["dropped"]), (&json!(0), &json!(0)));

    nobody_answers(&lab, "default/stranger", "default/web");
    lab.until("drops on the way in", || count(&shown(&lab, "web")["ingress"]["dropped"]) > 0);
    assert_eq!(shown(&lab, "web")["egress"]["dropped"], 0);
    nobody_answers(&lab, "default/web", "default/stranger");
    lab.until("drops on the way out", || count(&shown(&lab, "web")["egress"]["dropped"]) > 0);

    let text = lab.inspect(&["policy", "show", "web"]);
    println!("{text}");
    for line in
        ["default/let-friends-in", "from app=friend on TCP/80, UDP/53-60", "allows nothing", "dropped"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(lab.inspect(&["policy", "show", "stranger"]).contains("egress: not isolated"));
}

#[test]
fn every_packet_that_an_isolated_pod_loses_to_a_policy_is_told_under_its_name() {
    if !possible() {
        return;
    }
    let lab = stage();
    let before = shown(&lab, "web");
    let told = |web: &Value| count(&web["ingress"]["dropped"]) + count(&web["egress"]["dropped"]);
    for probe in ["TCP/80", "TCP/443", "UDP/53", "SCTP/80", "ICMP"] {
        for (from, to) in [("stranger", "web"), ("web", "stranger"), ("web", "friend")] {
            let (from, to) = (format!("default/{from}"), format!("default/{to}"));
            let arguments = ["probe", "--from", &from, "--to", &to, "--probe", probe, "--timeout", "300ms"];
            let results = lab.json(&arguments);
            assert!(
                results.as_array().unwrap().iter().all(|result| result["result"] == "dropped"),
                "{results}"
            );
        }
    }
    let node = lab.node(1);
    // Five probes, three pairs, two families: at least one packet each.
    lab.until("all probes to be counted", || told(&shown(&lab, "web")) - told(&before) >= 30);
    // Retransmissions end, and the switch counts what it has seen.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let dump = [
        "ovs-ofctl",
        "-O",
        "OpenFlow15",
        "dump-flows",
        "k-vswitch0",
        "cookie=0x6b76060000000000/0xffffff0000000000",
    ];
    let all = node.exec(&dump);
    let counts = all.split([',', ' ']).filter_map(|word| word.strip_prefix("n_packets="));
    let all: u64 = counts.map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(told(&shown(&lab, "web")), all, "no drop for lack of a policy is another's");
    for reason in [4, 5, 6, 7, 8] {
        assert_eq!(node.dropped(reason), 0, "reason {reason}");
    }
}

#[test]
fn policies_and_nodes_are_summed_up_for_a_whole_lab() {
    if !possible() {
        return;
    }
    let lab = stage();
    let list: Value = serde_json::from_str(&lab.inspect(&["policy", "list", "-o", "json"])).unwrap();
    let rows: Vec<_> =
        list.as_array().unwrap().iter().map(|row| (&row["name"], &row["directions"], &row["pods"])).collect();
    let expected = [
        (&json!("ask-nobody"), &json!(["egress"]), &json!(1)),
        (&json!("let-friends-in"), &json!(["ingress"]), &json!(1)),
    ];
    assert_eq!(rows, expected, "{list}");
    let status: Value = serde_json::from_str(&lab.inspect(&["status", "-o", "json"])).unwrap();
    let nodes: Vec<_> = status
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (&node["node"], &node["ready"], &node["pods"], &node["policies"]))
        .collect();
    let yes = json!(true);
    let expected =
        [(&json!("node-1"), &yes, &json!(2), &json!(2)), (&json!("node-2"), &yes, &json!(1), &json!(0))];
    assert_eq!(nodes, expected, "{status}");
    for node in status.as_array().unwrap() {
        let limited = !node["limits"].as_array().unwrap().is_empty();
        assert_eq!(node["tracks_sctp"] == false, limited, "{node}");
    }
    println!("{}{}", lab.inspect(&["policy", "list"]), lab.inspect(&["status"]));
}
