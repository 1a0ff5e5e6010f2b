//! What should come out, worked out from everything that is known each time, as plainly as it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::build::NODE;
use super::tables::{Answer, Leads, Seen};
use crate::lb::*;
use crate::spec::{self, Service};

/// Everything there is, and who claimed what, in the order in which they did.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) zone: Option<String>,
    pub(super) services: BTreeMap<Name, Service>,
    /// By namespace and name.
    pub(super) slices: BTreeMap<(String, String), spec::Slice>,
    claims: Vec<(Claim, Name)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Frontend(Frontend),
    HealthCheck(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Cluster,
    LoadBalancer,
    External,
    Node,
}

/// What there should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) frontends: BTreeMap<Frontend, Leads>,
    /// With the node port that stands for it; `None`: something that is no node port does.
    pub(super) externals: BTreeMap<External, Option<u16>>,
    pub(super) health_checks: BTreeMap<u16, HealthCheck>,
    /// By protocol; somebody wants them, whoever has them.
    pub(super) node_ports: BTreeSet<(Protocol, u16)>,
}

impl World {
    pub(super) fn service(&mut self, name: &Name, service: Option<&Service>) {
        let claims: Vec<Claim> = service.map(claims).unwrap_or_default();
        self.claims.retain(|(claim, of)| of != name || claims.contains(claim));
        for claim in claims {
            if !self.claims.contains(&(claim, name.clone())) {
                self.claims.push((claim, name.clone()));
            }
        }
        match service {
            Some(service) => self.services.insert(name.clone(), service.clone()),
            None => self.services.remove(name),
        };
    }

    fn has(&self, claim: Claim, name: &Name) -> bool {
        self.claims.iter().find(|(other, _)| *other == claim).is_some_and(|(_, of)| of == name)
    }

    pub(super) fn waits(&self) -> bool {
        self.claims.iter().any(|(claim, name)| !self.has(*claim, name))
    }

    pub(super) fn expected(&self) -> Expected {
        let mut expected = Expected::default();
        for (name, service) in &self.services {
            for (frontend, from, port) in frontends(service) {
                if from == From::Node {
                    expected.node_ports.insert((frontend.protocol, frontend.port));
                }
                if !self.has(Claim::Frontend(frontend), name) {
                    continue;
                }
                let leads = self.leads(name, service, frontend, from, &port);
                let At::Address(address) = frontend.at else {
                    expected.frontends.insert(frontend, leads);
                    continue;
                };
                if from != From::Cluster {
                    let Frontend { protocol, port: number, .. } = frontend;
                    let node = Frontend {
                        at: At::Node { ipv6: address.is_ipv6() },
                        protocol,
                        port: node_port(service, &port).unwrap_or(0),
                    };
                    let own = self.has(Claim::Frontend(node), name) && leads.sources.is_empty();
                    let external = External { address, protocol, port: number };
                    expected.externals.insert(external, own.then_some(node.port));
                }
                expected.frontends.insert(frontend, leads);
            }
            for claim in claims(service) {
                if let Claim::HealthCheck(port) = claim
                    && self.has(claim, name)
                {
                    let local_endpoints = self.healthy(name, service);
                    let check = HealthCheck { service: name.clone(), local_endpoints };
                    expected.health_checks.insert(port, check);
                }
            }
        }
        expected
    }

