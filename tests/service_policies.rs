//! NetworkPolicies and Services: a policy's peers are the pods at both ends, whatever address they met by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use host::Netns;
use serde_json::{Value, json};
use system_tests::service::{all_answer, ask_all, list, ports, server, service, wait_for};
use system_tests::{Api, Lab, Port, Stream, possible};

/// Ports of all servers; what port 80 and port 81 of their Services are.
const SERVED: [u16; 2] = [8080, 9090];

fn policy(name: &str, of: &str, spec: &Value) -> Value {
    let mut policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    });
    policy["spec"]["podSelector"] = json!({"matchLabels": {"app": of}});
    policy
}

fn both_protocols(port: u16) -> Value {
    ["TCP", "UDP"].map(|protocol| json!({"port": port, "protocol": protocol})).into_iter().collect()
}

fn block(addresses: &[IpAddr]) -> Value {
    let net = |address: &IpAddr| ipnet::IpNet::from(*address).to_string();
    addresses.iter().map(|address| json!({"ipBlock": {"cidr": net(address)}})).collect()
}

/// Pods `client`, `other` and `near` on one node and `far` on the next, and a Service of each, whose port 80 is the
/// endpoint's 8080, and 81 its 9090.
struct Place {
    api: Api,
    lab: Lab,
}

impl Place {
    fn up() -> Self {
        let lab = Lab::up(&["--nodes", "2"]);
        let api = Api::new(&lab);
        let pods = [("client", 1), ("other", 1), ("near", 1), ("far", 2)];
        let all = json!({"ports": ports(&[(80, 8080.into()), (81, 9090.into())])});
        let pods_and_services =
            pods.iter().flat_map(|(name, node)| [server(name, *node, &SERVED), service(name, &all)]);
        lab.apply(&list(&pods_and_services.collect::<Vec<_>>()));
        lab.wait_for_pods(4);
        let place = Self { api, lab };
        for (name, _) in pods {
            for from in ["client", "far"] {
                wait_for(&place.lab, &place.netns(from), &place.service(name), 81, name);
            }
        }
        place
    }

    fn port(&self, pod: &str) -> Port {
        self.lab.node(if pod == "far" { 2 } else { 1 }).port(pod)
    }

    fn netns(&self, pod: &str) -> Netns {
        self.port(pod).open()
    }

    fn service(&self, name: &str) -> [IpAddr; 2] {
        self.api.cluster_ips(name)
    }

    /// Waits until this is what becomes of a pod's questions at a Service, and asks once more when they are answered.
    fn becomes(&self, from: &str, service: &str, port: u16, who: &str) {
        let (netns, addresses) = (self.netns(from), self.service(service));
        wait_for(&self.lab, &netns, &addresses, port, who);
        if who == "dropped" {
            return;
        }
        let answers = ask_all(&netns, &addresses, port);
        assert!(answers.all(who), "{from} at {service}, port {port}: {answers:?}\n{}", self.lab.tails());
    }
}

#[test]
fn an_egress_policy_is_about_the_endpoint_that_was_chosen_and_its_port() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let egress = |to: &Value, port: u16| {
        let rules = json!([{"to": to, "ports": both_protocols(port)}]);
        policy("out", "client", &json!({"policyTypes": ["Egress"], "egress": rules}))
    };
    let pods = json!([{"podSelector": {"matchExpressions": [
        {"key": "app", "operator": "In", "values": ["near", "far"]}]}}]);

    // The Service's port is in no rule; its endpoint's is.
    place.lab.apply(&egress(&pods, 8080));
    for server in ["near", "far"] {
        place.becomes("client", server, 81, "dropped");
        place.becomes("client", server, 80, server);
    }
    place.becomes("client", "other", 80, "dropped");
    place.becomes("other", "near", 81, "near");

    // The Service's address and port allow nothing.
    let services: Vec<IpAddr> = ["near", "far"].iter().flat_map(|name| place.service(name)).collect();
    place.lab.apply(&egress(&block(&services), 80));
    for server in ["near", "far"] {
        place.becomes("client", server, 80, "dropped");
    }
    // The endpoint's own address does.
    let endpoints = ["near", "far"].map(|name| place.port(name).addresses()).concat();
    place.lab.apply(&egress(&block(&endpoints), 9090));
    for server in ["near", "far"] {
        place.becomes("client", server, 81, server);
        place.becomes("client", server, 80, "dropped");
    }
}

