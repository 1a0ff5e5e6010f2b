//! Packets, what the switch does with them, and what it should.

use std::net::IpAddr;

use datapath::topology::{HOST_ROUTER_MAC, ROUTER_MAC, TUNNEL_KEY};
use openflow::MacAddr;
use policy::rules::{Direction, Protocol};
use policy::spec::Name;
use policy_oracle::Traffic;
use policy_oracle::generate::{self, TRAFFIC};

use crate::node::{GATEWAYS, Node, REMOTE};
use crate::switch::{LOCAL, Switch, TUNNEL};

/// Who sends to whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// A pod of this node to anybody.
    Out(Name, IpAddr),
    /// Somebody who is no pod of this node to one, by the tunnel or forwarded by the node.
    In(IpAddr, Name),
    /// The node itself to one of its pods.
    Own(Name),
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Probe {
    pub(crate) way: Way,
    pub(crate) ipv4: bool,
    pub(crate) traffic: Traffic,
    /// What connection tracking says of it.
    pub(crate) state: &'static str,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Leaves by the port of this number.
    Passes(u32),
    /// Dropped by what isolates the pod in this direction.
    Dropped(Direction),
}

fn address(node: &Node, pod: &Name, ipv4: bool) -> Option<IpAddr> {
    let (_, port) = &node.ports[pod];
    if ipv4 { port.ipv4.map(IpAddr::V4) } else { port.ipv6.map(IpAddr::V6) }
}

/// The pod of this node that has an address.
fn local(node: &Node, address: IpAddr) -> Option<&Name> {
    let mut ports = node.ports.iter();
    ports.find(|(_, (_, port))| port.addresses().any(|its| its == address)).map(|(name, _)| name)
}

/// Everything that can be sent by and to the pods of this node.
pub(crate) fn all(node: &Node) -> Vec<Probe> {
    let peers = generate::addresses(&node.cluster);
    let mut probes = Vec::new();
    let mut add = |way: &Way, ipv4: bool| {
        let mut add = |traffic, state| probes.push(Probe { way: way.clone(), ipv4, traffic, state });
        for (number, traffic) in TRAFFIC.into_iter().enumerate() {
            // The one is a connection's first packet, the other a later one: policies ask neither.
            add(traffic, ["trk,new", "trk,est"][(number + usize::from(ipv4)) % 2]);
        }
        add(TRAFFIC[0], "trk,est,rpl");
        add(TRAFFIC[TRAFFIC.len() - 1], "trk,new,rel");
        add(Traffic::Port(Protocol::Sctp, 80), "trk,est,rpl");
    };
    for pod in node.ports.keys() {
        for ipv4 in [true, false] {
            let Some(own) = address(node, pod, ipv4) else { continue };
            add(&Way::Own(pod.clone()), ipv4);
            for peer in peers.iter().copied().filter(|peer| peer.is_ipv4() == ipv4 && *peer != own) {
                add(&Way::Out(pod.clone(), peer), ipv4);
                if local(node, peer).is_none() {
                    add(&Way::In(peer, pod.clone()), ipv4);
                }
            }
        }
    }
    probes
}

impl Probe {
    /// The packet as `ofproto/trace` reads it.
    fn flow(&self, node: &Node) -> String {
        let own = |pod: &Name| address(node, pod, self.ipv4).unwrap();
        let gateway: IpAddr = GATEWAYS[usize::from(!self.ipv4)].parse().unwrap();
        let (place, from, to) = match &self.way {
            Way::Out(pod, to) => {
                let (number, port) = &node.ports[pod];
                let macs = format!("dl_src={},dl_dst={ROUTER_MAC}", MacAddr(port.mac));
                (format!("in_port={number},{macs}"), own(pod), *to)
            }
            Way::In(from, pod) if is_remote(*from) => {
                let tunnel =
                    format!("in_port={TUNNEL},tun_id={TUNNEL_KEY},tun_src={REMOTE},tun_dst=192.0.2.101");
                (format!("{tunnel},dl_src={ROUTER_MAC},dl_dst={ROUTER_MAC}"), *from, own(pod))
            }
            Way::In(from, pod) => (format!("in_port=LOCAL,dl_dst={ROUTER_MAC}"), *from, own(pod)),
            Way::Own(pod) => (format!("in_port=LOCAL,dl_dst={HOST_ROUTER_MAC}"), gateway, own(pod)),
        };
        let addresses = match self.ipv4 {
            true => format!("nw_src={from},nw_dst={to}"),
            false => format!("ipv6_src={from},ipv6_dst={to}"),
        };
        let kind = match (self.traffic, self.ipv4) {
            (Traffic::Port(protocol, port), ipv4) => {
                let protocol = match protocol {
                    Protocol::Tcp => "tcp",
                    Protocol::Udp => "udp",
                    Protocol::Sctp => "sctp",
                };
                let family = if ipv4 { "" } else { "6" };
                format!("{protocol}{family},{protocol}_src=40000,{protocol}_dst={port}")
            }
            (Traffic::Other, true) => "icmp,icmp_type=8".to_owned(),
            (Traffic::Other, false) => "icmp6,icmpv6_type=128".to_owned(),
        };
        format!("{place},{kind},{addresses},nw_ttl=64")
    }

