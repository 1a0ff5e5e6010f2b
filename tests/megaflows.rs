//! What the datapath makes of the flows: few megaflows and masks, however many connections there are; no packet more than
//! needed to the slow path; no recirculation but for connection tracking and its translations.
//!
//! docs/performance.md says how to see all of this by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use host::{Netns, sysctl};
use serde_json::{Value, json};
use system_tests::megaflow::{Megaflow, recirculations, shapes};
use system_tests::service::{list, slices};
use system_tests::{Api, IMAGE, Lab, Node, possible};

/// Ports that the servers have, from [`FIRST`] on, and connections to them.
const PORTS: u16 = 20;
const FIRST: u16 = 8001;
const CONNECTIONS: u16 = 200;
const POLICIES: usize = 100;
const SERVICES: usize = 1000;
/// Slots of a group with two endpoints.
const SLOTS: usize = 16;
/// Packets of others that may be unknown to the datapath: the machines' own, which pass it in userspace, and neighbours'.
const OTHERS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(300);

/// What is allowed to be in a node's datapath for the connections of one client in one family.
///
/// Each packet is looked up twice. As it arrives it is given to connection tracking, by the port and the sender that it must
/// have, whatever it is; its destination counts only as far as it takes to tell it from the masquerade address. Then it is
/// judged. A reply is only routed. The rest is asked about at its policies, which look at addresses and the protocol's
/// port: a flow for a connection's first packet, which commits, and one for all later ones, at each port.
#[derive(Clone, Copy, Default)]
struct Bound {
    /// Ports of the bridge that packets come by.
    inputs: usize,
    /// Ways to a pod: of what is judged at each port. Packets that a Service sent on have been told apart by then.
    ways: usize,
    /// Ways back.
    replies: usize,
    /// Frontends of a Service, each with a port, and slots of their groups.
    frontends: usize,
    slots: usize,
}

impl Bound {
    fn megaflows(self) -> usize {
        let ports = usize::from(PORTS);
        self.inputs + ports * (2 * self.ways + self.frontends) + self.replies + self.slots
    }

    /// Each of these is a kind of flow that looks at other fields than the others do. Of what is judged, the fields are the
    /// same for all ports: a flow looks at the port as a whole, or not at all.
    fn masks(self) -> usize {
        let sent_on = usize::from(self.frontends > 0);
        self.inputs + self.ways * (1 + sent_on) + self.replies + self.frontends + usize::from(self.slots > 0)
    }
}

/// Where connections go.
struct Way {
    what: &'static str,
    to: [IpAddr; 2],
    /// Of both nodes.
    bounds: [Bound; 2],
    /// Recirculations of a connection's first packet at most, by both nodes' flows. Connection tracking takes one, a Service
    /// one more for the translation, and a choice among endpoints one for the hash.
    recirculations: [usize; 2],
}

struct Place {
    lab: Lab,
    client: Netns,
    ways: Vec<Way>,
}

fn pod(name: &str, node: u16) -> Value {
    let ports: Vec<Value> = (FIRST..FIRST + PORTS).map(|port| json!({"containerPort": port})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name, "role": "both"}},
        "spec": {"nodeName": format!("node-{node}"), "containers": [{"name": "c", "image": IMAGE, "ports": ports}]},
    })
}

/// A policy of all pods, in both directions: one of the first allows one of the ports; the others are about other ports,
/// other peers, blocks of all lengths, and ranges.
fn policy(number: usize) -> Value {
    let port = usize::from(FIRST) + number % usize::from(PORTS);
    let (peer, ports) = match number / usize::from(PORTS) {
        0 => (json!({"podSelector": {"matchLabels": {"role": "both"}}}), json!([{"port": port}])),
        1 => (json!({"podSelector": {}}), json!([{"port": 9000 + number, "endPort": 9000 + 7 * number}])),
        2 => {
            let (net, length) = (200 + number % 20, 12 + number % 20);
            (json!({"ipBlock": {"cidr": format!("10.{net}.0.0/{length}")}}), json!([{"port": port}]))
        }
        3 => (json!({"namespaceSelector": {}}), json!([{"port": port, "protocol": "UDP"}])),
        _ => {
            let team = format!("team-{number}");
            (json!({"podSelector": {"matchLabels": {"team": team}}}), json!([{"port": 7000 + number}]))
        }
    };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": format!("p{number}"), "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"role": "both"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [peer.clone()], "ports": ports}], "egress": [{"to": [peer], "ports": ports}],
        },
    })
}

