//! A real Kubernetes on k-vswitch: what its users do every day, and what happens to its nodes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
// How long things took is for people to read.
#![allow(clippy::print_stdout)]

mod nodes;
mod updates;
mod workloads;

use std::collections::BTreeSet;
use std::net::IpAddr;

use system_tests::kube::{Kube, RealPod};

/// Addresses of all Services' pods are distinct, and in both families.
fn distinct(pods: &[RealPod]) {
    let addresses: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.clone()).collect();
    assert_eq!(addresses.len(), 2 * pods.len(), "{pods:?}");
}

/// The first address of a Service.
fn cluster_ips(kube: &Kube, service: &str) -> Vec<IpAddr> {
    let service = kube.get(&["service", service]);
    let ips = service["spec"]["clusterIPs"].as_array().unwrap().iter();
    ips.map(|ip| ip.as_str().unwrap().parse().unwrap()).collect()
}
