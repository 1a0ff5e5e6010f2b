//! Endpoints come, go and are about to go: who gets new connections, and what becomes of those that there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use host::Netns;
use serde_json::{Value, json};
use system_tests::service::{
    Answers, Protocol, all_answer, and, any, ask, ask_all, ask_from, at_node_port, list, server, service,
    service_of_slices, slices, wait_for, with,
};
use system_tests::{Api, Lab, gate, possible};

/// Questions in which an endpoint that there is would have answered one: all but 2^-64 of the time.
const OFTEN: usize = 16;

/// Servers `a` and `b` on two nodes, both labelled `app: web`, and a client beside `a`.
struct Place {
    api: Api,
    lab: Lab,
    client: Netns,
}

impl Place {
    fn up() -> Self {
        let lab = Lab::up(&["--nodes", "2"]);
        let labels = json!({"labels": {"app": "web"}});
        let [a, b] =
            [("a", 1), ("b", 2)].map(|(name, node)| with(server(name, node, &[8080]), "spec", &gate()));
        let pods = [with(a, "metadata", &labels), with(b, "metadata", &labels), server("client", 1, &[8080])];
        lab.apply(&list(&pods));
        lab.wait_for_pods(3);
        let api = Api::new(&lab);
        for pod in ["a", "b"] {
            api.set_pod_ready("default", pod, true);
        }
        let client = lab.node(1).port("client").open();
        Self { api, lab, client }
    }

    /// An endpoint of a slice, which has `conditions`.
    fn endpoint(&self, pod: &str, conditions: &Value) -> ([IpAddr; 2], Value) {
        let (number, node) = if pod == "b" { (2, "node-2") } else { (1, "node-1") };
        (self.lab.node(number).port(pod).addresses(), json!({"nodeName": node, "conditions": conditions}))
    }

    /// Waits until these and nobody else answer.
    fn settles(&self, to: &[IpAddr], expected: &[&str]) {
        self.lab.until(&format!("{expected:?} and nobody else"), || {
            let only = |answers: Answers| answers.who().iter().all(|name| expected.contains(name));
            (0..OFTEN).all(|_| only(ask_all(&self.client, to, 80)))
        });
        all_answer(&self.client, to, 80, expected);
    }

    /// A connection to a Service that has come to this server.
    fn connection(&self, to: IpAddr, server: &str) -> BufReader<TcpStream> {
        let mut connection = None;
        self.lab.until(&format!("a connection to {server}"), || {
            let to = SocketAddr::new(to, 80);
            let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(2));
            let Ok(stream) = self.client.run(connect).unwrap() else { return false };
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            connection = Some(reader);
            line.contains(&format!("\"name\":\"{server}\""))
        });
        connection.unwrap()
    }

    /// A socket that has asked, and will ask from the same port again; and who answered.
    fn socket(&self, from: &Netns, to: IpAddr, port: u16) -> (UdpSocket, SocketAddr, String) {
        let socket = from.run(|| UdpSocket::bind((any(to), 0))).unwrap().unwrap();
        let to = SocketAddr::new(to, port);
        let who = ask_from(&socket, to).who().to_owned();
        (socket, to, who)
    }
}

/// Whether a server still echoes what it is sent.
fn goes_on(connection: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    connection.get_mut().write_all(b"are you there?\n").unwrap();
    connection.read_line(&mut line).unwrap();
    line == "are you there?\n"
}

const READY: [bool; 3] = [true, true, false];
const NOT_READY: [bool; 3] = [false, false, false];
const ENDING: [bool; 3] = [false, true, true];
const ENDED: [bool; 3] = [false, false, true];

fn conditions([ready, serving, terminating]: [bool; 3]) -> Value {
    json!({"ready": ready, "serving": serving, "terminating": terminating})
}

