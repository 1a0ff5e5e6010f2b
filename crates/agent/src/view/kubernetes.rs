//! The cluster view from watches on the Kubernetes API.
//!
//! Only the fields that are used are decoded, and nothing is kept but names: what is known of an object is the state's.

mod freshness;
mod objects;
mod proxy;

use std::collections::BTreeSet;
use std::fmt::Debug;

use api::{NodeConfig, VSwitchConfig};
use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use ops::reason;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tracing::{debug, warn};

use self::freshness::{News, Outlet, Outlets};
use self::objects::{NamespaceMeta, PodView, PolicyView};
use self::proxy::{NodeMeta, ServiceView, SliceView};
use super::{Part, PodRef, Question, ViewEvent};

/// Sends the view of the cluster to `events`, until the receiver is dropped, and answers questions there. `proxy` is the
/// name of the node whose daemon is a proxy of Services, and so looks at these too.
pub async fn watch(
    client: Client,
    events: Sender<ViewEvent>,
    questions: UnboundedReceiver<Question>,
    proxy: Option<String>,
) {
    let outlet = || Outlet::new(events.clone());
    let asked = Outlets { policies: outlet(), pods: outlet() };
    let answers = freshness::answer(&client, &asked, questions);
    let configs = follow::<DeserializeGuard<VSwitchConfig>, _>(
        &client,
        Part::Nodes,
        cached(),
        outlet(),
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
        Config::default(),
        outlet(),
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
        Config::default(),
        asked.policies.clone(),
        policy,
        ViewEvent::PolicyGone,
    );
    let pods =
        follow::<PodView, _>(&client, Part::Pods, cached(), asked.pods.clone(), pod, ViewEvent::PodGone);
    let services = async {
        if let Some(node) = &proxy {
            watch_services(&client, &outlet, node).await;
        }
    };
    tokio::join!(configs, namespaces, policies, pods, answers, services);
}

/// What only a proxy of Services looks at.
async fn watch_services(client: &Client, outlet: &impl Fn() -> Outlet, node: &str) {
    let own = Config::default().fields(&format!("metadata.name={node}"));
    let zone = follow::<NodeMeta, _>(
        client,
        Part::Zone,
        own,
        outlet(),
        |node| ViewEvent::Zone(node.into_zone()),
        |_| ViewEvent::Zone(None),
    );
    let some = || cached().labels(proxy::LABELS);
    let services = follow::<ServiceView, _>(
        client,
        Part::Services,
        some(),
        outlet(),
        |service| ViewEvent::Service(reference(&service), Box::new(service.into_service())),
        ViewEvent::ServiceGone,
    );
    let slices = follow::<SliceView, _>(
        client,
        Part::Slices,
        some(),
        outlet(),
        |slice| ViewEvent::Slice(reference(&slice), Box::new(slice.into_slice())),
        ViewEvent::SliceGone,
    );
    tokio::join!(zone, services, slices);
}

fn pod(pod: PodView) -> ViewEvent {
    ViewEvent::Pod(Box::new(pod.into_pod()))
}

fn policy(policy: PolicyView) -> ViewEvent {
    let name = reference(&policy);
    ViewEvent::Policy(name, Box::new(policy.spec))
}

fn reference<K: Resource>(object: &K) -> PodRef {
    PodRef { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// From the API server's cache: a restart of the server is not followed by a storm on its store. Not for policies and
/// namespaces: of what isolates there must be no older news after newer ones, not even from a server that lags behind.
fn cached() -> Config {
    Config::default().any_semantic()
}

/// Follows one kind of object. A list that is repeated after a gap yields the changes since the one before.
async fn follow<K, F>(
    client: &Client,
    part: Part,
    config: Config,
    outlet: Outlet,
    present: F,
    gone: impl Fn(PodRef) -> ViewEvent,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    F: Fn(K) -> ViewEvent,
{
    let mut known: BTreeSet<PodRef> = BTreeSet::new();
    let mut listed: BTreeSet<PodRef> = BTreeSet::new();
    let mut stream = std::pin::pin!(watcher(Api::<K>::all(client.clone()), config).default_backoff());
    let mut list_version = None;
    while let Some(event) = stream.next().await {
        let mut out = Vec::new();
        let mut version = None;
        let mut done = false;
        match event {
            Ok(Event::Init) => {
                listed.clear();
                list_version = None;
            }
            Ok(Event::InitApply(object)) => {
                listed.insert(reference(&object));
                // A list is in no order: what has been seen of it counts only when all of it has.
                list_version = list_version.max(freshness::version(&object));
                out.push(news(object, &present));
            }
            Ok(Event::InitDone) => {
                let names = known.difference(&listed).cloned();
                out.extend(names.map(|name| News { name: name.clone(), version: None, event: gone(name) }));
                known = std::mem::take(&mut listed);
                version = list_version.take();
                done = true;
            }
            Ok(Event::Apply(object)) => {
                known.insert(reference(&object));
                version = freshness::version(&object);
                out.push(news(object, &present));
            }
            Ok(Event::Delete(object)) => {
                known.remove(&reference(&object));
                version = freshness::version(&object);
                out.push(news(object, |object| gone(reference(&object))));
            }
            Err(error) => {
                warn!(
                    kind = part.kinds(),
                    error = reason(&error),
                    "watching the Kubernetes API: will try again; what is programmed stays"
                );
            }
        }
        let mut sent = outlet.send(out, version).await;
        if done && sent.is_ok() {
            sent = outlet.listed(|name| known.contains(name), &gone, part).await;
        }
        if sent.is_err() {
            debug!(?part, "nobody listens any more");
            return;
        }
    }
}

fn news<K: Resource>(object: K, event: impl Fn(K) -> ViewEvent) -> News {
    News { name: reference(&object), version: freshness::version(&object), event: event(object) }
}
