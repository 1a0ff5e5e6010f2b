//! The MTU: whether the uplink has room for pods' packets and what the overlay puts around them.

use std::net::IpAddr;

use api::{LEAST_MTU, OverlayType};

use super::addresses::Link;
use super::finding::{Check, Finding};

const CHECK: Check = Check("mtu");

/// Judges the interface with the overlay address. `asked` is `spec.mtu` of the node's VSwitchConfig.
pub(super) fn check(
    uplink: Option<&Link>,
    overlay: OverlayType,
    underlay: IpAddr,
    asked: Option<u32>,
) -> Vec<Finding> {
    let Some(Link { name, mtu, .. }) = uplink else {
        return vec![CHECK.problem(
            format!("no interface of this node has the overlay address {underlay}"),
            "it is the Node's InternalIP: set kubelet --node-ip to an address of the node, or give the node the address; \
             kvsctl check must run in the host's network namespace",
        )];
    };
    let overhead = u32::from(overlay.overhead(underlay));
    let least_of_all = u32::from(LEAST_MTU);
    let room = mtu.saturating_sub(overhead);
    let wanted = asked.unwrap_or(least_of_all);
    if wanted > room {
        let least = wanted + overhead;
        let lower = match asked {
            Some(_) if room >= least_of_all => format!("set spec.mtu to at most {room}, or "),
            _ => String::new(),
        };
        return vec![CHECK.problem(
            format!("{name} carries {mtu} bytes, {room} without what {overlay} adds, and pods' packets have up to {wanted}"),
            format!("{lower}raise the MTU of {name} to at least {least}, on all nodes and on what is between them"),
        )];
    }
    let pods = asked.unwrap_or(room);
    vec![
        CHECK
            .ok(format!("{name} carries {mtu} bytes: pods have an MTU of {pods}, {overlay} adds {overhead}")),
    ]
}

/// Before there is an overlay address: the interface that is likely to have it.
pub(super) fn check_likely(uplink: Option<&Link>, overlay: OverlayType, ipv6: bool) -> Vec<Finding> {
    let underlay = if ipv6 { IpAddr::from([0_u16; 8]) } else { IpAddr::from([0_u8; 4]) };
    match uplink {
        Some(_) => check(uplink, overlay, underlay, None),
        None => vec![CHECK.note(
            "the interface towards other nodes is not known: there is no default route",
            "see that its MTU is at least 1350",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn said(mtu: u32, asked: Option<u32>) -> (Verdict, String) {
        let link = Link { name: "eth0".into(), mtu };
        let found = check(Some(&link), OverlayType::Vxlan, "192.0.2.1".parse().unwrap(), asked).remove(0);
        (found.result, format!("{} {}", found.found, found.todo.unwrap_or_default()))
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        assert_eq!(said(1500, None).0, Verdict::Ok);
        assert_eq!(said(1330, None).0, Verdict::Ok);
        let small = said(1329, None);
        assert!(small.0 == Verdict::Problem && small.1.contains("at least 1330"), "{small:?}");
        let asked = said(1500, Some(1451));
        assert!(asked.0 == Verdict::Problem && asked.1.contains("at most 1450"), "{asked:?}");
        let nobody = check(None, OverlayType::Gre, "192.0.2.1".parse().unwrap(), None).remove(0);
        assert!(nobody.found.contains("no interface"));
    }
}
