//! The cluster view from watches on the Kubernetes API.

use std::collections::BTreeSet;
use std::fmt::Debug;

use api::{NodeConfig, VSwitchConfig};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use tracing::{debug, warn};

use super::{LocalPod, Part, PodRef, ViewEvent};

/// The kubelet's name for a static pod, which its mirror in the API carries.
const STATIC_POD_HASH: &str = "kubernetes.io/config.hash";

/// What is decoded of a pod.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Pod)]
struct PodMeta {
    metadata: ObjectMeta,
}

/// Sends the view of the cluster as node `node` needs it to `events`, until the receiver is dropped.
pub async fn watch(client: Client, node: &str, events: Sender<ViewEvent>) {
    let configs = follow::<DeserializeGuard<VSwitchConfig>, _>(
        Api::all(client.clone()),
        // From the API server's cache: a restart of the server is not followed by a storm on its store.
        Config::default().any_semantic(),
        Part::Nodes,
        events.clone(),
        |object| {
            let name = object.name_any();
            let config = match &object.0 {
                Ok(object) => NodeConfig::try_from(object).map_err(|e| e.to_string()),
                Err(error) => Err(format!("VSwitchConfig {name} does not decode: {}", error.error)),
            };
            Some(match config {
                Ok(config) => ViewEvent::Node(Box::new(config)),
                Err(why) => ViewEvent::NodeUnusable(name, why),
            })
        },
        |name| ViewEvent::NodeGone(name.name),
    );
    let pods = follow::<PodMeta, _>(
        Api::all(client),
        Config::default().any_semantic().fields(&format!("spec.nodeName={node}")),
        Part::Pods,
        events,
        |pod| {
            let hash = pod.annotations().get(STATIC_POD_HASH).cloned();
            Some(ViewEvent::Pod(LocalPod {
                pod: reference(pod),
                uids: pod.uid().into_iter().chain(hash).collect(),
            }))
        },
        ViewEvent::PodGone,
    );
    tokio::join!(configs, pods);
}

fn reference<K: Resource>(object: &K) -> PodRef {
    PodRef { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Follows one kind of object. A list that is repeated after a gap yields the changes since the one before.
async fn follow<K, F>(
    objects: Api<K>,
    config: Config,
    part: Part,
    events: Sender<ViewEvent>,
    present: F,
    gone: impl Fn(PodRef) -> ViewEvent,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    F: Fn(&K) -> Option<ViewEvent>,
{
    let mut known: BTreeSet<PodRef> = BTreeSet::new();
    let mut listed: BTreeSet<PodRef> = BTreeSet::new();
    let mut stream = std::pin::pin!(watcher(objects, config).default_backoff());
    while let Some(event) = stream.next().await {
        let mut out = Vec::new();
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(reference(&object));
                out.extend(present(&object));
            }
            Ok(Event::InitDone) => {
                out.extend(known.difference(&listed).cloned().map(&gone));
                known = std::mem::take(&mut listed);
                out.push(ViewEvent::Synced(part));
            }
            Ok(Event::Apply(object)) => {
                known.insert(reference(&object));
                out.extend(present(&object));
            }
            Ok(Event::Delete(object)) => {
                let name = reference(&object);
                known.remove(&name);
                out.push(gone(name));
            }
            Err(error) => {
                warn!(?part, %error, "watching the Kubernetes API: will try again; what is programmed stays");
            }
        }
        for event in out {
            if events.send(event).await.is_err() {
                debug!(?part, "nobody listens any more");
                return;
            }
        }
    }
}
