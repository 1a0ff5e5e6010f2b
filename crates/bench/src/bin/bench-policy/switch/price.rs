//! What policies cost ovs-vswitchd for each new flow of its datapath: packets from one pod to so many others, each of
//! which needs a flow of its own, with none of the policies selecting the pod and with more and more.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use bench::{Report, Table, Target, ratio};
use datapath::pipeline;
use datapath::topology::{ROUTER_MAC, Remote};
use openflow::{FlowMod, Message, PortNo};
use policy::spec::{EgressRule, Labels, Name, NetworkPolicySpec, Pod};
use serde::Serialize;

use super::node::Node;
use crate::cluster::{address, labels, selector};
use crate::plain;
use crate::random::Random;
use bench::switch::{Switch, run};

/// New flows of the datapath.
const PEERS: usize = 20_000;
/// Policies on the node, of two rules each: 3,000 rules.
const POLICIES: usize = 1_500;
/// Policies that select the pod.
const SELECTING: [usize; 4] = [0, 5, 20, 60];
/// What 5 policies may cost, as a multiple of none.
const AT_MOST: f64 = 1.3;
/// Other pods of this node, which the remaining policies select.
const OTHERS: usize = 30;
/// Rounds, in each of which every number of policies has its turn.
const ROUNDS: usize = 3;

const NAMESPACE: &str = "subjects";
/// The pod that sends.
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 10);
const PORT: u16 = 4242;
/// Where the pod sends everything to; the bridge's router answers for it.
const HOP: &str = "169.254.1.1";

#[derive(Serialize)]
struct Price {
    policies: usize,
    /// Microseconds of ovs-vswitchd's CPU per new datapath flow: the median of all rounds.
    cpu_us: f64,
}

pub(super) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let prices = runtime.block_on(all())?;
    let none = prices.first().map_or(0.0, |price| price.cpu_us);
    let mut table = Table::new(["policies of the pod", "CPU per new datapath flow, us", "of none"]);
    for price in &prices {
        let part = ratio(price.cpu_us, none).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        table.row([price.policies.to_string(), format!("{:.1}", price.cpu_us), part]);
    }
    println!("\n{table}");
    if let Some(five) = prices.iter().find(|price| price.policies == 5)
        && let Some(ratio) = ratio(five.cpu_us, none)
    {
        let target = Target::new("CPU per new datapath flow, 5 policies to none", ratio, AT_MOST);
        println!("  target: at most {AT_MOST}: {} ({ratio:.2})", if target.met { "met" } else { "missed" });
        report.target(target);
    }
    report.figures("CPU per new datapath flow", &prices);
    Ok(())
}

async fn all() -> anyhow::Result<Vec<Price>> {
    let switch = Switch::start("cpu")?;
    let pod = Sender::new(&switch)?;
    let port = switch.add_port(pod.outside())?;
    let mut node = Node::new(switch.session().await?)?;
    let mut random = Random::new(7);
    cluster(&mut node, &mut random);
    let name = Name { namespace: NAMESPACE.to_owned(), name: "sender".to_owned() };
    node.pod(&name, &sender(0), 0);
    node.port(&name, &sender(0), port)?;
    others(&mut node)?;
    node.settle().await?;
    let flows = routes(port).into_iter().map(|flow| Message::FlowMod(FlowMod::add(flow))).collect();
    node.session().bundle(flows).await?;

    let mut times = vec![Vec::new(); SELECTING.len()];
    for _ in 0..ROUNDS {
        for (number, times) in SELECTING.into_iter().zip(&mut times) {
            node.pod(&name, &sender(number), 0);
            node.settle().await?;
            switch.appctl(&["revalidator/purge"])?;
            switch.appctl(&["dpctl/flush-conntrack"])?;
            std::thread::sleep(Duration::from_millis(1500));
            let before = switch.cpu()?;
            pod.send()?;
            // Until the last packet is through.
            std::thread::sleep(Duration::from_millis(300));
            times.push((switch.cpu()? - before) * 1e6 / crate::compile::count(PEERS));
        }
    }
    let prices = SELECTING.into_iter().zip(times).map(|(policies, mut times)| {
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        Price { policies, cpu_us: (median * 10.0).round() / 10.0 }
    });
    Ok(prices.collect())
}