    /// What the API's objects say.
    pub(crate) fn expected(&self, node: &Node) -> Fate {
        let cluster = &node.cluster;
        let judge = |direction: Direction, pod: &Name, peer: IpAddr| {
            let peers = cluster.claimants(peer);
            assert_eq!(peers.len(), 1, "{peer} is in dispute");
            cluster.judge(direction, &cluster.pods[pod], &peers[0], self.traffic)
        };
        // This datapath does not know associations of SCTP: what it says of one is not believed.
        let sctp = matches!(self.traffic, Traffic::Port(Protocol::Sctp, _));
        let judged = sctp || matches!(self.state, "trk,new" | "trk,est");
        let (out, into) = match &self.way {
            Way::Out(pod, to) => (Some((pod, *to)), local(node, *to).zip(address(node, pod, self.ipv4))),
            Way::In(from, pod) => (None, Some((pod, *from))),
            Way::Own(_) => (None, None),
        };
        if judged && out.is_some_and(|(pod, to)| !judge(Direction::Egress, pod, to)) {
            return Fate::Dropped(Direction::Egress);
        }
        if judged && into.is_some_and(|(pod, from)| !judge(Direction::Ingress, pod, from)) {
            return Fate::Dropped(Direction::Ingress);
        }
        Fate::Passes(match &self.way {
            Way::In(_, pod) | Way::Own(pod) => node.ports[pod].0,
            Way::Out(_, to) => match local(node, *to) {
                Some(pod) => node.ports[pod].0,
                None if is_remote(*to) => TUNNEL,
                None => LOCAL,
            },
        })
    }
}

/// Whether an address is in the block of the other node.
fn is_remote(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets().starts_with(&[10, 0]),
        IpAddr::V6(address) => address.segments().starts_with(&[0xfd00, 0, 0, 0]),
    }
}

/// What a trace says has become of a packet.
fn fate(trace: &str) -> Option<Fate> {
    let number = |text: &str| text.parse::<u32>().ok();
    let output = || number(trace.rsplit_once("-> output port is ")?.1.lines().next()?.trim());
    let mut tables = trace.lines().filter_map(|line| number(line.trim_start().split_once(". ")?.0));
    tables.find_map(|table| match table {
        62 => Some(Fate::Dropped(Direction::Egress)),
        113 => Some(Fate::Dropped(Direction::Ingress)),
        200 => output().map(Fate::Passes),
        _ => None,
    })
}

/// The first of the packets whose fate is not what it should be.
pub(crate) fn wrong(switch: &mut Switch, node: &Node, probes: &[Probe]) -> Option<String> {
    let flows: Vec<String> = probes.iter().map(|probe| probe.flow(node)).collect();
    let packets = flows.iter().zip(probes).map(|(flow, probe)| (flow.as_str(), probe.state));
    let traces = switch.trace(packets);
    assert_eq!(traces.len(), probes.len());
    probes.iter().zip(&flows).zip(&traces).find_map(|((probe, flow), trace)| {
        let (expected, found) = (probe.expected(node), fate(trace));
        (found != Some(expected)).then(|| {
            format!("{probe:?} must be {expected:?} and is {found:?}\n{flow} {}\n{trace}", probe.state)
        })
    })
}
