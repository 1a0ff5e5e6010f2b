//! The node's own side of the bridge: addresses, routes, sysctls, and the nftables table.
//!
//! Everything is stated, not added: what this module put on the bridge's interface earlier and does not want now is
//! removed, and the nftables table is replaced whole in one transaction. Nothing outside them is touched, except the
//! sysctls that forwarding needs.

use std::net::IpAddr;

use datapath::topology::{HOST_ROUTER_IPV4, HOST_ROUTER_IPV6};
use host::{Netlink, OwnPacketsRule, Route};
use ipnet::IpNet;
use serde_json::json;
use tracing::{debug, info};

use api::{NodeConfig, OverlayType};

/// Name of the nftables table, in family `inet`.
pub const NFT_TABLE: &str = "k-vswitch";
/// Table of the routes that only the node's own packets take, and place of the rule that leads them there: `kv`. The
/// next hop in it has a MAC of its own, by which the bridge tells what the node sends from what it forwards.
pub const OWN_TABLE: u32 = 0x6b76;
/// Host ends of pods' veth pairs, as nftables writes a prefix.
const POD_PORTS: &str = "kvs*";
/// UDP port of VXLAN (RFC 7348 section 8).
const VXLAN_PORT: u16 = 4789;
/// IP protocol number of GRE (RFC 2784 section 4).
const GRE_PROTOCOL: u8 = 47;

/// What the host is to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// The bridge's interface.
    pub bridge: String,
    /// What nodes wrap pods' packets in.
    pub overlay: OverlayType,
    /// For each family: the cluster's pod CIDR, the node's, and the node's address in it.
    pub families: Vec<Family>,
}

/// One address family of a [`HostPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// All pods.
    pub cluster: IpNet,
    /// This node's pods.
    pub pods: IpNet,
    /// The node itself.
    pub gateway: IpAddr,
}

impl HostPlan {
    /// The plan for a node whose bridge has this name. Families without a pod CIDR of the node are left out.
    #[must_use]
    pub fn new(bridge: &str, config: &NodeConfig) -> Self {
        let families = config
            .pod_cidr
            .iter()
            .filter_map(|pods| {
                let cluster = config.cluster_cidr.iter().find(|net| net.contains(&pods))?;
                Some(Family { cluster, pods, gateway: gateway(pods)? })
            })
            .collect();
        Self { bridge: bridge.to_owned(), overlay: config.overlay_type, families }
    }
}

/// The node's own address: the first host address of its pod CIDR.
#[must_use]
pub fn gateway(pods: IpNet) -> Option<IpAddr> {
    Some(match pods {
        IpNet::V4(net) => IpAddr::V4(net.network().to_bits().checked_add(1)?.into()),
        IpNet::V6(net) => IpAddr::V6(net.network().to_bits().checked_add(1)?.into()),
    })
}

/// Makes the host agree with the plan. Blocking.
///
/// Addresses and routes that are there already are not stated again: OVS's userspace tunnels forget all routes of the
/// host for a moment whenever one is announced, and a restarted daemon must not cost running pods a packet.
///
/// # Errors
/// The first thing that the kernel or `nft` refuses, with what to look at.
pub fn apply(plan: &HostPlan) -> host::Result<()> {
    let mut netlink = Netlink::open()?;
    sysctls(plan, &mut netlink)?;
    let link = netlink.link(plan.bridge.as_str())?;
    if !link.up {
        netlink.set_up(link.index, true)?;
    }
    addresses(plan, &mut netlink, link.index)?;
    routes(plan, &mut netlink, link.index)?;
    host::nft::apply(&ruleset(plan))?;
    info!(bridge = plan.bridge, families = ?plan.families, "host side of the bridge is set up");
    Ok(())
}

fn addresses(plan: &HostPlan, netlink: &mut Netlink, link: u32) -> host::Result<()> {
    let wanted: Vec<IpNet> = plan.families.iter().map(|f| IpNet::from(f.gateway)).collect();
    let present = netlink.addresses(Some(link))?;
    for address in &present {
        if !wanted.contains(&address.net) && !is_link_local(address.net.addr()) {
            debug!(address = %address.net, "removing an address from the bridge");
            netlink.delete_address(link, address.net)?;
        }
    }
    for net in wanted {
        if !present.iter().any(|address| address.net == net && !address.tentative) {
            netlink.replace_address(link, net)?;
        }
    }
    Ok(())
}

