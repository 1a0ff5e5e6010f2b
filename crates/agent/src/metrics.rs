//! What the daemon counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The daemon's metrics, all prefixed `kvswitchd_`.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Flows the switch should have.
    pub flows: Gauge,
    /// Pods' ports on this node.
    pub ports: Gauge,
    /// Other nodes.
    pub remotes: Gauge,
    /// NetworkPolicies that select a pod of this node.
    pub policies: Gauge,
    /// Things that are wrong in NetworkPolicies of the cluster.
    pub policy_problems: Gauge,
    /// Addresses of pods of the cluster.
    pub identities: Gauge,
    /// Services that something is done for.
    pub services: Gauge,
    /// Sets of endpoints.
    pub endpoint_sets: Gauge,
    /// Things that are wrong in Services and EndpointSlices of the cluster.
    pub service_problems: Gauge,
    /// Flows added, changed or deleted.
    pub changes: Counter,
    /// Messages that the switch refused.
    pub refused: Counter,
    /// Flows that an audit found other than they should be.
    pub repairs: Counter,
    /// Times that somebody else deleted the host's nftables table.
    pub table_restorations: Counter,
    /// Connections to the switch.
    pub connects: Counter,
    /// Seconds from the beginning of a bundle to its commit.
    pub bundle_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            flows: Gauge::default(),
            ports: Gauge::default(),
            remotes: Gauge::default(),
            policies: Gauge::default(),
            policy_problems: Gauge::default(),
            identities: Gauge::default(),
            services: Gauge::default(),
            endpoint_sets: Gauge::default(),
            service_problems: Gauge::default(),
            changes: Counter::default(),
            refused: Counter::default(),
            repairs: Counter::default(),
            table_restorations: Counter::default(),
            connects: Counter::default(),
            bundle_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        }
    }
}

impl Metrics {
    /// A registry that shows them.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("kvswitchd");
        registry.register("flows", "Flows the switch should have", self.flows.clone());
        registry.register("ports", "Ports of pods on this node", self.ports.clone());
        registry.register("remote_nodes", "Other nodes with a usable VSwitchConfig", self.remotes.clone());
        registry.register(
            "policies",
            "NetworkPolicies that select a pod of this node",
            self.policies.clone(),
        );
        registry.register(
            "policy_problems",
            "Things that are wrong in NetworkPolicies of the cluster, and allow nothing",
            self.policy_problems.clone(),
        );
        registry.register("identities", "Addresses of pods of the cluster", self.identities.clone());
        registry.register(
            "services",
            "Services of which the bridge is the proxy, without headless ones",
            self.services.clone(),
        );
        registry.register(
            "service_endpoint_sets",
            "Sets of endpoints that connections to Services go to",
            self.endpoint_sets.clone(),
        );
        registry.register(
            "service_problems",
            "Things that are wrong in Services and EndpointSlices of the cluster, and count as if they were not there",
            self.service_problems.clone(),
        );
        registry.register("flow_changes", "Flows added, changed or deleted", self.changes.clone());
        registry.register("flow_refusals", "Flow changes that the switch refused", self.refused.clone());
        registry.register(
            "flow_repairs",
            "Flows that an audit found other than they should be",
            self.repairs.clone(),
        );
        registry.register(
            "nftables_restorations",
            "Times that somebody else deleted the host's nftables table, and it was made again",
            self.table_restorations.clone(),
        );
        registry.register("switch_connects", "Connections to the switch", self.connects.clone());
        registry.register_with_unit(
            "bundle",
            "From the beginning of a bundle to its commit",
            Unit::Seconds,
            self.bundle_seconds.clone(),
        );
        registry
    }
}
