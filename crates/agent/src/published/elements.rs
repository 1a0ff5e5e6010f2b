//! Elements of the host's sets and maps, as nftables takes them.

use std::net::SocketAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Value, json};
use service::lb::External;

use super::{NodePort, Own};
use crate::host_setup::{EXTERNAL, NODE_PORTS, OWN_EXTERNAL, OWN_NODE_PORTS, element, prefix};

/// Elements of each set and map, IPv4's and IPv6's.
#[derive(Default)]
pub(super) struct Elements {
    node_ports: [Vec<Value>; 2],
    external: [Vec<Value>; 2],
    own_node_ports: [Answer; 2],
    own_external: [Answer; 2],
}

/// Elements of a map to addresses and of one to ports, with the same keys.
#[derive(Default)]
struct Answer {
    addresses: Vec<Value>,
    ports: Vec<Value>,
}

impl Answer {
    fn add(&mut self, key: &Value, to: SocketAddr) {
        self.addresses.push(json!([key, to.ip()]));
        self.ports.push(json!([key, to.port()]));
    }
}

impl Elements {
    pub(super) fn node_port(&mut self, port: NodePort) {
        of(&mut self.node_ports, port.ipv6).push(port_key(port));
    }

    pub(super) fn external(&mut self, at: External, stand_in: u16) {
        let key = json!({ "concat": [at.address, at.protocol.number(), at.port] });
        of(&mut self.external, at.address.is_ipv6()).push(json!([key, stand_in]));
    }

    pub(super) fn own_node_port(&mut self, port: NodePort, to: SocketAddr) {
        of(&mut self.own_node_ports, port.ipv6).add(&port_key(port), to);
    }

    /// An element for each range of clients. The kernel refuses those that overlap.
    pub(super) fn own_external(&mut self, at: External, own: &Own) {
        let ipv6 = at.address.is_ipv6();
        let everybody: IpNet = if ipv6 { Ipv6Net::default().into() } else { Ipv4Net::default().into() };
        let sources = match own.sources.is_empty() {
            true => vec![everybody],
            false => IpNet::aggregate(&own.sources.iter().map(IpNet::trunc).collect()),
        };
        for source in sources {
            let key = json!({ "concat": [prefix(source), at.address, at.protocol.number(), at.port] });
            of(&mut self.own_external, ipv6).add(&key, own.to);
        }
    }

    pub(super) fn commands(self, verb: &str) -> impl Iterator<Item = Value> {
        let maps = |names: [[&'static str; 2]; 2], answers: [Answer; 2]| {
            names.into_iter().zip(answers).flat_map(|([addresses, ports], answer)| {
                [(addresses, answer.addresses), (ports, answer.ports)]
            })
        };
        let sets = NODE_PORTS.into_iter().zip(self.node_ports);
        sets.chain(EXTERNAL.into_iter().zip(self.external))
            .chain(maps(OWN_NODE_PORTS, self.own_node_ports))
            .chain(maps(OWN_EXTERNAL, self.own_external))
            .filter(|(_, elements)| !elements.is_empty())
            .map(move |(name, elements)| element(verb, name, &elements))
    }
}

fn of<T>([ipv4, ipv6]: &mut [T; 2], is_ipv6: bool) -> &mut T {
    if is_ipv6 { ipv6 } else { ipv4 }
}

fn port_key(port: NodePort) -> Value {
    json!({ "concat": [port.protocol.number(), port.port] })
}
