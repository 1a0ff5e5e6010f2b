//! Policies and traffic that runs already: what is denied stops, what is allowed goes on, and nothing slips through
//! before a pod's policies are in force.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use host::Netns;
use serde_json::{Value, json};
use system_tests::agreement::FEW;
use system_tests::stage::{Cast, Stage};
use system_tests::{Ping, Stream, connects, possible, until};

/// One lab at a time: these tests count lost packets.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pod(name: &'static str, node: u16, labels: &'static [(&'static str, &'static str)]) -> Cast {
    Cast { name, node, labels, ..Cast::default() }
}

fn from_apps(apps: &[&str]) -> Value {
    let apps = json!([{"key": "app", "operator": "In", "values": apps}]);
    json!({"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {"matchExpressions": apps}}]}]})
}

#[test]
fn a_new_deny_stops_what_runs_and_nothing_else() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let mut stage = Stage::up(
        2,
        &[("shop", &[])],
        &[
            pod("shop/server", 2, &[("app", "server")]),
            pod("shop/near", 2, &[("app", "near")]),
            pod("shop/far", 1, &[("app", "far")]),
            pod("shop/friend", 1, &[("app", "friend")]),
        ],
    );
    // The server may send nothing of its own: all that comes back from it are replies.
    stage.policies(&[("shop/server", from_apps(&["near", "far", "friend"]))]);
    stage.agree("everybody may talk to the server, which only answers", FEW).unwrap();
    let place = |name: &str| stage.port(&format!("shop/{name}"));
    let (server, near, far, friend) = (place("server"), place("near"), place("far"), place("friend"));
    let at = server.open();
    let stream = |from: &Netns, to: IpAddr| Stream::start(from, &at, to);
    let doomed = [
        stream(&near.open(), server.ipv4.into()),
        stream(&far.open(), server.ipv4.into()),
        stream(&far.open(), server.ipv6.into()),
    ];
    let spared = [stream(&friend.open(), server.ipv4.into()), stream(&friend.open(), server.ipv6.into())];
    let pings = [(&near, 0), (&far, 0), (&far, 1)]
        .map(|(from, family)| Ping::start(&from.open(), server.addresses()[family], 350));
    let since = stage.lab.overflows();
    let spared_pings = server.addresses().map(|to| Ping::start(&friend.open(), to, 350));
    std::thread::sleep(Duration::from_millis(500));
    assert!(doomed.iter().chain(&spared).all(|stream| stream.flows(Duration::from_secs(1))));

    let begin = Instant::now();
    stage.policy("shop/server", &from_apps(&["friend"]));
    until("the streams to stop", || doomed.iter().all(|stream| !stream.flows(Duration::from_millis(300))));
    println!("what is denied stopped within {:?}", begin.elapsed());
    for stream in &spared {
        assert!(stream.flows(Duration::from_secs(1)), "a stream stopped that is allowed");
    }
    assert!(doomed.iter().all(|stream| !stream.flows(Duration::from_secs(1))), "it flows again");
    for ping in pings {
        let (sent, lost) = ping.finish();
        println!("{lost} of {sent} denied pings unanswered");
        assert!(lost >= sent / 4, "only {lost} of {sent} were stopped");
    }
    for ping in spared_pings {
        stage.lab.none_lost("what is allowed", &since, ping.finish());
    }
    for (from, family) in [(&near, 0), (&far, 1)] {
        assert!(!connects(&from.open(), server.addresses()[family], 80), "a new connection came about");
    }

    // Allowed again, the streams go on where they stood.
    stage.policy("shop/server", &from_apps(&["near", "far", "friend"]));
    until("the streams to go on", || doomed.iter().all(|stream| stream.flows(Duration::from_millis(300))));
    for stream in spared {
        let (bytes, pause) = stream.finish();
        println!("an allowed stream carried {bytes} bytes; its longest pause was {pause:?}");
        assert!(pause < Duration::from_secs(1), "{pause:?}");
    }

    // A deny at the sender stops them as well.
    let sender = json!({"podSelector": {"matchLabels": {"app": "far"}}, "policyTypes": ["Egress"]});
    stage.policy("shop/far", &sender);
    let [near, far4, far6] = doomed;
    until("the sender's streams to stop", || {
        [&far4, &far6].iter().all(|stream| !stream.flows(Duration::from_millis(300)))
    });
    assert!(near.flows(Duration::from_secs(1)));
    stage.policies(&[]);
    for stream in [near, far4, far6] {
        let (bytes, pause) = stream.finish();
        println!("a stream that was denied carried {bytes} bytes; its longest pause was {pause:?}");
    }
}

#[test]
fn what_a_node_forwards_is_not_the_nodes_own() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let mut stage = Stage::up(1, &[("shop", &[])], &[pod("shop/web", 1, &[])]);
    for route in [["-4", "10.244.1.0/24", "172.30.0.11"], ["-6", "fd00:10:244:1::/64", "fd00:30::11"]] {
        let [family, to, via] = route;
        let mut command = Command::new("ip");
        command.args([family, "route", "add", to, "via", via]);
        assert!(stage.lab.outside().run(|| command.status()).unwrap().unwrap().success());
    }
    let probe = |stage: &Stage, from: &str, to: &str| -> Vec<String> {
        let probes = ["--probe", "TCP/80", "--probe", "UDP/80", "--probe", "ICMP"];
        let results = stage.lab.json(&[&["probe", "--from", from, "--to", to], &probes[..]].concat());
        let results = results.as_array().unwrap().iter();
        results.map(|result| result["result"].as_str().unwrap().to_owned()).collect()
    };
    let all = |text: &str| vec![text.to_owned(); 6];
    assert_eq!(probe(&stage, "outside", "shop/web"), all("connected"), "the node forwards");
    let shut = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    stage.policies(&[("shop/shut", shut)]);
    stage.lab.until("the outside to be shut out", || probe(&stage, "outside", "shop/web") == all("dropped"));
    assert_eq!(probe(&stage, "outside", "shop/web"), all("dropped"));
    assert_eq!(probe(&stage, "node:node-1", "shop/web"), all("connected"));
    assert_eq!(probe(&stage, "shop/web", "outside"), all("dropped"));
    let echo = stage.lab.json(&["probe", "--from", "shop/web", "--to", "node:node-1", "--probe", "TCP/7"]);
    assert!(echo.as_array().unwrap().iter().all(|result| result["result"] == "connected"), "{echo}");

    let block = json!([{"from": [{"ipBlock": {"cidr": "172.30.0.254/32"}}], "ports": [{"port": 80}]}]);
    stage.policy("shop/block", &json!({"podSelector": {}, "ingress": block}));
    let expected = ["connected", "dropped", "dropped", "dropped", "dropped", "dropped"];
    stage.lab.until("the block to be let in", || probe(&stage, "outside", "shop/web") == expected);
}