/// A Service without a selector in both families, with these ports at the servers' own. Others' ports than those of the
/// first two are the servers', too, one each.
fn service(name: &str, number: usize, ports: &[u16]) -> Value {
    let ports: Vec<Value> =
        ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
    let ips = [
        format!("10.96.{}.{}", 64 + number / 250, 1 + number % 250),
        format!("fd00:10:96::{:x}", 0x4000 + number),
    ];
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"ipFamilyPolicy": "RequireDualStack", "clusterIP": ips[0], "clusterIPs": ips, "ports": ports},
    })
}

/// Slices of a Service with these endpoints at all ports.
fn slices_of(service: &str, endpoints: &[[IpAddr; 2]]) -> Value {
    let endpoints: Vec<_> = endpoints.iter().map(|addresses| (*addresses, json!({}))).collect();
    let mut slices = slices(service, service, FIRST, &endpoints);
    let ports: Vec<Value> =
        (FIRST..FIRST + PORTS).map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
    for slice in slices["items"].as_array_mut().unwrap() {
        slice["ports"] = ports.clone().into();
    }
    slices
}

impl Place {
    fn up() -> Self {
        let lab = Lab::up(&["--nodes", "2"]);
        lab.apply(&list(&[pod("client", 1), pod("near", 1), pod("far", 2)]));
        lab.wait_for_pods(3);
        let all: Vec<u16> = (FIRST..FIRST + PORTS).collect();
        let [near, far] = [lab.node(1).port("near"), lab.node(2).port("far")].map(|port| port.addresses());
        lab.apply(&list(&(0..POLICIES).map(policy).collect::<Vec<_>>()));
        lab.apply(&list(&[service("one", 0, &all), slices_of("one", &[far])]));
        lab.apply(&list(&[service("two", 1, &all), slices_of("two", &[near, far])]));
        let others: Vec<Value> = (2..SERVICES)
            .map(|number| {
                service(&format!("s{number}"), number, &[FIRST + u16::try_from(number % 20).unwrap()])
            })
            .collect();
        std::thread::scope(|scope| {
            for some in others.chunks(SERVICES / 4) {
                scope.spawn(|| lab.apply(&list(some)));
            }
        });
        let api = Api::new(&lab);
        let [one, two] = ["one", "two"].map(|name| api.cluster_ips(name));
        let place = Self { client: lab.node(1).port("client").open(), ways: ways(near, far, one, two), lab };
        for node in place.nodes() {
            let begin = Instant::now();
            while !has_all(&node) {
                assert!(
                    begin.elapsed() < PATIENCE,
                    "waited in vain for all policies and Services\n{}",
                    place.lab.tails()
                );
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        place
    }

    fn nodes(&self) -> [Node<'_>; 2] {
        [self.lab.node(1), self.lab.node(2)]
    }

    fn upcalls(&self) -> u64 {
        self.nodes().iter().map(Node::upcalls).sum()
    }

    /// Megaflows of pods' packets in one family.
    fn megaflows(&self, to: IpAddr) -> [Vec<Megaflow>; 2] {
        let family = if to.is_ipv4() { "eth_type(0x0800)" } else { "eth_type(0x86dd)" };
        self.nodes().map(|node| {
            let port = |name: &str| name.starts_with("kvs") || name.starts_with("vxlan");
            let ours = |flow: &Megaflow| port(flow.in_port()) && flow.matching.contains(family);
            // Kernels of pods announce themselves in IPv6; nobody listens.
            let announces = |flow: &Megaflow| flow.matching.contains("proto=58");
            node.megaflows().into_iter().filter(|flow| ours(flow) && !announces(flow)).collect()
        })
    }

    /// Connections to all ports in turn, each of which is greeted, asks and is answered.
    fn connect(&self, to: IpAddr) {
        for number in 0..CONNECTIONS {
            let mut talk = self.talk(SocketAddr::new(to, FIRST + number % PORTS));
            exchange(&mut talk);
            end(talk);
        }
    }

    fn talk(&self, to: SocketAddr) -> BufReader<TcpStream> {
        let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(10));
        let stream = self.client.run(connect).unwrap().unwrap_or_else(|error| panic!("{to}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut String::new()).unwrap();
        reader
    }

    fn check(&self, way: &Way, to: IpAddr) {
        let what = format!("{}, {to}", way.what);
        self.nodes().iter().for_each(Node::forget_megaflows);
        self.connect(to);
        let first = self.megaflows(to);
        for (index, flows) in first.iter().enumerate() {
            let (bound, masks) = (way.bounds[index], shapes(flows));
            let all = self.nodes()[index].masks();
            println!(
                "{what}, node-{}: {} megaflows, {} masks (of {all:?})",
                index + 1,
                flows.len(),
                masks.len()
            );
            assert!(flows.len() <= bound.megaflows(), "{what}: more than {}: {flows:#?}", bound.megaflows());
            assert!(masks.len() <= bound.masks(), "{what}: more than {}: {masks:#?}", bound.masks());
            // Neighbours' packets have masks of their own.
            assert!(all.is_none_or(|all| all <= bound.masks() + 8), "{what}: {all:?} masks");
            let by_source_port = masks.iter().find(|mask| mask.contains("tcp(src"));
            assert_eq!(by_source_port, None, "{what}: a megaflow per connection");
            let depth = recirculations(flows);
            assert!(depth <= way.recirculations[index], "{what}: {depth} recirculations: {flows:#?}");
        }
        self.check_more(&what, way, to, &first);
        self.check_established(&what, to);
    }

    /// More connections to the same ports need nothing new. Only where there is a choice, an endpoint or a slot may be met for
    /// the first time: then it is all that there may be at most.
    fn check_more(&self, what: &str, way: &Way, to: IpAddr, first: &[Vec<Megaflow>; 2]) {
        let before = self.upcalls();
        self.connect(to);
        let upcalls = self.upcalls() - before;
        let chooses = way.bounds.iter().any(|bound| bound.slots > 0);
        let mut met = 0;
        for ((before, after), bound) in first.iter().zip(self.megaflows(to)).zip(way.bounds) {
            let known: BTreeSet<&Megaflow> = before.iter().collect();
            let new: Vec<&Megaflow> = after.iter().filter(|flow| !known.contains(flow)).collect();
            assert!(chooses || new.is_empty(), "{what}: {new:#?}");
            assert!(after.len() <= bound.megaflows(), "{what}: more than {}: {after:#?}", bound.megaflows());
            met += u64::try_from(new.len()).unwrap();
        }
        println!("{what}: {upcalls} upcalls by {CONNECTIONS} further connections, {met} new megaflows");
        assert!(upcalls <= met + OTHERS, "{what}: {upcalls} upcalls, {met} new megaflows");
    }

    /// Packets of an established connection are no upcalls at all.
    fn check_established(&self, what: &str, to: IpAddr) {
        let mut talk = self.talk(SocketAddr::new(to, FIRST));
        exchange(&mut talk);
        let caused: Vec<u64> = (0..5)
            .map(|_| {
                let before = self.upcalls();
                (0..200).for_each(|_| exchange(&mut talk));
                self.upcalls() - before
            })
            .collect();
        println!("{what}: upcalls while a connection exchanges 200 times, in five goes: {caused:?}");
        // Others' packets come now and then; the connection's would at each time.
        assert!(caused.contains(&0), "{what}: {caused:?}");
        end(talk);
    }

    /// Returns when the last port answers.
    fn wait_for(&self, to: IpAddr) {
        let to = SocketAddr::new(to, FIRST + PORTS - 1);
        let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok();
        self.lab.until("an answer", || self.client.run(connect).unwrap());
        end(self.talk(to));
        // What was given up above may still be on its way.
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Ends a connection in both directions: no packet of it comes later.
fn end(talk: BufReader<TcpStream>) {
    let mut stream = talk.into_inner();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), 0);
}

fn exchange(talk: &mut BufReader<TcpStream>) {
    talk.get_mut().write_all(b"are you there?\n").unwrap();
    assert_ne!(talk.read_line(&mut String::new()).unwrap(), 0);
}

/// Whether all Services and the chains of all policies are in a node's switch.
fn has_all(node: &Node<'_>) -> bool {
    let dump = |table: &str| node.exec(&["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "k-vswitch0", table]);
    let chains =
        |table: &str| dump(table).lines().any(|line| line.matches("resubmit(,60)").count() == POLICIES);
    dump("table=40").lines().count() > 2 * SERVICES && chains("table=50") && chains("table=110")
}

fn ways(near: [IpAddr; 2], far: [IpAddr; 2], one: [IpAddr; 2], two: [IpAddr; 2]) -> Vec<Way> {
    let there = Bound { inputs: 2, ways: 1, replies: 1, ..Bound::default() };
    let unused = Bound::default();
    vec![
        Way { what: "on one node", to: near, bounds: [there, unused], recirculations: [1, 0] },
        Way { what: "to another node", to: far, bounds: [there, there], recirculations: [1, 1] },
        Way {
            what: "by a Service of one endpoint",
            to: one,
            // Neither way is the other's: of a connection that is about to be sent on nothing more is known.
            bounds: [Bound { frontends: 1, ..there }, there],
            recirculations: [2, 1],
        },
        Way {
            what: "by a Service of two endpoints",
            to: two,
            bounds: [
                Bound { inputs: 3, ways: 2, replies: 2, frontends: 1, slots: SLOTS * usize::from(PORTS) },
                there,
            ],
            recirculations: [3, 1],
        },
    ]
}

#[test]
fn megaflows_masks_upcalls_and_recirculations_are_few_under_policies_and_services() {
    if !possible() {
        return;
    }
    let place = Place::up();
    for (number, way) in place.ways.iter().enumerate() {
        // Each way has ports of the client of its own. Otherwise one of them may be in use twice at an endpoint, where a
        // Service's connection gets another one, which takes megaflows of its own, or has to wait.
        let range = format!("{} {}", 30_000 + 8_000 * number, 37_999 + 8_000 * number);
        place.client.run(|| sysctl::write("net/ipv4/ip_local_port_range", &range)).unwrap().unwrap();
        for to in way.to {
            place.wait_for(to);
            place.check(way, to);
        }
    }
}

#[test]
fn megaflows_are_read_as_the_switch_writes_them() {
    let lines = [
        "recirc_id(0),in_port(kvs1),eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.9/255.255.255.248,frag=no), \
         packets:5, bytes:370, used:0.1s, flags:SFP., actions:ct(zone=27510,nat),recirc(0x4)",
        "ct_state(+new-rel),recirc_id(0x4),in_port(kvs1),eth_type(0x0800),tcp(dst=80), \
         packets:0, bytes:0, used:never, actions:hash(l4(0)),recirc(0xa)",
        "ct_state(-new-rel),recirc_id(0x4),in_port(kvs1),eth_type(0x0800),tcp(dst=81), \
         packets:0, bytes:0, used:never, actions:kvs2",
        "recirc_id(0xa),dp_hash(0x1b/0xf),in_port(kvs1), packets:0, bytes:0, used:never, actions:kvs2",
        "flow-dump from the main thread:",
    ];
    let flows: Vec<Megaflow> = lines.iter().filter_map(|line| Megaflow::read(line)).collect();
    assert_eq!(flows.len(), 4);
    assert_eq!((flows[0].in_port(), flows[0].recirculation()), ("kvs1", 0));
    assert_eq!(flows[1].next(), BTreeSet::from([10]));
    assert_eq!(shapes(&flows).len(), 3, "{:?}", shapes(&flows));
    assert!(flows[0].shape().contains("ipv4(src,dst/255.255.255.248,frag)"), "{}", flows[0].shape());
    assert_eq!(recirculations(&flows), 2);
}
