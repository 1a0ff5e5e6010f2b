//! Random clusters as the daemon's flows in a real switch, which is asked what becomes of packets, against the
//! evaluator. `ofproto/trace` reads the tables as packets do, conjunctions, masks and look-ups included.
//!
//! `KVS_SEED` begins with the cluster that a failure names. `KVS_TRACE_SECONDS` goes on for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

mod node;
mod probe;
mod switch;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use datapath::Table;
use policy::rules::{Direction, Protocol};
use policy::spec::{EgressRule, IngressRule, IntOrString, IpBlock, Name, NetworkPolicySpec, Pod};
use policy::spec::{PolicyPeer, PolicyPort};
use policy_oracle::generate::{self, Event, Step};
use policy_oracle::{Cluster, Traffic};
use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use node::{Node, possible};
use probe::{Fate, Probe, Way, wrong};
use switch::Switch;

/// How long clusters are made for.
const SECONDS: u64 = 10;
/// How many packets are asked about after each thing that happens, besides those that it matters to.
const SOME: usize = 120;
/// How long shorter histories are tried when one has failed.
const SHORTENING: Duration = Duration::from_secs(30);

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// A cluster and what happens to it: things that happen at once are told at once, and no two pods claim one address
/// afterwards.
fn history(runner: &mut TestRunner) -> Vec<Vec<Event>> {
    let strategy = (generate::clusters(), generate::steps(4..16));
    let (start, steps): (Cluster, Vec<Step>) = strategy.new_tree(runner).unwrap().current();
    let mut cluster = Cluster::default();
    let told = |cluster: &mut Cluster, events: Vec<Event>| {
        let mut events: Vec<Event> = events.into_iter().filter_map(possible).collect();
        events.iter().for_each(|event| cluster.apply(event.clone()));
        let settled = cluster.settle();
        settled.iter().for_each(|event| cluster.apply(event.clone()));
        events.extend(settled);
        events
    };
    let mut history = vec![told(&mut cluster, start.events())];
    for step in steps {
        let events = step.events(&cluster);
        history.push(told(&mut cluster, events));
    }
    history.retain(|events| !events.is_empty());
    history
}

