//! Whether this node reaches the others: over the underlay, over the overlay, and with packets of full size.

use std::net::IpAddr;

use super::cluster::Node;
use super::echo::{Outcome, SMALL, ask, largest};
use super::finding::{Check, Finding};

const CHECK: Check = Check("reach");

/// So many nodes are asked at the same time.
const AT_ONCE: usize = 32;

/// Another node, and how it is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Its name.
    name: String,
    /// Its addresses on the underlay.
    underlay: Vec<IpAddr>,
    /// The address, and the size of the packet, by which a tunnel's largest packets are tried on the underlay.
    full: Option<(IpAddr, u32)>,
    /// Bytes that the overlay adds; none if there is no overlay yet.
    overhead: Option<u32>,
    /// Its addresses on the overlay, and the size of pods' packets.
    overlay: Vec<IpAddr>,
    pod_mtu: u32,
    /// What the tunnel is made of, as firewalls call it.
    tunnel: String,
}

impl Peer {
    /// How `own`, whose uplink carries so many bytes, is to reach `other`.
    pub(super) fn new(own: &Node, uplink_mtu: u32, other: &Node) -> Self {
        let plain = Self {
            name: other.name.clone(),
            underlay: other.addresses.clone(),
            full: other.addresses.first().map(|address| (*address, uplink_mtu)),
            ..Self::default()
        };
        let (Some(here), Some(there)) = (own.parsed(), other.parsed()) else { return plain };
        let mtus = [own.pod_mtu(), other.pod_mtu()];
        // Without what daemons have told, there is no overlay to be tried.
        let Some(pod_mtu) = mtus.into_iter().flatten().min() else { return plain };
        let overhead = u32::from(here.overlay_type.overhead(here.overlay_ip));
        let own_families = here.pod_cidr;
        let both = |address: &IpAddr| match address {
            IpAddr::V4(_) => own_families.ipv4().is_some(),
            IpAddr::V6(_) => own_families.ipv6().is_some(),
        };
        let tunnel = match here.overlay_type {
            api::OverlayType::Vxlan => "UDP port 4789",
            api::OverlayType::Gre => "IP protocol 47",
        };
        Self {
            full: Some((there.overlay_ip, pod_mtu + overhead)),
            overhead: Some(overhead),
            overlay: other.gateways().into_iter().filter(both).collect(),
            pod_mtu,
            tunnel: tunnel.to_owned(),
            ..plain
        }
    }
}

/// Asks all peers, in the calling thread's network namespace.
pub(super) fn check(peers: &[Peer]) -> Vec<Finding> {
    if peers.is_empty() {
        return vec![CHECK.ok("there is no other node")];
    }
    let mut findings = Vec::new();
    for some in peers.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let asking: Vec<_> = some.iter().map(|peer| scope.spawn(|| judge(peer, ask, largest))).collect();
            let gone = || vec![CHECK.problem("asking a node ended early", "try again")];
            findings.extend(asking.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| gone())));
        });
    }
    let count = peers.len();
    let nodes =
        if count == 1 { "the other node answers".to_owned() } else { format!("{count} other nodes answer") };
    let how = match peers.iter().any(|peer| peer.overhead.is_some()) {
        true => "over underlay and overlay",
        false => "over the underlay",
    };
    CHECK.or_ok(findings, format!("{nodes} {how}, to packets of full size too"))
}

