//! What a node's kubelet does: it registers the node, runs the pods given to it, and says how they are.
//!
//! Instead of containers a pod gets a network namespace, the CNI plugin's work on it, and servers on the ports that
//! its containers declare ([`crate::serve`]). One task looks after all nodes' pods; each pod has a task of its own
//! ([`pod`]) that ends when the pod's object is gone.

mod node;
mod pod;
mod registry;
mod status;

pub use node::{LabNode, register, watch_readiness};
pub use registry::{Entry, PodPlace, Registry};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::mirror::{Mirror, whenever};
use crate::layout::Layout;

/// What all pods' tasks share.
pub struct Kubelet {
    /// The API.
    pub client: Client,
    /// Where sandboxes are made.
    pub layout: Layout,
    /// The nodes of the lab by name.
    pub nodes: BTreeMap<String, Arc<LabNode>>,
    /// Where running pods are.
    pub registry: Registry,
    /// Writes Events.
    pub recorder: Recorder,
}

impl Kubelet {
    /// A kubelet for these nodes.
    #[must_use]
    pub fn new(
        client: &Client,
        layout: &Layout,
        nodes: BTreeMap<String, Arc<LabNode>>,
        registry: Registry,
    ) -> Arc<Self> {
        let reporter = Reporter { controller: "kubelet".to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Arc::new(Self { client: client.clone(), layout: layout.clone(), nodes, registry, recorder })
    }

    /// Runs the nodes' pods until the lab goes down.
    pub async fn run(self: Arc<Self>, pods: Mirror<Pod>) {
        pods.ready().await;
        let workers = std::sync::Mutex::new(Workers::default());
        whenever("kubelet", vec![pods.changes()], || {
            let all = pods.all();
            workers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).step(&self, &all);
            std::future::ready(Ok(()))
        })
        .await;
    }
}

/// The tasks of all pods.
#[derive(Default)]
struct Workers {
    tasks: JoinSet<()>,
    /// By uid; dropping the sender, or sending, tells the task to end its pod.
    stops: BTreeMap<String, watch::Sender<bool>>,
}

impl Workers {
    fn step(&mut self, kubelet: &Arc<Kubelet>, pods: &[Arc<Pod>]) {
        while self.tasks.try_join_next().is_some() {}
        let mut living = BTreeSet::new();
        for pod in pods {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            let Some(node) = node.and_then(|name| kubelet.nodes.get(name)) else { continue };
            let Some(uid) = pod.uid() else { continue };
            let ended = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let going = pod.metadata.deletion_timestamp.is_some();
            match self.stops.get(&uid) {
                Some(stop) if going => {
                    stop.send_replace(true);
                }
                Some(_) => {}
                None if matches!(ended, Some("Succeeded" | "Failed")) && !going => {}
                None => {
                    let (stop, stopped) = watch::channel(going);
                    let (kubelet, node) = (Arc::clone(kubelet), Arc::clone(node));
                    self.tasks.spawn(pod::run(kubelet, node, Arc::clone(pod), stopped));
                    self.stops.insert(uid.clone(), stop);
                }
            }
            living.insert(uid);
        }
        // Deleted by force: the object is gone, the sandbox is not yet. The task sees its sender dropped. The entry
        // stays while the object is there, so that no pod is run twice.
        self.stops.retain(|uid, _| living.contains(uid));
    }
}
