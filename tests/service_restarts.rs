//! Daemons die, the API goes away, the switch restarts: Services go on, or are there again without anyone's help.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::Netns;
use serde_json::{Value, json};
use system_tests::service::{
    Answer, Protocol, all_answer, ask, ask_all, at_node_port, list, ports, server, service,
    service_of_slices, slices, wait_for, with,
};
use system_tests::{Api, Lab, Node, Stream, possible};

/// The node port of the Service `web`.
const NODE_PORT: u16 = 31_001;

/// Servers `a` and `b` of the Service `web` on two nodes, a client beside `a`, and a Service of a port of `b` that nobody
/// serves yet.
struct Place {
    lab: Lab,
    api: Api,
    client: Netns,
    web: [IpAddr; 2],
    streamed: [IpAddr; 2],
}

impl Place {
    fn up() -> Self {
        let lab = Lab::up(&["--nodes", "2"]);
        let labels = |name: &str| json!({"labels": {"app": "web", "is": name}});
        let pod = |name, node| with(server(name, node, &[8080]), "metadata", &labels(name));
        lab.apply(&list(&[pod("a", 1), pod("b", 2), server("client", 1, &[8080])]));
        lab.wait_for_pods(3);
        let api = Api::new(&lab);
        let affine = json!({"selector": {"app": "web"}, "sessionAffinity": "ClientIP"});
        let stream = json!({"selector": {"is": "b"}, "ports": ports(&[(80, 7000.into())])});
        lab.apply(&list(&[
            service("web", &at_node_port(NODE_PORT)),
            service("affine", &affine),
            service("none", &json!({})),
            service("streamed", &stream),
            service_of_slices("many", &json!({})),
            many(&lab),
        ]));
        let client = lab.node(1).port("client").open();
        let [web, streamed] = ["web", "streamed"].map(|name| api.cluster_ips(name));
        let place = Self { client, web, streamed, api, lab };
        for name in ["web", "affine", "many"] {
            let to = place.api.cluster_ips(name);
            place.lab.until("answers", || answered(&ask_all(&place.client, &to, 80).0));
        }
        // Slices come one by one; the last one's endpoints are in IPv6.
        for node in place.nodes() {
            place.lab.until("all endpoints to be there", || {
                state(&node).1.iter().any(|group| group.contains("]:20029)"))
            });
        }
        place.lab.until("a Service to refuse", || {
            ask_all(&place.client, &place.api.cluster_ips("none"), 80).all("refused")
        });
        place.works();
        place
    }

    fn nodes(&self) -> [Node<'_>; 2] {
        [self.lab.node(1), self.lab.node(2)]
    }

    /// Everybody is answered by the Service: the pod, its node and the outside.
    fn works(&self) {
        let node = self.lab.node(1);
        for (from, to, port) in [
            (&self.client, self.web, 80),
            (&node.netns, self.web, 80),
            (&self.lab.outside(), node.addresses(), NODE_PORT),
        ] {
            self.lab.until("answers of the Service", || answered(&ask_all(from, &to, port).0));
            all_answer(from, &to, port, &["a", "b"]);
        }
    }

    /// Streams by a Service, one in each family.
    fn streams(&self) -> Vec<Stream> {
        let listen = || TcpListener::bind((Ipv6Addr::UNSPECIFIED, 7000));
        let listener = self.lab.node(2).port("b").open().run(listen).unwrap().unwrap();
        self.streamed.map(|to| Stream::to(&self.client, &listener, SocketAddr::new(to, 80))).into()
    }

    /// Asks all the time until something is over. Every question must be answered.
    fn asking(&self, what: &str, meanwhile: impl FnOnce()) {
        let over = AtomicBool::new(false);
        let number = std::thread::scope(|scope| {
            let asker = scope.spawn(|| {
                let mut number = 0;
                while !over.load(Ordering::Relaxed) {
                    for (protocol, to) in
                        self.web.iter().flat_map(|to| [Protocol::Tcp, Protocol::Udp].map(|p| (p, *to)))
                    {
                        let answer = ask(&self.client, protocol, SocketAddr::new(to, 80));
                        assert!(matches!(answer, Answer::By { .. }), "{protocol:?} to {to}: {answer:?}");
                        number += 1;
                    }
                }
                number
            });
            meanwhile();
            over.store(true, Ordering::Relaxed);
            asker.join().unwrap()
        });
        println!("{number} questions were answered during {what}");
        assert!(number > 0);
    }
}

