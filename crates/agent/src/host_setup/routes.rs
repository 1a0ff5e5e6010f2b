//! Routes to the bridge, in the main table and in the one of the node's own packets, and the rules that lead to the latter.

use std::net::IpAddr;

use datapath::topology::{HOST_ROUTER_IPV4, HOST_ROUTER_IPV6, HOST_ROUTER_MAC, ROUTER_IPV6, ROUTER_MAC};
use host::{Netlink, OwnPacketsRule, Route};
use ipnet::IpNet;
use tracing::debug;

use super::{Family, HostPlan, OWN_TABLE};

/// Makes our routes, and the rules that lead to them, those of the plan.
pub(super) fn apply(plan: &HostPlan, netlink: &mut Netlink, link: u32) -> host::Result<()> {
    neighbours(plan, netlink, link)?;
    // Of IPv6, each destination on the link would have to be asked for.
    let main = wanted(plan, |_, net| match net {
        IpNet::V4(_) => Route::on_link(net, link),
        IpNet::V6(_) => Route::via(net, ROUTER_IPV6.into(), link).with_onlink(),
    });
    state_routes(netlink, link, host::route::MAIN_TABLE, &main)?;
    let own = wanted(plan, |family, net| {
        let hop: IpAddr = match family.cluster {
            IpNet::V4(_) => HOST_ROUTER_IPV4.into(),
            IpNet::V6(_) => HOST_ROUTER_IPV6.into(),
        };
        Route::via(net, hop, link).with_onlink().in_table(OWN_TABLE)
    });
    state_routes(netlink, link, OWN_TABLE, &own)?;
    rules(plan, netlink)
}

/// The next hops of IPv6, which only the userspace datapath could answer for.
fn neighbours(plan: &HostPlan, netlink: &mut Netlink, link: u32) -> host::Result<()> {
    if !plan.families.iter().any(|family| family.cluster.addr().is_ipv6()) {
        return Ok(());
    }
    let wanted = [(ROUTER_IPV6, ROUTER_MAC), (HOST_ROUTER_IPV6, HOST_ROUTER_MAC)];
    wanted.into_iter().try_for_each(|(address, mac)| netlink.set_neighbour(link, address.into(), mac.0))
}

/// The ranges of addresses that the bridge is responsible for.
fn ranges(family: &Family) -> impl Iterator<Item = IpNet> {
    [Some(family.cluster), family.service_cidr].into_iter().flatten()
}

/// A route to each of them.
fn wanted(plan: &HostPlan, route: impl Fn(&Family, IpNet) -> Route) -> Vec<Route> {
    let of = |f| ranges(f).map(|net| route(f, net).with_source(f.gateway)).collect::<Vec<_>>();
    plan.families.iter().flat_map(of).collect()
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
        .flat_map(ranges)
        .map(|net| OwnPacketsRule { destination: net.trunc(), table: OWN_TABLE, priority: OWN_TABLE })
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