/// Asks one peer. What has failed on the underlay is not said again of what is built on it.
fn judge(
    peer: &Peer,
    ask: impl Fn(IpAddr, u32) -> Outcome,
    largest: impl Fn(IpAddr, u32, u32) -> u32,
) -> Vec<Finding> {
    let name = &peer.name;
    let mut findings = Vec::new();
    let asked = peer.underlay.iter().map(|address| (address, ask(*address, SMALL)));
    let silent: Vec<_> = asked.filter(|(_, outcome)| *outcome != Outcome::Answered).collect();
    if let Some((first, _)) = silent.first() {
        let where_and_why: Vec<String> =
            silent.iter().map(|(address, outcome)| format!("{address}{}", why(outcome))).collect();
        return vec![CHECK.problem(
            format!("{name} does not answer over the underlay, at {}", where_and_why.join(" and ")),
            format!(
                "is {name} up, and are these its addresses? See that the network and firewalls between the nodes let ICMP \
                 echo pass, and the routes (ip route get {first})"
            ),
        )];
    }
    let mut narrow = false;
    if let Some((address, bytes)) = peer.full
        && ask(address, bytes) != Outcome::Answered
    {
        narrow = true;
        let carries = largest(address, SMALL, bytes);
        let todo = match peer.overhead {
            Some(overhead) => format!(
                "raise the MTU of what is between them to {bytes}, or set spec.mtu of all VSwitchConfigs to at most {}",
                carries.saturating_sub(overhead)
            ),
            None => format!(
                "raise the MTU of what is between them, or lower that of the uplinks, or set spec.mtu of all VSwitchConfigs to \
                 {carries} less what the overlay adds"
            ),
        };
        findings.push(CHECK.problem(
            format!(
                "the way to {name} ({address}) carries packets of {carries} bytes, and {bytes} are needed"
            ),
            todo,
        ));
    }
    for address in &peer.overlay {
        let outcome = ask(*address, SMALL);
        if outcome != Outcome::Answered {
            findings.push(CHECK.problem(
                format!("{name} answers over the underlay, and not at {address}, over the overlay{}", why(&outcome)),
                format!(
                    "let {} pass between the nodes, in firewalls of both and of what is between them; kvsctl check on {name} \
                     and its VSwitchConfig say whether it is in order; then docs/troubleshooting.md, \"across nodes not\"",
                    peer.tunnel
                ),
            ));
        } else if !narrow && ask(*address, peer.pod_mtu) != Outcome::Answered {
            findings.push(CHECK.problem(
                format!("{name} answers at {address}, over the overlay, and not to packets of {} bytes", peer.pod_mtu),
                "see that both nodes' pods have the same MTU (kubectl get vswitchconfigs -o wide), and that offloads of the \
                 uplinks (ethtool -k) do not damage large tunnel packets",
            ));
        }
    }
    findings
}

fn why(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unreachable(why) => format!(": {why}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(passes: impl Fn(&str, u32) -> bool) -> Vec<String> {
        let peer = Peer {
            name: "b".into(),
            underlay: vec!["192.0.2.2".parse().unwrap()],
            full: Some(("192.0.2.2".parse().unwrap(), 1500)),
            overhead: Some(50),
            overlay: vec!["10.244.2.1".parse().unwrap()],
            pod_mtu: 1450,
            tunnel: "UDP port 4789".into(),
        };
        let ask = |address: IpAddr, bytes| match passes(&address.to_string(), bytes) {
            true => Outcome::Answered,
            false => Outcome::Silent,
        };
        let found = judge(&peer, ask, |_, _, _| 1400);
        found.into_iter().map(|f| format!("{} | {}", f.found, f.todo.unwrap_or_default())).collect()
    }

    #[test]
    fn each_failure_is_said_once_and_where_it_is() {
        assert!(said(|_, _| true).is_empty());
        let cut = said(|_, _| false);
        assert!(cut.len() == 1 && cut[0].contains("over the underlay, at 192.0.2.2"), "{cut:?}");
        let blocked = said(|address, _| address.starts_with("192"));
        assert!(blocked.len() == 1 && blocked[0].contains("let UDP port 4789 pass"), "{blocked:?}");
        let narrow = said(|_, bytes| bytes <= 1400);
        assert!(
            narrow.len() == 1 && narrow[0].contains("spec.mtu of all VSwitchConfigs to at most 1350"),
            "{narrow:?}"
        );
        let large = said(|address, bytes| address.starts_with("192") || bytes < 1000);
        assert!(large.len() == 1 && large[0].contains("not to packets of 1450"), "{large:?}");
    }
}
