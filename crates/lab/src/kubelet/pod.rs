//! The life of one pod.
//!
//! ```text
//! sandbox: namespace, CNI ADD ──► servers ──► Running ──► told to end ──► CNI DEL, namespace gone ──► object gone
//!      ▲            │ fails: DEL, pause
//!      └────────────┘ with a sandbox of a new id
//! ```

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::Netns;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource as _, ResourceExt as _};
use tokio::sync::watch;

use super::registry::{Entry, PodPlace};
use super::status::{self, Health};
use super::{Kubelet, LabNode};
use crate::cluster::overtaken;
use crate::layout::Place;
use crate::netns::EnterError;
use crate::probe::{Probe, random};
use crate::runtime::{Attachment, CniError, CniResult};
use crate::serve::{Identity, SctpResponder, ServeError, Servers, declared_ports};
use crate::topology;

/// Pause after the first failure of a sandbox, doubled with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A pod's network namespace and what the plugin made of it.
struct Sandbox {
    id: String,
    attachment: Attachment,
    result: CniResult,
}

/// Runs a pod until it is told to end, and takes it away. `stop` holds true, or has lost its sender, when it is to end.
pub(super) async fn run(
    kubelet: Arc<Kubelet>,
    node: Arc<LabNode>,
    pod: Arc<Pod>,
    mut stop: watch::Receiver<bool>,
) {
    let worker = Worker { kubelet, node, pod, started: Timestamp::now() };
    // A pod deleted before it began has nothing to take away.
    if !*stop.borrow() {
        if worker.is_host_network() {
            worker.run_on_host(&mut stop).await;
        } else {
            worker.run_in_sandbox(&mut stop).await;
        }
    }
    worker.forget().await;
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // A lost sender means that the object is gone already.
    let _ = stop.wait_for(|stop| *stop).await;
}

struct Worker {
    kubelet: Arc<Kubelet>,
    node: Arc<LabNode>,
    pod: Arc<Pod>,
    started: Timestamp,
}