fn routes(plan: &HostPlan, netlink: &mut Netlink, link: u32) -> host::Result<()> {
    let wanted: Vec<Route> =
        plan.families.iter().map(|f| Route::on_link(f.cluster, link).with_source(f.gateway)).collect();
    state_routes(netlink, link, host::route::MAIN_TABLE, &wanted)?;
    let own: Vec<Route> = plan
        .families
        .iter()
        .map(|f| {
            let hop: IpAddr = match f.cluster {
                IpNet::V4(_) => HOST_ROUTER_IPV4.into(),
                IpNet::V6(_) => HOST_ROUTER_IPV6.into(),
            };
            Route::via(f.cluster, hop, link).with_onlink().with_source(f.gateway).in_table(OWN_TABLE)
        })
        .collect();
    state_routes(netlink, link, OWN_TABLE, &own)?;
    rules(plan, netlink)
}

/// Makes our routes of one table those that are wanted.
fn state_routes(netlink: &mut Netlink, link: u32, table: u32, wanted: &[Route]) -> host::Result<()> {
    let ours = |route: &Route| route.link == link && route.protocol == host::route::PROTOCOL_STATIC;
    let present: Vec<Route> = netlink.routes_in(table)?.into_iter().filter(ours).collect();
    // The kernel tells the metric it chose.
    let same = |a: &Route, b: &Route| Route { metric: None, ..*a } == Route { metric: None, ..*b };
    for route in wanted {
        if !present.iter().any(|found| same(found, route)) {
            netlink.replace_route(route)?;
        }
    }
    for route in &present {
        if !wanted.iter().any(|wanted| wanted.destination == route.destination) {
            debug!(?route, "removing a route from the bridge");
            netlink.delete_route(route)?;
        }
    }
    Ok(())
}

fn rules(plan: &HostPlan, netlink: &mut Netlink) -> host::Result<()> {
    let wanted: Vec<OwnPacketsRule> = plan
        .families
        .iter()
        .map(|f| OwnPacketsRule { ipv4: f.cluster.addr().is_ipv4(), table: OWN_TABLE, priority: OWN_TABLE })
        .collect();
    let present = netlink.rules()?;
    for rule in wanted.iter().filter(|rule| !present.contains(rule)) {
        netlink.add_rule(*rule)?;
    }
    for rule in present.iter().filter(|rule| rule.table == OWN_TABLE && !wanted.contains(rule)) {
        debug!(?rule, "removing a rule");
        netlink.delete_rule(*rule)?;
    }
    Ok(())
}

