//! Where real pods are: what their network plugin has written down, seen from outside of their machines. And their servers: what a
//! container of a pod declares that does nothing ([`crate::serve::is_idle`]), the lab serves, as for pods that have no containers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipam::PodPort;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use ovsdb::tables::Interface;
use ovsdb_blocking::Client as Database;
use tokio::sync::Mutex;

use crate::cluster::mirror::{Mirror, whenever};
use crate::kubelet::{Entry, PodPlace, Registry};
use crate::probe::Probe;
use crate::serve::{Identity, SctpResponder, ServeError, Servers, declared_ports, is_idle};
use crate::supervisor::RealNodes;

/// How long a node's database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running pod, and what is to be served for it.
struct Found {
    uid: String,
    place: PodPlace,
    ports: Vec<Probe>,
    /// Answers SCTP on the network of the pod's node, if it is on that.
    on_host: Option<Arc<SctpResponder>>,
}

/// A pod in the registry. Its servers end when this is dropped.
struct Known {
    place: PodPlace,
    _servers: Option<Servers>,
    _entry: Entry,
}

/// Keeps the registry of pods that have a network, and serves for them.
pub(crate) async fn follow(nodes: RealNodes, pods: Mirror<Pod>, registry: Registry) {
    pods.ready().await;
    let known: Mutex<BTreeMap<String, Known>> = Mutex::default();
    whenever("pods", vec![pods.changes()], || {
        let all = pods.all();
        let (nodes, registry, known) = (nodes.clone(), registry.clone(), &known);
        async move {
            let found = tokio::task::spawn_blocking(move || running(&nodes, &all)).await.unwrap_or_default();
            let mut known = known.lock().await;
            let places: BTreeMap<&str, &PodPlace> =
                found.iter().map(|pod| (pod.uid.as_str(), &pod.place)).collect();
            // First: the ports of a pod that has gone may be another's.
            known.retain(|uid, pod| places.get(uid.as_str()) == Some(&&pod.place));
            let new = found.into_iter().filter(|pod| !known.contains_key(&pod.uid));
            let new = futures::future::join_all(new.map(|pod| enter(pod, &registry))).await;
            known.extend(new);
            Ok(())
        }
    })
    .await;
}

/// Serves for a pod, and enters it then: whoever finds it finds its servers, too.
async fn enter(pod: Found, registry: &Registry) -> (String, Known) {
    let servers = match serve(&pod).await {
        Ok(servers) => servers,
        Err(error) => {
            tracing::warn!(pod = pod.place.name, %error, "nothing is served for a pod");
            None
        }
    };
    let entry = registry.enter(pod.place.clone());
    (pod.uid, Known { place: pod.place, _servers: servers, _entry: entry })
}

async fn serve(pod: &Found) -> Result<Option<Servers>, ServeError> {
    if pod.ports.is_empty() {
        return Ok(None);
    }
    let PodPlace { namespace, name, netns, addresses, .. } = &pod.place;
    let identity = Identity { namespace: namespace.clone(), name: name.clone() };
    let sctp = match &pod.on_host {
        Some(sctp) => Arc::clone(sctp),
        None => SctpResponder::start(netns, addresses).await?,
    };
    Servers::start(netns, &identity, &pod.ports, addresses, &sctp).await.map(Some)
}

/// All running pods. One whose port cannot be found is left out, until something about pods changes.
fn running(nodes: &RealNodes, pods: &[Arc<Pod>]) -> Vec<Found> {
    let mut ports: BTreeMap<String, BTreeMap<(String, String), PodPort>> = BTreeMap::new();
    let mut found = Vec::new();
    for pod in pods {
        let (Some(namespace), name, Some(uid)) = (pod.namespace(), pod.name_any(), pod.uid()) else {
            continue;
        };
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
        let Some(netns) = netns else { continue };
        found.push(Found {
            uid,
            place: PodPlace { namespace, name, node, netns, addresses },
            ports: declared_ports(pod, is_idle),
            on_host: on_host.then(|| Arc::clone(&facts.sctp)),
        });
    }
    found
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
