//! Services and their endpoints.

use std::net::{IpAddr, Ipv4Addr};

use service::spec::{Conditions, Endpoint, EndpointPort, ServicePort, ServiceSpec, Slice};

/// Endpoints of each Service.
pub(crate) const ENDPOINTS: usize = 10;
/// Port of every Service, and of its endpoints.
pub(crate) const PORT: u16 = 80;
pub(crate) const TARGET: u16 = 8080;
/// First address of Services, in `172.16.0.0/12`.
const SERVICES: u32 = Ipv4Addr::new(172, 16, 0, 10).to_bits();
/// First address of endpoints, on other nodes.
const PODS: u32 = Ipv4Addr::new(10, 0, 0, 1).to_bits();

/// The address of a Service.
pub(crate) fn cluster_ip(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(SERVICES + u32::try_from(number).unwrap_or_default())
}

/// A Service.
pub(crate) fn service(number: usize) -> service::spec::Service {
    let address = cluster_ip(number).to_string();
    let port = ServicePort { port: PORT.into(), ..ServicePort::default() };
    let spec = ServiceSpec {
        cluster_ip: Some(address.clone()),
        cluster_ips: Some(vec![address]),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    };
    service::spec::Service { spec, ..service::spec::Service::default() }
}

/// So many endpoints of a Service, all of them elsewhere.
pub(crate) fn elsewhere(number: usize, endpoints: usize) -> Vec<IpAddr> {
    let first = PODS + u32::try_from(number * endpoints).unwrap_or_default();
    (first..).take(endpoints).map(|bits| Ipv4Addr::from_bits(bits).into()).collect()
}

/// A slice with these endpoints, of which this many are ready.
pub(crate) fn slice(number: usize, endpoints: &[IpAddr], ready: usize) -> Slice {
    let endpoint = |(index, address): (usize, &IpAddr)| Endpoint {
        addresses: vec![address.to_string()],
        conditions: Conditions { ready: Some(index < ready), ..Conditions::default() },
        node_name: Some(format!("node-{}", 1 + index % 100)),
        ..Endpoint::default()
    };
    Slice {
        service: name(number),
        address_type: "IPv4".to_owned(),
        endpoints: endpoints.iter().enumerate().map(endpoint).collect(),
        ports: Some(vec![EndpointPort { port: Some(TARGET.into()), ..EndpointPort::default() }]),
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("service-{number}")
}
