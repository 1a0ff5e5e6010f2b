//! The nftables table: masquerading for what pods send to the outside, and nothing from a pod's veth to the host's stack
//! but by the bridge. (On the userspace datapath the kernel sees a copy of what pods send.) And no tunnels of pods:
//! masqueraded, they would come to another node from this one's address, and could carry any pod's packets. The node's own
//! tunnels are not tracked: the connections within are, by the bridge. They carry most of what a node gets, and each name of
//! an interface that a packet is compared with costs a hundredth of its way: it is one.
//!
//! What it has for Services is in [`super::services`].

use ipnet::IpNet;
use serde_json::{Value, json};

use api::OverlayType;

use super::nft::{base_chain, batch, chain, matches, meta, payload, prefix, rule, table};
use super::{Family, HostPlan, loopback, services};

/// Host ends of pods' veth pairs, as nftables writes a prefix.
const POD_PORTS: &str = "kvs*";
/// What comes in by the bridge, before connection tracking: from pods, and from nodes by tunnels.
const FROM_BRIDGE: &str = "from-bridge";
/// UDP port of VXLAN (RFC 7348 section 8).
const VXLAN_PORT: u16 = 4789;
/// IP protocol number of GRE (RFC 2784 section 4).
const GRE_PROTOCOL: u8 = 47;

/// The whole table, in place of the rules that were there. Elements of sets and maps stay, while these are wanted.
pub(super) fn ruleset(plan: &HostPlan) -> Value {
    let protocol = if plan.overlay_ip.is_ipv4() { "ip" } else { "ip6" };
    let own = |field| matches(payload(protocol, field), "==", plan.overlay_ip.to_string());
    let mut commands = vec![
        table("add"),
        table("flush"),
        // Priorities: raw, filter, and source NAT (nft(8), "Standard priority names"). Fragments are whole by then.
        base_chain("pod-ports", "filter", "prerouting", -300),
        base_chain("own-tunnels", "filter", "output", -300),
        base_chain("pod-tunnels", "filter", "forward", 0),
        base_chain("masquerade", "nat", "postrouting", 100),
        chain("add", FROM_BRIDGE),
        rule(
            "pod-ports",
            &[matches(meta("iifname"), "==", POD_PORTS), json!({ "drop": null })],
            "pods reach the host by the bridge only",
        ),
        rule(
            "pod-ports",
            &[
                encapsulated(plan.overlay),
                own("daddr"),
                json!({ "notrack": null }),
                json!({ "accept": null }),
            ],
            "tunnels are no connections",
        ),
        rule(
            "pod-ports",
            &[from_bridge(plan), json!({ "goto": { "target": FROM_BRIDGE } })],
            "the bridge's own",
        ),
        rule(
            "own-tunnels",
            &[encapsulated(plan.overlay), own("saddr"), json!({ "notrack": null })],
            "tunnels are no connections",
        ),
        rule(
            "pod-tunnels",
            &[from_bridge(plan), encapsulated(plan.overlay), json!({ "drop": null })],
            "pods do not speak to tunnels",
        ),
    ];
    commands.extend(loopback::guard(FROM_BRIDGE));
    for family in &plan.families {
        commands.extend(masquerade(&plan.bridge, family));
        if plan.services.is_some() {
            let to_bridge = matches(meta("oifname"), "==", plan.bridge.as_str());
            commands.extend(loopback::sender("masquerade", &to_bridge, family));
        }
    }
    commands.extend(match &plan.services {
        Some(services) => services::commands(&plan.bridge, FROM_BRIDGE, &plan.families, services),
        None => services::none(),
    });
    batch(&commands)
}

fn from_bridge(plan: &HostPlan) -> Value {
    matches(meta("iifname"), "==", plan.bridge.as_str())
}

