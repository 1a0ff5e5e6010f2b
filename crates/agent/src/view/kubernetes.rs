//! The cluster view from watches on the Kubernetes API.
//!
//! Only the fields that are used are decoded, and nothing is kept but names: what is known of an object is the state's.

mod objects;

use std::collections::BTreeSet;
use std::fmt::Debug;

use api::{NodeConfig, VSwitchConfig};
use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tracing::{debug, warn};

use self::objects::{NamespaceMeta, PodView, PolicyView};
use super::{Part, PodRef, ViewEvent};

/// Sends the view of the cluster to `events`, until the receiver is dropped.
pub async fn watch(client: Client, events: Sender<ViewEvent>) {
    let configs = follow::<DeserializeGuard<VSwitchConfig>, _>(
        &client,
        Part::Nodes,
        events.clone(),
        |object| {
            let name = object.name_any();
            let config = match &object.0 {
                Ok(object) => NodeConfig::try_from(object).map_err(|e| e.to_string()),
                Err(error) => Err(format!("VSwitchConfig {name} does not decode: {}", error.error)),
            };
            match config {
                Ok(config) => ViewEvent::Node(Box::new(config)),
                Err(why) => ViewEvent::NodeUnusable(name, why),
            }
        },
        |name| ViewEvent::NodeGone(name.name),
    );
    let namespaces = follow::<NamespaceMeta, _>(
        &client,
        Part::Namespaces,
        events.clone(),
        |namespace| {
            ViewEvent::Namespace(
                namespace.metadata.name.unwrap_or_default(),
                namespace.metadata.labels.unwrap_or_default(),
            )
        },
        |name| ViewEvent::NamespaceGone(name.name),
    );
    let policies = follow::<PolicyView, _>(
        &client,
        Part::Policies,
        events.clone(),
        |policy| {
            let name = reference(&policy);
            ViewEvent::Policy(name, Box::new(policy.spec))
        },
        ViewEvent::PolicyGone,
    );
    let pods = follow::<PodView, _>(
        &client,
        Part::Pods,
        events,
        |pod| ViewEvent::Pod(Box::new(pod.into_pod())),
        ViewEvent::PodGone,
    );
    tokio::join!(configs, namespaces, policies, pods);
}

fn reference<K: Resource>(object: &K) -> PodRef {
    PodRef { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Follows one kind of object. A list that is repeated after a gap yields the changes since the one before.
async fn follow<K, F>(
    client: &Client,
    part: Part,
    events: Sender<ViewEvent>,
    present: F,
    gone: impl Fn(PodRef) -> ViewEvent,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    F: Fn(K) -> ViewEvent,
{
    let mut known: BTreeSet<PodRef> = BTreeSet::new();
    let mut listed: BTreeSet<PodRef> = BTreeSet::new();
    // From the API server's cache: a restart of the server is not followed by a storm on its store.
    let config = Config::default().any_semantic();
    let mut stream = std::pin::pin!(watcher(Api::<K>::all(client.clone()), config).default_backoff());
    while let Some(event) = stream.next().await {
        let mut out = Vec::new();
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(reference(&object));
                out.push(present(object));
            }
            Ok(Event::InitDone) => {
                out.extend(known.difference(&listed).cloned().map(&gone));
                known = std::mem::take(&mut listed);
                out.push(ViewEvent::Synced(part));
            }
            Ok(Event::Apply(object)) => {
                known.insert(reference(&object));
                out.push(present(object));
            }
            Ok(Event::Delete(object)) => {
                let name = reference(&object);
                known.remove(&name);
                out.push(gone(name));
            }
            Err(error) => {
                warn!(
                    kind = part.kinds(), %error,
                    "watching the Kubernetes API: will try again; what is programmed stays"
                );
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