#[test]
fn a_server_that_is_not_ready_keeps_its_connections_and_gets_no_new_ones() {
    if !possible() {
        return;
    }
    let place = Place::up();
    place.lab.apply(&list(&[
        service("web", &json!({})),
        service("anyway", &json!({"selector": {"app": "web"}, "publishNotReadyAddresses": true})),
    ]));
    let [web, anyway] = ["web", "anyway"].map(|name| place.api.cluster_ips(name));
    for to in [web, anyway] {
        place.settles(&to, &["a", "b"]);
    }
    let mut connections = web.map(|to| place.connection(to, "a"));
    place.api.set_pod_ready("default", "a", false);
    place.settles(&web, &["b"]);
    assert!(connections.iter_mut().all(goes_on));
    place.api.set_pod_ready("default", "b", false);
    place.settles(&web, &["refused"]);
    all_answer(&place.client, &anyway, 80, &["a", "b"]);
    assert!(connections.iter_mut().all(goes_on));
    place.api.set_pod_ready("default", "a", true);
    place.settles(&web, &["a"]);
    place.api.set_pod_ready("default", "b", true);
    place.settles(&web, &["a", "b"]);
    assert!(connections.iter_mut().all(goes_on));
}

#[test]
fn servers_that_end_answer_only_while_nobody_else_does() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let servers = |a, b| {
        let endpoints = [("a", a), ("b", b)].map(|(pod, is)| place.endpoint(pod, &conditions(is)));
        slices("web", "web", 8080, &endpoints)
    };
    place.lab.apply(&list(&[service_of_slices("web", &json!({})), servers(READY, READY)]));
    let web = place.api.cluster_ips("web");
    place.settles(&web, &["a", "b"]);
    let mut connections = web.map(|to| place.connection(to, "a"));
    let expected: [([bool; 3], [bool; 3], &[&str]); 6] = [
        (ENDING, READY, &["b"]),
        (ENDING, NOT_READY, &["a"]),
        (ENDING, ENDING, &["a", "b"]),
        (ENDED, ENDING, &["b"]),
        (ENDED, ENDED, &["refused"]),
        (ENDED, READY, &["b"]),
    ];
    for (a, b, who) in expected {
        place.lab.apply(&servers(a, b));
        place.settles(&web, who);
        assert!(connections.iter_mut().all(goes_on), "{a:?} and {b:?}");
    }
    // Whoever is no endpoint at all may still finish.
    place.lab.apply(&slices("web", "web", 8080, &[place.endpoint("b", &conditions(READY))]));
    place.settles(&web, &["b"]);
    assert!(connections.iter_mut().all(goes_on));
}

#[test]
fn udp_clients_go_to_another_endpoint_when_theirs_is_gone() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let only = |pod| slices("one", "one", 8080, &[place.endpoint(pod, &conditions(READY))]);
    let external: [IpAddr; 2] = ["198.51.100.7", "2001:db8:51::7"].map(|text| text.parse().unwrap());
    let spec = and(at_node_port(31_001), &json!({"externalIPs": external}));
    place.lab.apply(&list(&[service_of_slices("one", &spec), only("a"), service("web", &json!({}))]));
    let [one, web] = ["one", "web"].map(|name| place.api.cluster_ips(name));
    let (node, outside) = (place.lab.node(1), place.lab.outside());
    wait_for(&place.lab, &place.client, &one, 80, "a");
    place.settles(&web, &["a", "b"]);

    // By each kind of address, inside and outside.
    let ways: [(&Netns, [IpAddr; 2], u16); 6] = [
        (&place.client, one, 80),
        (&place.client, external, 80),
        (&place.client, node.addresses(), 31_001),
        (&node.netns, one, 80),
        (&node.netns, external, 80),
        (&outside, node.addresses(), 31_001),
    ];
    for (from, to, port) in ways {
        wait_for(&place.lab, from, &to, port, "a");
    }
    let sockets: Vec<_> =
        ways.iter().flat_map(|(from, to, port)| to.map(|to| place.socket(from, to, *port))).collect();
    assert!(sockets.iter().all(|(_, _, who)| who == "a"), "{sockets:?}");
    for now in ["b", "a"] {
        place.lab.apply(&only(now));
        for (socket, to, _) in &sockets {
            // Each question keeps the connection alive that must be forgotten.
            place.lab.until(&format!("{now} to answer {to}"), || ask_from(socket, *to).who() == now);
        }
    }

    // The same when a pod really ends.
    let mut sockets: Vec<_> =
        web.iter().flat_map(|to| [*to; 8]).map(|to| place.socket(&place.client, to, 80)).collect();
    sockets.retain(|(_, _, who)| who == "b");
    place.api.delete_pod("default", "b", false);
    for (socket, to, _) in &sockets {
        place.lab.until(&format!("a to answer {to}"), || ask_from(socket, *to).who() == "a");
    }
}