/// Peers, and policies that select pods by labels `p0`, `p1` and so on.
fn cluster(node: &mut Node, random: &mut Random) {
    node.namespace(NAMESPACE, &Labels::new());
    for n in 0..100 {
        let (team, env) = (random.below(10).to_string(), random.below(3).to_string());
        node.namespace(&format!("ns-{n}"), &labels([("team", &team), ("env", &env)]));
    }
    for number in 0..PEERS {
        let (app, ver) = (number % 10, random.below(2).to_string());
        let namespace = format!("ns-{}", number % 100);
        let pod = Pod {
            namespace: namespace.clone(),
            labels: labels([("app", &app.to_string()), ("tier", &(app % 3).to_string()), ("ver", &ver)]),
            ports: Vec::new(),
            addresses: vec![address(number)],
        };
        node.pod(&Name { namespace, name: format!("pod-{number}") }, &pod, 1);
    }
    for number in 0..POLICIES {
        let mut rules = Vec::new();
        while rules.len() < 2 {
            let more = plain::policy(random, 1).ingress.unwrap_or_default();
            rules.extend(more.into_iter().map(|rule| EgressRule { to: rule.from, ports: rule.ports }));
        }
        rules.truncate(2);
        let spec = NetworkPolicySpec {
            pod_selector: selector([(&format!("p{number}"), "yes")]),
            policy_types: Some(vec!["Egress".to_owned()]),
            egress: Some(rules),
            ..NetworkPolicySpec::default()
        };
        node.policy(&Name { namespace: NAMESPACE.to_owned(), name: format!("policy-{number}") }, &spec);
    }
}

/// The sending pod, selected by the first so many policies.
fn sender(policies: usize) -> Pod {
    Pod {
        namespace: NAMESPACE.to_owned(),
        labels: (0..policies).map(|number| (format!("p{number}"), "yes".to_owned())).collect(),
        ports: Vec::new(),
        addresses: vec![SENDER.into()],
    }
}

/// Pods of this node that all policies select, so that all are in force all the time.
fn others(node: &mut Node) -> anyhow::Result<()> {
    for (other, number) in (0..OTHERS).zip(10_000..) {
        let selected = (0..POLICIES).filter(|policy| policy % OTHERS == other);
        let pod = Pod {
            namespace: NAMESPACE.to_owned(),
            labels: selected.map(|policy| (format!("p{policy}"), "yes".to_owned())).collect(),
            ports: Vec::new(),
            addresses: vec![Ipv4Addr::from_bits(SENDER.to_bits() + 1 + u32::try_from(other)?).into()],
        };
        let name = Name { namespace: NAMESPACE.to_owned(), name: format!("other-{other}") };
        node.pod(&name, &pod, 0);
        node.port(&name, &pod, number)?;
    }
    Ok(())
}

/// A route for each peer's address: without policies too, each peer needs a flow of its own. They lead nowhere.
fn routes(port: u32) -> Vec<openflow::Flow> {
    let remote = Remote {
        name: "elsewhere".to_owned(),
        endpoint: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        pods: (0..PEERS).map(|number| address(number).into()).collect(),
        tunnel: PortNo::new(port + 1),
    };
    pipeline::remote(&remote)
}

/// A pod's network namespace: it is that of the switch, which sends through an interface of its own.
struct Sender<'a> {
    switch: &'a Switch,
}

impl<'a> Sender<'a> {
    fn new(switch: &'a Switch) -> anyhow::Result<Self> {
        let (source, mac) = (format!("{SENDER}/32"), ROUTER_MAC.to_string());
        let own = ipam::names::mac(Some(SENDER), None).context("no MAC")?;
        let own = ipam::names::format_mac(own);
        let commands: [&[&str]; 6] = [
            &["link", "add", "inside", "address", &own, "type", "veth", "peer", "name", "outside"],
            &["address", "add", &source, "dev", "inside"],
            &["link", "set", "inside", "up"],
            &["link", "set", "outside", "up"],
            &["route", "add", "default", "via", HOP, "dev", "inside", "onlink"],
            &["neighbour", "add", HOP, "lladdr", &mac, "dev", "inside"],
        ];
        for arguments in commands {
            run(Command::new("ip").args(["-n", switch.name()]).args(arguments))?;
        }
        // Checksums must be whole, or connection tracking takes packets for broken ones.
        let ethtool = ["netns", "exec", switch.name(), "ethtool", "-K", "inside", "tx", "off"];
        run(Command::new("ip").args(ethtool))?;
        Ok(Self { switch })
    }

    fn outside(&self) -> &'static str {
        "outside"
    }

    /// One packet to each peer, no faster than the switch takes them.
    fn send(&self) -> anyhow::Result<()> {
        self.switch.netns().run(|| {
            let socket = UdpSocket::bind(SocketAddr::from((SENDER, 0)))?;
            for number in 0..PEERS {
                socket.send_to(b"price", SocketAddr::from((address(number), PORT)))?;
                if number % 32 == 31 {
                    std::thread::sleep(Duration::from_millis(6));
                }
            }
            Ok(())
        })?
    }
}
