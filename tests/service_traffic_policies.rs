//! Who gets to which endpoints: traffic policies, source ranges, addresses of node ports, and hints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use host::Netns;
use serde_json::{Value, json};
use system_tests::service::{
    Answer, all_answer, and, any, ask_all, ask_from, at_node_port, list, route, server, service,
    service_of_slices, slices, wait_for, with,
};
use system_tests::{Api, Lab, gate, possible, sctp};

/// A load balancer's addresses.
const BALANCED: [&str; 2] = ["198.51.100.8", "2001:db8:51::8"];
/// The outside's, on the nodes' network.
const OUTSIDE: [&str; 2] = ["172.30.0.254", "fd00:30::fe"];

fn parse(texts: [&str; 2]) -> [IpAddr; 2] {
    texts.map(|text| text.parse().unwrap())
}

/// Servers `near` and `far`, and a client beside each.
fn up(arguments: &[&str]) -> (Lab, Api, [Netns; 2]) {
    let lab = Lab::up(&[&["--nodes", "2"], arguments].concat());
    let pods = [("near", 1), ("client1", 1), ("far", 2), ("client2", 2)];
    lab.apply(&list(&pods.map(|(name, node)| with(server(name, node, &[8080]), "spec", &gate()))));
    lab.wait_for_pods(4);
    let api = Api::new(&lab);
    for (pod, _) in pods {
        api.set_pod_ready("default", pod, true);
    }
    let clients = [1, 2].map(|node| lab.node(node).port(&format!("client{node}")).open());
    (lab, api, clients)
}

/// Status and body of what is answered to an HTTP request.
fn get(from: &Netns, to: SocketAddr) -> Option<(u16, Value)> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = from.run(ask).unwrap().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).ok()?))
}

#[test]
fn local_clients_keep_their_address_and_nodes_without_endpoints_take_none() {
    if !possible() {
        return;
    }
    let (lab, api, clients) = up(&[]);
    let (outside, balanced) = (lab.outside(), parse(BALANCED));
    let nodes = [lab.node(1), lab.node(2)];
    let local =
        json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32_100});
    lab.apply(&list(&[
        service("near", &and(at_node_port(31_001), &local)),
        service("far", &and(at_node_port(31_002), &json!({"externalTrafficPolicy": "Cluster"}))),
    ]));
    api.set_load_balancer("near", &balanced);
    wait_for(&lab, &outside, &nodes[0].addresses(), 31_001, "near");
    let seen = all_answer(&outside, &nodes[0].addresses(), 31_001, &["near"]);
    assert_eq!(seen, parse(OUTSIDE).into(), "the client keeps its address");
    wait_for(&lab, &outside, &nodes[1].addresses(), 31_001, "dropped");
    for node in &nodes {
        wait_for(&lab, &outside, &node.addresses(), 31_002, "far");
        let seen = all_answer(&outside, &node.addresses(), 31_002, &["far"]);
        assert_eq!(seen, node.masquerade().into(), "{} hides the client", node.name);
    }
    // The same by a load balancer.
    route(&lab, &balanced, &nodes[0]);
    wait_for(&lab, &outside, &balanced, 80, "near");
    assert_eq!(all_answer(&outside, &balanced, 80, &["near"]), parse(OUTSIDE).into());
    route(&lab, &balanced, &nodes[1]);
    wait_for(&lab, &outside, &balanced, 80, "dropped");

    // Who is inside is sent to any endpoint.
    for client in [&clients[0], &clients[1], &nodes[0].netns, &nodes[1].netns] {
        wait_for(&lab, client, &api.cluster_ips("near"), 80, "near");
        wait_for(&lab, client, &balanced, 80, "near");
    }
    for (client, node) in clients.iter().zip(&nodes) {
        all_answer(client, &node.addresses(), 31_001, &["near"]);
        all_answer(&node.netns, &node.addresses(), 31_001, &["near"]);
    }

    // Load balancers ask which nodes have endpoints.
    let health = |node: usize| -> Vec<_> {
        nodes[node].addresses().iter().map(|ip| get(&outside, SocketAddr::new(*ip, 32_100))).collect()
    };
    let says = |status: u16, endpoints: u64| {
        let service = json!({"namespace": "default", "name": "near"});
        let body = json!({"service": service, "localEndpoints": endpoints, "serviceProxyHealthy": true});
        vec![Some((status, body)); 2]
    };
    lab.until("the first node to be healthy", || health(0) == says(200, 1));
    lab.until("the second node not to be", || health(1) == says(503, 0));
    api.set_pod_ready("default", "near", false);
    lab.until("no node to be healthy", || health(0) == says(503, 0));
    for node in &nodes {
        wait_for(&lab, &outside, &node.addresses(), 31_001, "refused");
    }
    api.set_pod_ready("default", "near", true);
    lab.until("the first node to be healthy again", || health(0) == says(200, 1));
    lab.apply(&service("near", &at_node_port(31_001)));
    lab.until("nobody to be asked", || health(0) == [None, None] && health(1) == [None, None]);
    // Somebody else has the port of one node: it is said, and load balancers do not send there.
    let taken = nodes[1].netns.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 32_100))).unwrap().unwrap();
    lab.apply(&service("near", &and(at_node_port(31_001), &local)));
    lab.until("the first node to be asked again", || health(0) == says(200, 1));
    let problem = "default/near: spec.healthCheckNodePort: 32100 cannot be opened on node-2";
    let said = || lab.inspect(&["service", "list"]);
    lab.until("it to be said", || said().contains(problem));
    assert!(!said().contains("opened on node-1"), "{}", said());
    drop(taken);
    api.set_pod_ready("default", "near", false);
    lab.until("the second node to answer", || health(1) == says(503, 0));
    assert!(!said().contains(problem), "{}", said());
}

