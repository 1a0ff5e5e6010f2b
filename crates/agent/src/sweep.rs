//! Ports whose pods are gone.
//!
//! A port outlives its pod when nobody called the plugin's DEL: the node was rebooted, the runtime's state was lost,
//! DEL failed for good. Two things say so. The kernel has no longer the host's end of the veth pair: it goes with the
//! pod's network namespace. Or the pod was seen in the API and is there no more. Both must hold for a while, since a
//! port exists for a moment before its veth pair in some orders of ADD, and the API is behind the runtime.
//!
//! A pod that was never seen in the API proves nothing: static pods come before their mirrors.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ovsdb::Uuid;
use tokio::time::Instant;

use crate::state::State;
use crate::view::PodRef;

/// Time for which a port must look abandoned.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// Since its veth pair is gone.
    pub link: Duration,
    /// Since its pod is gone from the API.
    pub pod: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        // A pod deleted by force may shut down for as long as its own grace period; the runtime's DEL comes after that.
        Self { link: Duration::from_secs(10), pod: Duration::from_secs(900) }
    }
}

/// Remembers since when ports look abandoned.
#[derive(Debug, Default)]
pub struct Sweeper {
    seen: HashSet<Uuid>,
    no_link: HashMap<Uuid, Instant>,
    no_pod: HashMap<Uuid, Instant>,
}

impl Sweeper {
    /// The ports to remove now, with the reason. `links` are the names of all interfaces of the host.
    pub fn look(
        &mut self,
        state: &State,
        links: &HashSet<String>,
        grace: Grace,
        now: Instant,
    ) -> Vec<(Uuid, &'static str)> {
        let mut abandoned = Vec::new();
        let ports: HashMap<Uuid, _> = state.ports().collect();
        self.seen.retain(|uuid| ports.contains_key(uuid));
        self.no_link.retain(|uuid, _| ports.contains_key(uuid));
        self.no_pod.retain(|uuid, _| ports.contains_key(uuid));
        for (uuid, port) in ports {
            if links.contains(&port.name) {
                self.no_link.remove(&uuid);
            } else if now.duration_since(*self.no_link.entry(uuid).or_insert(now)) >= grace.link {
                abandoned.push((uuid, "its veth pair is gone"));
                continue;
            }
            let Some(pods) = state.pods() else { continue };
            let pod = PodRef { namespace: port.facts.namespace.clone(), name: port.facts.name.clone() };
            if pods.contains(&pod, port.facts.uid.as_deref()) {
                self.seen.insert(uuid);
                self.no_pod.remove(&uuid);
            } else if self.seen.contains(&uuid)
                && now.duration_since(*self.no_pod.entry(uuid).or_insert(now)) >= grace.pod
            {
                abandoned.push((uuid, "its pod was deleted from the API"));
            }
        }
        abandoned
    }
}

#[cfg(test)]
mod tests;
