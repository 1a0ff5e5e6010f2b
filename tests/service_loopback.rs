//! Host ports at the node's loopback addresses: its own processes reach them, and nobody else reaches these addresses by the bridge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use host::{Netlink, Netns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
use serde_json::{Value, json};
use system_tests::frame::{self, ROUTER};
use system_tests::service::{Protocol, all_answer, ask, ask_all, ask_from, list, server, wait_for, with};
use system_tests::{IMAGE, Lab, Node, Stream, possible, send, until};

/// A host port of the pod `any`, at all addresses, and one of the pod `loop`, at 127.0.0.1 alone.
const ANY: u16 = 18_080;
const LOOP: u16 = 18_081;
/// Another one of `loop`, which nobody serves yet, and its number there.
const STREAM: (u16, u16) = (18_082, 7000);

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// MAC of the bridge's own interface.
const GATEWAY: [u8; 6] = [0x0a, 0x58, 0, 0, 0, 2];
const IPV4: u16 = 0x0800;
const MARK: &[u8] = b"k-vswitch system test";

/// Drop reasons of docs/pipeline.md.
const SPOOFED: u8 = 2;
const NOT_ROUTED: u8 = 4;

/// Gives the port 8080 of a server a number on its node.
fn on_host(mut server: Value, port: u16, address: Option<&str>) -> Value {
    for declared in server["spec"]["containers"][0]["ports"].as_array_mut().unwrap() {
        declared["hostPort"] = port.into();
        declared["hostIP"] = address.map_or(Value::Null, Into::into);
    }
    server
}

fn up() -> Lab {
    let lab = Lab::up(&["--nodes", "2"]);
    // A sidecar: labs do not serve its ports.
    let sidecar = json!([{"name": "s", "image": IMAGE, "restartPolicy": "Always", "ports": [
        {"containerPort": STREAM.1, "hostPort": STREAM.0, "hostIP": "127.0.0.1"}]}]);
    let looped = on_host(server("loop", 1, &[8080]), LOOP, Some("127.0.0.1"));
    lab.apply(&list(&[
        server("client", 1, &[8080]),
        server("other", 2, &[8080]),
        on_host(server("any", 1, &[8080]), ANY, None),
        with(looped, "spec", &json!({"initContainers": sidecar})),
    ]));
    lab.wait_for_pods(4);
    for (port, who) in [(ANY, "any"), (LOOP, "loop")] {
        wait_for(&lab, &lab.node(1).netns, &[LOCALHOST], port, who);
    }
    lab
}

/// Asks from one of the node's addresses, as `curl --interface ADDRESS` does. What the server says.
fn ask_as(node: &Netns, source: IpAddr, to: SocketAddr) -> String {
    let tcp = || -> nix::Result<TcpStream> {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
        connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(to))?;
        Ok(socket.into())
    };
    let stream = node.run(tcp).unwrap().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).unwrap();
    said
}