#[test]
fn a_process_of_the_node_sees_its_clients_where_it_is_the_nodes_only_endpoint() {
    if !possible() {
        return;
    }
    let (lab, api, clients) = up(&[]);
    let (outside, balanced, nodes) = (lab.outside(), parse(BALANCED), [lab.node(1), lab.node(2)]);
    let process = with(server("process", 1, &[8080]), "spec", &json!({"hostNetwork": true}));
    lab.apply(&process);
    lab.wait_for_pods(5);
    route(&lab, &balanced, &nodes[0]);
    let mut spec =
        and(at_node_port(31_001), &json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}));
    let port =
        json!({"name": "sctp", "protocol": "SCTP", "port": 80, "targetPort": 8080, "nodePort": 31_001});
    spec["ports"].as_array_mut().unwrap().push(port);
    let ranges = |ranges: &[&str]| {
        service("process", &and(spec.clone(), &json!({"loadBalancerSourceRanges": ranges})))
    };
    lab.apply(&ranges(&[]));
    api.set_load_balancer("process", &balanced);
    let sees = |to: &[IpAddr; 2], port: u16| {
        wait_for(&lab, &outside, to, port, "process");
        lab.until(&format!("the client to be seen at {to:?}, port {port}"), || {
            ask_all(&outside, to, port).clients() == parse(OUTSIDE).into()
        });
        assert_eq!(all_answer(&outside, to, port, &["process"]), parse(OUTSIDE).into(), "at {to:?}");
        for address in to {
            let answers = sctp::ask(&lab, "outside", &address.to_string(), &[port]);
            let seen = |(_, answer): &(u16, Answer)| match answer {
                Answer::By { client, .. } => parse(OUTSIDE).contains(&client.ip()),
                _ => false,
            };
            assert!(answers.iter().all(seen), "SCTP at {address}, port {port}: {answers:?}");
        }
    };
    sees(&nodes[0].addresses(), 31_001);
    sees(&balanced, 80);
    wait_for(&lab, &outside, &nodes[1].addresses(), 31_001, "dropped");
    // Who is inside is sent there by the bridge, as ever.
    for client in [&clients[0], &clients[1], &nodes[0].netns, &nodes[1].netns] {
        wait_for(&lab, client, &api.cluster_ips("process"), 80, "process");
        wait_for(&lab, client, &balanced, 80, "process");
    }
    all_answer(&clients[0], &nodes[0].addresses(), 31_001, &["process"]);
    all_answer(&nodes[0].netns, &nodes[0].addresses(), 31_001, &["process"]);

    lab.apply(&ranges(&["192.0.2.0/24", "2001:db8:7::/48"]));
    wait_for(&lab, &outside, &balanced, 80, "dropped");
    sees(&nodes[0].addresses(), 31_001);
    lab.apply(&ranges(&["192.0.2.0/24", "172.30.0.254/32", "fd00:30::/64"]));
    sees(&balanced, 80);

    // Beside a pod, the bridge chooses, and hides the clients of the process.
    let pod = with(server("pod", 1, &[8080]), "metadata", &json!({"labels": {"app": "process"}}));
    let steady = steady_clients(&outside, nodes[0].addresses(), 31_001);
    let asked = || steady.iter().map(|(client, to)| ask_from(client, *to)).collect::<Vec<_>>();
    assert!(asked().iter().all(|answer| answer.who() == "process"));
    lab.apply(&pod);
    wait_for_all(&lab, &outside, &nodes[0].addresses(), 31_001, ["process", "pod"]);
    let seen = all_answer(&outside, &nodes[0].addresses(), 31_001, &["process", "pod"]);
    assert_eq!(seen, [parse(OUTSIDE), nodes[0].masquerade()].concat().into_iter().collect());
    asked();
    lab.delete(&pod);
    sees(&nodes[0].addresses(), 31_001);
    lab.until("clients that go on sending to be seen again", || {
        let seen = |answer: &Answer| match answer {
            Answer::By { name, client } => name == "process" && parse(OUTSIDE).contains(&client.ip()),
            _ => false,
        };
        asked().iter().all(seen)
    });
    lab.delete(&process);
    wait_for(&lab, &outside, &nodes[0].addresses(), 31_001, "refused");
}

