//! A Service to what the engine keeps of it, and what is wrong with it.

use std::collections::HashSet;
use std::net::IpAddr;

use super::compiled::{Compiled, Port, Sources};
use super::names::Names;
use super::parse;
use crate::problems::Problem;
use crate::spec::{HOST_PORTS, Service, ServicePort};
use crate::view::{Kind, Skipped};

/// Says that another proxy serves a Service.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Seconds for which a client keeps its endpoint if the Service does not say: `DefaultClientIPServiceAffinitySeconds`.
const AFFINITY: u32 = 10_800;
/// The most seconds: `MaxClientIPServiceAffinitySeconds`.
const LONGEST_AFFINITY: u32 = 86_400;

/// Compiles a Service.
pub(crate) fn compile(names: &mut Names, service: &Service) -> (Compiled, Vec<Problem>) {
    let mut compiler = Compiler { service, problems: Vec::new() };
    let ports = compiler.ports(names);
    let mut skipped = skipped(service);
    let addresses = if skipped.is_none() { compiler.addresses() } else { Box::default() };
    if addresses.is_empty() {
        skipped = skipped.or(Some(Skipped::NoAddress));
        return (Compiled { skipped, ports, ..Compiled::default() }, compiler.problems);
    }
    let external_local = external_local(service);
    let sources = compiler.sources(&addresses);
    let compiled = Compiled {
        skipped,
        ports,
        addresses,
        affinity: compiler.affinity(),
        internal_local: is(&service.spec.internal_traffic_policy, "Local"),
        external_local,
        health_check: compiler.health_check().filter(|_| external_local && balanced(service)),
        sources,
    };
    (compiled, compiler.problems)
}