#[test]
fn the_node_reaches_host_ports_at_loopback_and_nobody_else_those_that_are_there_alone() {
    if !possible() {
        return;
    }
    let lab = up();
    let node = lab.node(1);
    let [address, address6] = node.addresses();
    let ([gateway, _], [hidden, _]) = (node.gateway(), node.masquerade());
    for (port, who) in [(ANY, "any"), (LOOP, "loop")] {
        let to = SocketAddr::new(LOCALHOST, port);
        assert_eq!(all_answer(&node.netns, &[LOCALHOST], port, &[who]), [gateway].into());
        // Pods see an address of the node's bridge, whatever is the sender's.
        for (source, seen) in [(LOCALHOST, gateway), (address, hidden), (gateway, gateway)] {
            let said = ask_as(&node.netns, source, to);
            assert!(said.contains(who) && said.contains(&format!("\"{seen}:")), "{source}: {said}");
            let socket = node.netns.run(|| UdpSocket::bind((source, 0))).unwrap().unwrap();
            assert_eq!(ask_from(&socket, to).who(), who, "from {source}");
        }
    }

    let (client, other) = (node.port("client").open(), lab.node(2).port("other").open());
    all_answer(&lab.outside(), &[address, address6], ANY, &["any"]);
    for from in [&node.netns, &lab.node(2).netns, &lab.outside(), &client, &other] {
        let answers = ask_all(from, &[address, address6], LOOP);
        assert!(answers.all("refused"), "{from:?}: {answers:?}");
    }
    // Another node has no such pod, and IPv6 no such way.
    assert_eq!(ask(&lab.node(2).netns, Protocol::Tcp, SocketAddr::new(LOCALHOST, ANY)).who(), "refused");
    assert_eq!(ask(&node.netns, Protocol::Tcp, "[::1]:18080".parse().unwrap()).who(), "refused");
    // What is no host port is the node's own.
    assert_eq!(ask(&node.netns, Protocol::Tcp, SocketAddr::new(LOCALHOST, 7)).who(), "node-1");

    // Policies are not asked about what the pod's own node sends.
    lab.apply(&json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "none", "namespace": "default"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}));
    let pod = node.port("loop").addresses();
    lab.until("pods to be isolated", || ask_all(&client, &pod, 8080).all("dropped"));
    all_answer(&node.netns, &[LOCALHOST], LOOP, &["loop"]);
}

#[test]
fn connections_by_loopback_outlive_the_daemon_and_go_with_the_pod() {
    if !possible() {
        return;
    }
    let lab = up();
    let node = lab.node(1);
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, STREAM.1));
    let listener = node.port("loop").open().run(listen).unwrap().unwrap();
    let stream = Stream::to(&node.netns, &listener, SocketAddr::new(LOCALHOST, STREAM.0));
    let socket = node.netns.run(|| UdpSocket::bind((LOCALHOST, 0))).unwrap().unwrap();
    let to = SocketAddr::new(LOCALHOST, LOOP);
    assert_eq!(ask_from(&socket, to).who(), "loop");
    node.kill("agent");
    for _ in 0..50 {
        assert_eq!(ask_from(&socket, to).who(), "loop");
        assert_eq!(ask(&node.netns, Protocol::Tcp, to).who(), "loop");
    }
    node.wait_ready();
    assert!(stream.flows(Duration::from_secs(5)));
    let (_, stood_still) = stream.finish();
    assert!(stood_still < Duration::from_secs(1), "{stood_still:?}");
    assert_eq!(ask_from(&socket, to).who(), "loop");

    lab.delete(&server("loop", 1, &[8080]));
    lab.until("the port to go with the pod", || ask_all(&node.netns, &[LOCALHOST], LOOP).all("refused"));
    all_answer(&node.netns, &[LOCALHOST], ANY, &["any"]);
}

