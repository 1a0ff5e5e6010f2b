//! Whether what is known of a pod that starts is what the API has.
//!
//! Objects of different kinds come by watches of their own, each in its own time: a pod's may be ahead of the policies'.
//! Before a pod gets its network, its namespace's policies are read once more, from the API itself, and the pod if it is
//! not known. What the watch has not told yet is told first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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

use super::super::{Part, PodRef, Question, ViewEvent};
use super::objects::{PodView, PolicyView};

/// How long the API may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked, and the time between. Without an answer pods start with the policies that are known.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Where one watch sends its events, with what it has seen. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    events: Sender<ViewEvent>,
    /// Locked while sending, so that what is older never comes after what is newer.
    progress: Arc<Mutex<Progress>>,
}

/// How far a watch has come.
#[derive(Debug, Default)]
struct Progress {
    /// Every change up to this version has been sent.
    seen: Option<u64>,
    /// Objects that were sent ahead of the watch, in these versions. What the watch says of older ones does not count.
    ahead: HashMap<PodRef, Option<u64>>,
}

/// What a watch says of one object.
#[derive(Debug)]
pub(super) struct News {
    pub(super) name: PodRef,
    pub(super) version: Option<u64>,
    pub(super) event: ViewEvent,
}

impl Outlet {
    pub(super) fn new(events: Sender<ViewEvent>) -> Self {
        Self { events, progress: Arc::default() }
    }

    /// Sends what the watch says, which brings it to `version`.
    pub(super) async fn send(
        &self,
        news: impl IntoIterator<Item = News>,
        version: Option<u64>,
    ) -> Result<(), SendError<ViewEvent>> {
        let mut progress = self.progress.lock().await;
        for News { name, version, event } in news {
            if progress.ahead.get(&name).is_none_or(|ahead| version >= *ahead) {
                self.events.send(event).await?;
            }
        }
        progress.seen = progress.seen.max(version);
        let seen = progress.seen;
        progress.ahead.retain(|_, ahead| *ahead > seen);
        Ok(())
    }

    /// A list is complete. What was sent ahead of the watch and is not in it has gone meanwhile.
    pub(super) async fn listed(
        &self,
        present: impl Fn(&PodRef) -> bool,
        gone: impl Fn(PodRef) -> ViewEvent,
        part: Part,
    ) -> Result<(), SendError<ViewEvent>> {
        let mut progress = self.progress.lock().await;
        let names: Vec<PodRef> = progress.ahead.keys().filter(|name| !present(name)).cloned().collect();
        for name in names {
            progress.ahead.remove(&name);
            self.events.send(gone(name)).await?;
        }
        self.events.send(ViewEvent::Synced(part)).await
    }

    /// Sends those objects that the watch has not come to yet.
    async fn overtake<K: Resource>(
        &self,
        objects: Vec<K>,
        present: impl Fn(K) -> ViewEvent,
    ) -> Result<(), SendError<ViewEvent>> {
        let mut progress = self.progress.lock().await;
        let seen = progress.seen;
        for object in objects.into_iter().filter(|object| version(object) > seen) {
            let (name, version) = (super::reference(&object), version(&object));
            let ahead = progress.ahead.entry(name).or_default();
            if version > *ahead {
                *ahead = version;
                self.events.send(present(object)).await?;
            }
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
    let everything = ListParams::default();
    match patiently(|| api.list(&everything)).await {
        Ok(list) => outlets.policies.overtake(list.items, super::policy).await,
        Err(error) => {
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

/// Asks until there is an answer, a few times.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = kube::Result<T>>,
{
    let mut said = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match timeout(PATIENCE, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => said = error.to_string(),
            Err(_) => said = format!("no answer within {} s", PATIENCE.as_secs()),
        }
    }
    Err(said)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;

    fn policy(name: &str, version: u64) -> PolicyView {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "namespace": "a", "resourceVersion": version.to_string()},
            "spec": {"policyTypes": [version.to_string()]},
        }))
        .unwrap()
    }

    fn reference(name: &str) -> PodRef {
        PodRef { namespace: "a".into(), name: name.into() }
    }

    fn applied(name: &str, version: u64) -> News {
        let event = super::super::policy(policy(name, version));
        News { name: reference(name), version: Some(version), event }
    }

    fn deleted(name: &str, version: u64) -> News {
        let name = reference(name);
        News { name: name.clone(), version: Some(version), event: ViewEvent::PolicyGone(name) }
    }

    /// Versions of policies that came, and names of those that went.
    fn came(events: &mut Receiver<ViewEvent>) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(event) = events.try_recv() {
            all.push(match event {
                ViewEvent::Policy(_, spec) => spec.policy_types.unwrap().concat(),
                ViewEvent::PolicyGone(name) => format!("no {}", name.name),
                other => format!("{other:?}"),
            });
        }
        all
    }

    #[tokio::test]
    async fn what_is_older_never_comes_after_what_is_newer() {
        let (sender, mut events) = channel(100);
        let outlet = Outlet::new(sender);
        outlet.send([applied("p", 5)], Some(5)).await.unwrap();
        outlet.overtake(vec![policy("p", 10), policy("q", 4)], super::super::policy).await.unwrap();
        assert_eq!(came(&mut events), ["5", "10"], "q's fourth version has been told, and it is gone");
        outlet.send([applied("p", 7)], Some(7)).await.unwrap();
        outlet.send([deleted("p", 8)], Some(8)).await.unwrap();
        assert_eq!(came(&mut events), Vec::<String>::new());
        outlet.send([applied("p", 10)], Some(10)).await.unwrap();
        outlet.send([deleted("p", 11)], Some(11)).await.unwrap();
        assert_eq!(came(&mut events), ["10", "no p"]);
    }

    #[tokio::test]
    async fn what_was_sent_ahead_and_is_in_no_list_is_gone() {
        let (sender, mut events) = channel(100);
        let outlet = Outlet::new(sender);
        outlet.overtake(vec![policy("p", 10), policy("q", 11)], super::super::policy).await.unwrap();
        came(&mut events);
        outlet.listed(|name| name.name == "q", ViewEvent::PolicyGone, Part::Policies).await.unwrap();
        assert_eq!(came(&mut events), ["no p", "Synced(Policies)"]);
    }
}