#[test]
fn clients_that_came_too_early_get_through_as_soon_as_there_is_an_endpoint() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let endpoint = slices("late", "late", 8080, &[place.endpoint("b", &conditions(READY))]);
    let early = service_of_slices("late", &at_node_port(31_001));
    place.lab.apply(&list(&[early.clone(), endpoint.clone()]));
    let late = place.api.cluster_ips("late");
    let node = place.lab.node(1);
    let outside = place.lab.outside();
    let ways: [(&Netns, [IpAddr; 2], u16); 5] = [
        (&place.client, late, 80),
        (&place.client, node.addresses(), 31_001),
        (&node.netns, late, 80),
        (&node.netns, node.addresses(), 31_001),
        (&outside, node.addresses(), 31_001),
    ];
    // What comes to node ports comes to the bridge by now.
    for (from, to, port) in ways {
        wait_for(&place.lab, from, &to, port, "b");
    }
    place.lab.delete(&endpoint);
    for (from, to, port) in ways {
        wait_for(&place.lab, from, &to, port, "refused");
    }
    let sockets = || -> Vec<_> {
        ways.iter().flat_map(|(from, to, port)| to.map(|to| place.socket(from, to, *port))).collect()
    };
    let served = |sockets: &[(UdpSocket, SocketAddr, String)]| {
        for (socket, to, _) in sockets {
            place.lab.until(&format!("b to answer {to}"), || ask_from(socket, *to).who() == "b");
        }
    };
    let first = sockets();
    assert!(first.iter().all(|(_, _, who)| who == "refused"), "{first:?}");
    place.lab.apply(&endpoint);
    served(&first);
    for (from, to, port) in ways {
        all_answer(from, &to, port, &["b"]);
    }

    // Before there is even a Service: the address is nobody's.
    place.lab.delete(&list(&[endpoint.clone(), early]));
    wait_for(&place.lab, &place.client, &late, 80, "refused");
    let sockets: Vec<_> = late.map(|to| place.socket(&place.client, to, 80)).into();
    assert!(sockets.iter().all(|(_, _, who)| who == "refused"), "{sockets:?}");
    let again = json!({"clusterIP": late[0], "clusterIPs": late, "ipFamilies": ["IPv4", "IPv6"]});
    place.lab.apply(&list(&[endpoint, service_of_slices("late", &again)]));
    served(&sockets);
}

