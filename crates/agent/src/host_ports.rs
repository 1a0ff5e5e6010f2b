//! Ports of this node that lead to ports of its pods (`hostPort` of containers).
//!
//! To the switch and the host each pod with such ports is a Service of its own: with the node's addresses, or the one that is named, as
//! external ones, the pod as its only endpoint, and clients outside that keep their address (`externalTrafficPolicy: Local`). So
//! whatever holds for external addresses holds for host ports, policies included. The names of these Services have a colon, which no
//! other's can have. Loopback addresses are external ones that only the node's own processes reach ([`crate::host_setup`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use policy::rules::Protocol;
use service::lb::Name;
use service::spec::{
    Conditions, Endpoint, EndpointPort, HOST_PORTS, Service, ServicePort, ServiceSpec, Slice, TargetRef,
};
use tracing::warn;

use crate::balancing::Balancing;
use crate::view::{ClusterPod, PodRef};

/// One of a container's ports that the node has, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// At this address of the node alone; at all without it.
    pub address: Option<IpAddr>,
    /// Its number there.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number in the pod.
    pub target: u16,
}

impl HostPort {
    /// Whether it is at the loopback address of IPv6. Who sends to it has that address, too, unless told otherwise, and the
    /// kernel takes no answers for it from another interface.
    fn is_hard_to_reach(&self) -> bool {
        self.address.is_some_and(|address| address.is_ipv6() && address.is_loopback())
    }
}

/// Those of this node's pods.
#[derive(Debug, Default)]
pub(crate) struct HostPorts {
    /// The node's addresses.
    addresses: Vec<IpAddr>,
    pods: BTreeMap<PodRef, Pod>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pod {
    node: String,
    addresses: Vec<IpAddr>,
    ports: Vec<HostPort>,
    /// What has been made of it.
    services: BTreeSet<Name>,
}

impl HostPorts {
    /// A pod of this node is new or changed.
    pub(crate) fn pod(&mut self, pod: &ClusterPod, balancing: &mut Balancing) {
        // Processes on the node's network have its ports themselves.
        if pod.host_ports.is_empty() || pod.host_network || pod.ended || pod.facts.addresses.is_empty() {
            self.gone(&pod.pod, balancing);
            return;
        }
        let known = self.pods.get(&pod.pod);
        if known.is_some_and(|known| known.ports == pod.host_ports && known.addresses == pod.facts.addresses)
        {
            return;
        }
        if pod.host_ports.iter().any(HostPort::is_hard_to_reach) {
            let pod = format_args!("{}/{}", pod.pod.namespace, pod.pod.name);
            warn!(%pod, "a hostPort at ::1 answers only who sends from another of the node's addresses, since Linux takes no answers for ::1: one at 127.0.0.1 answers all its processes");
        }
        let services = known.map(|known| known.services.clone()).unwrap_or_default();
        let (addresses, ports) = (pod.facts.addresses.clone(), pod.host_ports.clone());
        let mut new = Pod { node: pod.node.clone(), addresses, ports, services };
        new.apply(&pod.pod, &self.addresses, balancing);
        self.pods.insert(pod.pod.clone(), new);
    }

    /// A pod is gone, or another node's.
    pub(crate) fn gone(&mut self, pod: &PodRef, balancing: &mut Balancing) {
        for name in self.pods.remove(pod).into_iter().flat_map(|pod| pod.services) {
            remove(&name, balancing);
        }
    }

    /// The node's addresses have changed.
    pub(crate) fn addresses(&mut self, addresses: &[IpAddr], balancing: &mut Balancing) {
        self.addresses = addresses.to_vec();
        for (name, pod) in &mut self.pods {
            pod.apply(name, addresses, balancing);
        }
    }
}

impl Pod {
    /// Makes Services of it, and takes away those that it no longer is.
    fn apply(&mut self, reference: &PodRef, node: &[IpAddr], balancing: &mut Balancing) {
        let mut wanted = BTreeMap::<Option<IpAddr>, Vec<&HostPort>>::new();
        for port in &self.ports {
            // The API's way to say "any".
            let address = port.address.filter(|address| !address.is_unspecified());
            wanted.entry(address).or_default().push(port);
        }
        let mut made = BTreeSet::new();
        for (address, ports) in wanted {
            let at = address.map(|address| format!("@{address}")).unwrap_or_default();
            let text = format!("pod:{}{at}", reference.name);
            let name = Name { namespace: reference.namespace.as_str().into(), name: text.as_str().into() };
            let all = || node.iter().copied().chain([Ipv4Addr::LOCALHOST.into()]).collect();
            let addresses: Vec<IpAddr> = address.map_or_else(all, |address| vec![address]);
            balancing.service(&name, &service(&addresses, &ports));
            for ipv6 in [false, true] {
                balancing.slice(&family(&name, ipv6), &self.slice(&name.name, reference, ipv6, &ports));
            }
            made.insert(name);
        }
        for name in std::mem::replace(&mut self.services, made).difference(&self.services) {
            remove(name, balancing);
        }
    }