fn sysctls(plan: &HostPlan, netlink: &mut Netlink) -> host::Result<()> {
    if plan.families.iter().any(|f| f.cluster.addr().is_ipv4()) {
        host::sysctl::write("net/ipv4/ip_forward", "1")?;
    }
    if plan.families.iter().any(|f| f.cluster.addr().is_ipv6()) {
        // A forwarding host ignores router advertisements unless told not to: keep the default routes it has.
        let ours = |name: &str| name == plan.bridge || name.starts_with("kvs");
        for link in netlink.links()?.into_iter().filter(|link| !ours(&link.name)) {
            let key = format!("net/ipv6/conf/{}/accept_ra", link.name);
            if host::sysctl::read(&key).is_ok_and(|value| value == "1") {
                host::sysctl::write_if_there(&key, "2")?;
            }
        }
        host::sysctl::write("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

/// The nftables table: masquerading for what pods send to the outside, and nothing from a pod's veth to the host's
/// stack but by the bridge. (On the userspace datapath the kernel sees a copy of what pods send.) And no tunnels of
/// pods: masqueraded, they would come to another node from this one's address, and could carry any pod's packets.
fn ruleset(plan: &HostPlan) -> nftables::schema::Nftables<'static> {
    let table = json!({ "family": "inet", "name": NFT_TABLE });
    let chain = |name: &str, kind: &str, hook: &str, priority: i32| {
        json!({ "add": { "chain": {
            "family": "inet", "table": NFT_TABLE, "name": name,
            "type": kind, "hook": hook, "prio": priority, "policy": "accept",
        } } })
    };
    let rule = |chain: &str, expr: serde_json::Value, comment: &str| {
        json!({ "add": { "rule": {
            "family": "inet", "table": NFT_TABLE, "chain": chain, "expr": expr, "comment": comment,
        } } })
    };
    let mut commands = vec![
        json!({ "add": { "table": table } }),
        json!({ "flush": { "table": table } }),
        // Priorities: raw, filter, and source NAT (nft(8), "Standard priority names"). Fragments are whole by then.
        chain("pod-ports", "filter", "prerouting", -300),
        chain("pod-tunnels", "filter", "forward", 0),
        chain("masquerade", "nat", "postrouting", 100),
        rule(
            "pod-ports",
            json!([matches_meta("==", "iifname", POD_PORTS), { "drop": null }]),
            "pods reach the host by the bridge only",
        ),
        rule(
            "pod-tunnels",
            json!([matches_meta("==", "iifname", &plan.bridge), encapsulated(plan.overlay), { "drop": null }]),
            "pods do not speak to tunnels",
        ),
    ];
    for family in &plan.families {
        let protocol = if family.pods.addr().is_ipv4() { "ip" } else { "ip6" };
        let field = |op: &str, field: &str, net: IpNet| {
            json!({ "match": {
                "op": op,
                "left": { "payload": { "protocol": protocol, "field": field } },
                "right": { "prefix": { "addr": net.network(), "len": net.prefix_len() } },
            } })
        };
        commands.push(rule(
            "masquerade",
            json!([
                field("==", "saddr", family.pods),
                field("!=", "daddr", family.cluster),
                matches_meta("!=", "oifname", &plan.bridge),
                { "masquerade": null },
            ]),
            "pods to the outside",
        ));
        // kube-proxy on the host sends a pod's connection to a Service on to another pod, whose answer would go straight
        // back to the first one, past the host that has to translate it back.
        commands.push(rule(
            "masquerade",
            json!([
                field("==", "saddr", family.pods),
                matches_meta("==", "oifname", &plan.bridge),
                { "match": { "op": "in", "left": { "ct": { "key": "status" } }, "right": "dnat" } },
                { "masquerade": null },
            ]),
            "pods to pods by the host's Service proxy",
        ));
    }
    // The commands are built above: a mistake in them is a mistake in this file, which its test finds.
    serde_json::from_value(json!({ "nftables": commands })).unwrap_or_else(|_| empty())
}

/// Matches packets that a tunnel's end would unwrap.
fn encapsulated(overlay: OverlayType) -> serde_json::Value {
    let (left, right) = match overlay {
        OverlayType::Vxlan => {
            (json!({ "payload": { "protocol": "udp", "field": "dport" } }), json!(VXLAN_PORT))
        }
        OverlayType::Gre => (json!({ "meta": { "key": "l4proto" } }), json!(GRE_PROTOCOL)),
    };
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn matches_meta(op: &str, key: &str, value: &str) -> serde_json::Value {
    json!({ "match": { "op": op, "left": { "meta": { "key": key } }, "right": value } })
}

fn empty() -> nftables::schema::Nftables<'static> {
    nftables::schema::Nftables { objects: Vec::new().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> HostPlan {
        HostPlan {
            bridge: "k-vswitch0".into(),
            overlay: OverlayType::Vxlan,
            families: vec![
                Family {
                    cluster: "10.0.0.0/16".parse().unwrap(),
                    pods: "10.0.1.0/24".parse().unwrap(),
                    gateway: "10.0.1.1".parse().unwrap(),
                },
                Family {
                    cluster: "fd00::/48".parse().unwrap(),
                    pods: "fd00:0:0:1::/64".parse().unwrap(),
                    gateway: "fd00:0:0:1::1".parse().unwrap(),
                },
            ],
        }
    }

    #[test]
    fn the_gateway_is_the_first_host_address() {
        for family in plan().families {
            assert_eq!(gateway(family.pods), Some(family.gateway));
        }
    }

    #[test]
    fn the_ruleset_is_whole_json_that_nftables_knows() {
        let text = serde_json::to_string(&ruleset(&plan())).unwrap();
        assert_eq!(text.matches("masquerade\":").count(), 4, "{text}");
        assert!(
            text.contains("\"kvs*\"") && text.contains("fd00:0:0:1::") && text.contains("\"flush\""),
            "{text}"
        );
        assert!(text.contains("4789") && text.contains("\"forward\""), "{text}");
        let gre = HostPlan { overlay: OverlayType::Gre, ..plan() };
        let text = serde_json::to_string(&ruleset(&gre)).unwrap();
        assert!(text.contains("l4proto") && text.contains("47") && !text.contains("4789"), "{text}");
    }
}