#[test]
fn a_client_keeps_its_endpoint_for_a_time() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let keeping = |seconds: u16| {
        let affinity = json!({"sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}});
        and(at_node_port(31_000 + seconds), &affinity)
    };
    let servers = |pods: &[&str], of: &str| {
        let pods: Vec<_> = pods.iter().map(|pod| place.endpoint(pod, &conditions(READY))).collect();
        slices(of, of, 8080, &pods)
    };
    place.lab.apply(&list(&[
        service_of_slices("long", &keeping(300)),
        servers(&["a", "b"], "long"),
        service_of_slices("short", &keeping(2)),
        servers(&["a", "b"], "short"),
    ]));
    let [long, short] = ["long", "short"].map(|name| place.api.cluster_ips(name));
    let node = place.lab.node(1);
    let outside = place.lab.outside();
    let learned = || node.exec(&["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "k-vswitch0", "table=42"]);
    // The same endpoint for a client, protocol and family, however often it asks. Connections within milliseconds of a
    // client's first one may still be given another: the switch's cache has to learn of it.
    let ways = [(&place.client, long, 80), (&outside, node.addresses(), 31_300)];
    let who = |answers: Answers| answers.0.into_iter().map(|(_, _, answer)| answer.who().to_owned());
    let kept = |(from, to, port): (&Netns, [IpAddr; 2], u16)| -> Vec<String> {
        let ask = || who(ask_all(from, &to, port)).collect::<Vec<_>>();
        let often = || {
            let first = ask();
            (0..OFTEN).all(|_| ask() == first).then_some(first)
        };
        place.lab.until("one endpoint each", || often().is_some_and(|who| !who.contains(&"refused".into())));
        often().unwrap_or_else(|| panic!("not kept at {to:?}, port {port}"))
    };
    let before = ways.map(kept);
    // By whatever address.
    let by_node_port: Vec<String> = who(ask_all(&place.client, &node.addresses(), 31_300)).collect();
    assert_eq!(by_node_port, before[0]);

    // Its endpoint goes: another one is kept from then on, though the first comes back.
    let (gone, stays) = if before[0][0] == "a" { ("a", "b") } else { ("b", "a") };
    place.lab.apply(&servers(&[stays], "long"));
    place.settles(&long, &[stays]);
    // What packets of before teach the switch may come as late as it looks at them. IPv4 addresses are written as IPv6's.
    let port = place.lab.node(if gone == "a" { 1 } else { 2 }).port(gone);
    let gone_addresses = [port.ipv4.to_ipv6_mapped(), port.ipv6].map(|ip| format!("{:x}->", ip.to_bits()));
    let clients = place.lab.node(1).port("client").addresses().map(|ip| format!("src={ip} "));
    place.lab.until("the client to be known to have another endpoint", || {
        let _ = ask_all(&place.client, &long, 80);
        !learned().lines().any(|flow| {
            let has = |texts: &[String]| texts.iter().any(|text| flow.contains(text.as_str()));
            flow.contains("idle_timeout=300,") && has(&clients) && has(&gone_addresses)
        })
    });
    let groups =
        || node.exec(&["ovs-ofctl", "-O", "OpenFlow15", "dump-groups", "k-vswitch0"]).lines().count();
    let of_one = groups();
    place.lab.apply(&servers(&["a", "b"], "long"));
    // A set of one endpoint has no group; TCP's and UDP's have one now, in both families.
    place.lab.until("the first endpoint to be back", || groups() == of_one + 4);
    for _ in 0..OFTEN {
        let answers = ask_all(&place.client, &long, 80);
        assert!(answers.all(stays), "{gone} is no reason to leave {stays}: {answers:?}");
    }

    // Its time is over.
    let first = ask(&place.client, Protocol::Tcp, SocketAddr::new(short[0], 80)).who().to_owned();
    place.lab.until("another endpoint after some time without connections", || {
        let of_short = || learned().lines().filter(|flow| flow.contains("idle_timeout=2,")).count();
        place.lab.until("the client to be forgotten", || of_short() == 0);
        let next = ask(&place.client, Protocol::Tcp, SocketAddr::new(short[0], 80));
        place.lab.until("the client to be remembered", || of_short() == 1);
        next.who() != first && next.who() != "refused"
    });
}

#[test]
fn endpoints_count_once_and_may_move_from_slice_to_slice() {
    if !possible() {
        return;
    }
    let place = Place::up();
    let of = |name: &str, pods: &[&str]| {
        let pods: Vec<_> = pods.iter().map(|pod| place.endpoint(pod, &conditions(READY))).collect();
        slices(name, "web", 8080, &pods)
    };
    place.lab.apply(&list(&[service_of_slices("web", &json!({})), of("one", &["a", "b"])]));
    let web = place.api.cluster_ips("web");
    place.settles(&web, &["a", "b"]);
    let mut connections = web.map(|to| place.connection(to, "a"));
    let flows = || place.lab.node(1).flows();
    let groups = || place.lab.node(1).exec(&["ovs-ofctl", "-O", "OpenFlow15", "dump-groups", "k-vswitch0"]);
    // The second line on is what groups say; the first has the number of the request.
    let now = || (flows(), groups().lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
    let before = now();

    // A marker that comes later tells that everything before it has been looked at.
    let mut markers = 0;
    let mut marker = || {
        markers += 1;
        let name = format!("marker{markers}");
        let slice = slices(&name, &name, 8080, &[place.endpoint("a", &conditions(READY))]);
        let manifest = list(&[service_of_slices(&name, &json!({})), slice]);
        place.lab.apply(&manifest);
        wait_for(&place.lab, &place.client, &place.api.cluster_ips(&name), 80, "a");
        place.lab.delete(&manifest);
    };
    place.lab.apply(&of("two", &["b", "a"]));
    marker();
    place.lab.until("all to be as before with endpoints twice", || now() == before);
    place.lab.delete(&of("one", &["a", "b"]));
    marker();
    place.lab.until("all to be as before with endpoints in another slice", || now() == before);
    place.lab.apply(&list(&[of("two", &["a"]), of("three", &["b"])]));
    place.settles(&web, &["a", "b"]);
    marker();
    place.lab.until("all to be as before with endpoints in several slices", || now() == before);
    assert!(connections.iter_mut().all(goes_on));
    place.lab.delete(&of("three", &["b"]));
    place.settles(&web, &["a"]);
}