impl Worker {
    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.kubelet.client.clone(), &self.namespace())
    }

    fn namespace(&self) -> String {
        self.pod.namespace().unwrap_or_default()
    }

    fn identity(&self) -> Identity {
        Identity { namespace: self.namespace(), name: self.pod.name_any() }
    }

    fn is_host_network(&self) -> bool {
        self.pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true))
    }

    /// A hostNetwork pod: servers in the node's namespace.
    async fn run_on_host(&self, stop: &mut watch::Receiver<bool>) {
        let addresses = self.node.addresses.clone();
        let place = &self.node.netns;
        let servers =
            Servers::start(place, &self.identity(), &self.ports(), &addresses, &self.node.sctp).await;
        let _entry = self.enter(place.clone(), &addresses);
        self.report_servers(&servers, "host".to_owned(), addresses).await;
        told(stop).await;
    }

    /// A pod with a network of its own.
    async fn run_in_sandbox(&self, stop: &mut watch::Receiver<bool>) {
        self.report(&Health::Creating(None)).await;
        let Some(sandbox) = self.create_sandbox(stop).await else { return };
        {
            let addresses = sandbox.result.addresses.clone();
            let place = &sandbox.attachment.netns;
            let servers = match SctpResponder::start(place, &addresses).await {
                Ok(sctp) => Servers::start(place, &self.identity(), &self.ports(), &addresses, &sctp).await,
                Err(error) => Err(error),
            };
            // Whoever sees that it runs may ask it.
            let _entry = self.enter(place.clone(), &addresses);
            self.report_servers(&servers, sandbox.id.clone(), addresses).await;
            told(stop).await;
        }
        self.remove_sandbox(&sandbox).await;
    }

    /// Tries until there is a sandbox, or until the pod is told to end.
    async fn create_sandbox(&self, stop: &mut watch::Receiver<bool>) -> Option<Sandbox> {
        let mut pause = FIRST_PAUSE;
        loop {
            let attachment = self.new_attachment();
            let error = match self.try_sandbox(&attachment).await {
                Ok(result) => {
                    return Some(Sandbox { id: attachment.container_id.clone(), attachment, result });
                }
                Err(error) => error,
            };
            tracing::info!(pod = self.pod.name_any(), %error, "a sandbox could not be made");
            if let Err(error) = self.node.runtime.del(&attachment, None).await {
                tracing::debug!(pod = self.pod.name_any(), %error, "taking it away failed too");
            }
            delete_netns(&attachment).await;
            let message = format!("Failed to create pod sandbox: {error}");
            self.record(&message).await;
            self.report(&Health::Creating(Some(message))).await;
            if tokio::time::timeout(pause, told(stop)).await.is_ok() {
                return None;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn new_attachment(&self) -> Attachment {
        let id = format!("{:016x}{:016x}", random(), random());
        let short = id.get(..12).unwrap_or(&id);
        Attachment {
            netns: self.kubelet.layout.netns(&Place::Sandbox(short)),
            pod_namespace: self.namespace(),
            pod_name: self.pod.name_any(),
            pod_uid: self.pod.uid().unwrap_or_default(),
            container_id: id,
        }
    }

    async fn try_sandbox(&self, attachment: &Attachment) -> Result<CniResult, CniError> {
        // No namespace is made for a network that is not configured.
        self.node.runtime.config()?;
        let layout = self.kubelet.layout.clone();
        let id = attachment.container_id.get(..12).unwrap_or_default().to_owned();
        let made = tokio::task::spawn_blocking(move || {
            topology::create_netns(&layout, &Place::Sandbox(&id)).map(drop)
        });
        match made.await {
            Ok(made) => made.map_err(EnterError::Host)?,
            Err(_) => return Err(EnterError::Lost(attachment.netns.clone()).into()),
        }
        self.node.runtime.add(attachment).await
    }

    /// DEL until it succeeds, as a kubelet does: a plugin that cannot clean up now may be able to later.
    async fn remove_sandbox(&self, sandbox: &Sandbox) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.node.runtime.del(&sandbox.attachment, Some(&sandbox.result)).await {
            tracing::warn!(pod = self.pod.name_any(), %error, "a sandbox could not be taken away");
            self.record(&format!("Failed to kill pod sandbox: {error}")).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        delete_netns(&sandbox.attachment).await;
    }

    fn ports(&self) -> Vec<Probe> {
        declared_ports(&self.pod, |_| true)
    }

    fn enter(&self, netns: PathBuf, addresses: &[IpAddr]) -> Entry {
        self.kubelet.registry.enter(PodPlace {
            namespace: self.namespace(),
            name: self.pod.name_any(),
            node: self.node.name.clone(),
            netns,
            addresses: addresses.to_vec(),
        })
    }

    async fn report_servers(
        &self,
        servers: &Result<Servers, ServeError>,
        sandbox: String,
        addresses: Vec<IpAddr>,
    ) {
        let health = match servers {
            Ok(_) => Health::Running { addresses, sandbox },
            Err(error) => {
                self.record(&error.to_string()).await;
                Health::Broken { addresses, sandbox, reason: error.to_string() }
            }
        };
        self.report(&health).await;
    }

    /// Writes the pod's status, again and again while the API is away.
    async fn report(&self, health: &Health) {
        let patch = Patch::Merge(status::of(&self.pod, &self.node.addresses, health, self.started));
        let mut pause = FIRST_PAUSE;
        while let Err(error) =
            self.api().patch_status(&self.pod.name_any(), &PatchParams::default(), &patch).await
        {
            if overtaken(&error) {
                return;
            }
            tracing::warn!(pod = self.pod.name_any(), %error, "the status was not written");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Writes an Event. One that is lost is no harm.
    async fn record(&self, note: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: "FailedCreatePodSandBox".to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: "Sandbox".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.kubelet.recorder.publish(&event, &self.pod.object_ref(&())).await {
            tracing::debug!(%error, "an event was not written");
        }
    }

    /// Deletes the object for good, unless another pod has its name by now.
    async fn forget(&self) {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: self.pod.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.api().delete(&self.pod.name_any(), &params).await {
            if overtaken(&error) {
                return;
            }
            tracing::warn!(pod = self.pod.name_any(), %error, "the pod's object was not deleted");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn delete_netns(attachment: &Attachment) {
    let Some(name) = attachment.netns.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
        return;
    };
    let deleted = tokio::task::spawn_blocking(move || Netns::delete(&name)).await;
    if let Ok(Err(error)) = deleted
        && !error.is_not_found()
    {
        tracing::warn!(%error, "a sandbox's namespace was not deleted");
    }
}