struct Compiler<'a> {
    service: &'a Service,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn ports(&mut self, names: &mut Names) -> Box<[Port]> {
        let mut ports = Vec::new();
        let (mut known, mut numbers, mut node_ports) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (index, port) in self.service.spec.ports.iter().flatten().enumerate() {
            let path = format!("spec.ports[{index}]");
            let name = port.name.as_deref().unwrap_or_default();
            let protocol = self.check(&path, ".protocol", parse::protocol(port.protocol.as_deref()));
            let number = self.check(&path, ".port", parse::port(port.port));
            let (Some(protocol), Some(number)) = (protocol, number) else { continue };
            if known.contains(name) {
                self.problem(&path, ".name", format!("{name:?} is another port's name too: use another"));
                continue;
            }
            if !numbers.insert((protocol, number)) {
                self.problem(&path, ".port", format!("{number} is another port's too: use another"));
                continue;
            }
            known.insert(name);
            let mut node_port = self.node_port(&path, port);
            if node_port.is_some_and(|node_port| !node_ports.insert((protocol, node_port))) {
                self.problem(&path, ".nodePort", "it is another port's too: use another".to_owned());
                node_port = None;
            }
            ports.push(Port { name: names.intern(name), protocol, port: number, node_port });
        }
        ports.into()
    }

    fn node_port(&mut self, path: &str, port: &ServicePort) -> Option<u16> {
        let has = balanced(self.service) || is(&self.service.spec.kind, "NodePort");
        let number = port.node_port.filter(|number| has && *number != 0)?;
        self.check(path, ".nodePort", parse::port(number))
    }

    /// Each address once. Those of load balancers before external ones, so that sources are heeded where one is both.
    fn addresses(&mut self) -> Box<[(IpAddr, Kind)]> {
        let mut addresses: Vec<(IpAddr, Kind)> = Vec::new();
        for (index, text) in cluster_ips(self.service).enumerate() {
            let address = self.check(&format!("spec.clusterIPs[{index}]"), "", parse::address(text));
            addresses.extend(address.map(|address| (address, Kind::Cluster)));
        }
        let has = [false, true].map(|ipv6| addresses.iter().any(|(address, _)| address.is_ipv6() == ipv6));
        let of_node = is(&self.service.spec.kind, HOST_PORTS);
        let [ipv4, ipv6] = if of_node { [true; 2] } else { has };
        let has = |address: &IpAddr| if address.is_ipv6() { ipv6 } else { ipv4 };
        let ingress = self.service.status.load_balancer.ingress.iter().flatten().enumerate();
        for (index, ingress) in ingress {
            let Some(text) = ingress.ip.as_deref().filter(|text| !text.is_empty()) else { continue };
            if is(&ingress.ip_mode, "Proxy") {
                continue;
            }
            let path = format!("status.loadBalancer.ingress[{index}].ip");
            let address = self.check(&path, "", parse::address(text)).filter(has);
            addresses.extend(address.map(|address| (address, Kind::LoadBalancer)));
        }
        for (index, text) in self.service.spec.external_ips.iter().flatten().enumerate() {
            let path = format!("spec.externalIPs[{index}]");
            let parsed = if of_node { parse::address_of_node(text) } else { parse::address(text) };
            let address = self.check(&path, "", parsed).filter(has);
            addresses.extend(address.map(|address| (address, Kind::External)));
        }
        let mut seen = HashSet::new();
        addresses.retain(|(address, _)| seen.insert(*address));
        addresses.into()
    }

    fn affinity(&mut self) -> Option<u32> {
        let spec = &self.service.spec;
        if !is(&spec.session_affinity, "ClientIP") {
            return None;
        }
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        let Some(seconds) = config.and_then(|config| config.timeout_seconds) else { return Some(AFFINITY) };
        let valid = u32::try_from(seconds).ok().filter(|seconds| (1..=LONGEST_AFFINITY).contains(seconds));
        let valid = valid.ok_or_else(|| format!("{seconds} is no time: use 1 to {LONGEST_AFFINITY} seconds"));
        let path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        Some(self.check(path, "", valid).unwrap_or(AFFINITY))
    }

    fn health_check(&mut self) -> Option<u16> {
        let number = self.service.spec.health_check_node_port.filter(|number| *number != 0)?;
        self.check("spec.healthCheckNodePort", "", parse::port(number))
    }

    /// A range that is wrong is nobody's. Where none is of an address's family, nobody may come in.
    fn sources(&mut self, addresses: &[(IpAddr, Kind)]) -> Option<Sources> {
        let all = "spec.loadBalancerSourceRanges";
        let ranges = self.service.spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
        if ranges.is_empty() {
            return None;
        }
        let mut valid = Vec::new();
        for (index, text) in ranges.iter().enumerate() {
            valid.extend(self.check(all, &format!("[{index}]"), parse::range(text)));
        }
        valid.sort_unstable();
        valid.dedup();
        for (address, _) in addresses.iter().filter(|(_, kind)| *kind == Kind::LoadBalancer) {
            if valid.iter().all(|range| range.addr().is_ipv6() != address.is_ipv6()) {
                let message = format!("no range is of {address}'s family, so nobody comes in there: add one");
                self.problem(all, "", message);
            }
        }
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = valid.into_iter().partition(|range| range.addr().is_ipv4());
        Some(Sources { ipv4: ipv4.into(), ipv6: ipv6.into() })
    }

    fn check<T>(&mut self, path: &str, at: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(path, at, message)).ok()
    }

    fn problem(&mut self, path: &str, at: &str, message: String) {
        self.problems.push(Problem { path: format!("{path}{at}"), message });
    }
}

fn is(text: &Option<String>, expected: &str) -> bool {
    text.as_deref() == Some(expected)
}

fn balanced(service: &Service) -> bool {
    is(&service.spec.kind, "LoadBalancer")
}

fn cluster_ips(service: &Service) -> impl Iterator<Item = &str> {
    let spec = &service.spec;
    let all = spec.cluster_ips.as_deref().unwrap_or_default();
    let one = spec.cluster_ip.iter().filter(|_| all.is_empty());
    all.iter().chain(one).map(String::as_str).filter(|text| !text.is_empty())
}

fn skipped(service: &Service) -> Option<Skipped> {
    if service.labels.contains_key(PROXY_NAME) {
        return Some(Skipped::OtherProxy);
    }
    if is(&service.spec.kind, "ExternalName") {
        return Some(Skipped::ExternalName);
    }
    if is(&service.spec.cluster_ip, "None") || cluster_ips(service).any(|text| text == "None") {
        return Some(Skipped::Headless);
    }
    let without = cluster_ips(service).next().is_none() && !is(&service.spec.kind, HOST_PORTS);
    without.then_some(Skipped::NoAddress)
}

/// The policy counts only where clients outside can come in.
fn external_local(service: &Service) -> bool {
    let spec = &service.spec;
    let external = spec.external_ips.as_ref().is_some_and(|addresses| !addresses.is_empty());
    let reached = balanced(service) || is(&spec.kind, "NodePort") || external;
    reached && is(&spec.external_traffic_policy, "Local")
}
