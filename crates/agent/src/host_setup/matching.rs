//! What rules for Services match, in each family.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::nft::{matches, meta, payload, prefix};
use super::{Family, Services};

/// The family's one of two things, of which the first is IPv4's.
pub(super) fn of<T>([ipv4, ipv6]: [T; 2], family: &Family) -> T {
    if family.pods.addr().is_ipv4() { ipv4 } else { ipv6 }
}

/// The name of the family's protocol, in expressions.
pub(super) fn protocol(family: &Family) -> &'static str {
    of(["ip", "ip6"], family)
}

/// Matches packets of the family.
pub(super) fn is_of(family: &Family) -> Value {
    matches(meta("nfproto"), "==", of(["ipv4", "ipv6"], family))
}

/// Matches what has ports: others cannot be translated.
pub(super) fn with_ports() -> Value {
    matches(meta("l4proto"), "==", json!({ "set": ["tcp", "udp", "sctp"] }))
}

/// Matches the node's addresses that have node ports.
pub(super) fn at_node(family: &Family, services: &Services) -> Vec<Value> {
    let ip = protocol(family);
    let mut expr = vec![matches(payload(ip, "daddr"), "!=", of_this_machine_only(family))];
    let ipv4 = family.pods.addr().is_ipv4();
    let listed = services.node_port_addresses.iter().filter(|net| net.addr().is_ipv4() == ipv4);
    // Ranges in a set must not overlap.
    let listed = IpNet::aggregate(&listed.map(IpNet::trunc).collect());
    if !listed.is_empty() && listed.iter().all(|net| net.prefix_len() > 0) {
        expr.push(matches(payload(ip, "daddr"), "==", prefixes(&listed)));
    }
    expr.push(matches(json!({ "fib": { "result": "type", "flags": ["daddr"] } }), "==", "local"));
    expr
}

/// Addresses whose packets can go nowhere else: loopback and link-local ones.
fn of_this_machine_only(family: &Family) -> Value {
    let prefix = |addr: &str, len: u8| json!({ "prefix": { "addr": addr, "len": len } });
    if family.pods.addr().is_ipv4() {
        prefix("127.0.0.0", 8)
    } else {
        json!({ "set": ["::1", prefix("fe80::", 10)] })
    }
}

fn prefixes(nets: &[IpNet]) -> Value {
    json!({ "set": nets.iter().map(|net| prefix(*net)).collect::<Vec<_>>() })
}