/// Sends a datagram to each address again and again.
fn flood(netns: &Netns, targets: &[SocketAddr], pace: Duration, stop: &AtomicBool) {
    let [v4, v6] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
        .map(|any| netns.run(|| UdpSocket::bind((any, 0))).unwrap().unwrap());
    while !stop.load(Ordering::Relaxed) {
        for target in targets {
            // What cannot be sent yet may be later.
            let _ = if target.is_ipv4() { &v4 } else { &v6 }.send_to(b"flood", target);
        }
        std::thread::sleep(pace);
    }
}

/// Counts datagrams by sender.
fn listen(socket: &UdpSocket, stop: &AtomicBool) -> BTreeMap<IpAddr, u64> {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut heard, mut buffer) = (BTreeMap::new(), [0; 64]);
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, from)) = socket.recv_from(&mut buffer) {
            *heard.entry(from.ip().to_canonical()).or_default() += 1;
        }
    }
    heard
}

/// How many datagrams a pod has received since it exists, for whatever port, as its kernel counts them.
fn received(stage: &Stage, pod: &str) -> u64 {
    let (namespace, name) = pod.split_once('/').unwrap();
    let text =
        stage.lab.ok(&["exec", "-n", namespace, name, "--", "cat", "/proc/net/snmp", "/proc/net/snmp6"]);
    let udp: Vec<Vec<&str>> =
        text.lines().filter(|line| line.starts_with("Udp: ")).map(|line| line.split(' ').collect()).collect();
    let counted = |name: &str| matches!(name, "InDatagrams" | "NoPorts" | "InErrors");
    let v4 = udp[0].iter().zip(&udp[1]).filter(|(name, _)| counted(name));
    let v4: u64 = v4.map(|(_, count)| count.parse::<u64>().unwrap()).sum();
    let v6 = text.lines().filter_map(|line| line.strip_prefix("Udp6")?.split_once(char::is_whitespace));
    let v6: u64 =
        v6.filter(|(name, _)| counted(name)).map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum();
    v4 + v6
}

const CAGED: [&str; 8] =
    ["cage/c1", "cage/c2", "cage/c3", "cage/c4", "cage/c5", "cage/c6", "cage/c7", "cage/c8"];
const FREE: [&str; 3] = ["free/f1", "free/f2", "free/f3"];

