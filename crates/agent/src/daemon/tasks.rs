//! What blocks, off the loop's thread; and what is done from time to time.

use std::collections::HashSet;
use std::net::IpAddr;

use host::{Netlink, Netns};
use ovsdb::{Uuid, vswitch};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Daemon, DaemonError};
use crate::bridge::Datapath;
use crate::state::LocalPort;
use crate::uplink::{self, Uplink, UplinkError};

/// Whether the kernel has Open vSwitch's datapath. Where it will not be used, it is not asked for, which would load it.
pub(super) async fn has_module(asked: Option<Datapath>) -> Result<bool, DaemonError> {
    if asked == Some(Datapath::Netdev) {
        return Ok(false);
    }
    Ok(spawn_blocking(host::kernel::has_openvswitch).await??)
}

pub(super) async fn uplink(address: IpAddr) -> Result<Result<Uplink, UplinkError>, DaemonError> {
    Ok(spawn_blocking(move || uplink::find(address)).await?)
}

/// A port, and what came of setting its MTU.
type MtuSet = (Uuid, LocalPort, Result<(), String>);

/// Sets the MTU of both ends of pods' veth pairs, where it differs.
pub(super) async fn set_pod_mtu(ports: Vec<(Uuid, LocalPort)>, mtu: u16) -> Result<Vec<MtuSet>, DaemonError> {
    Ok(spawn_blocking(move || {
        let set = |(uuid, port): (Uuid, LocalPort)| {
            let result =
                set_mtu(&port, port.facts.mtu.unwrap_or(mtu).into()).map_err(|error| error.to_string());
            (uuid, port, result.flatten())
        };
        ports.into_iter().map(set).collect()
    })
    .await?)
}

/// A pod that is just going, and its veth pair with it, is no error.
fn set_mtu(port: &LocalPort, mtu: u32) -> host::Result<Result<(), String>> {
    let mut host = Netlink::open()?;
    let Some(outer) = host.find_link(port.name.as_str())? else { return Ok(Ok(())) };
    let mut pod = Netlink::open_in(&Netns::open(&port.facts.netns)?)?;
    let inner = pod.link(port.facts.ifname.as_str())?;
    // The row says which namespace it is, and a path may come to mean another one.
    if (outer.peer, inner.peer) != (Some(inner.index), Some(outer.index)) {
        let (ifname, netns) = (&port.facts.ifname, &port.facts.netns);
        return Ok(Err(format!("interface {ifname} in {netns} is not the other end of {}", port.name)));
    }
    // The kernel drops what is larger than the MTU of the end that receives it: the host's must at no time be smaller
    // than what the pod may send.
    if inner.mtu > mtu {
        pod.set_mtu(inner.index, mtu)?;
    }
    if outer.mtu != mtu {
        host.set_mtu(outer.index, mtu)?;
    }
    if inner.mtu < mtu {
        pod.set_mtu(inner.index, mtu)?;
    }
    Ok(Ok(()))
}

/// Makes the host look for the MACs of tunnel ends, or of the routers in front of them.
fn look_for(addresses: &[IpAddr]) -> host::Result<()> {
    let mut netlink = Netlink::open()?;
    let known = netlink.neighbours(None)?;
    for &address in addresses {
        if let Some(route) = netlink.route_to(address)? {
            let (link, hop) = (route.link, route.via.unwrap_or(address));
            let entry = known.iter().find(|entry| entry.link == link && entry.address == hop);
            netlink.solicit_neighbour(link, hop, entry.and_then(|entry| entry.mac))?;
        }
    }
    Ok(())
}

/// The interface on which kube-proxy in IPVS mode keeps Services' addresses.
const IPVS_LINK: &str = "kube-ipvs0";

