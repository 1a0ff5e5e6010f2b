//! What the nftables table has for Services: their ways from the host into the bridge, and the bridge's refusals.
//!
//! What the node's addresses and others are to have for Services is in sets and maps, whose elements
//! [`crate::published`] looks after. Connections there are given the node-port address of the node's pod CIDR, which is
//! routed to the bridge; the client's address stays.
//! What does not go there is in [`super::own_processes`].

use datapath::topology::{REFUSED_MAC, node_port_address};
use serde_json::{Value, json};

use super::matching::{at_node, is_of, of, protocol, with_ports};
use super::nft::{base_chain, chain, map, matches, meta, payload, rule, set};
use super::{Family, Services, loopback, own_processes};

/// Sets of protocols and ports: node ports, IPv4's and IPv6's.
pub(crate) const NODE_PORTS: [&str; 2] = ["node-ports4", "node-ports6"];
/// Maps from addresses, protocols and ports to the ports that stand for them at the node-port address.
pub(crate) const EXTERNAL: [&str; 2] = ["external4", "external6"];

/// For packets that come in: before kube-proxy's chains, which are at -100.
const FROM_OUTSIDE: &str = "services-from-outside";
/// For the node's own processes.
const FROM_HERE: &str = "services-from-here";
/// What these two jump to.
const TO_BRIDGE: &str = "services-to-bridge";
/// For what the bridge wants refused.
const REFUSED: &str = "services-refusals";
/// Before `dstnat` (nft(8), "Standard priority names").
const BEFORE_OTHERS: i32 = -105;

/// Declares and fills everything; to be done when all chains are empty. Another one is for what comes by the bridge, before
/// connection tracking.
pub(super) fn commands(
    bridge: &str,
    from_bridge: &str,
    families: &[Family],
    services: &Services,
) -> Vec<Value> {
    let mut commands: Vec<Value> = chains().chain(sets_and_maps("add")).collect();
    let jump = json!({ "jump": { "target": TO_BRIDGE } });
    commands.extend([
        rule(
            FROM_OUTSIDE,
            &[matches(meta("iifname"), "==", bridge), json!({ "return": null })],
            "pods have Services in the bridge",
        ),
        loopback::not_from_outside(FROM_OUTSIDE),
        rule(
            FROM_OUTSIDE,
            &[json!({ "jump": { "target": own_processes::TO_HOST } })],
            "Services of the node's own processes",
        ),
        rule(FROM_OUTSIDE, std::slice::from_ref(&jump), "Services for the outside"),
        loopback::not_from_ipv6(FROM_HERE),
        rule(FROM_HERE, &[jump], "Services for the node's own processes"),
    ]);
    // An external address may be the node's own.
    commands.extend(families.iter().flat_map(|family| own_processes::rules(family, services)));
    commands.extend(families.iter().map(external));
    commands.extend(families.iter().map(|family| node_ports(family, services)));
    commands.extend(refusals(from_bridge));
    commands
}

/// Takes everything away, whether it is there or not; to be done when all chains are empty.
pub(super) fn none() -> Vec<Value> {
    let away = [FROM_OUTSIDE, FROM_HERE, TO_BRIDGE, own_processes::TO_HOST, REFUSED]
        .map(|name| chain("delete", name));
    chains().chain(sets_and_maps("add")).chain(away).chain(sets_and_maps("delete")).collect()
}

fn chains() -> impl Iterator<Item = Value> {
    [
        chain("add", TO_BRIDGE),
        chain("add", own_processes::TO_HOST),
        base_chain(FROM_OUTSIDE, "nat", "prerouting", BEFORE_OTHERS),
        base_chain(FROM_HERE, "nat", "output", BEFORE_OTHERS),
        chain("add", REFUSED),
    ]
    .into_iter()
}

/// Declares (`add`), empties (`flush`) or takes away (`delete`) what has elements.
pub(crate) fn sets_and_maps(verb: &str) -> impl Iterator<Item = Value> {
    let sets = NODE_PORTS.map(|name| set(verb, name, &["inet_proto", "inet_service"]));
    let maps = EXTERNAL.into_iter().zip(["ipv4_addr", "ipv6_addr"]).map(move |(name, address)| {
        map(verb, name, &[address, "inet_proto", "inet_service"], "inet_service")
    });
    sets.into_iter().chain(maps.collect::<Vec<_>>()).chain(own_processes::maps(verb))
}

fn external(family: &Family) -> Value {
    let (ip, external) = (protocol(family), of(EXTERNAL, family));
    let key = json!({ "concat": [payload(ip, "daddr"), meta("l4proto"), payload("th", "dport")] });
    let expr = [
        is_of(family),
        with_ports(),
        json!({ "dnat": {
            "family": ip,
            "addr": node_port_address(family.pods),
            "port": { "map": { "key": key, "data": format!("@{external}") } },
        } }),
    ];
    rule(TO_BRIDGE, &expr, "load balancers' and external addresses")
}

fn node_ports(family: &Family, services: &Services) -> Value {
    let (ip, node_ports) = (protocol(family), of(NODE_PORTS, family));
    let ports = json!({ "concat": [meta("l4proto"), payload("th", "dport")] });
    let mut expr = vec![is_of(family), matches(ports, "==", format!("@{node_ports}"))];
    expr.extend(at_node(family, services));
    expr.push(json!({ "dnat": { "family": ip, "addr": node_port_address(family.pods) } }));
    rule(TO_BRIDGE, &expr, "node ports")
}

/// Refused before connection tracking and routing, neither of which has a part in it: the bridge hands over what it
/// has hidden the sender of, and the answer finds back through it.
///
/// An SCTP association that is about to begin ends with "protocol unreachable" and goes on trying with other messages
/// (RFC 9260 section 10). nftables can say that of IPv4 alone.
fn refusals(from_bridge: &str) -> [Value; 4] {
    let refused = |expr: &[Value], comment| rule(REFUSED, expr, comment);
    let hidden = [
        matches(payload("ether", "saddr"), "==", REFUSED_MAC.to_string()),
        json!({ "jump": { "target": REFUSED } }),
    ];
    [
        rule(from_bridge, &hidden, "what the bridge wants refused"),
        refused(
            &[matches(meta("l4proto"), "==", "tcp"), json!({ "reject": { "type": "tcp reset" } })],
            "connections to Services without endpoints",
        ),
        refused(
            &[
                matches(meta("nfproto"), "==", "ipv4"),
                matches(meta("l4proto"), "==", "sctp"),
                json!({ "reject": { "type": "icmp", "expr": "prot-unreachable" } }),
            ],
            "associations with Services without endpoints",
        ),
        refused(
            &[json!({ "reject": { "type": "icmpx", "expr": "port-unreachable" } })],
            "packets to Services without endpoints",
        ),
    ]
}
