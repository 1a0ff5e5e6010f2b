//! Where real pods are: what their network plugin has written down, seen from outside of their machines.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipam::PodPort;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use ovsdb::tables::Interface;
use ovsdb_blocking::Client as Database;

use crate::cluster::mirror::{Mirror, whenever};
use crate::kubelet::{Entry, PodPlace, Registry};
use crate::supervisor::RealNodes;

/// How long a node's database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps the registry of pods that have a network.
pub(crate) async fn follow(nodes: RealNodes, pods: Mirror<Pod>, registry: Registry) {
    pods.ready().await;
    let entered: std::sync::Mutex<BTreeMap<(String, String), Entry>> = std::sync::Mutex::default();
    whenever("pods", vec![pods.changes()], || {
        let all = pods.all();
        let (nodes, registry, entered) = (nodes.clone(), registry.clone(), &entered);
        async move {
            let found = tokio::task::spawn_blocking(move || places(&nodes, &all)).await.unwrap_or_default();
            let mut entered = entered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let key = |place: &PodPlace| (place.namespace.clone(), place.name.clone());
            let keys: std::collections::BTreeSet<_> = found.iter().map(key).collect();
            entered.retain(|key, _| keys.contains(key));
            for place in found {
                if registry.find(&place.namespace, &place.name).as_ref() != Some(&place) {
                    entered.insert(key(&place), registry.enter(place));
                }
            }
            Ok(())
        }
    })
    .await;
}

/// All running pods. One whose port cannot be found is left out, until something about pods changes.
fn places(nodes: &RealNodes, pods: &[std::sync::Arc<Pod>]) -> Vec<PodPlace> {
    let mut ports: BTreeMap<String, BTreeMap<(String, String), PodPort>> = BTreeMap::new();
    let mut places = Vec::new();
    for pod in pods {
        let (Some(namespace), name) = (pod.namespace(), pod.name_any()) else { continue };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let Some((node, facts)) = node.and_then(|node| nodes.get(&node).map(|facts| (node, facts))) else {
            continue;
        };
        let status = pod.status.as_ref();
        if status.and_then(|status| status.phase.as_deref()) != Some("Running") {
            continue;
        }
        let addresses: Vec<IpAddr> = status
            .and_then(|status| status.pod_ips.as_ref())
            .into_iter()
            .flatten()
            .filter_map(|address| address.ip.parse().ok())
            .collect();
        let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
        let netns = if on_host {
            Some(facts.netns.clone())
        } else {
            let ports = ports.entry(node.clone()).or_insert_with(|| ports_of(&facts.database));
            let port = ports.get(&(namespace.clone(), name.clone()));
            port.and_then(|port| facts.machine.seen(&run(&port.netns)))
        };
        if let Some(netns) = netns {
            places.push(PodPlace { namespace, name, node, netns, addresses });
        }
    }
    places
}

/// `/var/run` is a link to `/run` that would lead to the real machine's, seen from outside.
fn run(netns: &str) -> PathBuf {
    match Path::new(netns).strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => netns.into(),
    }
}

/// The ports of a node's pods.
fn ports_of(database: &Path) -> BTreeMap<(String, String), PodPort> {
    let deadline = Instant::now() + PATIENCE;
    let rows = Database::connect(database, deadline)
        .and_then(|mut client| client.select::<Interface>([], deadline))
        .unwrap_or_else(|error| {
            tracing::warn!(%error, database = %database.display(), "pods cannot be found");
            Vec::new()
        });
    let ports = rows.into_iter().filter_map(|(_, row)| PodPort::read(&row.external_ids).ok());
    ports.map(|port| ((port.namespace.clone(), port.name.clone()), port)).collect()
}