impl Daemon {
    /// OVS's userspace tunnels drop packets until they know the next hop's MAC, which they learn from the host's own
    /// ARP and neighbour discovery, and forget after a quarter of an hour. So the host is made to look in time: for
    /// each new node, and for all nodes with every audit, some of them with each tick.
    pub(super) async fn warm(&mut self) -> Result<(), DaemonError> {
        if self.datapath != Some(Datapath::Netdev) {
            return Ok(());
        }
        // OVS listens only once the tunnel is there.
        if self.state.take_remotes_changed() || self.warmth.is_cold() {
            self.warmth.meet(self.state.reachable().map(|remote| remote.overlay_ip));
        }
        let cold = self.warmth.next();
        if cold.is_empty() {
            return Ok(());
        }
        if let Err(error) = spawn_blocking(move || look_for(&cold)).await? {
            debug!(%error, "cannot look for tunnel ends: OVS will when there are packets");
        }
        Ok(())
    }

    /// What is done every few seconds: the uplink's MTU is followed, ports' MTUs are looked at, abandoned ports are removed, and operations that
    /// changed nothing are sent again.
    pub(super) async fn tick(&mut self) -> Result<(), DaemonError> {
        self.bridge_sent = None;
        self.state.ask_again();
        self.state.open_again();
        self.mtu_due = true;
        self.warmth.tick();
        if self.datapath.is_none() && !self.module {
            self.module = has_module(self.options.datapath).await?;
        }
        if let Some(own) = self.own() {
            match uplink(own.overlay_ip).await? {
                Ok(found) => {
                    self.uplink_trouble = None;
                    if self.uplink.as_ref() != Some(&found) {
                        info!(interface = found.name, mtu = found.mtu, "uplink has changed");
                        self.uplink = Some(found);
                    }
                }
                // What is programmed stays; the next look may find it again.
                Err(error) => self.uplink_trouble = Some(error.to_string()),
            }
        }
        // Only a daemon that has set this host up may judge what is missing on it: one in another network namespace
        // would see no veth pair at all.
        if self.database_synced && self.state.waits_for().is_none() && self.host_done.is_some() {
            self.sweep().await?;
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), DaemonError> {
        let links = spawn_blocking(|| -> host::Result<HashSet<String>> {
            Ok(Netlink::open()?.links()?.into_iter().map(|link| link.name).collect())
        })
        .await?;
        self.ipvs = links.as_ref().is_ok_and(|links| links.contains(IPVS_LINK));
        let links = match links {
            Ok(links) if links.contains(&self.options.bridge) => links,
            Ok(_) => {
                debug!(bridge = self.options.bridge, "the bridge's interface is not here: nothing is swept");
                return Ok(());
            }
            Err(error) => {
                warn!(%error, "cannot list the host's interfaces: nothing is swept");
                return Ok(());
            }
        };
        let abandoned = self.sweeper.look(&self.state, &links, self.options.grace, Instant::now());
        for (uuid, why) in abandoned {
            let found = self.state.ports().find(|(found, _)| *found == uuid).map(|(_, port)| port.clone());
            let Some(port) = found else { continue };
            let row = self.monitor.replica().ports.iter().find(|(_, row)| row.name == port.name);
            let Some((row, _)) = row else { continue };
            info!(
                port = port.name,
                pod = %format_args!("{}/{}", port.facts.namespace, port.facts.name),
                why,
                "removing an abandoned port"
            );
            if let Err(error) = self.transact([vswitch::remove_port(row)]).await {
                warn!(port = port.name, %error, "cannot remove the port: will try again");
                continue;
            }
            // The port first, then the veth pair: OVS must not look for a device that is going.
            let name = port.name.clone();
            let deleted = spawn_blocking(move || -> host::Result<()> {
                let mut netlink = Netlink::open()?;
                match netlink.find_link(name.as_str())? {
                    Some(link) => netlink.delete_link(link.index),
                    None => Ok(()),
                }
            })
            .await?;
            if let Err(error) = deleted {
                warn!(port = port.name, %error, "cannot remove the veth pair");
            }
        }
        Ok(())
    }
}