fn masquerade(bridge: &str, family: &Family) -> [Value; 2] {
    let protocol = if family.pods.addr().is_ipv4() { "ip" } else { "ip6" };
    let field = |field: &str, op: &str, net: IpNet| matches(payload(protocol, field), op, prefix(net));
    [
        rule(
            "masquerade",
            &[
                field("saddr", "==", family.pods),
                field("daddr", "!=", family.cluster),
                matches(meta("oifname"), "!=", bridge),
                json!({ "masquerade": null }),
            ],
            "pods to the outside",
        ),
        // kube-proxy on the host sends a pod's connection to a Service on to another pod, whose answer would go straight
        // back to the first one, past the host that has to translate it back.
        rule(
            "masquerade",
            &[
                field("saddr", "==", family.pods),
                matches(meta("oifname"), "==", bridge),
                matches(json!({ "ct": { "key": "status" } }), "in", "dnat"),
                json!({ "masquerade": null }),
            ],
            "pods to pods by the host's Service proxy",
        ),
    ]
}

/// Matches packets that a tunnel's end would unwrap.
fn encapsulated(overlay: OverlayType) -> Value {
    match overlay {
        OverlayType::Vxlan => matches(payload("udp", "dport"), "==", VXLAN_PORT),
        OverlayType::Gre => matches(meta("l4proto"), "==", GRE_PROTOCOL),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Services;
    use super::*;

    fn plan() -> HostPlan {
        HostPlan {
            bridge: "k-vswitch0".into(),
            overlay: OverlayType::Vxlan,
            overlay_ip: "192.0.2.1".parse().unwrap(),
            families: vec![
                Family {
                    cluster: "10.0.0.0/16".parse().unwrap(),
                    pods: "10.0.1.0/24".parse().unwrap(),
                    gateway: "10.0.1.1".parse().unwrap(),
                    service_cidr: None,
                },
                Family {
                    cluster: "fd00::/48".parse().unwrap(),
                    pods: "fd00:0:0:1::/64".parse().unwrap(),
                    gateway: "fd00:0:0:1::1".parse().unwrap(),
                    service_cidr: None,
                },
            ],
            services: None,
        }
    }

    fn text(plan: &HostPlan) -> String {
        ruleset(plan).to_string()
    }

    #[test]
    fn the_ruleset_speaks_of_what_the_plan_has() {
        let vxlan = text(&plan());
        assert_eq!(vxlan.matches("masquerade\":").count(), 4, "{vxlan}");
        assert!(
            vxlan.contains("\"kvs*\"") && vxlan.contains("fd00:0:0:1::") && vxlan.contains("\"flush\""),
            "{vxlan}"
        );
        assert!(vxlan.contains("4789") && vxlan.contains("\"forward\""), "{vxlan}");
        assert_eq!((vxlan.matches("notrack").count(), vxlan.matches("192.0.2.1").count()), (2, 2), "{vxlan}");
        let gre = text(&HostPlan { overlay: OverlayType::Gre, ..plan() });
        assert!(gre.contains("l4proto") && gre.contains("47") && !gre.contains("4789"), "{gre}");
    }

    #[test]
    fn loopback_addresses_are_kept_off_the_bridge_always_and_sent_there_for_services_only() {
        let count = |plan: &HostPlan, what: &str| text(plan).matches(what).count();
        let with = HostPlan { services: Some(Services::default()), ..plan() };
        assert_eq!((count(&plan(), "127.0.0.0"), count(&plan(), "snat")), (2, 0));
        assert_eq!((count(&with, "127.0.0.0"), count(&with, "snat")), (6, 1));
        let without_ipv4 = HostPlan { families: plan().families.split_off(1), ..with };
        assert_eq!(count(&without_ipv4, "snat"), 0);
    }

    #[test]
    fn there_is_something_for_services_only_if_the_bridge_is_their_proxy() {
        let (without, with) =
            (text(&plan()), text(&HostPlan { services: Some(Services::default()), ..plan() }));
        assert!(!without.contains("dnat\":{") && without.contains("\"delete\":{\"map\""), "{without}");
        assert_eq!(with.matches("dnat\":{").count(), 8, "{with}");
        assert!(with.contains("10.0.1.255") && with.contains("fd00::1:ffff:ffff:ffff:ffff"), "{with}");
        assert!(with.contains("0a:58:00:00:00:04") && !with.contains("\"delete\""), "{with}");
    }
}
