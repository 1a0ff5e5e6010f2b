//! An EndpointSlice to what the engine keeps of it, and what is wrong with it.

use std::net::IpAddr;
use std::sync::Arc;

use super::names::Names;
use super::parse;
use crate::lb::Protocol;
use crate::problems::Problem;
use crate::spec;

/// What is kept of a slice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) ipv6: bool,
    pub(crate) ports: Box<[(Arc<str>, Protocol, u16)]>,
    pub(crate) endpoints: Box<[Endpoint]>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) ip: IpAddr,
    pub(crate) node: Option<Arc<str>>,
    pub(crate) local: bool,
    pub(crate) ready: bool,
    pub(crate) serving: bool,
    pub(crate) terminating: bool,
    pub(crate) target: Option<(Arc<str>, Box<str>)>,
    pub(crate) for_nodes: NodeHint,
    /// Zones whose clients should use it; none: it has no hint.
    pub(crate) for_zones: Box<[Arc<str>]>,
}

/// What hints say of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeHint {
    Absent,
    /// This node's clients should use it.
    Here,
    Elsewhere,
}

impl Endpoint {
    /// It is about to go but can take connections that nobody else takes.
    pub(crate) fn lingers(&self) -> bool {
        self.serving && self.terminating
    }

    pub(crate) fn is_for_zone(&self, zone: &str) -> bool {
        self.for_zones.iter().any(|hint| **hint == *zone)
    }
}

/// Reads a slice on a node.
pub(crate) fn read(names: &mut Names, node: &str, slice: &spec::Slice) -> (Slice, Vec<Problem>) {
    let mut reader = Reader { names, node, problems: Vec::new() };
    let ipv6 = match slice.address_type.as_str() {
        "IPv4" => false,
        "IPv6" => true,
        "FQDN" => return (Slice::default(), Vec::new()),
        other => {
            let message = format!("{other:?} is no type of addresses: use IPv4 or IPv6");
            reader.problem("addressType".to_owned(), message);
            return (Slice::default(), reader.problems);
        }
    };
    let ports = reader.ports(slice);
    let endpoints = slice.endpoints.iter().enumerate();
    let endpoints = endpoints.filter_map(|(index, one)| reader.endpoint(index, one, ipv6)).collect();
    (Slice { ipv6, ports, endpoints }, reader.problems)
}

struct Reader<'a> {
    names: &'a mut Names,
    node: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Those that have a number.
    fn ports(&mut self, slice: &spec::Slice) -> Box<[(Arc<str>, Protocol, u16)]> {
        let mut ports = Vec::new();
        for (index, port) in slice.ports.iter().flatten().enumerate() {
            let Some(number) = port.port else { continue };
            let path = format!("ports[{index}]");
            let protocol = self.check(&path, ".protocol", parse::protocol(port.protocol.as_deref()));
            let number = self.check(&path, ".port", parse::port(number));
            if let (Some(protocol), Some(number)) = (protocol, number) {
                ports.push((self.names.intern(port.name.as_deref().unwrap_or_default()), protocol, number));
            }
        }
        ports.into()
    }

    fn endpoint(&mut self, index: usize, endpoint: &spec::Endpoint, ipv6: bool) -> Option<Endpoint> {
        let text = endpoint.addresses.first().map_or("", String::as_str);
        let address = parse::address(text).and_then(|ip| {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            let wrong = || format!("{ip} is not of the slice's family: use an {family} address");
            (ip.is_ipv6() == ipv6).then_some(ip).ok_or_else(wrong)
        });
        let ip = self.check(&format!("endpoints[{index}].addresses[0]"), "", address)?;
        let conditions = &endpoint.conditions;
        let ready = conditions.ready.unwrap_or(true);
        let hints = endpoint.hints.as_ref();
        let nodes = hints.and_then(|hints| hints.for_nodes.as_deref()).unwrap_or_default();
        let zones = hints.and_then(|hints| hints.for_zones.as_deref()).unwrap_or_default();
        let for_nodes = match nodes {
            [] => NodeHint::Absent,
            nodes if nodes.iter().any(|hint| hint.name == self.node) => NodeHint::Here,
            _ => NodeHint::Elsewhere,
        };
        let target = endpoint.target_ref.as_ref().filter(|target| !target.name.is_empty());
        Some(Endpoint {
            ip,
            node: endpoint.node_name.as_deref().map(|node| self.names.intern(node)),
            local: endpoint.node_name.as_deref() == Some(self.node),
            ready,
            serving: conditions.serving.unwrap_or(ready),
            terminating: conditions.terminating.unwrap_or(false),
            target: target.map(|target| (self.names.intern(&target.kind), target.name.as_str().into())),
            for_nodes,
            for_zones: zones.iter().map(|hint| self.names.intern(&hint.name)).collect(),
        })
    }

    fn check<T>(&mut self, path: &str, at: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(format!("{path}{at}"), message)).ok()
    }

    fn problem(&mut self, path: String, message: String) {
        self.problems.push(Problem { path, message });
    }
}
