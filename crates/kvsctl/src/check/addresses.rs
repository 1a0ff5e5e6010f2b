//! Addresses: whether the node has routes or addresses among those of pods and Services.

use api::DualStack;
use host::Netlink;
use ipnet::IpNet;

use super::finding::{Check, Finding};

const CHECK: Check = Check("addresses");

/// What can be known of a node's network.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The interfaces.
    pub(super) links: Vec<Link>,
    /// The addresses, with the interface's name.
    pub(super) addresses: Vec<(IpNet, String)>,
    /// The routes of the main table.
    pub(super) routes: Vec<Route>,
}

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Its name.
    pub(super) name: String,
    /// Its MTU, bytes.
    pub(super) mtu: u32,
}

/// A route.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Where it leads.
    pub(super) to: IpNet,
    /// By which interface.
    pub(super) link: String,
    /// Whether by a next hop, rather than to machines on the link itself.
    pub(super) via: bool,
}

/// Asks the kernel, in the calling thread's network namespace.
pub(super) fn gather() -> host::Result<Facts> {
    let mut netlink = Netlink::open()?;
    let links = netlink.links()?;
    let name = |index: u32| {
        links.iter().find(|link| link.index == index).map_or_else(String::new, |link| link.name.clone())
    };
    let addresses = netlink.addresses(None)?.into_iter().map(|address| (address.net, name(address.link)));
    let addresses = addresses.collect();
    let routes = netlink.routes()?.into_iter().map(|route| Route {
        to: route.destination,
        link: name(route.link),
        via: route.via.is_some(),
    });
    let routes = routes.collect();
    let links = links.iter().map(|link| Link { name: link.name.clone(), mtu: link.mtu }).collect();
    Ok(Facts { links, addresses, routes })
}

impl Facts {
    /// The interface that has this address.
    pub(super) fn link_of(&self, address: std::net::IpAddr) -> Option<&Link> {
        let (_, name) = self.addresses.iter().find(|(net, _)| net.addr() == address)?;
        self.links.iter().find(|link| link.name == *name)
    }

    /// The interface of the default route, of IPv4 first.
    pub(super) fn default_link(&self) -> Option<&Link> {
        let mut routes: Vec<&Route> = self.routes.iter().filter(|route| route.to.prefix_len() == 0).collect();
        routes.sort_by_key(|route| route.to.addr().is_ipv6());
        routes.iter().find_map(|route| self.links.iter().find(|link| link.name == route.link))
    }
}

/// Judges the facts. `bridge` is k-vswitch's own, whose routes these are.
pub(super) fn check(
    facts: &Facts,
    bridge: &str,
    cluster: Option<&DualStack>,
    services: Option<&DualStack>,
) -> Vec<Finding> {
    let known = [("cluster CIDR", cluster), ("Service CIDR", services)];
    let known: Vec<(&str, &DualStack)> =
        known.into_iter().filter_map(|(what, cidrs)| Some((what, cidrs?))).collect();
    if known.is_empty() {
        return vec![CHECK.note(
            "not compared with those of pods and Services, which are not known",
            "say which these will be: --cluster-cidr, --service-cidr",
        )];
    }
    let mut findings = Vec::new();
    if let (Some(cluster), Some(services)) = (cluster, services)
        && let Some((one, other)) = cluster.overlap(services)
    {
        findings.push(CHECK.problem(
            format!("the cluster CIDR {one} and the Service CIDR {other} overlap"),
            "give the cluster another one of the two: no address can be a pod's and a Service's",
        ));
    }
    for (what, cidrs) in known {
        for cidr in cidrs.iter() {
            findings.extend(overlaps(facts, bridge, what, cidr));
        }
    }
    CHECK.or_ok(findings, "no route and no address of the node is among those of pods and Services")
}