#[test]
fn clients_that_sent_before_there_was_a_node_port_are_answered_once_it_is_there() {
    if !possible() {
        return;
    }
    let (lab, ..) = up(&[]);
    let early = steady_clients(&lab.outside(), lab.node(1).addresses(), 31_001);
    let asked = || early.iter().map(|(client, to)| ask_from(client, *to)).collect::<Vec<_>>();
    assert!(asked().iter().all(|answer| answer.who() == "refused"), "by the node itself");
    lab.apply(&service("near", &at_node_port(31_001)));
    lab.until("clients that go on sending to be answered", || {
        asked().iter().all(|answer| answer.who() == "near")
    });
}

/// Clients that send from one port each, to which of these addresses they do.
fn steady_clients(from: &Netns, to: [IpAddr; 2], port: u16) -> [(UdpSocket, SocketAddr); 2] {
    to.map(|to| (from.run(|| UdpSocket::bind((any(to), 0))).unwrap().unwrap(), SocketAddr::new(to, port)))
}

#[test]
fn inside_a_local_service_is_its_nodes_endpoints() {
    if !possible() {
        return;
    }
    let (lab, api, clients) = up(&[]);
    let nodes = [lab.node(1), lab.node(2)];
    let endpoints = |names: &[&str]| {
        let of = |name: &&str| {
            let node = if *name == "near" { 1 } else { 2 };
            (lab.node(node).port(name).addresses(), json!({"nodeName": format!("node-{node}")}))
        };
        slices("here", "here", 8080, &names.iter().map(of).collect::<Vec<_>>())
    };
    let local = and(at_node_port(31_001), &json!({"internalTrafficPolicy": "Local"}));
    lab.apply(&list(&[service_of_slices("here", &local), endpoints(&["near", "far"])]));
    let here = api.cluster_ips("here");
    for (client, node, name) in [(&clients[0], &nodes[0], "near"), (&clients[1], &nodes[1], "far")] {
        wait_for(&lab, client, &here, 80, name);
        all_answer(client, &here, 80, &[name]);
        all_answer(&node.netns, &here, 80, &[name]);
    }
    // The policy for the outside is another.
    wait_for_all(&lab, &lab.outside(), &nodes[0].addresses(), 31_001, ["near", "far"]);
    all_answer(&lab.outside(), &nodes[0].addresses(), 31_001, &["near", "far"]);
    lab.apply(&endpoints(&["near"]));
    wait_for(&lab, &clients[1], &here, 80, "dropped");
    wait_for(&lab, &nodes[1].netns, &here, 80, "dropped");
    all_answer(&clients[0], &here, 80, &["near"]);
    lab.apply(&endpoints(&[]));
    for client in &clients {
        wait_for(&lab, client, &here, 80, "refused");
    }
}