#[test]
fn an_ingress_policy_is_about_the_client_that_asked_by_a_service() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let ingress = |name: &str, of: &str, from: &Value| {
        let rules = json!([{"from": from, "ports": both_protocols(8080)}]);
        policy(name, of, &json!({"policyTypes": ["Ingress"], "ingress": rules}))
    };
    let client = json!([{"podSelector": {"matchLabels": {"app": "client"}}}]);
    for server in ["near", "far"] {
        place.lab.apply(&ingress(server, server, &client));
    }
    for server in ["near", "far"] {
        place.becomes("other", server, 80, "dropped");
        place.becomes("client", server, 81, "dropped");
        place.becomes("client", server, 80, server);
        let seen = all_answer(&place.netns("client"), &place.service(server), 80, &[server]);
        assert_eq!(seen, place.port("client").addresses().into(), "{server} sees its client's own address");
    }
    place.becomes("far", "near", 80, "dropped");

    // By its address, as by its labels.
    let other = block(&place.port("other").addresses());
    for server in ["near", "far"] {
        place.lab.apply(&ingress(server, server, &other));
        place.becomes("client", server, 80, "dropped");
        place.becomes("other", server, 80, server);
    }
}

#[test]
fn a_pod_that_is_isolated_reaches_itself_by_its_service() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let isolated = json!({"policyTypes": ["Ingress", "Egress"]});
    place.lab.apply(&policy("isolated", "near", &isolated));
    place.becomes("client", "near", 80, "dropped");
    place.becomes("near", "client", 80, "dropped");
    place.becomes("near", "near", 80, "near");
    place.becomes("near", "near", 81, "near");
    let seen = all_answer(&place.netns("near"), &place.service("near"), 80, &["near"]);
    assert_eq!(seen, place.lab.node(1).masquerade().into());
}

#[test]
fn a_new_deny_stops_connections_that_a_service_has_sent_on() {
    if !possible() {
        return;
    }
    let place = Place::up();
    // 81 is the Service's number for a port that the pod does not serve yet.
    let all = json!({"ports": ports(&[(80, 8080.into()), (81, 7000.into())])});
    place.lab.apply(&list(&["near", "far"].map(|name| service(name, &all))));
    let listener = |server: &str| {
        let listen = || TcpListener::bind((Ipv6Addr::UNSPECIFIED, 7000));
        place.netns(server).run(listen).unwrap().unwrap()
    };
    let listeners = ["near", "far"].map(|server| (server, listener(server)));
    let start = |(server, listener): &(&str, TcpListener), from: &str| {
        place.service(server).map(|to| {
            let (from, to) = (place.netns(from), SocketAddr::new(to, 81));
            place.lab.until(&format!("{server} to listen at {to}"), || {
                let connected = system_tests::connects(&from, to.ip(), 81);
                connected && listener.accept().is_ok()
            });
            Stream::to(&from, listener, to)
        })
    };
    let doomed: Vec<Stream> = listeners.iter().flat_map(|one| start(one, "client")).collect();
    let spared: Vec<Stream> = listeners.iter().flat_map(|one| start(one, "other")).collect();
    let flow = |streams: &[Stream]| streams.iter().all(|stream| stream.flows(Duration::from_secs(1)));
    let stand = |streams: &[Stream]| streams.iter().all(|stream| !stream.flows(Duration::from_millis(300)));
    assert!(flow(&doomed) && flow(&spared));

    // Nothing more comes in from the client ...
    let other = json!([{"podSelector": {"matchLabels": {"app": "other"}}}]);
    let only_other = json!({"policyTypes": ["Ingress"], "ingress": [{"from": other}]});
    for server in ["near", "far"] {
        place.lab.apply(&policy(server, server, &only_other));
    }
    place.lab.until("the streams to stop", || stand(&doomed));
    assert!(flow(&spared), "a stream stopped that is allowed");
    let everybody = json!({"policyTypes": ["Ingress"], "ingress": [{}]});
    for server in ["near", "far"] {
        place.lab.apply(&policy(server, server, &everybody));
    }
    place.lab.until("the streams to go on", || flow(&doomed));

    // ... or goes out of it.
    place.lab.apply(&policy("out", "client", &json!({"policyTypes": ["Egress"]})));
    place.lab.until("the streams to stop again", || stand(&doomed));
    assert!(flow(&spared), "a stream stopped that is allowed");
    place.lab.apply(&policy("out", "client", &json!({"policyTypes": ["Egress"], "egress": [{}]})));
    for stream in doomed.into_iter().chain(spared) {
        let (bytes, _) = stream.finish();
        assert!(bytes > 0);
    }
}
