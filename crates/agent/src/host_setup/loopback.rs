//! Host ports at the node's loopback addresses (127.0.0.0/8, ::1).
//!
//! Their elements are among those of load balancers' and external addresses, and so the node's own processes are sent to the bridge
//! ([`super::services`]). Three things are needed besides. The kernel must route packets by the bridge's interface that come from loopback
//! addresses or have them as their destination again, which it otherwise never does (`route_localnet`). Senders must get an
//! address that pods can answer. And nobody else may come in: neither from outside to host ports that are for this node alone, nor
//! by the bridge to what listens at loopback addresses. That last one is also the bridge's part (see table route in `docs/pipeline.md`),
//! for when somebody empties the host's ruleset.
//!
//! Of IPv6 the kernel takes nothing for `::1` from an interface, whatever it is told. So nobody else comes in; and host ports
//! answer who sends to `::1` from another address of the node, while who sends from `::1` gets to what listens there.

use std::net::Ipv6Addr;

use datapath::topology::LOOPBACK_IPV4;
use host::sysctl::Sysctls;
use serde_json::{Value, json};

use super::nft::{matches, payload, prefix, rule};
use super::{Family, HostPlan};

/// Matches packets by one of their addresses.
fn is_loopback(field: &str) -> Value {
    matches(payload("ip", field), "==", prefix(LOOPBACK_IPV4.into()))
}

/// Drops what comes from or to loopback addresses, in a chain for what comes by the bridge, before connection tracking: answers have
/// the node's address on the bridge there. It does so always: others set `route_localnet` for all interfaces.
pub(super) fn guard(chain: &str) -> [Value; 2] {
    ["saddr", "daddr"].map(|field| {
        let expr = [is_loopback(field), json!({ "drop": null })];
        rule(chain, &expr, "loopback addresses are for this machine alone")
    })
}

/// Leaves alone what comes from outside to loopback addresses, before Services are looked up. The kernel drops it.
pub(super) fn not_from_outside(chain: &str) -> Value {
    rule(
        chain,
        &[is_loopback("daddr"), json!({ "return": null })],
        "host ports at loopback addresses are for this machine alone",
    )
}

/// Leaves alone what the node's own processes send from `::1`: it has to be to `::1`, and the answers would be lost.
pub(super) fn not_from_ipv6(chain: &str) -> Value {
    let from = matches(payload("ip6", "saddr"), "==", Ipv6Addr::LOCALHOST.to_string());
    rule(chain, &[from, json!({ "return": null })], "no answers come back to ::1")
}

/// Gives what the node's own processes send from loopback addresses to the bridge the node's address there.
pub(super) fn sender(chain: &str, to_bridge: &Value, family: &Family) -> Option<Value> {
    let snat = json!({ "snat": { "family": "ip", "addr": family.gateway } });
    let rule = |snat| rule(chain, &[to_bridge.clone(), is_loopback("saddr"), snat], "loopback to host ports");
    family.gateway.is_ipv4().then(|| rule(snat))
}

/// Has the kernel route loopback addresses by the bridge's interface, if the plan needs it, and else not. To be called when the
/// rules are in.
pub(super) fn route(plan: &HostPlan, sysctls: &Sysctls) -> host::Result<()> {
    let key = format!("net/ipv4/conf/{}/route_localnet", plan.bridge);
    let needed = plan.services.is_some() && plan.families.iter().any(|family| family.gateway.is_ipv4());
    let wanted = if needed { "1" } else { "0" };
    // Where nothing is to be changed, the folder need not be writable.
    if sysctls.read(&key).is_ok_and(|value| value == wanted) {
        return Ok(());
    }
    sysctls.write(&key, wanted)
}
