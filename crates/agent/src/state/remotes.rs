//! Other nodes: the way to their pods.

use api::NodeConfig;
use datapath::{Remote, pipeline};
use openflow::PortNo;
use tracing::warn;

use super::{Owner, State};
use crate::bridge::tunnel_name;

impl State {
    pub(super) fn forget(&mut self, name: &str) {
        self.stale.remove(name);
        self.remotes.remove(name);
        self.remote(name);
    }

    /// A node with a usable configuration takes the addresses of those that have none any more.
    pub(super) fn supplant(&mut self, config: &NodeConfig) {
        let overlaps = |name: &String| {
            let stale = self.remotes.get(name);
            stale.is_some_and(|stale| stale.pod_cidr.overlap(&config.pod_cidr).is_some())
        };
        let supplanted: Vec<String> = self.stale.iter().filter(|name| overlaps(name)).cloned().collect();
        for name in supplanted {
            self.forget(&name);
        }
    }

    /// Whether flows of another node were computed anew since this was asked last.
    pub fn take_remotes_changed(&mut self) -> bool {
        std::mem::take(&mut self.remotes_changed)
    }

    /// Computes one remote node's flows anew.
    pub(super) fn remote(&mut self, name: &str) {
        self.remotes_changed = true;
        let owner = Owner::Remote(name.to_owned());
        let tunnel = self.own.as_ref().and_then(|own| self.tunnels.get(tunnel_name(own.overlay_type)));
        let own_ip = self.own.as_ref().map(|own| own.overlay_ip);
        let remote = self.remotes.get(name);
        let differs =
            |remote: &&NodeConfig| own_ip.is_some_and(|ip| ip.is_ipv4() != remote.overlay_ip.is_ipv4());
        if let Some(remote) = remote.filter(differs) {
            if self.other_family.insert(name.to_owned()) {
                warn!(node = name, overlay_ip = %remote.overlay_ip, own = ?own_ip, "no tunnel: another family");
            }
            self.store.remove(&owner);
            return;
        }
        self.other_family.remove(name);
        match (remote, tunnel) {
            (Some(config), Some(&tunnel)) => {
                let wanted = pipeline::remote(&Remote {
                    name: name.to_owned(),
                    endpoint: config.overlay_ip,
                    pods: config.pod_cidr.iter().collect(),
                    tunnel: PortNo::new(tunnel),
                });
                self.store.set(&owner, wanted);
            }
            _ => self.store.remove(&owner),
        }
    }

    pub(super) fn all_remotes(&mut self) {
        let names: Vec<String> = self.remotes.keys().cloned().collect();
        for name in names {
            self.remote(&name);
        }
    }
}
