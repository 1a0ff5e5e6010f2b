//! Open vSwitch with a single flow, `actions=NORMAL`: on each machine a bridge with the pods' veth pairs and a tunnel to the
//! other. All pods are one segment, MACs are learned, no connection is tracked. Or each is, once on each machine, which is
//! the least that a switch does that knows connections: policies and Services cannot be had for less.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use bench::switch::OpenVSwitch;

use crate::contender::{Contender, NORMAL, Overlay, TRACKED};
use crate::machines::{Conditions, Machines, UNDERLAY};

/// As the pods' tunnels have one.
const KEY: &str = "options:key=7";

/// Every connection is tracked, and nothing else is done with it.
const TRACK: [&str; 4] = [
    "table=0,priority=1,ip,actions=ct(table=1)",
    "table=0,priority=0,actions=NORMAL",
    "table=1,priority=1,ct_state=+new,ip,actions=ct(commit),NORMAL",
    "table=1,priority=0,actions=NORMAL",
];

pub(crate) fn contender(
    overlay: Overlay,
    conditions: Conditions,
    tracked: bool,
) -> anyhow::Result<Contender> {
    let mut machines = Machines::new()?;
    let kind = if conditions.netdev { "datapath_type=netdev" } else { "datapath_type=system" };
    let mut switches = Vec::new();
    for (machine, other) in machines.machines.iter().zip(UNDERLAY.into_iter().rev()) {
        let switch = OpenVSwitch::start(machine.name())?;
        // Without a controller it has the one flow with which it learns and forwards.
        let bridge = ["set", "bridge", "pods", kind, "fail_mode=standalone"];
        switch.vsctl(&[&["add-br", "pods", "--"], &bridge[..]].concat())?;
        if conditions.netdev {
            // Tunnels in userspace look for the machine's address on a bridge.
            let bridge = ["set", "bridge", "phy", kind, "fail_mode=standalone"];
            switch.vsctl(&[&["add-br", "phy", "--"], &bridge[..]].concat())?;
            switch.vsctl(&["add-port", "phy", "eth0"])?;
        }
        let (tunnel, remote) = (format!("type={}", overlay.name()), format!("options:remote_ip={other}"));
        let interface = ["set", "interface", "tunnel", &tunnel, &remote, KEY];
        switch.vsctl(&[&["add-port", "pods", "tunnel", "--"], &interface[..]].concat())?;
        if tracked {
            switch.ofctl("del-flows", "pods", &[])?;
            for flow in TRACK {
                switch.ofctl("add-flow", "pods", &[flow])?;
            }
        }
        switches.push(switch);
    }
    machines.address(if conditions.netdev { "phy" } else { "eth0" })?;
    let mut pod = |machine: usize, name: &str, number: u8| {
        let address = Ipv4Addr::new(10, 99, 0, number);
        let end = machines.pod(machine, name, address, 24, conditions)?;
        switches.get(machine).context("there are two machines")?.vsctl(&["add-port", "pods", name])?;
        anyhow::Ok(end)
    };
    let key = if tracked { TRACKED } else { NORMAL };
    let (client, near, far) = (pod(0, "client", 1)?, pod(0, "near", 2)?, pod(1, "far", 3)?);
    let nodes = machines.netns();
    let background = switches.iter().map(OpenVSwitch::background).collect();
    Ok(Contender { key, client, near, far, nodes, background, _guard: Box::new((switches, machines)) })
}
