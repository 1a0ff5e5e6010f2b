//! Whether what is known of a pod that starts is what the API has.
//!
//! Objects of different kinds come by watches of their own, each in its own time: a pod's may be ahead of the policies'.
//! Before a pod gets its network, its namespace's policies are read once more, from the API itself, and the pod if it is
//! not known. What the watch has not told yet is told first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::Mutex;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::time::timeout;
use tracing::warn;

use super::super::{Question, ViewEvent};
use super::objects::{PodView, PolicyView};

/// How long the API may take to answer. Without it pods start with the policies that are known.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where one watch sends its events, with what it has seen. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    events: Sender<ViewEvent>,
    /// Every change up to this version has been sent. Locked while sending, so that what is older never comes after
    /// what is newer.
    seen: Arc<Mutex<Option<u64>>>,
}

impl Outlet {
    pub(super) fn new(events: Sender<ViewEvent>) -> Self {
        Self { events, seen: Arc::default() }
    }

    /// Sends what the watch says, which brings it to `version`.
    pub(super) async fn send(
        &self,
        events: Vec<ViewEvent>,
        version: Option<u64>,
    ) -> Result<(), SendError<ViewEvent>> {
        let mut seen = self.seen.lock().await;
        for event in events {
            self.events.send(event).await?;
        }
        *seen = (*seen).max(version);
        Ok(())
    }

    /// Sends those objects that the watch has not come to yet.
    async fn overtake<K: Resource>(
        &self,
        objects: Vec<K>,
        present: impl Fn(K) -> ViewEvent,
    ) -> Result<(), SendError<ViewEvent>> {
        let seen = self.seen.lock().await;
        for object in objects.into_iter().filter(|object| version(object) > *seen) {
            self.events.send(present(object)).await?;
        }
        Ok(())
    }
}

/// The version of an object. Versions of one kind grow (Kubernetes API concepts, "Resource versions"); one that is no
/// number tells nothing.
pub(super) fn version<K: Resource>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

/// Outlets of the watches that questions are about.
pub(super) struct Outlets {
    pub(super) policies: Outlet,
    pub(super) pods: Outlet,
}

/// What is asked about one namespace.
#[derive(Default)]
struct Asked {
    ticket: u64,
    unknown: BTreeSet<String>,
}

/// Answers questions until nobody asks or listens any more. Those that come together about one namespace cost one look.
pub(super) async fn answer(client: &Client, outlets: &Outlets, mut questions: UnboundedReceiver<Question>) {
    while let Some(first) = questions.recv().await {
        let mut all: BTreeMap<String, Asked> = BTreeMap::new();
        let mut next = Some(first);
        while let Some(question) = next {
            let asked = all.entry(question.namespace).or_default();
            asked.ticket = question.ticket.max(asked.ticket);
            asked.unknown.extend(question.unknown);
            next = questions.try_recv().ok();
        }
        let answers = all.into_iter().map(|(namespace, asked)| async move {
            let pods = asked.unknown.iter().map(|name| pod(client, outlets, &namespace, name));
            let (policies, pods) = tokio::join!(policies(client, outlets, &namespace), join_all(pods));
            policies?;
            pods.into_iter().collect::<Result<(), _>>()?;
            let answer = Question { namespace, unknown: None, ticket: asked.ticket };
            outlets.policies.events.send(ViewEvent::UpToDate(answer)).await
        });
        if join_all(answers).await.iter().any(Result::is_err) {
            return;
        }
    }
}

async fn policies(client: &Client, outlets: &Outlets, namespace: &str) -> Result<(), SendError<ViewEvent>> {
    let api: Api<PolicyView> = Api::namespaced(client.clone(), namespace);
    // No resource version: the answer must be of now, not of the server's cache.
    let list = timeout(PATIENCE, api.list(&ListParams::default())).await;
    match list {
        Ok(Ok(list)) => outlets.policies.overtake(list.items, super::policy).await,
        failed => {
            let error = failed.err().map_or("it refuses", |_| "it does not answer");
            warn!(
                namespace,
                error,
                "cannot ask the Kubernetes API for new NetworkPolicies: a pod starts with those that are known"
            );
            Ok(())
        }
    }
}

async fn pod(
    client: &Client,
    outlets: &Outlets,
    namespace: &str,
    name: &str,
) -> Result<(), SendError<ViewEvent>> {
    let api: Api<PodView> = Api::namespaced(client.clone(), namespace);
    match timeout(PATIENCE, api.get_opt(name)).await {
        Ok(Ok(Some(pod))) => outlets.pods.overtake(vec![pod], super::pod).await,
        Ok(Ok(None)) => Ok(()),
        _ => {
            warn!(
                namespace,
                name, "cannot ask the Kubernetes API for a pod that starts: it has no network before"
            );
            Ok(())
        }
    }
}
