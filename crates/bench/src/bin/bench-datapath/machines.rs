//! Two machines on a wire, as a lab has its nodes: each a network namespace whose `eth0` is a veth pair to a bridge, without
//! offloads, so that no packet exceeds the MTU there. And pods on them.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use bench::Place;
use bench::switch::run;
use host::{Netns, ethtool};

use crate::contender::End;

/// The machines' addresses on the wire.
pub(crate) const UNDERLAY: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

/// What contenders have to have alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// MTU of pods' interfaces.
    pub(crate) mtu: u32,
    /// Open vSwitch's own datapath instead of the kernel's, with which offloads of pods' interfaces are off.
    pub(crate) netdev: bool,
}

/// Two machines, their wire, and their pods. All are gone when this is dropped.
pub(crate) struct Machines {
    pub(crate) machines: [Place; 2],
    pods: Vec<Place>,
    _wire: Place,
}

impl Machines {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let wire = Place::machine()?;
        ip(&wire, &["link", "add", "br0", "type", "bridge"])?;
        ip(&wire, &["link", "set", "br0", "up"])?;
        let machines = [Place::machine()?, Place::machine()?];
        for (port, machine) in ["m1", "m2"].into_iter().zip(&machines) {
            ip(
                &wire,
                &["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", machine.name()],
            )?;
            ip(&wire, &["link", "set", port, "master", "br0"])?;
            wire.netns.run(|| ethtool::offloads_off(port))??;
            machine.netns.run(|| ethtool::offloads_off("eth0"))??;
            ip(&wire, &["link", "set", port, "up"])?;
            ip(machine, &["link", "set", "eth0", "up"])?;
        }
        Ok(Self { machines, pods: Vec::new(), _wire: wire })
    }

    /// Where the machines are.
    pub(crate) fn netns(&self) -> [Netns; 2] {
        self.machines.each_ref().map(|machine| machine.netns.clone())
    }

    /// Gives each machine its address on the wire, on this interface.
    pub(crate) fn address(&self, link: &str) -> anyhow::Result<()> {
        for (machine, address) in self.machines.iter().zip(UNDERLAY) {
            ip(machine, &["link", "set", link, "up"])?;
            ip(machine, &["address", "add", &format!("{address}/24"), "dev", link])?;
        }
        Ok(())
    }

    /// Makes a pod on a machine, with this address on its `eth0`. The machine's end of it has the name `port`.
    pub(crate) fn pod(
        &mut self,
        machine: usize,
        port: &str,
        address: Ipv4Addr,
        length: u8,
        conditions: Conditions,
    ) -> anyhow::Result<End> {
        let pod = Place::machine()?;
        let (mtu, net) = (conditions.mtu.to_string(), format!("{address}/{length}"));
        let on = self.machines.get(machine).ok_or_else(|| anyhow::anyhow!("there are two machines"))?;
        let peer = ["peer", "name", "eth0", "mtu", &mtu, "netns", pod.name()];
        ip(on, &[&["link", "add", port, "mtu", &mtu, "type", "veth"], &peer[..]].concat())?;
        if conditions.netdev {
            on.netns.run(|| ethtool::offloads_off(port))??;
            pod.netns.run(|| ethtool::offloads_off("eth0"))??;
        }
        ip(on, &["link", "set", port, "up"])?;
        ip(&pod, &["address", "add", &net, "dev", "eth0"])?;
        ip(&pod, &["link", "set", "eth0", "up"])?;
        let end = End { netns: pod.netns.clone(), address: IpAddr::V4(address) };
        self.pods.push(pod);
        Ok(end)
    }

    /// Runs `ip` in the pod made last.
    pub(crate) fn in_last_pod(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.pods.last().map_or(Ok(()), |pod| ip(pod, arguments))
    }
}

/// Runs `ip` in a namespace.
pub(crate) fn ip(place: &Place, arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("ip").args(["-n", place.name()]).args(arguments)).map(drop)
}
