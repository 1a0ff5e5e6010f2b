//! Whether the policies that are known are those that the API has.
//!
//! Objects of different kinds come by watches of their own, each in its own time: a pod's may be ahead of the policies'.
//! Before a pod gets its network, its namespace's policies are read once more, from the API itself. What the watch has
//! not told yet is told first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::Mutex;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tracing::warn;

use super::super::{Question, ViewEvent};
use super::objects::PolicyView;

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
    async fn overtake(&self, policies: Vec<PolicyView>) -> Result<(), SendError<ViewEvent>> {
        let seen = self.seen.lock().await;
        for policy in policies.into_iter().filter(|policy| version(policy) > *seen) {
            self.events.send(super::policy(policy)).await?;
        }
        Ok(())
    }
}

/// The version of an object. Versions of one kind grow (Kubernetes API concepts, "Resource versions"); one that is no
/// number tells nothing.
pub(super) fn version<K: Resource>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

/// Answers questions until nobody asks or listens any more. Those that come together about one namespace cost one look.
pub(super) async fn answer(client: &Client, outlet: &Outlet, mut questions: UnboundedReceiver<Question>) {
    while let Some(first) = questions.recv().await {
        let mut asked = BTreeMap::from([(first.namespace, first.ticket)]);
        while let Ok(next) = questions.try_recv() {
            let ticket = asked.entry(next.namespace).or_default();
            *ticket = next.ticket.max(*ticket);
        }
        let answers = asked.into_iter().map(|(namespace, ticket)| async move {
            look(client, outlet, &namespace).await?;
            outlet.events.send(ViewEvent::UpToDate(Question { namespace, ticket })).await
        });
        if join_all(answers).await.iter().any(Result::is_err) {
            return;
        }
    }
}

async fn look(client: &Client, outlet: &Outlet, namespace: &str) -> Result<(), SendError<ViewEvent>> {
    let api: Api<PolicyView> = Api::namespaced(client.clone(), namespace);
    // No resource version: the answer must be of now, not of the server's cache.
    let list = tokio::time::timeout(PATIENCE, api.list(&ListParams::default())).await;
    match list {
        Ok(Ok(list)) => outlet.overtake(list.items).await,
        Ok(Err(error)) => {
            warn!(namespace, %error, "cannot look for new NetworkPolicies: a pod starts with those that are known");
            Ok(())
        }
        Err(_) => {
            warn!(
                namespace,
                "the Kubernetes API does not answer: a pod starts with the NetworkPolicies that are known"
            );
            Ok(())
        }
    }
}
