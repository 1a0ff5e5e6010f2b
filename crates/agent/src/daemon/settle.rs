//! From what is known to what is done: each step only when the one before it is.

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Daemon, DaemonError, tasks};
use crate::bridge::{self, BridgePlan, Datapath};
use crate::host_setup::{self, HostPlan};
use crate::{install, mtu};

impl Daemon {
    /// Does everything that can be done now.
    pub(super) async fn settle(&mut self) -> Result<(), DaemonError> {
        if let Some(why) = self.state.waits_for() {
            self.checks.kubernetes.unmet(why);
            return Ok(());
        }
        self.checks.kubernetes.met();
        if !self.database_synced {
            return Ok(());
        }
        let Some(datapath) = self.choose_datapath() else { return Ok(()) };
        let Some(own) = self.own() else { return Ok(()) };
        if self.uplink.is_none() && !self.find_uplink().await? {
            return Ok(());
        }
        let Some(uplink) = self.uplink.clone() else { return Ok(()) };
        self.state.set_own_addresses(uplink.addresses.clone());
        let mtu = own.mtu.unwrap_or_else(|| mtu::pod_mtu(uplink.mtu, own.overlay_type, own.overlay_ip));
        let plan = BridgePlan::new(&self.options.bridge, datapath, &own, &uplink, mtu);
        if !self.bridge(plan).await {
            return Ok(());
        }
        if !self.host(HostPlan::new(&self.options.bridge, &own, self.options.proxy.clone())).await? {
            return Ok(());
        }
        if !self.program().await || !self.restored().await || !self.stamp().await {
            return Ok(());
        }
        self.forget().await;
        if !self.publish().await? {
            return Ok(());
        }
        self.warm().await?;
        if !self.conflist_done {
            let options = self.options.install.clone();
            let done = tokio::task::spawn_blocking(move || install::conflist(&options)).await?;
            if let Err(error) = done {
                self.trouble("ConflistNotInstalled", error.to_string());
                return Ok(());
            }
            self.conflist_done = true;
        }
        self.mtu(mtu).await?;
        if self.hold_until.is_some() {
            return Ok(());
        }
        if self.trouble.take().is_some() {
            info!("the node is in order again");
        }
        match self.ailment() {
            Some((_, why)) => self.checks.node.unmet(why),
            None => self.checks.node.met(),
        }
        Ok(())
    }

    /// The datapath, decided once, when the database is known. `None`: there is none, and nothing must be touched.
    fn choose_datapath(&mut self) -> Option<Datapath> {
        if self.datapath.is_some() {
            return self.datapath;
        }
        let bridge = self.monitor.replica().bridge(&self.options.bridge).map(|(_, bridge)| bridge);
        match bridge::choose_datapath(self.options.datapath, bridge, self.module) {
            Ok(datapath) => {
                info!(datapath = datapath.as_str(), "datapath chosen");
                if datapath == Datapath::Netdev && self.options.datapath.is_none() && !self.module {
                    warn!("this kernel has no openvswitch module: using OVS's userspace datapath (netdev)");
                }
                self.datapath = Some(datapath);
            }
            Err(why) => self.trouble("NoKernelModule", why),
        }
        self.datapath
    }

    /// Whether the rows say what they should, as far as is known.
    async fn bridge(&mut self, plan: BridgePlan) -> bool {
        let operations = plan.operations(self.monitor.replica());
        if operations.is_empty() {
            self.connect.send_if_modified(|wanted| !std::mem::replace(wanted, true));
            return true;
        }
        if self.bridge_sent.as_ref() == Some(&plan) {
            return false;
        }
        debug!(operations = operations.len(), "setting the bridge's rows");
        match self.transact(operations).await {
            Ok(_) => self.bridge_sent = Some(plan),
            Err(error) => {
                self.trouble("BridgeNotSet", format!("cannot set up bridge {}: {error}", plan.name));
            }
        }
        false
    }

    /// Whether the host's side is set up. The bridge's interface must be there, which ovs-vswitchd makes.
    async fn host(&mut self, plan: HostPlan) -> Result<bool, DaemonError> {
        if self.host_done.as_ref() == Some(&plan) && !self.host_due {
            return Ok(true);
        }
        if self.session.is_none() {
            return Ok(false);
        }
        let (wanted, sysctls) = (plan.clone(), self.options.sysctls.clone());
        match tokio::task::spawn_blocking(move || host_setup::apply(&wanted, &sysctls)).await? {
            Ok(()) => {
                if self.host_done.as_ref() != Some(&plan) {
                    info!(bridge = plan.bridge, families = ?plan.families, "host side of the bridge is set up");
                }
                self.host_done = Some(plan);
                self.host_due = false;
                Ok(true)
            }
            Err(error) => {
                self.trouble("HostNotSetUp", error.to_string());
                // Once it was set up, what it lacks now must not keep flows from following the cluster.
                Ok(self.host_done.as_ref() == Some(&plan))
            }
        }
    }

    async fn find_uplink(&mut self) -> Result<bool, DaemonError> {
        let Some(own) = self.own() else { return Ok(false) };
        match tasks::uplink(own.overlay_ip).await? {
            Ok(uplink) => {
                info!(interface = uplink.name, mtu = uplink.mtu, "uplink found");
                self.uplink = Some(uplink);
                Ok(true)
            }
            Err(error) => {
                self.trouble("NoUplink", error.to_string());
                Ok(false)
            }
        }
    }

    /// Gives the interfaces of running pods the MTU that new ones get. What cannot be set is tried again with the next
    /// tick, which also finds the ports that plugins have made meanwhile with the MTU of before.
    async fn mtu(&mut self, mtu: u16) -> Result<(), DaemonError> {
        let changed = self.mtu_done.is_some_and(|old| old != mtu);
        if self.mtu_done == Some(mtu) && !self.mtu_due {
            return Ok(());
        }
        if changed {
            info!(mtu, "MTU of pod interfaces has changed");
        }
        self.mtu_due = false;
        self.mtu_done = Some(mtu);
        let now = Instant::now();
        let all = self.state.ports().map(|(uuid, _)| uuid).collect();
        let due = self.pod_mtus.due(&all, mtu, now);
        if due.is_empty() {
            return Ok(());
        }
        let ports = self.state.ports().filter(|(uuid, _)| due.contains(uuid));
        let looked =
            tasks::set_pod_mtu(ports.map(|(uuid, port)| (uuid, port.clone())).collect(), mtu).await?;
        for (uuid, port, result) in looked {
            if let Some(error) = self.pod_mtus.looked(uuid, mtu, now, result) {
                let pod = format_args!("{}/{}", port.facts.namespace, port.facts.name);
                warn!(port = port.name, %pod, mtu, error, "cannot set a pod's MTU: will try again");
            }
        }
        Ok(())
    }
}