    fn leads(
        &self,
        name: &Name,
        service: &Service,
        frontend: Frontend,
        from: From,
        port: &spec::ServicePort,
    ) -> Leads {
        let ipv6 = match frontend.at {
            At::Address(address) => address.is_ipv6(),
            At::Node { ipv6 } | At::StandIn { ipv6 } => ipv6,
        };
        let all = self.endpoints(name, port, ipv6);
        let affinity = (service.spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
            let config = service.spec.session_affinity_config.clone().unwrap_or_default();
            let seconds = config.client_ip.unwrap_or_default().timeout_seconds.unwrap_or(10800);
            if (1..=86400).contains(&seconds) { seconds.unsigned_abs() } else { 10800 }
        });
        let seen = |keeps_client, answer| Seen { affinity, keeps_client, answer };
        let cluster = || seen(false, self.cluster(&all));
        let internal_local = service.spec.internal_traffic_policy.as_deref() == Some("Local");
        let (inside, outside) = match from {
            From::Cluster if internal_local => (seen(false, local(&all)), seen(false, local(&all))),
            From::Cluster => (cluster(), cluster()),
            _ if external_local(service) => (cluster(), seen(true, local(&all))),
            _ => (cluster(), cluster()),
        };
        let sources = if from == From::LoadBalancer { ranges(service, ipv6) } else { BTreeSet::new() };
        Leads { inside, outside, sources }
    }

    fn cluster(&self, all: &[Found]) -> Answer {
        let mut best: Vec<_> = all.iter().filter(|one| one.ready).collect();
        if best.is_empty() {
            best = all.iter().filter(|one| one.serving && one.terminating).collect();
        } else if best.iter().all(|one| !one.nodes.is_empty())
            && best.iter().any(|one| one.nodes.iter().any(|node| node == NODE))
        {
            best.retain(|one| one.nodes.iter().any(|node| node == NODE));
        } else if let Some(zone) = &self.zone
            && best.iter().all(|one| !one.zones.is_empty())
            && best.iter().any(|one| one.zones.contains(zone))
        {
            best.retain(|one| one.zones.contains(zone));
        }
        if best.is_empty() {
            return Answer::Refuse;
        }
        Answer::Endpoints(best.into_iter().map(|one| one.address).collect())
    }

    /// Every address once, the best first of those that are said of it.
    fn endpoints(&self, name: &Name, port: &spec::ServicePort, ipv6: bool) -> Vec<Found> {
        let mut by_address: BTreeMap<SocketAddr, Vec<Found>> = BTreeMap::new();
        let family = if ipv6 { "IPv6" } else { "IPv4" };
        for ((namespace, _), slice) in &self.slices {
            if **namespace != *name.namespace || slice.service != *name.name || slice.address_type != family {
                continue;
            }
            for own in slice.ports.iter().flatten() {
                let protocol = own.protocol.as_deref().unwrap_or("TCP");
                if own.name.as_deref().unwrap_or("") != port.name.as_deref().unwrap_or("")
                    || protocol != port.protocol.as_deref().unwrap_or("TCP")
                {
                    continue;
                }
                let Some(number) = own.port.filter(|number| (1..=65535).contains(number)) else { continue };
                for endpoint in &slice.endpoints {
                    let Some(ip) = endpoint.addresses.first().and_then(|text| address(text)) else {
                        continue;
                    };
                    if ip.is_ipv6() == ipv6 {
                        let found = Found::new(SocketAddr::new(ip, u16::try_from(number).unwrap()), endpoint);
                        by_address.entry(found.address).or_default().push(found);
                    }
                }
            }
        }
        by_address
            .into_values()
            .map(|all| {
                let local = all.iter().any(|one| one.local);
                let mut best = all[0].clone();
                for other in &all[1..] {
                    if other.worth() > best.worth() {
                        best = other.clone();
                    }
                }
                Found { local, ..best }
            })
            .collect()
    }

    fn healthy(&self, name: &Name, service: &Service) -> usize {
        let mut all = BTreeSet::new();
        for port in ports(service) {
            for ipv6 in families(service) {
                let endpoints = self.endpoints(name, &port, ipv6).into_iter();
                all.extend(endpoints.filter(|one| one.local && one.ready).map(|one| one.who));
            }
        }
        all.len()
    }
}

#[derive(Clone, Debug)]
struct Found {
    address: SocketAddr,
    ready: bool,
    serving: bool,
    terminating: bool,
    local: bool,
    nodes: Vec<String>,
    zones: Vec<String>,
    who: String,
}

impl Found {
    fn new(address: SocketAddr, endpoint: &spec::Endpoint) -> Self {
        let ready = endpoint.conditions.ready != Some(false);
        let hints = endpoint.hints.clone().unwrap_or_default();
        let names =
            |hints: Option<Vec<spec::Hint>>| hints.into_iter().flatten().map(|hint| hint.name).collect();
        let target = endpoint.target_ref.as_ref().filter(|target| !target.name.is_empty());
        let who =
            target.map_or(address.ip().to_string(), |target| format!("{}/{}", target.kind, target.name));
        Self {
            address,
            ready,
            serving: endpoint.conditions.serving.unwrap_or(ready),
            terminating: endpoint.conditions.terminating == Some(true),
            local: endpoint.node_name.as_deref() == Some(NODE),
            nodes: names(hints.for_nodes),
            zones: names(hints.for_zones),
            who,
        }
    }

    fn worth(&self) -> u8 {
        let flags = [self.ready, self.serving && self.terminating, self.serving, self.local];
        flags.into_iter().fold(0, |worth, flag| worth * 2 + u8::from(flag))
    }
}

fn local(all: &[Found]) -> Answer {
    let pick = |what: fn(&Found) -> bool| -> BTreeSet<SocketAddr> {
        all.iter().filter(|one| what(one)).map(|one| one.address).collect()
    };
    let ready = pick(|one| one.local && one.ready);
    let terminating = pick(|one| one.local && one.serving && one.terminating);
    let anywhere = pick(|one| one.ready || one.serving && one.terminating);
    if !ready.is_empty() {
        Answer::Endpoints(ready)
    } else if !terminating.is_empty() {
        Answer::Endpoints(terminating)
    } else if !anywhere.is_empty() {
        Answer::Drop
    } else {
        Answer::Refuse
    }
}

fn kind(service: &Service) -> &str {
    service.spec.kind.as_deref().unwrap_or("ClusterIP")
}

