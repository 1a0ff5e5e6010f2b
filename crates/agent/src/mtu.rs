//! The MTU of pods' interfaces: the uplink's, without what the overlay adds.

use std::net::IpAddr;

use api::{LEAST_MTU, NodeConfig, OverlayType};

use crate::uplink::Uplink;

/// The MTU of pod interfaces over an uplink with `uplink` bytes. At least what IPv6 needs, below which a stack would turn
/// IPv6 off; over an uplink too small for that, packets of full size do not get through the tunnel.
#[must_use]
pub fn pod_mtu(uplink: u32, overlay: OverlayType, underlay: IpAddr) -> u16 {
    let uplink = u16::try_from(uplink).unwrap_or(u16::MAX);
    uplink.saturating_sub(overlay.overhead(underlay)).max(LEAST_MTU)
}

/// What is wrong with the MTU of a node's pods, if packets of full size do not get through its tunnels, and what to do.
#[must_use]
pub fn complaint(config: &NodeConfig, uplink: &Uplink) -> Option<String> {
    let Uplink { name: interface, mtu: available, .. } = uplink;
    let (node, overlay) = (&config.name, config.overlay_type);
    let overhead = u32::from(overlay.overhead(config.overlay_ip));
    let (room, least) = (available.saturating_sub(overhead), u32::from(LEAST_MTU));
    if u32::from(config.mtu.unwrap_or(LEAST_MTU)) <= room {
        return None;
    }
    let fits = match config.mtu {
        Some(_) if room >= least => format!("set it to at most {room}, or "),
        _ => String::new(),
    };
    let needed = match config.mtu {
        Some(mtu) => u32::from(mtu) + overhead,
        None => least + overhead,
    };
    let what = match config.mtu {
        Some(mtu) => format!("spec.mtu of VSwitchConfig {node} is {mtu}"),
        None if config.pod_cidr.ipv6().is_some() => {
            format!("pods have an MTU of {least}, the least that IPv6 needs")
        }
        None => format!("pods have an MTU of {least}, the least that they are given"),
    };
    Some(format!(
        "{what}, but {overlay} adds {overhead} bytes and the uplink {interface} carries {available}: larger packets \
         between nodes are lost; {fits}raise the MTU of {interface} to at least {needed}, on all nodes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mtu: Option<u16>, pod_cidr: &str) -> NodeConfig {
        NodeConfig {
            name: "node-1".into(),
            cluster_cidr: "10.0.0.0/16,fd00::/48".parse().unwrap(),
            pod_cidr: pod_cidr.parse().unwrap(),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            overlay_type: OverlayType::Vxlan,
            overlay_ip: "192.0.2.1".parse().unwrap(),
            mtu,
            generation: None,
        }
    }

    #[test]
    fn an_mtu_that_does_not_fit_is_told_with_what_to_do() {
        let said = |mtu, pods: &str, uplink| {
            complaint(
                &config(mtu, pods),
                &Uplink { name: "eth0".into(), mtu: uplink, addresses: vec![], first: vec![] },
            )
        };
        let (dual, ipv4) = ("10.0.1.0/24,fd00:0:0:1::/64", "10.0.1.0/24");
        for (mtu, pods, uplink) in [(None, dual, 1330), (Some(1450), dual, 1500), (Some(1300), ipv4, 65536)] {
            assert_eq!(said(mtu, pods, uplink), None);
        }
        assert_eq!(
            said(Some(1451), dual, 1500).unwrap(),
            "spec.mtu of VSwitchConfig node-1 is 1451, but vxlan adds 50 bytes and the uplink eth0 carries 1500: \
             larger packets between nodes are lost; set it to at most 1450, or raise the MTU of eth0 to at least \
             1501, on all nodes"
        );
        let why = said(None, dual, 1329).unwrap();
        assert!(why.contains("least that IPv6 needs") && why.contains("to at least 1330"), "{why}");
        assert!(!said(Some(1280), dual, 1300).unwrap().contains("at most"), "nothing would fit");
        assert!(said(None, ipv4, 1300).unwrap().contains("1330"));
    }

    #[test]
    fn the_pod_mtu_follows_the_uplink_within_bounds() {
        let v4 = "192.0.2.1".parse().unwrap();
        assert_eq!(pod_mtu(1500, OverlayType::Vxlan, v4), 1450);
        assert_eq!(pod_mtu(9000, OverlayType::Gre, v4), 8958);
        assert_eq!(pod_mtu(1300, OverlayType::Vxlan, v4), LEAST_MTU);
        assert_eq!(pod_mtu(65536, OverlayType::Vxlan, v4), 65485);
    }
}