/// An address says more than the route that comes with it, so that this is left out then.
fn overlaps(facts: &Facts, bridge: &str, what: &str, cidr: IpNet) -> Vec<Finding> {
    // kube-proxy and the DNS cache of nodes keep addresses of Services on interfaces of their own.
    let theirs = |link: &str| link == bridge || link == "kube-ipvs0" || link == "nodelocaldns";
    let mut findings = Vec::new();
    for (net, link) in facts.addresses.iter().filter(|(_, link)| !theirs(link)) {
        if cidr.contains(&net.addr()) {
            findings.push(CHECK.problem(
                format!("{link} has the address {net}, which is in the {what} {cidr}"),
                format!(
                    "if {link} is another network plugin's, uninstall that and ip link delete {link}; if not, choose \
                     another {what} for the cluster"
                ),
            ));
        }
    }
    let of_address = |route: &Route| {
        facts
            .addresses
            .iter()
            .any(|(net, link)| *link == route.link && route.to == net.trunc() && cidr.contains(&net.addr()))
    };
    for route in facts.routes.iter().filter(|route| !theirs(&route.link) && !of_address(route)) {
        let Route { to, link, via } = route;
        if cidr.contains(to) {
            findings.push(CHECK.problem(
                format!("the route to {to} by {link} takes packets for the {what} {cidr}"),
                format!(
                    "find out who made it (ip route show {to}): take it away (ip route delete {to} dev {link}), or choose \
                     another {what} for the cluster"
                ),
            ));
        } else if to.contains(&cidr) && to.prefix_len() > 0 && !via {
            findings.push(CHECK.problem(
                format!("the {what} {cidr} is part of the network {to} on {link}"),
                format!("choose another {what}: machines of that network can have the same addresses"),
            ));
        } else if to.contains(&cidr) && to.prefix_len() > 0 {
            findings.push(CHECK.note(
                format!("the {what} {cidr} is part of what the route to {to} by {link} leads to"),
                format!("see that nobody there has addresses of {cidr}: this node will not reach them"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn facts(addresses: &[(&str, &str)], routes: &[(&str, &str, bool)]) -> Facts {
        let addresses = addresses.iter().map(|(net, link)| (net.parse().unwrap(), (*link).to_owned()));
        let route = |(to, link, via): &(&str, &str, bool)| Route {
            to: to.parse().unwrap(),
            link: (*link).to_owned(),
            via: *via,
        };
        Facts { links: vec![], addresses: addresses.collect(), routes: routes.iter().map(route).collect() }
    }

    fn said(facts: &Facts) -> Vec<(Verdict, String)> {
        let (cluster, services) = ("10.244.0.0/16".parse().unwrap(), "10.96.0.0/12".parse().unwrap());
        let found = check(facts, "k-vswitch0", Some(&cluster), Some(&services));
        found.into_iter().map(|f| (f.result, f.found)).collect()
    }

    #[test]
    fn own_routes_and_those_elsewhere_are_well() {
        let facts = facts(
            &[("10.244.1.1/32", "k-vswitch0"), ("192.0.2.1/24", "eth0"), ("10.96.0.10/32", "nodelocaldns")],
            &[
                ("10.244.0.0/16", "k-vswitch0", false),
                ("0.0.0.0/0", "eth0", true),
                ("192.0.2.0/24", "eth0", false),
            ],
        );
        assert_eq!(said(&facts)[0].0, Verdict::Ok);
    }

    #[test]
    fn what_takes_pods_packets_is_a_problem() {
        let one = |facts: &Facts| {
            let found = said(facts);
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        let route = one(&facts(&[], &[("10.244.3.0/24", "flannel.1", true)]));
        assert!(route.0 == Verdict::Problem && route.1.contains("10.244.3.0/24 by flannel.1"));
        let address = one(&facts(&[("10.100.0.1/24", "virbr0")], &[("10.100.0.0/24", "virbr0", false)]));
        assert!(address.0 == Verdict::Problem && address.1.contains("virbr0 has the address"));
        // (10/8 on the node's own network holds both CIDRs.)
        let own = said(&facts(&[("10.0.0.5/8", "eth0")], &[("10.0.0.0/8", "eth0", false)]));
        assert!(own.len() == 2 && own[0].1.contains("is part of the network 10.0.0.0/8"));
        let vpn = said(&facts(&[], &[("10.0.0.0/8", "tun0", true)]));
        assert!(vpn.iter().all(|found| found.0 == Verdict::Note) && vpn.len() == 2);
    }

    #[test]
    fn the_two_cidrs_must_not_overlap_and_must_be_known() {
        let both = "10.96.0.0/12".parse().unwrap();
        let found = check(&Facts::default(), "k-vswitch0", Some(&both), Some(&both));
        assert!(found[0].found.contains("overlap"));
        assert_eq!(check(&Facts::default(), "k-vswitch0", None, None)[0].result, Verdict::Note);
    }
}
