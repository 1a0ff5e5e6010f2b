//! Namespaces and pods.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy::rules::Protocol;
use policy::spec::{Labels, NamedPort, Pod};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::PODS;

/// Keys and values of labels; namespaces and pods share them, so that one taken for the other is found out.
pub(super) const KEYS: [&str; 3] = ["app", "tier", "team"];
pub(super) const VALUES: [&str; 3] = ["x", "y", ""];

/// Names and numbers of ports.
pub(super) const PORT_NAMES: [&str; 3] = ["web", "dns", "other"];
pub(super) const PORTS: [u16; 5] = [80, 81, 443, 53, 65535];

/// Labels, of a pod or of a namespace.
pub fn labels() -> impl Strategy<Value = Labels> {
    vec((select(&KEYS[..]), select(&VALUES[..])), 0..3)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

pub(super) fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![4 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Sctp)]
}

fn named_ports() -> impl Strategy<Value = Vec<NamedPort>> {
    let port = (select(&PORT_NAMES[..2]), protocols(), select(&PORTS[..]));
    vec(port.prop_map(|(name, protocol, port)| NamedPort { name: name.to_owned(), protocol, port }), 0..4)
}

/// The addresses that a pod has if it has no others.
pub(super) fn home(slot: u8) -> [IpAddr; 2] {
    let number = slot.saturating_add(1);
    [Ipv4Addr::new(10, 0, 0, number).into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number.into()).into()]
}

/// A pod of a number: in most cases with addresses of its own, in some with others or none.
pub fn pods(slot: u8, namespace: String) -> impl Strategy<Value = Pod> {
    let [v4, v6] = home(slot);
    let second: IpAddr = Ipv4Addr::new(10, 0, 1, slot).into();
    let addresses = prop_oneof![
        8 => Just(vec![v4, v6]),
        1 => Just(vec![v4]),
        1 => Just(vec![v6]),
        1 => Just(vec![]),
        1 => Just(vec![v6, v4, second]),
        1 => (0..PODS).prop_map(|other| home(other).to_vec()),
    ];
    (labels(), named_ports(), addresses).prop_map(move |(labels, ports, addresses)| Pod {
        namespace: namespace.clone(),
        labels,
        ports,
        addresses,
    })
}
