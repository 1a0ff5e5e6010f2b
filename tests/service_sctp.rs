//! Services in SCTP: all the ways to them where the datapath can translate it, and refusals of all of them where it cannot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use system_tests::sctp::{Association, ask, sockets, translated};
use system_tests::service::{Answer, list, route, server, service, with};
use system_tests::{Api, Lab, possible};

/// The Services: name, port, node port. An endpoint near the client and one far from it, in pods and on nodes' networks; and
/// nobody.
const SERVICES: [(&str, u16, u16); 5] = [
    ("near", 81, 31_081),
    ("far", 82, 31_082),
    ("home", 83, 31_083),
    ("host", 84, 31_084),
    ("nobody", 85, 31_085),
];
/// An address that is all Services'.
const EXTERNAL: [&str; 2] = ["198.51.100.7", "2001:db8:51::7"];

fn sctp(name: &str, port: u16, node_port: u16, spec: &Value) -> Value {
    let ports = json!([{"protocol": "SCTP", "port": port, "targetPort": 8080, "nodePort": node_port}]);
    with(service(name, &json!({"type": "NodePort", "ports": ports})), "spec", spec)
}

/// Who is to answer at each of these ports.
fn expected(ports: [u16; 5]) -> Vec<(u16, &'static str)> {
    let who = |name| if name == "nobody" { "refused" } else { name };
    ports.into_iter().zip(SERVICES).map(|(port, (name, ..))| (port, who(name))).collect()
}

fn numbers(wanted: &[(u16, &str)]) -> Vec<u16> {
    wanted.iter().map(|(port, _)| *port).collect()
}

/// Waits until these answer.
fn wait_for(lab: &Lab, from: &str, to: &str, wanted: &[(u16, &str)]) {
    let right = |(port, answer): &(u16, Answer)| wanted.contains(&(*port, answer.who()));
    let what = format!("SCTP Services at {to}, from {from}");
    lab.until(&what, || ask(lab, from, to, &numbers(wanted)).iter().all(right));
}

/// Asserts who answers. Returns the client's addresses as pods' servers see them.
fn answered(lab: &Lab, from: &str, to: &str, wanted: &[(u16, &str)]) -> BTreeSet<IpAddr> {
    let answers = ask(lab, from, to, &numbers(wanted));
    let mut clients = BTreeSet::new();
    for (port, answer) in &answers {
        let (_, who) = wanted.iter().find(|(wanted, _)| wanted == port).unwrap();
        assert_eq!(answer.who(), *who, "port {port} of {to}, from {from}: {answers:#?}\n{}", lab.tails());
        match answer {
            Answer::By { name, client } if ["near", "far"].contains(&name.as_str()) => {
                clients.insert(client.ip());
            }
            _ => {}
        }
    }
    clients
}

#[test]
fn everybody_reaches_sctp_services_by_all_their_addresses_or_is_refused() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    let on_host = |name, node| with(server(name, node, &[8080]), "spec", &json!({"hostNetwork": true}));
    let pods = [("client", 1), ("near", 1), ("far", 2)].map(|(name, node)| server(name, node, &[8080]));
    lab.apply(&list(&[pods.as_slice(), &[on_host("home", 1), on_host("host", 2)]].concat()));
    lab.wait_for_pods(5);
    let external = EXTERNAL.map(|address| address.parse::<IpAddr>().unwrap());
    route(&lab, &external, &lab.node(1));
    lab.apply(&list(
        &SERVICES
            .map(|(name, port, node_port)| sctp(name, port, node_port, &json!({"externalIPs": EXTERNAL}))),
    ));
    let [at_service, at_node] =
        [SERVICES.map(|(_, port, _)| port), SERVICES.map(|(.., port)| port)].map(expected);
    if !translated(&lab) {
        refused(&lab, &numbers(&at_service), &numbers(&at_node));
        return;
    }
    let [one, two] = [1, 2].map(|node| lab.node(node));
    let client = BTreeSet::from(one.port("client").addresses());
    // Each node's bridge and host have them when they are there from outside and from its pods.
    for node in ["node:node-1", "node:node-2"] {
        wait_for(&lab, "outside", node, &at_node);
        wait_for(&lab, node, EXTERNAL[0], &at_service);
    }
    wait_for(&lab, "default/client", EXTERNAL[0], &at_service);

    for service in &at_service {
        let name = SERVICES.iter().find(|(_, port, _)| *port == service.0).unwrap().0;
        let to = format!("{name}.default");
        let wanted = [*service];
        // Who is on a node's network sees the sending node, as all that leaves the cluster's pods.
        let seen =
            |client: BTreeSet<IpAddr>| if ["near", "far"].contains(&name) { client } else { BTreeSet::new() };
        assert_eq!(
            answered(&lab, "default/client", &to, &wanted),
            seen(client.clone()),
            "of the pod at {to}"
        );
        for node in [&one, &two] {
            let from = format!("node:{}", node.name);
            assert_eq!(answered(&lab, &from, &to, &wanted), seen(node.gateway().into()), "of {from} at {to}");
        }
    }
    for node in [&one, &two] {
        let to = format!("node:{}", node.name);
        assert_eq!(
            answered(&lab, "outside", &to, &at_node),
            node.masquerade().into(),
            "of the outside at {to}"
        );
        let clients = answered(&lab, "default/client", &to, &at_node);
        // Its own node does not hide it.
        assert!(node.name != "node-1" || clients == client, "{clients:?} at {to}");
        answered(&lab, "node:node-1", &to, &at_node);
    }
    let at_external = |from: &str| -> BTreeSet<IpAddr> {
        EXTERNAL.iter().flat_map(|to| answered(&lab, from, to, &at_service)).collect()
    };
    assert_eq!(at_external("outside"), one.masquerade().into());
    assert_eq!(at_external("default/client"), client);
    at_external("node:node-1");
}

