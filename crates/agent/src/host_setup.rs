//! The node's own side of the bridge: addresses, routes, sysctls, and the nftables table.
//!
//! Everything is stated, not added: what this module put on the bridge's interface earlier and does not want now is
//! removed, and the nftables table is replaced whole in one transaction, but for the elements of its sets and maps, which
//! are [`crate::published`]'s. Nothing outside them is touched, except the sysctls that forwarding needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use host::Netlink;
use host::sysctl::Sysctls;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tracing::debug;

use api::{NodeConfig, OverlayType};

mod loopback;
mod matching;
mod nft;
mod own_processes;
mod routes;
mod ruleset;
mod services;

pub(crate) use nft::{batch, element, prefix};
pub(crate) use own_processes::{OWN_EXTERNAL, OWN_NODE_PORTS};
pub(crate) use services::{EXTERNAL, NODE_PORTS, sets_and_maps};

/// Name of the nftables table, in family `inet`.
pub const NFT_TABLE: &str = "k-vswitch";
/// Table of the routes that only the node's own packets take, and place of the rule that leads them there: `kv`. The
/// next hop in it has a MAC of its own, by which the bridge tells what the node sends from what it forwards.
pub const OWN_TABLE: u32 = 0x6b76;

/// What the host is to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// The bridge's interface.
    pub bridge: String,
    /// What nodes wrap pods' packets in.
    pub overlay: OverlayType,
    /// The node's end of these tunnels.
    pub overlay_ip: IpAddr,
    /// For each family: the cluster's pod CIDR, the node's, and the node's address in it.
    pub families: Vec<Family>,
    /// What the host does for Services of which the bridge is the proxy; `None`: the bridge is not.
    pub services: Option<Services>,
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
    /// ClusterIPs, if the bridge is the proxy of Services.
    pub service_cidr: Option<IpNet>,
}

/// What is configurable about Services on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The node's addresses that have node ports. A family of which there is none here: all but loopback ones.
    pub node_port_addresses: Vec<IpNet>,
}

impl HostPlan {
    /// The plan for a node whose bridge has this name. Families without a pod CIDR of the node are left out.
    #[must_use]
    pub fn new(bridge: &str, config: &NodeConfig, services: Option<Services>) -> Self {
        let of_family = |pods: IpNet| {
            let same = |net: &IpNet| net.addr().is_ipv4() == pods.addr().is_ipv4();
            services.as_ref().and_then(|_| config.service_cidr.iter().find(same))
        };
        let families = config
            .pod_cidr
            .iter()
            .filter_map(|pods| {
                let cluster = config.cluster_cidr.iter().find(|net| net.contains(&pods))?;
                Some(Family { cluster, pods, gateway: gateway(pods)?, service_cidr: of_family(pods) })
            })
            .collect();
        Self {
            bridge: bridge.to_owned(),
            overlay: config.overlay_type,
            overlay_ip: config.overlay_ip,
            families,
            services,
        }
    }
}

/// The node's own address: the first host address of its pod CIDR.
fn gateway(pods: IpNet) -> Option<IpAddr> {
    match pods {
        IpNet::V4(net) => gateway_ipv4(net).map(IpAddr::V4),
        IpNet::V6(net) => gateway_ipv6(net).map(IpAddr::V6),
    }
}

/// The node's own address in its IPv4 pod CIDR: the first host address.
#[must_use]
pub fn gateway_ipv4(pods: Ipv4Net) -> Option<Ipv4Addr> {
    Some(pods.network().to_bits().checked_add(1)?.into())
}

/// The node's own address in its IPv6 pod CIDR: the first host address.
#[must_use]
pub fn gateway_ipv6(pods: Ipv6Net) -> Option<Ipv6Addr> {
    Some(pods.network().to_bits().checked_add(1)?.into())
}