fn external_local(service: &Service) -> bool {
    let external = service.spec.external_ips.clone().unwrap_or_default();
    let reached = ["NodePort", "LoadBalancer"].contains(&kind(service)) || !external.is_empty();
    reached && service.spec.external_traffic_policy.as_deref() == Some("Local")
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|ip: &IpAddr| !ip.is_loopback())
}

/// The ClusterIPs of a Service that something is done for.
fn cluster_ips(service: &Service) -> Vec<IpAddr> {
    let mut all = service.spec.cluster_ips.clone().unwrap_or_default();
    if all.is_empty() {
        all.extend(service.spec.cluster_ip.clone());
    }
    let other = service.labels.contains_key("service.kubernetes.io/service-proxy-name");
    if other || kind(service) == "ExternalName" || all.iter().any(|text| text == "None") {
        return Vec::new();
    }
    all.iter().filter_map(|text| address(text)).collect()
}

fn families(service: &Service) -> BTreeSet<bool> {
    cluster_ips(service).iter().map(IpAddr::is_ipv6).collect()
}

/// The ports that are right.
fn ports(service: &Service) -> Vec<spec::ServicePort> {
    let mut ports: Vec<spec::ServicePort> = Vec::new();
    for port in service.spec.ports.iter().flatten() {
        let name = |port: &spec::ServicePort| port.name.clone().unwrap_or_default();
        let number = |port: &spec::ServicePort| (protocol(port), port.port);
        let clash = |other: &spec::ServicePort| name(other) == name(port) || number(other) == number(port);
        let right = protocol(port).is_some() && (1..=65535).contains(&port.port);
        if right && !ports.iter().any(clash) {
            ports.push(port.clone());
        }
    }
    let mut taken = BTreeSet::new();
    for port in &mut ports {
        let number = port.node_port.filter(|number| (1..=65535).contains(number));
        port.node_port = number.filter(|number| taken.insert((protocol(port), *number)));
    }
    ports
}

fn protocol(port: &spec::ServicePort) -> Option<Protocol> {
    match port.protocol.as_deref() {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

fn node_port(service: &Service, port: &spec::ServicePort) -> Option<u16> {
    let has = ["NodePort", "LoadBalancer"].contains(&kind(service));
    port.node_port.filter(|_| has).map(|number| u16::try_from(number).unwrap())
}

fn restricted(service: &Service) -> bool {
    service.spec.load_balancer_source_ranges.as_ref().is_some_and(|ranges| !ranges.is_empty())
}

fn ranges(service: &Service, ipv6: bool) -> BTreeSet<IpNet> {
    let texts = service.spec.load_balancer_source_ranges.iter().flatten();
    let ranges = texts.filter_map(|text| text.parse::<IpNet>().ok()).map(|range| range.trunc());
    ranges.filter(|range| range.addr().is_ipv6() == ipv6).collect()
}

/// What a Service would have, were it alone.
fn frontends(service: &Service) -> Vec<(Frontend, From, spec::ServicePort)> {
    let mut addresses: Vec<(IpAddr, From)> = Vec::new();
    let mut add = |address: IpAddr, from| {
        if addresses.iter().all(|(other, _)| *other != address)
            && families(service).contains(&address.is_ipv6())
        {
            addresses.push((address, from));
        }
    };
    cluster_ips(service).into_iter().for_each(|address| add(address, From::Cluster));
    for ingress in service.status.load_balancer.ingress.iter().flatten() {
        if ingress.ip_mode.as_deref() != Some("Proxy") {
            ingress.ip.as_deref().and_then(address).into_iter().for_each(|one| add(one, From::LoadBalancer));
        }
    }
    for text in service.spec.external_ips.iter().flatten() {
        address(text).into_iter().for_each(|address| add(address, From::External));
    }
    addresses.retain(|(address, from)| {
        let nobody = restricted(service) && ranges(service, address.is_ipv6()).is_empty();
        !(*from == From::LoadBalancer && nobody)
    });
    let mut all = Vec::new();
    for port in ports(service) {
        let protocol = protocol(&port).unwrap();
        for (address, from) in &addresses {
            let number = u16::try_from(port.port).unwrap();
            all.push((Frontend { at: At::Address(*address), protocol, port: number }, *from, port.clone()));
        }
        for ipv6 in families(service) {
            if let Some(number) = node_port(service, &port) {
                all.push((
                    Frontend { at: At::Node { ipv6 }, protocol, port: number },
                    From::Node,
                    port.clone(),
                ));
            }
        }
    }
    all
}

fn claims(service: &Service) -> Vec<Claim> {
    let mut claims: Vec<Claim> =
        frontends(service).into_iter().map(|(frontend, ..)| Claim::Frontend(frontend)).collect();
    let number = service.spec.health_check_node_port.unwrap_or(0);
    let proxied = !cluster_ips(service).is_empty();
    if proxied && kind(service) == "LoadBalancer" && external_local(service) && (1..=65535).contains(&number)
    {
        claims.push(Claim::HealthCheck(u16::try_from(number).unwrap()));
    }
    claims
}