    fn slice(&self, service: &str, reference: &PodRef, ipv6: bool, ports: &[&HostPort]) -> Slice {
        let endpoints = self.addresses.iter().filter(|address| address.is_ipv6() == ipv6);
        let endpoints = endpoints.map(|address| Endpoint {
            addresses: vec![address.to_string()],
            conditions: Conditions { ready: Some(true), ..Conditions::default() },
            node_name: Some(self.node.clone()),
            target_ref: Some(TargetRef { kind: "Pod".to_owned(), name: reference.name.clone() }),
            ..Endpoint::default()
        });
        let port = |port: &&HostPort| EndpointPort {
            name: Some(port_name(port)),
            protocol: Some(protocol(port).to_owned()),
            port: Some(port.target.into()),
        };
        Slice {
            service: service.to_owned(),
            address_type: if ipv6 { "IPv6" } else { "IPv4" }.to_owned(),
            endpoints: endpoints.collect(),
            ports: Some(ports.iter().map(port).collect()),
        }
    }
}

fn service(addresses: &[IpAddr], ports: &[&HostPort]) -> Service {
    let port = |port: &&HostPort| ServicePort {
        name: Some(port_name(port)),
        protocol: Some(protocol(port).to_owned()),
        port: port.port.into(),
        node_port: None,
    };
    let spec = ServiceSpec {
        kind: Some(HOST_PORTS.to_owned()),
        external_ips: Some(addresses.iter().map(ToString::to_string).collect()),
        external_traffic_policy: Some("Local".to_owned()),
        ports: Some(ports.iter().map(port).collect()),
        ..ServiceSpec::default()
    };
    Service { spec, ..Service::default() }
}

/// A slice of each family.
fn family(service: &Name, ipv6: bool) -> Name {
    let name: Arc<str> = format!("{}:{}", service.name, if ipv6 { "ipv6" } else { "ipv4" }).into();
    Name { namespace: Arc::clone(&service.namespace), name }
}

fn remove(name: &Name, balancing: &mut Balancing) {
    balancing.service_gone(name);
    for ipv6 in [false, true] {
        balancing.slice_gone(&family(name, ipv6));
    }
}

fn port_name(port: &HostPort) -> String {
    format!("{}-{}", port.port, protocol(port))
}

const fn protocol(port: &HostPort) -> &'static str {
    match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ports: &[(Option<&str>, u16)]) -> ClusterPod {
        let port = |(address, port): &(Option<&str>, u16)| HostPort {
            address: address.map(|text| text.parse().unwrap()),
            port: *port,
            protocol: Protocol::Tcp,
            target: 80,
        };
        let facts = policy::spec::Pod { addresses: vec!["10.0.0.9".parse().unwrap()], ..Default::default() };
        let pod = PodRef { namespace: "a".into(), name: name.into() };
        let host_ports = ports.iter().map(port).collect();
        ClusterPod { pod, node: "node-1".into(), host_ports, facts, ..ClusterPod::default() }
    }

    fn services(of: &HostPorts) -> Vec<String> {
        of.pods.values().flat_map(|pod| pod.services.iter().map(ToString::to_string)).collect()
    }

    #[test]
    fn a_pod_is_a_service_for_each_address_that_it_names() {
        let mut balancing = Balancing::new("node-1");
        let mut ports = HostPorts::default();
        ports.addresses(&["192.0.2.1".parse().unwrap()], &mut balancing);
        let anywhere = Some("0.0.0.0");
        let of = |list: &[(Option<&str>, u16)]| pod("x", list);
        ports.pod(
            &of(&[
                (None, 1),
                (anywhere, 2),
                (Some("192.0.2.1"), 3),
                (Some("127.0.0.1"), 4),
                (Some("::1"), 5),
            ]),
            &mut balancing,
        );
        assert_eq!(services(&ports), ["a/pod:x", "a/pod:x@127.0.0.1", "a/pod:x@192.0.2.1", "a/pod:x@::1"]);
        assert_eq!((balancing.served(), balancing.problems()), (4, 0));
        // It cannot change in a pod's life, but the name may be another pod's.
        ports.pod(&of(&[(None, 1)]), &mut balancing);
        assert_eq!((services(&ports), balancing.served()), (vec!["a/pod:x".to_owned()], 1));
        let on_host = ClusterPod { host_network: true, ..of(&[(None, 1)]) };
        ports.pod(&on_host, &mut balancing);
        assert_eq!((services(&ports).len(), balancing.served()), (0, 0));
    }
}