/// Makes the host agree with the plan. Blocking.
///
/// Addresses and routes that are there already are not stated again: OVS's userspace tunnels forget all routes of the
/// host for a moment whenever one is announced, and a restarted daemon must not cost running pods a packet.
///
/// # Errors
/// The first thing that the kernel or `nft` refuses, with what to look at.
pub fn apply(plan: &HostPlan, sysctls: &Sysctls) -> host::Result<()> {
    let mut netlink = Netlink::open()?;
    forwarding(plan, sysctls, &mut netlink)?;
    let link = netlink.link(plan.bridge.as_str())?;
    sources(plan, sysctls)?;
    if !link.up {
        netlink.set_up(link.index, true)?;
    }
    addresses(plan, &mut netlink, link.index)?;
    routes::apply(plan, &mut netlink, link.index)?;
    host::nft::apply(&ruleset::ruleset(plan))?;
    loopback::route(plan, sysctls)
}

/// Takes the nftables table away; whether there was one. Blocking.
///
/// # Errors
/// [`host::Error::Nft`] with what `nft` said.
pub fn remove_table() -> host::Result<bool> {
    let there = host::nft::has_table(NFT_TABLE)?;
    if there {
        host::nft::apply(&batch(&[nft::table("delete")]))?;
    }
    Ok(there)
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

fn forwarding(plan: &HostPlan, sysctls: &Sysctls, netlink: &mut Netlink) -> host::Result<()> {
    if plan.families.iter().any(|f| f.cluster.addr().is_ipv4()) {
        sysctls.write("net/ipv4/ip_forward", "1")?;
    }
    if plan.families.iter().any(|f| f.cluster.addr().is_ipv6()) {
        // A forwarding host ignores router advertisements unless told not to: keep the default routes it has.
        let ours = |name: &str| name == plan.bridge || name.starts_with("kvs");
        for link in netlink.links()?.into_iter().filter(|link| !ours(&link.name)) {
            let key = format!("net/ipv6/conf/{}/accept_ra", link.name);
            if sysctls.read(&key).is_ok_and(|value| value == "1") {
                sysctls.write_if_there(&key, "2")?;
            }
        }
        sysctls.write("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// Has the kernel take from the bridge what it would take for forged: answers whose sources are routed elsewhere (load
/// balancers' addresses). Of reverse path filters, the higher of an interface's value and that of all counts.
fn sources(plan: &HostPlan, sysctls: &Sysctls) -> host::Result<()> {
    let key = |link: &str| format!("net/ipv4/conf/{link}/rp_filter");
    let strict = |link: &str| sysctls.read(&key(link)).is_ok_and(|value| value == "1");
    let ipv4 = plan.families.iter().any(|f| f.cluster.addr().is_ipv4());
    if plan.services.is_some() && ipv4 && (strict(&plan.bridge) || strict("all")) {
        sysctls.write(&key(&plan.bridge), "2")?;
    }
    Ok(())
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(service_cidr: &str, services: Option<Services>) -> HostPlan {
        let config = NodeConfig {
            name: "node-1".into(),
            cluster_cidr: "10.0.0.0/16,fd00::/48".parse().unwrap(),
            pod_cidr: "10.0.1.0/24,fd00:0:0:1::/64".parse().unwrap(),
            service_cidr: service_cidr.parse().unwrap(),
            overlay_type: OverlayType::Vxlan,
            overlay_ip: "192.0.2.1".parse().unwrap(),
            mtu: None,
            generation: None,
        };
        HostPlan::new("k-vswitch0", &config, services)
    }

    #[test]
    fn the_gateway_is_the_first_host_address() {
        let gateways: Vec<String> =
            plan("10.96.0.0/16", None).families.iter().map(|f| f.gateway.to_string()).collect();
        assert_eq!(gateways, ["10.0.1.1", "fd00:0:0:1::1"]);
    }

    #[test]
    fn cluster_ips_are_routed_by_family_and_only_if_the_bridge_is_their_proxy() {
        let services = |plan: HostPlan| plan.families.iter().map(|f| f.service_cidr).collect::<Vec<_>>();
        let (four, six) = ("10.96.0.0/16".parse().unwrap(), "fd96::/112".parse().unwrap());
        let on = || Some(Services::default());
        assert_eq!(services(plan("10.96.0.0/16,fd96::/112", on())), [Some(four), Some(six)]);
        assert_eq!(services(plan("fd96::/112", on())), [None, Some(six)]);
        assert_eq!(services(plan("10.96.0.0/16,fd96::/112", None)), [None, None]);
    }
}
