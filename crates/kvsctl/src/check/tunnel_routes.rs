//! The ways of tunnels in the userspace datapath, which are routes of Open vSwitch's own: copies of the kernel's, or what it was told
//! (docs/operations.md, Datapaths).

use std::net::IpAddr;

use super::finding::Finding;
use super::switch::CHECK;

/// Judges what `ovs/route/show` says: lines such as `User: 192.0.2.0/24 dev br-phy SRC 192.0.2.11`, or `Cached:` for the kernel's.
pub(super) fn check(routes: &str, address: IpAddr, link: &str) -> Option<Finding> {
    let is_from = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "SRC");
        words.nth(1).and_then(|source| source.parse::<IpAddr>().ok()) == Some(address)
    };
    if !routes.lines().any(is_from) {
        return Some(CHECK.problem(
            format!("Open vSwitch has no route from {address} of its own, and tunnels take no others"),
            format!(
                "it was started with --disable-system-route, or reads the kernel's just now: tell it the node's network, which \
                 is to be done after each start and change of address: ovs-appctl ovs/route/add NETWORK {link} \
                 (docs/operations.md, Datapaths)"
            ),
        ));
    }
    routes.lines().any(|line| line.starts_with("Cached:")).then(|| {
        CHECK.note(
            "Open vSwitch copies the kernel's routes, anew for each interface that comes or goes, and tunnels lose packets meanwhile",
            "start ovs-vswitchd with --disable-system-route and tell it the routes of tunnels (docs/operations.md, Datapaths)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    #[test]
    fn tunnels_want_a_route_from_their_address() {
        let judged = |routes: &str, address: &str| {
            check(&format!("Route Table:\n{routes}\n"), address.parse().unwrap(), "br-phy")
                .map(|finding| finding.result)
        };
        let told =
            "User: 192.0.2.0/24 dev br-phy SRC 192.0.2.11\nUser: 2001:db8::/64 dev br-phy SRC 2001:db8::11";
        assert_eq!(judged(told, "192.0.2.11"), None);
        assert_eq!(judged(told, "2001:db8::11"), None);
        assert_eq!(judged(told, "192.0.2.1"), Some(Verdict::Problem));
        assert_eq!(judged("", "192.0.2.11"), Some(Verdict::Problem));
        let copied = "Cached: 192.0.2.11/32 dev br-phy SRC 192.0.2.11 local";
        assert_eq!(judged(copied, "192.0.2.11"), Some(Verdict::Note));
    }
}