#[test]
fn pods_born_into_a_flood_receive_and_send_nothing_that_is_denied() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let residents = [pod("free/near", 1, &[]), pod("free/far", 2, &[]), pod("free/sink", 2, &[])];
    let mut stage = Stage::up(2, &[("cage", &[]), ("free", &[])], &residents);
    let shut = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    stage.policies(&[("cage/shut", shut)]);
    let sink = stage.port("free/sink");
    let near = stage.port("free/near");
    // Which of the next addresses the pods get is not certain: they are asked for at the same time.
    let next = |step: u8| {
        let (v4, v6) = (near.ipv4.octets(), near.ipv6.segments());
        let number = v4[3] + step;
        [
            [v4[0], v4[1], v4[2], number].into(),
            IpAddr::from([v6[0], v6[1], v6[2], v6[3], 0, 0, 0, number.into()]),
        ]
    };
    let targets: Vec<SocketAddr> = (1..=120).flat_map(next).map(|ip| SocketAddr::new(ip, 4001)).collect();
    let to_sink = sink.addresses().map(|ip| SocketAddr::new(ip, 4000));
    let stop = AtomicBool::new(false);
    let sandboxes = stage.lab.sandboxes();
    let known = sandboxes.files();
    let ear = sink.open().run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 4000))).unwrap().unwrap();
    let born: Vec<Cast> = CAGED.iter().chain(&FREE).map(|name| pod(name, 1, &[])).collect();

    let heard = std::thread::scope(|scope| {
        for flooder in ["free/near", "free/far"] {
            let netns = stage.port(flooder).open();
            let (targets, stop) = (&targets, &stop);
            scope.spawn(move || flood(&netns, targets, Duration::from_millis(20), stop));
        }
        let ear = scope.spawn(|| listen(&ear, &stop));
        // Whoever is born tries to send from before it has a network.
        let births = {
            let (sandboxes, stop, to_sink) = (&sandboxes, &stop, &to_sink);
            scope.spawn(move || {
                let mut seen = known;
                while !stop.load(Ordering::Relaxed) {
                    for file in sandboxes.files() {
                        if seen.contains(&file) {
                            continue;
                        }
                        if let Ok(netns) = Netns::open(&file) {
                            scope.spawn(move || flood(&netns, to_sink, Duration::from_millis(2), stop));
                            seen.push(file);
                        }
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
        };
        stage.enter(&born);
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
        births.join().unwrap();
        ear.join().unwrap()
    });

    let sent = |pod: &str| -> u64 {
        stage.port(pod).addresses().iter().filter_map(|address| heard.get(address)).sum()
    };
    for pod in FREE {
        let (received, sent) = (received(&stage, pod), sent(pod));
        println!("{pod}, free, received {received} and sent {sent}");
        assert!(received > 10 && sent > 10, "the flood does not reach {pod}: {received}, {sent}");
    }
    for pod in CAGED {
        assert_eq!(
            (received(&stage, pod), sent(pod)),
            (0, 0),
            "{pod} received and sent\n{}",
            stage.lab.tails()
        );
    }
}

#[test]
fn datagrams_in_fragments_pass_where_their_port_is_allowed_and_nowhere_else() {
    if !possible() {
        return;
    }
    let _alone = alone();
    let cast = [
        pod("shop/server", 2, &[("app", "server")]),
        pod("shop/near", 2, &[("app", "near")]),
        pod("shop/far", 1, &[("app", "far")]),
    ];
    let mut stage = Stage::up(2, &[("shop", &[])], &cast);
    let spec = json!({"podSelector": {"matchLabels": {"app": "server"}},
        "ingress": [{"ports": [{"port": 9999, "protocol": "UDP"}]}]});
    stage.policies(&[("shop/server", spec)]);
    stage.agree("one port is open", FEW).unwrap();
    let server = stage.port("shop/server");
    for client in ["shop/near", "shop/far"] {
        let client = stage.port(client).open();
        for to in server.addresses() {
            let arrives = |port: u16| {
                let receiver =
                    server.open().run(|| UdpSocket::bind(SocketAddr::new(to, port)).unwrap()).unwrap();
                receiver.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                let any: IpAddr =
                    if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let sender = client.run(|| UdpSocket::bind(SocketAddr::new(any, 0)).unwrap()).unwrap();
                let mut buffer = [0; 4096];
                // More than one, since a tunnel's first packet may wait for a neighbour.
                (0..3).any(|_| {
                    sender.send_to(&[7; 3000], SocketAddr::new(to, port)).unwrap();
                    receiver.recv(&mut buffer).is_ok_and(|length| length == 3000)
                })
            };
            assert!(arrives(9999), "to {to}, which is allowed");
            assert!(!arrives(9998), "to {to}, which is not");
        }
    }
}
