//! The controller's loop.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::Duration;

use api::VSwitchConfig;
use futures::{StreamExt as _, TryStream};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use ops::{Check, reason};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::leader::Elector;
use crate::node::Node;
use crate::plan::{ClusterParams, Plan};
use crate::policies;
use crate::reconcile::Reconciler;

/// Time before a node whose object could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the controller is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's parameters.
    pub params: ClusterParams,
    /// Namespace of the Lease.
    pub lease_namespace: String,
    /// This replica's name, unlike any other's.
    pub identity: String,
}

/// Why the controller stopped working.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another replica may be working: the process must end.
    #[error("leadership lost: {0}")]
    LeadershipLost(String),
    /// A watch ended, which it never does.
    #[error("the watch on {0} ended")]
    WatchEnded(&'static str),
}

/// Waits for leadership, then works until it is lost. `check` is met while the replica does its part: standing by, or
/// leading with all watches in sync. Dropping the future stops the work; [`Elector::release`] then frees the Lease.
///
/// # Errors
/// When leadership is lost.
pub async fn run(
    client: Client,
    elector: &Elector,
    options: &Options,
    check: &Check,
) -> Result<(), RunError> {
    check.met();
    elector.acquire().await;
    check.unmet("waiting for the first list of Nodes and VSwitchConfigs: is the CRD installed?");
    tokio::select! {
        why = elector.hold() => Err(RunError::LeadershipLost(why)),
        result = work(client.clone(), options, check) => result,
        () = policies::report(client, &options.identity) => Err(RunError::WatchEnded("NetworkPolicies")),
    }
}

/// What the controller sees, and which nodes it has still to look at.
struct State {
    plan: Plan,
    nodes: HashMap<String, Node>,
    configs: HashMap<String, VSwitchConfig>,
    dirty: BTreeSet<String>,
}

async fn work(client: Client, options: &Options, check: &Check) -> Result<(), RunError> {
    let reconciler = Reconciler::new(client.clone(), &options.identity);
    let mut state = State {
        plan: Plan::new(options.params.clone()),
        nodes: HashMap::new(),
        configs: HashMap::new(),
        dirty: BTreeSet::new(),
    };
    let mut nodes = pin!(events::<Node>(client.clone()));
    let mut configs = pin!(events::<VSwitchConfig>(client));
    let mut nodes_first = First::default();
    let mut configs_first = First::default();
    let mut retry_at: Option<Instant> = None;
    loop {
        let retry = async {
            match retry_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Who holds what is read from the objects first, so that no node loses the CIDR it uses.
            event = nodes.next(), if configs_first.done => match event {
                Some(Ok(event)) => {
                    if let Some(all) = nodes_first.take(event, |event| state.node_event(event)) {
                        info!(nodes = all.len(), "nodes listed");
                        state.replace_nodes(all);
                    }
                }
                Some(Err(error)) => warn!(error = reason(&error), "watching Nodes: will try again"),
                None => return Err(RunError::WatchEnded("Nodes")),
            },
            event = configs.next() => match event {
                Some(Ok(event)) => {
                    if let Some(all) = configs_first.take(event, |event| state.config_event(event)) {
                        info!(configs = all.len(), "VSwitchConfigs listed");
                        state.replace_configs(all);
                    }
                }
                Some(Err(error)) => {
                    warn!(error = reason(&error), "watching VSwitchConfigs: will try again; is the CRD in deploy/crds installed?");
                }
                None => return Err(RunError::WatchEnded("VSwitchConfigs")),
            },
            () = retry => retry_at = None,
        }
        if !(nodes_first.done && configs_first.done) {
            continue;
        }
        check.met();
        let failed = state.reconcile(&reconciler).await;
        if !failed.is_empty() {
            retry_at = Some(Instant::now() + RETRY);
            state.dirty = failed;
        }
    }
}

/// Watches all objects of a kind, for ever.
pub(crate) fn events<K>(
    client: Client,
) -> impl TryStream<Ok = Event<K>, Error = watcher::Error, Item = Result<Event<K>, watcher::Error>>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watch(Api::<K>::all(client), watcher::Config::default().any_semantic()).default_backoff()
}

