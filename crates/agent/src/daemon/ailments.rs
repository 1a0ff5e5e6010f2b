//! What is wrong with the node, in words that tell what to look at.

use super::Daemon;
use crate::bridge::{Datapath, tunnel_name};
use crate::mtu;

impl Daemon {
    /// What is wrong with the node, if anything: first what keeps it from being set up, then what does not.
    pub(super) fn ailment(&self) -> Option<(&'static str, String)> {
        let some = |reason, why: &Option<String>| why.clone().map(|why| (reason, why));
        self.trouble
            .clone()
            .or_else(|| self.state.unusable().map(|why| ("ConfigUnusable", why.to_owned())))
            .or_else(|| some("NoUplink", &self.uplink_trouble))
            .or_else(|| some("FlowRefused", &self.refusal))
            .or_else(|| self.closed_ailment())
            .or_else(|| self.ipvs_ailment())
            .or_else(|| self.tunnel_ailment())
            .or_else(|| self.family_ailment())
            .or_else(|| Some(("MtuTooLarge", mtu::complaint(self.state.own()?, self.uplink.as_ref()?)?)))
    }

    /// What keeps packets from going to other nodes although flows are in.
    fn tunnel_ailment(&self) -> Option<(&'static str, String)> {
        let own = self.state.own()?;
        let switch = self.monitor.replica();
        let name = tunnel_name(own.overlay_type);
        let tunnel = switch.interfaces.rows().find(|row| row.name == name)?;
        if let Some(error) = tunnel.error.as_ref().filter(|error| !error.is_empty()) {
            let why = format!(
                "Open vSwitch cannot open the tunnel port {name}: {error}: does another {} device hold the port, or \
                 does the kernel lack the module?",
                own.overlay_type
            );
            return Some(("TunnelNotOpened", why));
        }
        let uplink = self.uplink.as_ref()?;
        // A node alone needs no tunnel.
        let alone = self.state.remotes().next().is_none();
        if self.datapath == Some(Datapath::Netdev) && !alone && switch.bridge(&uplink.name).is_none() {
            let why = format!(
                "the overlay address is on {}, which is no OVS bridge: userspace tunnels leave only by one (see \
                 Datapaths in docs/operations.md)",
                uplink.name
            );
            return Some(("UnderlayNotOnBridge", why));
        }
        None
    }

    /// Nodes that cannot be reached, whatever is programmed.
    fn family_ailment(&self) -> Option<(&'static str, String)> {
        let (own, others) = (self.state.own()?, self.state.other_family());
        let first = others.first()?;
        let more = match others.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let why = format!(
            "node {first}{more}: overlay address of another family than this node's {}, so that no tunnel can be \
             between them: give all Nodes an InternalIP of one family first (kubelet --node-ip)",
            own.overlay_ip
        );
        Some(("UnderlayFamiliesDiffer", why))
    }

    /// Pods without network because the switch refuses what isolates them.
    fn closed_ailment(&self) -> Option<(&'static str, String)> {
        let closed = self.state.closed();
        (closed > 0).then(|| {
            let why = format!(
                "{closed} pods have no network: the switch refuses flows that isolate them; see the daemon's log"
            );
            ("PodsClosed", why)
        })
    }

    /// What IPVS sends on for others looks to the kernel's routing like the node's own packets, which policies let pass.
    fn ipvs_ailment(&self) -> Option<(&'static str, String)> {
        self.ipvs.then(|| {
            let why = "kube-proxy runs in IPVS mode (there is kube-ipvs0): NetworkPolicies cannot tell what it forwards \
                       from what the node sends, so let it run in nftables or iptables mode";
            ("IpvsUnsupported", why.to_owned())
        })
    }
}