/// Plays a history; what is wrong after one of its parts. If it is given something that chooses, it asks each time about
/// packets that have just got another fate and some others, else about all.
async fn play(
    switch: &mut Switch,
    history: &[Vec<Event>],
    mut choose: Option<&mut TestRunner>,
) -> (usize, Option<String>) {
    let mut node = Node::new(switch.session().await).await;
    let mut asked = 0;
    let mut before: HashMap<Probe, Fate> = HashMap::new();
    for (number, events) in history.iter().enumerate() {
        node.tell(events).await;
        let all = probe::all(&node);
        let now: HashMap<Probe, Fate> =
            all.iter().map(|probe| (probe.clone(), probe.expected(&node))).collect();
        let probes = match &mut choose {
            Some(runner) => {
                let changed = |probe: &Probe| before.get(probe).is_some_and(|fate| *fate != now[probe]);
                let (mut probes, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(changed);
                let count = SOME.min(rest.len());
                probes.extend(subsequence(rest, count).new_tree(runner).unwrap().current());
                probes
            }
            None => all,
        };
        before = now;
        asked += probes.len();
        if let Some(what) = wrong(switch, &node, &probes) {
            return (asked, Some(format!("after part {number}: {what}")));
        }
    }
    (asked, None)
}

/// The history without what it fails without as well.
async fn shortened(switch: &mut Switch, mut history: Vec<Vec<Event>>) -> (Vec<Vec<Event>>, Option<String>) {
    let mut last = play(switch, &history, None).await.1;
    let begin = Instant::now();
    for part in (0..history.len()).rev() {
        for event in (0..history[part].len()).rev() {
            let mut shorter = history.clone();
            shorter[part].remove(event);
            if begin.elapsed() > SHORTENING {
                return (history, last);
            }
            if let (_, Some(what)) = play(switch, &shorter, None).await {
                (history, last) = (shorter, Some(what));
            }
        }
    }
    (history, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_judges_every_packet_as_the_api_says_after_every_event() {
    if let Some(why) = switch::obstacle() {
        println!("SKIPPED: {why}");
        return;
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("KVS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let time = Duration::from_secs(number("KVS_TRACE_SECONDS").unwrap_or(SECONDS));
    println!("KVS_SEED={seed}");
    let mut switch = Switch::start();
    let begin = Instant::now();
    let (mut clusters, mut packets) = (0, 0);
    while begin.elapsed() < time {
        let seed = seed.wrapping_add(clusters);
        let mut runner = runner(seed);
        let history = history(&mut runner);
        let (asked, wrong) = play(&mut switch, &history, Some(&mut runner)).await;
        if let Some(what) = wrong {
            let (history, shorter) = shortened(&mut switch, history).await;
            panic!("KVS_SEED={seed}: {what}\nshortened: {shorter:#?}\n{history:#?}");
        }
        clusters += 1;
        packets += asked;
    }
    println!("{clusters} clusters, {packets} packets, in {:.1?}", begin.elapsed());
    assert!(clusters >= 2, "only {clusters} clusters");
}

/// How many blocks of each family a rule has.
const BLOCKS: u16 = 150;

/// Blocks with an exception each, and two addresses in each: one in the exception, one not.
fn blocks() -> (Vec<PolicyPeer>, Vec<[IpAddr; 2]>) {
    let (mut peers, mut addresses) = (Vec::new(), Vec::new());
    for number in 0..BLOCKS {
        // No two are halves of one block, which they would become.
        let [a, b, c] = [18 + number / 100, number % 100 * 2, number * 2];
        for (block, except, inside, rest) in [
            (
                format!("198.{a}.{b}.0/24"),
                format!("198.{a}.{b}.64/26"),
                format!("198.{a}.{b}.65"),
                format!("198.{a}.{b}.1"),
            ),
            (
                format!("2001:db8:{c:x}::/48"),
                format!("2001:db8:{c:x}:1::/64"),
                format!("2001:db8:{c:x}:1::1"),
                format!("2001:db8:{c:x}:2::1"),
            ),
        ] {
            addresses.push([inside.parse().unwrap(), rest.parse().unwrap()]);
            let ip_block = Some(IpBlock { cidr: block, except: Some(vec![except]) });
            peers.push(PolicyPeer { ip_block, ..PolicyPeer::default() });
        }
    }
    (peers, addresses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_blocks_with_exceptions_are_one_verdict_in_each_family() {
    if let Some(why) = switch::obstacle() {
        println!("SKIPPED: {why}");
        return;
    }
    let mut switch = Switch::start();
    let mut node = Node::new(switch.session().await).await;
    let name = Name { namespace: "a".to_owned(), name: "p0".to_owned() };
    let pod = Pod {
        namespace: name.namespace.clone(),
        addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        ..Pod::default()
    };
    node.tell(&[Event::Namespace("a".to_owned(), Default::default()), Event::Pod(name.clone(), pod)]).await;

    let (peers, addresses) = blocks();
    assert_eq!(peers.len(), 300);
    let tcp = PolicyPort { port: Some(IntOrString::Int(80)), ..PolicyPort::default() };
    for (direction, cidrs, spec) in [
        (
            Direction::Egress,
            Table::EgressCidr,
            NetworkPolicySpec {
                policy_types: Some(vec!["Egress".to_owned()]),
                egress: Some(vec![EgressRule { to: Some(peers.clone()), ports: Some(vec![tcp.clone()]) }]),
                ..NetworkPolicySpec::default()
            },
        ),
        (
            Direction::Ingress,
            Table::IngressCidr,
            NetworkPolicySpec {
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: Some(vec![IngressRule {
                    from: Some(peers.clone()),
                    ports: Some(vec![tcp.clone()]),
                }]),
                ..NetworkPolicySpec::default()
            },
        ),
    ] {
        let tables = node.tell(&[Event::Policy(name.clone(), spec)]).await;
        let put = |table: Table| tables.iter().filter(|number| **number == table.number()).count();
        // One for each block and one for each exception; one in all, in each family, for what they are allowed.
        assert_eq!((put(cidrs), put(Table::Verdict)), (600, 2), "{direction:?}");

        let probe = |peer: IpAddr, port: u16| {
            let way = match direction {
                Direction::Egress => Way::Out(name.clone(), peer),
                Direction::Ingress => Way::In(peer, name.clone()),
            };
            let traffic = Traffic::Port(Protocol::Tcp, port);
            Probe { way, ipv4: peer.is_ipv4(), traffic, state: "trk,new" }
        };
        let expected = |probe: &Probe| matches!(probe.expected(&node), Fate::Passes(_));
        let outside: [IpAddr; 4] =
            ["198.18.1.1", "198.20.0.1", "2001:db8:1::1", "2600::1"].map(|address| address.parse().unwrap());
        let mut probes: Vec<Probe> = outside.map(|address| probe(address, 80)).to_vec();
        assert!(!probes.iter().any(expected));
        for [excepted, rest] in &addresses {
            let [excepted, rest, other] = [probe(*excepted, 80), probe(*rest, 80), probe(*rest, 81)];
            assert_eq!([&excepted, &rest, &other].map(expected), [false, true, false]);
            probes.extend([excepted, rest, other]);
        }
        if let Some(what) = wrong(&mut switch, &node, &probes) {
            panic!("{direction:?}: {what}");
        }
        node.tell(&[Event::PolicyGone(name.clone())]).await;
    }
}

/// As many policies of one pod as take three parts of a chain, which has 500 in each.
const MANY: u16 = 1100;

/// The first, the last, and those where one part ends and the next begins.
const TOLD: [u16; 8] = [0, 1, 499, 500, 501, 999, 1000, MANY - 1];

/// A node with pods `p0` and `p2` of one namespace, and `MANY` policies in these directions for both of them, each of which
/// allows a port: from 1000 on.
async fn with_many(switch: &Switch, directions: &[Direction]) -> Node {
    let mut node = Node::new(switch.session().await).await;
    let mut events = vec![Event::Namespace("a".to_owned(), Default::default())];
    for (pod, last) in [("p0", 1), ("p2", 3)] {
        let addresses = vec![[10, 0, 0, last].into(), [0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into()];
        let pod = (name_in_a(pod), Pod { namespace: "a".to_owned(), addresses, ..Pod::default() });
        events.push(Event::Pod(pod.0, pod.1));
    }
    let types = directions.iter().map(|direction| format!("{direction:?}"));
    let types: Vec<String> = types.collect();
    for number in 0..MANY {
        let port =
            PolicyPort { port: Some(IntOrString::Int(i64::from(1000 + number))), ..PolicyPort::default() };
        let ports = Some(vec![port]);
        let spec = NetworkPolicySpec {
            policy_types: Some(types.clone()),
            ingress: Some(vec![IngressRule { ports: ports.clone(), ..IngressRule::default() }]),
            egress: Some(vec![EgressRule { ports, ..EgressRule::default() }]),
            ..NetworkPolicySpec::default()
        };
        events.push(Event::Policy(name_in_a(&format!("n{number}")), spec));
    }
    node.tell(&events).await;
    node
}

fn name_in_a(name: &str) -> Name {
    Name { namespace: "a".to_owned(), name: name.to_owned() }
}

/// What is wrong with packets from one pod to the other: what the policies allow, and ports beside that.
fn wrong_of_many(switch: &mut Switch, node: &Node) -> Option<String> {
    let to: [IpAddr; 2] = ["10.0.0.3".parse().unwrap(), "fd00::3".parse().unwrap()];
    let ports = TOLD.into_iter().map(|number| 1000 + number).chain([999, 1000 + MANY]);
    let probes: Vec<Probe> = ports
        .flat_map(|port| to.map(|to| (to, port)))
        .map(|(to, port)| Probe {
            way: Way::Out(name_in_a("p0"), to),
            ipv4: to.is_ipv4(),
            traffic: Traffic::Port(Protocol::Tcp, port),
            state: "trk,new",
        })
        .collect();
    let passing = probes.iter().filter(|probe| matches!(probe.expected(node), Fate::Passes(_)));
    assert_eq!(passing.count(), 2 * TOLD.len());
    // The rest is thousands of lines.
    let brief = |what: String| what.lines().take(2).collect::<Vec<_>>().join("\n");
    wrong(switch, node, &probes).map(brief)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_thousand_policies_of_a_pod_is_asked() {
    if let Some(why) = switch::obstacle() {
        println!("SKIPPED: {why}");
        return;
    }
    let mut switch = Switch::start();
    for direction in Direction::ALL {
        let node = with_many(&switch, &[direction]).await;
        assert_eq!(wrong_of_many(&mut switch, &node), None, "{direction:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_a_thousand_policies_is_asked_at_both_ends_on_one_node() {
    if let Some(why) = switch::obstacle() {
        println!("SKIPPED: {why}");
        return;
    }
    let mut switch = Switch::start();
    let node = with_many(&switch, &Direction::ALL).await;
    assert_eq!(wrong_of_many(&mut switch, &node), None);
}
