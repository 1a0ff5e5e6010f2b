//! What pods that asked each other have found, node by node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::CHECK;
use crate::check::finding::Finding;
use crate::in_pod::{Failure, Message};

/// A node and the addresses of the pod that serves there.
pub(super) struct Place {
    pub(super) node: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// What the pod of a node has found.
pub(super) struct Asked {
    pub(super) from: String,
    pub(super) message: Message,
}

/// A node on which nothing was tried.
pub(super) fn not_ready(node: &str) -> Finding {
    CHECK.problem(
        format!("{node} is not Ready, and was left out"),
        format!("see `kubectl describe node {node}`, and `kvsctl check` there"),
    )
}

/// A node whose pod did not do what it should.
pub(super) fn not_started(node: &str, why: &str) -> Finding {
    CHECK.problem(
        format!("a pod on {node} does not start: {why}"),
        format!(
            "see the daemon's log there (kubectl -n kube-system logs -l app.kubernetes.io/component=agent, the pod on {node}), and \
             docs/troubleshooting.md, \"A pod stays in ContainerCreating\""
        ),
    )
}

/// A node whose pod asks, and has not said what came of it.
pub(super) fn not_done(node: &str, why: &str) -> Finding {
    CHECK.problem(
        format!("a pod on {node} has not said whom it reaches: {why}"),
        "see that the image has this version of kvsctl, and that containers really run there (in a lab: --api kubernetes)",
    )
}

/// All is well.
pub(super) fn well(nodes: usize, service: &[IpAddr]) -> String {
    let families = if service.len() > 1 { ", in both families" } else { "" };
    match nodes {
        1 => format!("a pod on the node reaches another and a Service, over TCP and UDP{families}"),
        _ => format!(
            "pods on {nodes} nodes reach those on all of them and a Service, over TCP and UDP{families}"
        ),
    }
}

/// One finding for each node that a node's pod does not reach, and for Services.
pub(super) fn all(places: &[Place], service: &[IpAddr], asked: &[Asked]) -> Vec<Finding> {
    let node_of: BTreeMap<IpAddr, &str> =
        places.iter().flat_map(|place| place.addresses.iter().map(|ip| (*ip, place.node.as_str()))).collect();
    let mut findings = Vec::new();
    for Asked { from, message } in asked {
        let mut by_node: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
        let mut of_services = Vec::new();
        for failure in &message.failures {
            match node_of.get(&failure.to) {
                Some(node) => by_node.entry(node).or_default().push(failure),
                None => of_services.push(failure),
            }
        }
        let pods_fail = !by_node.is_empty();
        findings.extend(by_node.into_iter().map(|(to, failures)| unreached(from, to, &failures)));
        // A Service that leads to pods that are not reached says nothing new.
        if !pods_fail && !of_services.is_empty() {
            findings.push(CHECK.problem(
                format!("pods on {from} reach pods, and not a Service: {}", list(&of_services)),
                format!(
                    "see that k-vswitchd on {from} is the proxy of Services (serviceProxy, kvsctl service list there), or that kube-proxy \
                     runs; and that {} are of the Service CIDR (kvsctl check)",
                    service.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
                ),
            ));
        }
        let more = message.failed.saturating_sub(message.failures.len());
        if more > 0 {
            findings.push(CHECK.note(
                format!("{from}: {more} more did not answer"),
                "mend those that are named, then try again",
            ));
        }
    }
    findings
}

fn unreached(from: &str, to: &str, failures: &[&Failure]) -> Finding {
    if from == to {
        return CHECK.problem(
            format!("pods on {from} do not reach each other: {}", list(failures)),
            format!("see `kvsctl status` and `kvsctl check` on {from} (kubectl -n kube-system exec, in its k-vswitchd pod)"),
        );
    }
    CHECK.problem(
        format!("pods on {from} do not reach those on {to}: {}", list(failures)),
        format!(
            "run `kvsctl check` on {from} and {to} (kubectl -n kube-system exec, in their k-vswitchd pods), which tells underlay, overlay \
             and packet sizes apart"
        ),
    )
}

fn list(failures: &[&Failure]) -> String {
    let each: Vec<String> =
        failures.iter().map(|failure| format!("{} {}: {}", failure.by, failure.to, failure.why)).collect();
    each.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_said_of_the_nodes_it_fails_between() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let places = [("a", "10.0.1.2"), ("b", "10.0.2.2")]
            .map(|(node, address)| Place { node: node.to_owned(), addresses: vec![ip(address)] });
        let service = [ip("10.96.0.9")];
        let said = |from: &str, to: &[&str]| {
            let failure =
                |to: &&str| Failure { to: ip(to), by: "TCP".to_owned(), why: "timed out".to_owned() };
            let failures: Vec<Failure> = to.iter().map(failure).collect();
            let message = Message { failed: failures.len(), failures };
            let found = all(&places, &service, &[Asked { from: from.to_owned(), message }]);
            found.into_iter().map(|finding| finding.found).collect::<Vec<_>>()
        };
        assert!(said("a", &[]).is_empty());
        assert_eq!(said("a", &["10.0.2.2"]), ["pods on a do not reach those on b: TCP 10.0.2.2: timed out"]);
        assert_eq!(said("a", &["10.0.1.2"]), ["pods on a do not reach each other: TCP 10.0.1.2: timed out"]);
        assert_eq!(
            said("a", &["10.96.0.9"]),
            ["pods on a reach pods, and not a Service: TCP 10.96.0.9: timed out"]
        );
        assert_eq!(said("b", &["10.0.1.2", "10.96.0.9"]).len(), 1);
    }

    #[test]
    fn what_there_was_no_room_for_is_counted() {
        let message = Message { failed: 9, failures: Vec::new() };
        let found = all(&[], &[], &[Asked { from: "a".to_owned(), message }]);
        assert_eq!(found.len(), 1);
        assert!(found[0].found.contains("9 more"), "{found:?}");
    }
}
