//! Interfaces as the database has them: pods' ports and the tunnel.

use ipam::PodPort;
use ovsdb::tables::Interface;
use ovsdb::{RowChange, Uuid};
use tracing::{info, warn};

use super::{LocalPort, State};
use crate::bridge::tunnel_name;
use crate::view::Part;

impl State {
    /// Takes in a change of an interface in the database.
    pub fn interface(&mut self, change: &RowChange<Interface>) {
        let uuid = change.uuid();
        match change.after() {
            Some(row) if PodPort::is_one(&row.external_ids) => self.pod_interface(uuid, row),
            Some(row) => self.tunnel_interface(row),
            None => {
                if let Some(port) = self.ports.remove(&uuid) {
                    info!(
                        port = port.name,
                        pod = %format_args!("{}/{}", port.facts.namespace, port.facts.name),
                        "port removed"
                    );
                    self.drop_port(uuid, &port);
                } else if let Some(row) = change.before()
                    && self.tunnels.remove(&row.name).is_some()
                {
                    self.all_remotes();
                }
            }
        }
    }

    /// The database's contents come again from the start: what is not in them is gone.
    pub fn reset_interfaces(&mut self) {
        for (uuid, port) in std::mem::take(&mut self.ports) {
            self.drop_port(uuid, &port);
        }
        self.tunnels.clear();
        self.all_remotes();
    }

    fn pod_interface(&mut self, uuid: Uuid, row: &Interface) {
        let facts = match PodPort::read(&row.external_ids) {
            Ok(facts) => facts,
            Err(error) => {
                warn!(port = row.name, %error, "a port that k-vswitch-cni did not write so: it gets no network");
                if let Some(port) = self.ports.remove(&uuid) {
                    self.drop_port(uuid, &port);
                }
                return;
            }
        };
        let port = LocalPort {
            name: row.name.clone(),
            ofport: row.ofport.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
            stamp: row.external_ids.get(ipam::keys::PROGRAMMED).and_then(|stamp| stamp.parse().ok()),
            facts,
        };
        let is_new = !self.ports.contains_key(&uuid);
        if is_new {
            info!(
                port = port.name,
                pod = %format_args!("{}/{}", port.facts.namespace, port.facts.name),
                ipv4 = ?port.facts.ipv4, ipv6 = ?port.facts.ipv6,
                "port added"
            );
        }
        let programmed = port.is_programmed();
        self.ports.insert(uuid, port);
        // An earlier daemon has shown a programmed one to the network already: if its pod is known, it goes on.
        if is_new
            && (!programmed || self.synced.contains(&Part::Pods) && self.pod_behind_port(uuid).is_none())
        {
            self.ask_about(uuid);
        }
        self.enforce(uuid);
    }

    fn tunnel_interface(&mut self, row: &Interface) {
        let names = [api::OverlayType::Gre, api::OverlayType::Vxlan].map(tunnel_name);
        if !names.contains(&row.name.as_str()) {
            return;
        }
        let number = row.ofport.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let before = match number {
            Some(number) => self.tunnels.insert(row.name.clone(), number),
            None => self.tunnels.remove(&row.name),
        };
        if before != number {
            self.all_remotes();
        }
    }
}