/// What a datapath cannot translate it refuses. It tells associations apart by their addresses alone: of clients that it has
/// to hide, which all have one address then, those who are not the first get no answer.
fn refused(lab: &Lab, at_service: &[u16], at_node: &[u16]) {
    let all = |ports: &[u16]| ports.iter().map(|port| (*port, "refused")).collect::<Vec<_>>();
    for to in EXTERNAL {
        wait_for(lab, "default/client", to, &all(at_service));
    }
    for ((name, ..), at) in SERVICES.iter().zip(all(at_service)) {
        answered(lab, "default/client", &format!("{name}.default"), &[at]);
    }
    answered(lab, "default/client", "node:node-1", &all(at_node));
    for from in ["outside", "node:node-1"] {
        let answers = ask(lab, from, "node:node-1", at_node);
        assert!(
            answers.iter().all(|(_, answer)| !matches!(answer, Answer::By { .. })),
            "{from}: {answers:#?}"
        );
    }
}

#[test]
fn associations_of_the_same_two_pods_are_kept_apart() {
    if !possible() {
        return;
    }
    if !sockets() {
        println!("SKIPPED: this kernel has no SCTP, so there are no associations that stay");
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    if !translated(&lab) {
        println!("SKIPPED: the datapath cannot translate SCTP");
        return;
    }
    let pods = [("client", 1), ("near", 1), ("far", 2)];
    lab.apply(&list(&pods.map(|(name, node)| server(name, node, &[8080]))));
    lab.wait_for_pods(3);
    lab.apply(&list(
        &SERVICES[..2]
            .iter()
            .map(|(name, port, node)| sctp(name, *port, *node, &json!({})))
            .collect::<Vec<_>>(),
    ));
    lab.apply(&sctp("nobody", 85, 31_085, &json!({})));
    let api = Api::new(&lab);
    let client = lab.node(1).port("client").open();
    let mut all = vec![];
    for (name, port, node_port) in &SERVICES[..2] {
        wait_for(&lab, "default/client", &format!("{name}.default"), &[(*port, *name)]);
        wait_for(&lab, "outside", "node:node-1", &[(*node_port, *name)]);
        for address in api.cluster_ips(name) {
            all.extend((0..8).map(|_| Association::open(&client, SocketAddr::new(address, *port))));
        }
        for address in lab.node(1).addresses() {
            all.extend(
                (0..4).map(|_| Association::open(&lab.outside(), SocketAddr::new(address, *node_port))),
            );
        }
        assert!(all.iter().rev().take(24).all(|one| one.server == *name), "{all:#?}");
    }
    // Who does not listen to ICMP's errors is refused at once all the same, in IPv4.
    wait_for(&lab, "default/client", "nobody.default", &[(85, "refused")]);
    let to = SocketAddr::new(api.cluster_ips("nobody")[0], 85);
    assert!(to.is_ipv4(), "{to}");
    let begin = Instant::now();
    let error = Association::try_open(&client, to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "before an INIT is sent again: {:?}", begin.elapsed());
    let ends: BTreeSet<_> = all.iter().map(|one| (one.server.clone(), one.seen)).collect();
    assert_eq!(ends.len(), all.len(), "each is one of its own to its server: {ends:#?}");
    // What each says comes back to it and to nobody else, also when others have ended.
    for round in 0..3 {
        for (number, one) in all.iter_mut().enumerate() {
            one.say(&format!("{round}: the {number}th\n"));
        }
        for (number, one) in all.iter_mut().enumerate() {
            one.hears(&format!("{round}: the {number}th\n"));
        }
        let keep = all.len() / 2;
        // Every second one.
        let mut number = 0;
        all.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        assert_eq!(all.len(), keep);
    }
}