/// Gathers a list, first or repeated, so that it is taken in as one.
struct First<K> {
    done: bool,
    listing: Option<Vec<K>>,
}

impl<K> Default for First<K> {
    fn default() -> Self {
        Self { done: false, listing: None }
    }
}

impl<K> First<K> {
    /// Hands single events to `event`; returns a list once it is whole.
    fn take(&mut self, incoming: Event<K>, event: impl FnOnce(Event<K>)) -> Option<Vec<K>> {
        match incoming {
            Event::Init => self.listing = Some(Vec::new()),
            Event::InitApply(object) => self.listing.get_or_insert_default().push(object),
            Event::InitDone => {
                self.done = true;
                return Some(self.listing.take().unwrap_or_default());
            }
            other => event(other),
        }
        None
    }
}

impl State {
    fn node_event(&mut self, event: Event<Node>) {
        match event {
            Event::Apply(node) => self.upsert(node),
            Event::Delete(node) => self.forget(&node.name_any()),
            Event::Init | Event::InitApply(_) | Event::InitDone => {}
        }
    }

    fn config_event(&mut self, event: Event<VSwitchConfig>) {
        match event {
            Event::Apply(object) => {
                let name = object.name_any();
                self.dirty.insert(name.clone());
                self.configs.insert(name, object);
            }
            Event::Delete(object) => {
                let name = object.name_any();
                self.configs.remove(&name);
                self.dirty.insert(name);
            }
            Event::Init | Event::InitApply(_) | Event::InitDone => {}
        }
    }

    /// A whole list of nodes. Those whose object already carries their CIDR come first, then the oldest: a new
    /// controller must not give away what a node has been using.
    fn replace_nodes(&mut self, mut all: Vec<Node>) {
        let listed: BTreeSet<String> = all.iter().map(ResourceExt::name_any).collect();
        let gone: Vec<String> = self.nodes.keys().filter(|n| !listed.contains(*n)).cloned().collect();
        for name in gone {
            self.forget(&name);
        }
        all.sort_by_cached_key(|node| {
            let name = node.name_any();
            let holds = self.configs.get(&name).is_some_and(|c| c.spec.pod_cidr.is_some());
            (!holds, node.creation_timestamp().map(|t| t.0), name)
        });
        for node in all {
            self.upsert(node);
        }
    }

    /// A whole list of objects; all of them and all nodes are looked at again.
    fn replace_configs(&mut self, all: Vec<VSwitchConfig>) {
        self.configs = all.into_iter().map(|object| (object.name_any(), object)).collect();
        self.dirty.extend(self.configs.keys().cloned());
        self.dirty.extend(self.nodes.keys().cloned());
    }

    fn upsert(&mut self, node: Node) {
        self.dirty.extend(self.plan.upsert(&node));
        self.nodes.insert(node.name_any(), node);
    }

    fn forget(&mut self, name: &str) {
        self.nodes.remove(name);
        self.dirty.extend(self.plan.remove(name));
    }

    /// Looks at every dirty node and returns those that must be looked at again later.
    async fn reconcile(&mut self, reconciler: &Reconciler) -> BTreeSet<String> {
        let mut failed = BTreeSet::new();
        while let Some(name) = self.dirty.pop_first() {
            let current = self.configs.get(&name);
            let result = match (self.nodes.get(&name), self.plan.desired(&name)) {
                (Some(node), Some(desired)) => reconciler.apply(node, &desired, current).await,
                _ => match current {
                    Some(object) => reconciler.remove(object).await,
                    None => Ok(()),
                },
            };
            match result {
                Ok(()) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    debug!(node = name, "changed under our hands: will look again");
                    failed.insert(name);
                }
                Err(error) => {
                    warn!(
                        node = name,
                        error = reason(&error),
                        "cannot write the VSwitchConfig: will try again"
                    );
                    failed.insert(name);
                }
            }
        }
        failed
    }
}
