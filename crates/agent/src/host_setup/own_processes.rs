//! What the nftables table has for Services that processes of the host answer which are to see their clients' addresses: what
//! comes from outside goes straight to them. The bridge would have to hide the clients, since it would not get the answers.
//!
//! [`crate::published`] looks after the elements.

use serde_json::{Value, json};

use super::matching::{at_node, is_of, of, protocol, with_ports};
use super::nft::{map, map_of_ranges, meta, payload, rule};
use super::{Family, Services};

/// Maps from protocols and ports to who answers on the host: for each family one to addresses and one to ports.
pub(crate) const OWN_NODE_PORTS: [[&str; 2]; 2] = [
    ["own-node-port-addresses4", "own-node-port-ports4"],
    ["own-node-port-addresses6", "own-node-port-ports6"],
];
/// The same from ranges of clients, addresses, protocols and ports.
pub(crate) const OWN_EXTERNAL: [[&str; 2]; 2] =
    [["own-external-addresses4", "own-external-ports4"], ["own-external-addresses6", "own-external-ports6"]];

/// The chain with the rules.
pub(super) const TO_HOST: &str = "services-to-host";

/// Declares (`add`), empties (`flush`) or takes away (`delete`) the maps.
pub(super) fn maps(verb: &str) -> Vec<Value> {
    let mut maps = Vec::new();
    for (address, (node_ports, external)) in
        ["ipv4_addr", "ipv6_addr"].into_iter().zip(OWN_NODE_PORTS.into_iter().zip(OWN_EXTERNAL))
    {
        for (name, value) in node_ports.into_iter().zip([address, "inet_service"]) {
            maps.push(map(verb, name, &["inet_proto", "inet_service"], value));
        }
        for (name, value) in external.into_iter().zip([address, "inet_service"]) {
            let key = [address, address, "inet_proto", "inet_service"];
            maps.push(map_of_ranges(verb, name, &key, value));
        }
    }
    maps
}

/// The rules of [`TO_HOST`]. An external address may be the node's own.
pub(super) fn rules(family: &Family, services: &Services) -> [Value; 2] {
    [external(family), node_ports(family, services)]
}

/// A translation by a map to addresses and one to ports.
fn dnat_by(ip: &str, key: &Value, [addresses, ports]: [&str; 2]) -> Value {
    let by = |map: &str| json!({ "map": { "key": key, "data": format!("@{map}") } });
    json!({ "dnat": { "family": ip, "addr": by(addresses), "port": by(ports) } })
}

fn external(family: &Family) -> Value {
    let ip = protocol(family);
    let fields = [payload(ip, "saddr"), payload(ip, "daddr"), meta("l4proto"), payload("th", "dport")];
    let expr =
        [is_of(family), with_ports(), dnat_by(ip, &json!({ "concat": fields }), of(OWN_EXTERNAL, family))];
    rule(TO_HOST, &expr, "load balancers' and external addresses")
}

fn node_ports(family: &Family, services: &Services) -> Value {
    let mut expr = vec![is_of(family), with_ports()];
    expr.extend(at_node(family, services));
    let key = json!({ "concat": [meta("l4proto"), payload("th", "dport")] });
    expr.push(dnat_by(protocol(family), &key, of(OWN_NODE_PORTS, family)));
    rule(TO_HOST, &expr, "node ports")
}
