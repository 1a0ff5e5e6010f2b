//! The wires of a lab: every machine reaches every other one, and nothing of it is seen outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::time::Duration;

use host::{Netns, ethtool, sysctl};
use lab::layout::{Layout, Place};
use lab::plan;
use lab::probe::{Attempt, Outcome, run};
use lab::sweep;
use lab::topology::{self, UPLINK};

/// Namespaces of a lab, removed when dropped.
struct Wires(Layout);

impl Drop for Wires {
    fn drop(&mut self) {
        let _ = sweep::remove_all(&self.0);
    }
}

#[tokio::test]
async fn machines_reach_each_other_as_on_a_wire() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: network namespaces need root");
        return;
    }
    let layout = Layout::new(&format!("t{}", std::process::id()).parse().unwrap());
    let wires = Wires(layout.clone());
    topology::build_base(&layout).unwrap();
    let node = Netns::open({
        topology::build_node(&layout, "node-1", 1).unwrap();
        layout.netns(&Place::Node("node-1"))
    })
    .unwrap();
    topology::set_addresses(&node, UPLINK, plan::node(1), true).unwrap();
    topology::set_addresses(&node, UPLINK, plan::node(1), true).unwrap();
    assert_eq!(node.run(|| ethtool::offloads_on(UPLINK)).unwrap().unwrap(), Vec::<&str>::new());
    node.run(|| {
        assert_eq!(sysctl::read("net/ipv4/icmp_ratelimit").unwrap(), "0");
        assert_eq!(sysctl::read("net/ipv6/icmp/ratelimit").unwrap(), "0");
        assert_eq!(sysctl::read("net/ipv6/conf/eth0/accept_dad").unwrap(), "0");
    })
    .unwrap();

    let ask = |place: Place<'_>, target| Attempt {
        netns: layout.netns(&place),
        target,
        probe: "ICMP".parse().unwrap(),
        timeout: Duration::from_secs(4),
        listen: false,
    };
    let mut attempts = Vec::new();
    for target in [plan::GATEWAY.both(), plan::OUTSIDE.both(), plan::CONTROL_PLANE.both()].concat() {
        attempts.push(ask(Place::Node("node-1"), target));
    }
    for target in plan::node(1).both() {
        attempts.push(ask(Place::ControlPlane, target));
        attempts.push(ask(Place::Outside, target));
    }
    for (attempt, verdict) in attempts.iter().zip(run(&attempts).await) {
        assert_eq!(verdict.outcome, Outcome::Connected, "{attempt:?}: {verdict:?}");
    }
    assert_eq!(sweep::traces(&layout).unwrap().namespaces.len(), 4);
    drop(wires);
    assert!(sweep::traces(&layout).unwrap().is_empty());
}
