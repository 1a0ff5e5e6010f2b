//! Objects for tests, and an engine with what it told.

use std::net::{IpAddr, SocketAddr};

use super::tables::{Answer, Leads, Tables};
use crate::engine::Engine;
use crate::lb::*;
use crate::spec::*;

/// The node that engines are for.
pub(super) const NODE: &str = "here";

pub(super) fn name(text: &str) -> Name {
    Name { namespace: "shop".into(), name: text.into() }
}

pub(super) fn texts(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// A Service with one port, `http`, 80/TCP.
pub(super) fn service(cluster_ips: &[&str]) -> Service {
    let port = ServicePort { name: Some("http".to_owned()), port: 80, ..ServicePort::default() };
    let spec = ServiceSpec {
        cluster_ip: cluster_ips.first().map(|text| (*text).to_owned()),
        cluster_ips: texts(cluster_ips),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    };
    Service { spec, ..Service::default() }
}

pub(super) trait With: Sized {
    fn with(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl<T> With for T {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Of the type `NodePort` or `LoadBalancer`.
pub(super) fn exposed(service: Service, kind: &str, node_port: i32) -> Service {
    service.with(|service| {
        service.spec.kind = Some(kind.to_owned());
        service.spec.ports.as_mut().unwrap()[0].node_port = Some(node_port);
    })
}

pub(super) fn ingress(addresses: &[&str]) -> ServiceStatus {
    let one = |ip: &&str| LoadBalancerIngress { ip: Some((*ip).to_owned()), ip_mode: None };
    let ingress = Some(addresses.iter().map(one).collect());
    ServiceStatus { load_balancer: LoadBalancerStatus { ingress } }
}

pub(super) fn udp(service: Service) -> Service {
    service.with(|service| service.spec.ports.as_mut().unwrap()[0].protocol = Some("UDP".to_owned()))
}

/// A slice with the port `http`, 8080/TCP.
pub(super) fn slice(service: &str, endpoints: Vec<Endpoint>) -> Slice {
    let ipv6 = endpoints.iter().flat_map(|one| &one.addresses).any(|text| text.contains(':'));
    let port = EndpointPort { name: Some("http".to_owned()), protocol: None, port: Some(8080) };
    Slice {
        service: service.to_owned(),
        address_type: if ipv6 { "IPv6" } else { "IPv4" }.to_owned(),
        endpoints,
        ports: Some(vec![port]),
    }
}

pub(super) fn udp_slice(service: &str, endpoints: Vec<Endpoint>) -> Slice {
    slice(service, endpoints).with(|slice| slice.ports.as_mut().unwrap()[0].protocol = Some("UDP".to_owned()))
}

pub(super) fn on(node: &str, address: &str) -> Endpoint {
    Endpoint { addresses: vec![address.to_owned()], node_name: Some(node.to_owned()), ..Endpoint::default() }
}

/// An endpoint's conditions: each of ready, serving and terminating is `+`, `-` or ` ` for absent.
pub(super) fn state(endpoint: Endpoint, text: &str) -> Endpoint {
    let mut conditions = text.chars().map(|one| match one {
        '+' => Some(true),
        '-' => Some(false),
        _ => None,
    });
    let mut next = || conditions.next().flatten();
    let conditions = Conditions { ready: next(), serving: next(), terminating: next() };
    Endpoint { conditions, ..endpoint }
}

pub(super) fn hinted(endpoint: Endpoint, zones: &[&str], nodes: &[&str]) -> Endpoint {
    let hints = |names: &[&str]| {
        let hints = names.iter().map(|name| Hint { name: (*name).to_owned() });
        (!names.is_empty()).then(|| hints.collect())
    };
    let hints = Some(Hints { for_zones: hints(zones), for_nodes: hints(nodes) });
    Endpoint { hints, ..endpoint }
}

pub(super) fn target(endpoint: Endpoint, pod: &str) -> Endpoint {
    let target_ref = Some(TargetRef { kind: "Pod".to_owned(), name: pod.to_owned() });
    Endpoint { target_ref, ..endpoint }
}

pub(super) fn at(address: &str, protocol: Protocol, port: u16) -> Frontend {
    Frontend { at: At::Address(ip(address)), protocol, port }
}

pub(super) fn standing_in(ipv6: bool, protocol: Protocol, port: u16) -> Frontend {
    Frontend { at: At::StandIn { ipv6 }, protocol, port }
}

pub(super) fn node_port(ipv6: bool, protocol: Protocol, port: u16) -> Frontend {
    Frontend { at: At::Node { ipv6 }, protocol, port }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn endpoints(addresses: &[&str]) -> Answer {
    Answer::Endpoints(addresses.iter().map(|text| text.parse::<SocketAddr>().unwrap()).collect())
}

/// An engine, and what a switch would have of it.
pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) tables: Tables,
}

impl Node {
    pub(super) fn new() -> Self {
        Self { engine: Engine::new(NODE), tables: Tables::default() }
    }

    /// With one Service and one slice of it.
    pub(super) fn of(service: &Service, slice: &Slice) -> Self {
        let mut node = Self::new();
        node.service("web", service);
        node.slice("web-1", slice);
        node
    }

    pub(super) fn service(&mut self, service: &str, spec: &Service) -> Vec<Change> {
        self.engine.service(&name(service), spec);
        self.tables.follow(&mut self.engine)
    }

    pub(super) fn service_gone(&mut self, service: &str) -> Vec<Change> {
        self.engine.service_gone(&name(service));
        self.tables.follow(&mut self.engine)
    }

    pub(super) fn slice(&mut self, slice_name: &str, slice: &Slice) -> Vec<Change> {
        self.engine.slice("shop", slice_name, slice);
        self.tables.follow(&mut self.engine)
    }

    pub(super) fn slice_gone(&mut self, slice_name: &str) -> Vec<Change> {
        self.engine.slice_gone("shop", slice_name);
        self.tables.follow(&mut self.engine)
    }

    pub(super) fn zone(&mut self, zone: Option<&str>) -> Vec<Change> {
        self.engine.set_zone(zone);
        self.tables.follow(&mut self.engine)
    }

    /// What becomes of packets to a frontend.
    pub(super) fn leads(&self, frontend: Frontend) -> Leads {
        self.tables.leads(frontend).unwrap_or_else(|| panic!("no {frontend:?} in {:#?}", self.tables))
    }

    /// Where packets from inside to a TCP frontend go.
    pub(super) fn inside(&self, address: &str, port: u16) -> Answer {
        self.leads(at(address, Protocol::Tcp, port)).inside.answer
    }

    pub(super) fn frontends(&self) -> Vec<Frontend> {
        self.tables.frontends.keys().copied().collect()
    }

    /// The paths of what is wrong.
    pub(super) fn problems(&self) -> Vec<String> {
        self.engine.problems().map(|(_, problem)| problem.path).collect()
    }
}