#[test]
fn a_load_balancer_is_for_its_source_ranges() {
    if !possible() {
        return;
    }
    let (lab, api, clients) = up(&[]);
    let (outside, balanced, node) = (lab.outside(), parse(BALANCED), lab.node(1));
    route(&lab, &balanced, &node);
    let ranges = |ranges: &[&str]| {
        let more = json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges});
        service("near", &and(at_node_port(31_001), &more))
    };
    lab.apply(&ranges(&["192.0.2.0/24", "172.30.0.254/32", "fd00:30::/64"]));
    api.set_load_balancer("near", &balanced);
    wait_for(&lab, &outside, &balanced, 80, "near");
    wait_for(&lab, &clients[0], &balanced, 80, "dropped");
    lab.apply(&ranges(&["10.244.0.0/16", "fd00:10:244::/48"]));
    wait_for(&lab, &outside, &balanced, 80, "dropped");
    wait_for(&lab, &clients[0], &balanced, 80, "near");
    // Other addresses are everybody's.
    all_answer(&outside, &node.addresses(), 31_001, &["near"]);
    all_answer(&clients[1], &api.cluster_ips("near"), 80, &["near"]);
    lab.apply(&ranges(&[]));
    wait_for(&lab, &outside, &balanced, 80, "near");
}

#[test]
fn node_ports_are_at_the_addresses_they_are_to_be_at() {
    if !possible() {
        return;
    }
    let listed = "--agent-arg=--nodeport-addresses=172.30.0.11/32,fd00:30::11/128";
    let (lab, api, clients) = up(&[listed]);
    lab.apply(&service("near", &at_node_port(31_001)));
    let (outside, nodes) = (lab.outside(), [lab.node(1), lab.node(2)]);
    wait_for(&lab, &outside, &nodes[0].addresses(), 31_001, "near");
    // That it has come to the second node as well is seen at its ClusterIP.
    wait_for(&lab, &clients[1], &api.cluster_ips("near"), 80, "near");
    for from in [&outside, &clients[0], &clients[1], &nodes[1].netns] {
        assert!(ask_all(from, &nodes[0].addresses(), 31_001).all("near"), "{from:?}");
        let others = ask_all(from, &nodes[1].addresses(), 31_001);
        assert!(others.all("refused"), "{from:?}: {others:?}");
    }
}

#[test]
fn clients_are_sent_where_hints_say() {
    if !possible() {
        return;
    }
    let (lab, api, clients) = up(&[]);
    let hinted = |near: &Value, far: &Value| {
        let of = |node: u16, name: &str, hints: &Value| {
            let more = json!({"nodeName": format!("node-{node}"), "hints": hints});
            (lab.node(node).port(name).addresses(), more)
        };
        slices("hinted", "hinted", 8080, &[of(1, "near", near), of(2, "far", far)])
    };
    let zones = |zone: &str| json!({"forZones": [{"name": zone}]});
    let node = |node: &str| json!({"forNodes": [{"name": node}], "forZones": [{"name": "east"}]});
    lab.apply(&list(&[
        service_of_slices("hinted", &json!({"trafficDistribution": "PreferSameZone"})),
        hinted(&zones("east"), &zones("west")),
    ]));
    let to = api.cluster_ips("hinted");
    wait_for_all(&lab, &clients[0], &to, 80, ["near", "far"]);
    // Nodes are in no zone: hints are not for them.
    all_answer(&clients[0], &to, 80, &["near", "far"]);
    api.set_zone("node-1", "west");
    api.set_zone("node-2", "east");
    let sent = |at: usize, name: &str| {
        lab.until(&format!("client {at} to be sent to {name} only"), || {
            (0..16).all(|_| ask_all(&clients[at], &to, 80).all(name))
        });
    };
    sent(0, "far");
    sent(1, "near");
    lab.apply(&hinted(&zones("west"), &zones("east")));
    sent(0, "near");
    sent(1, "far");
    // Nobody is meant for the first zone.
    lab.apply(&hinted(&zones("east"), &zones("east")));
    wait_for_all(&lab, &clients[0], &to, 80, ["near", "far"]);
    // Nodes' names go before zones.
    lab.apply(&hinted(&node("node-1"), &node("node-2")));
    sent(0, "near");
    sent(1, "far");
    // Where one has no hint, none counts.
    lab.apply(&hinted(&json!({}), &node("node-2")));
    wait_for_all(&lab, &clients[1], &to, 80, ["near", "far"]);
}

/// Waits until both servers answer in both protocols and families.
fn wait_for_all(lab: &Lab, from: &Netns, to: &[IpAddr; 2], port: u16, names: [&str; 2]) {
    lab.until("endpoints to be there", || !ask_all(from, to, port).who().contains("refused"));
    for to in to {
        for name in names {
            lab.until(&format!("{name} at {to}"), || ask_all(from, &[*to], port).all(name));
        }
    }
}