/// Somebody who listens on the node, in UDP.
fn listen(node: &Node<'_>, address: Ipv4Addr) -> (u16, UdpSocket) {
    let socket = node.netns.run(|| UdpSocket::bind((address, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    (socket.local_addr().unwrap().port(), socket)
}

/// Whether the mark has come since the last time.
fn heard(socket: &UdpSocket) -> bool {
    let mut buffer = [0; 64];
    let come = std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|length| buffer[..length] == *MARK));
    come.filter(|marked| *marked).count() > 0
}

#[test]
fn neither_pods_nor_nodes_nor_neighbours_reach_what_listens_at_loopback() {
    if !possible() {
        return;
    }
    let lab = up();
    let node = lab.node(1);
    let IpAddr::V4(gateway) = node.gateway()[0] else { panic!("not IPv4") };
    let IpAddr::V4(address) = node.addresses()[0] else { panic!("not IPv4") };
    let (private, at_loopback) = listen(&node, Ipv4Addr::LOCALHOST);
    let (public, at_all) = listen(&node, Ipv4Addr::UNSPECIFIED);
    let (attacker, far) = (node.port("client"), lab.node(2).port("other"));
    let victim = node.port("loop").open();
    let loopback = Ipv4Addr::LOCALHOST;
    let targets = [(loopback, private), (loopback, public), (loopback, LOOP), (loopback, ANY)];
    let silent = |what: &str, act: &dyn Fn()| {
        let captures = [&victim, &node.port("any").open()].map(system_tests::Capture::start);
        act();
        let arrived: usize = captures.map(|capture| capture.frames_with(MARK).len()).iter().sum();
        assert_eq!((arrived, heard(&at_loopback), heard(&at_all)), (0, false, false), "{what}");
    };
    let packets =
        |source: Ipv4Addr| targets.map(|(to, port)| frame::udp4(source, to, port, MARK)).into_iter();

    // A pod of the node. To the listener at all addresses it may send, as itself.
    let mac = attacker.mac();
    let of_pod = |to: [u8; 6], packet: &[u8]| frame::ethernet(to, mac, IPV4, packet);
    let pod = |frames: &[Vec<u8>]| send(&attacker.open(), frames);
    pod(&[of_pod(ROUTER, &frame::udp4(attacker.ipv4, gateway, public, MARK))]);
    assert!(heard(&at_all));
    let before = [NOT_ROUTED, SPOOFED].map(|reason| node.dropped(reason));
    let to_loopback = || {
        for to in [ROUTER, GATEWAY] {
            pod(&packets(attacker.ipv4).map(|packet| of_pod(to, &packet)).collect::<Vec<_>>());
        }
    };
    silent("a pod to loopback", &to_loopback);
    silent("a pod from loopback", &|| {
        let forged = [(gateway, public), (address, ANY), (loopback, private)];
        pod(&forged.map(|(to, port)| of_pod(ROUTER, &frame::udp4(loopback, to, port, MARK))));
    });
    for (reason, before, count) in [(NOT_ROUTED, before[0], 8), (SPOOFED, before[1], 3)] {
        until("drops to be counted", || node.dropped(reason) >= before + count);
    }

    // Another node, by the tunnel.
    let tunnel = lab.node(2).netns.run(|| UdpSocket::bind((lab.node(2).addresses()[0], 0))).unwrap().unwrap();
    let through = |packet: &[u8]| {
        let inside = frame::ethernet(GATEWAY, ROUTER, IPV4, packet);
        tunnel.send_to(&frame::vxlan(&inside), (address, 4789)).unwrap();
    };
    until("the tunnel to be open", || {
        through(&frame::udp4(far.ipv4, gateway, public, MARK));
        heard(&at_all)
    });
    let by_tunnel = || {
        packets(far.ipv4).chain(packets(loopback)).for_each(|packet| through(&packet));
        through(&frame::udp4(loopback, gateway, public, MARK));
    };
    silent("another node", &by_tunnel);

    // A neighbour on the node's network.
    let outside = lab.outside();
    let mac = |netns: &Netns, link: &str| Netlink::open_in(netns).unwrap().link(link).unwrap().mac.unwrap();
    let (its, own) = (mac(&node.netns, node.uplink()), mac(&outside, "eth0"));
    let neighbour = |packet: &[u8]| send(&outside, &[frame::ethernet(its, own, IPV4, packet)]);
    let outside_address: Ipv4Addr = "172.30.0.254".parse().unwrap();
    neighbour(&frame::udp4(outside_address, address, public, MARK));
    assert!(heard(&at_all));
    silent("a neighbour", &|| {
        packets(outside_address).chain(packets(loopback)).for_each(|packet| neighbour(&packet));
    });

    // Nor when somebody has emptied the host's ruleset, and no daemon restores it.
    node.control("stop", "agent");
    node.exec(&["nft", "flush", "ruleset"]);
    silent("a pod, without a ruleset", &to_loopback);
    silent("another node, without a ruleset", &by_tunnel);

    // The node itself, at last.
    let own = node.netns.run(|| UdpSocket::bind((loopback, 0))).unwrap().unwrap();
    own.send_to(MARK, (loopback, private)).unwrap();
    assert!(heard(&at_loopback));
}