/// Slices that give a Service thirty endpoints, of which one has a server: the others' ports lead to it as well.
fn many(lab: &Lab) -> Value {
    let a = lab.node(1).port("a");
    for command in [
        "add table inet many",
        "add chain inet many in { type nat hook prerouting priority dstnat; }",
        "add rule inet many in meta l4proto { tcp, udp } th dport 20001-20029 redirect to :8080",
    ] {
        let run = || Command::new("nft").arg(command).status();
        assert!(a.open().run(run).unwrap().unwrap().success(), "{command}");
    }
    let endpoint = [(a.addresses(), json!({}))];
    let ports = [8080].into_iter().chain(20_001..20_030);
    list(&ports.map(|port| slices(&format!("many-{port}"), "many", port, &endpoint)).collect::<Vec<_>>())
}

fn answered(answers: &[(Protocol, SocketAddr, Answer)]) -> bool {
    answers.iter().all(|(_, _, answer)| matches!(answer, Answer::By { .. }))
}

/// Flows, but for those that the switch makes itself, and groups.
fn state(node: &Node<'_>) -> (BTreeSet<String>, BTreeSet<String>) {
    let groups = node.exec(&["ovs-ofctl", "-O", "OpenFlow15", "dump-groups", "k-vswitch0"]);
    let groups = groups.lines().filter(|line| line.contains("group_id=")).map(|line| line.trim().to_owned());
    let flows = node.flows().into_iter().filter(|flow| !flow.contains("table=42,"));
    (flows.collect(), groups.collect())
}

fn counted<'a>(metrics: &'a str, what: &str) -> &'a str {
    let of = |line: &'a str| line.strip_prefix("kvswitchd_")?.strip_prefix(what)?.strip_prefix("_total ");
    metrics.lines().find_map(of).unwrap_or_else(|| panic!("{metrics}"))
}

#[test]
fn services_go_on_without_the_daemon_and_without_the_api() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let nodes = place.nodes();
    let before = nodes.each_ref().map(state);
    let streams = place.streams();

    // A daemon that starts anew finds all as it should be, and sends nothing.
    place.asking("deaths of the daemons", || {
        for node in &nodes {
            node.kill("agent");
            node.wait_ready();
        }
    });
    for node in &nodes {
        assert_eq!(counted(&node.metrics(), "flow_changes"), "0", "{}", place.lab.tails());
    }
    assert_eq!(nodes.each_ref().map(state), before);
    place.works();

    // Without the API, and with daemons that know nothing.
    for node in &nodes {
        node.cut_off();
    }
    place.asking("the API's absence", || {
        for node in &nodes {
            node.kill("agent");
            place.lab.until("the daemon to wait for the API", || !node.is_ready());
        }
        place.works();
    });
    assert!(nodes.iter().all(|node| !node.is_ready()), "nothing was cut off");
    assert_eq!(nodes.each_ref().map(state), before);
    for node in &nodes {
        node.reconnect();
        node.wait_ready();
    }
    assert_eq!(nodes.each_ref().map(state), before);
    place.works();
    for stream in streams {
        assert!(stream.flows(Duration::from_secs(5)));
        let (bytes, pause) = stream.finish();
        println!("a stream carried {bytes} bytes; its longest pause was {pause:?}");
    }
    // What has changed since is seen.
    place.lab.apply(&service("web", &json!({"selector": {"is": "b"}})));
    wait_for(&place.lab, &place.client, &place.web, 80, "b");
}

#[test]
fn services_are_there_again_after_the_switch_and_the_node_restart() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let nodes = place.nodes();
    let before = nodes.each_ref().map(state);
    let restart = || nodes[0].control("restart", "ovs");
    let crash = || nodes[0].kill("ovs-vswitchd");
    let all = || {
        nodes[0].control("stop", "agent");
        nodes[0].control("restart", "ovs");
        nodes[0].control("start", "agent");
    };
    let cases: [(&str, &dyn Fn()); 3] = [
        ("a restart of Open vSwitch", &restart),
        ("a crash of ovs-vswitchd", &crash),
        ("a new start of all", &all),
    ];
    for (what, breaks) in cases {
        println!("{what}");
        breaks();
        place.lab.until(&format!("flows and groups to be as before {what}"), || {
            nodes[0].is_ready() && nodes.each_ref().map(state) == before
        });
        place.works();
        let none = place.api.cluster_ips("none");
        assert!(ask_all(&place.client, &none, 80).all("refused"), "after {what}");
    }
}

/// The host's rules, and the elements of their sets, whose order says nothing.
fn rules(node: &Node<'_>) -> Vec<String> {
    let said = node.exec(&["nft", "list", "ruleset"]);
    let mut words: Vec<_> = said.split([' ', ',', '\n', '\t']).map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn the_hosts_rules_are_there_again_after_somebody_deletes_them() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let node = place.lab.node(1);
    let before = rules(&node);
    for (count, command) in [("1", "flush ruleset"), ("2", "delete table inet k-vswitch")] {
        node.exec(&["nft", command]);
        // Audits find it too, but do not count it.
        place.lab.until("the rules to be there", || {
            counted(&node.metrics(), "nftables_restorations") == count && rules(&node) == before
        });
        place.works();
    }
}
