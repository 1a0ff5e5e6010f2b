//! What Kubernetes would bring: the controllers that a cluster's control plane runs.
//!
//! Each watches the API and makes it agree with what it sees, through the API alone, so that any API server will do.
//! All are level-triggered: they look at the whole (small) cluster after every change, and a step that was disturbed
//! is simply taken again.
//!
//! - [`mirror`]: the objects as the API has them, and the loop around every controller's step.
//! - [`scheduler`]: gives pods to nodes.
//! - [`workloads`]: makes pods of Deployments and DaemonSets.
//! - [`services`]: allocates cluster addresses and node ports.
//! - [`endpoints`]: keeps EndpointSlices.
//!
//! A real control plane brings its own: [`real_control_plane`] finds out.

pub mod endpoints;
pub mod mirror;
pub mod scheduler;
pub mod services;
pub mod workloads;

use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use tokio::task::JoinSet;

use mirror::Mirror;

/// A leader's lease that was renewed within this time has a leader.
const RECENT: Duration = Duration::from_secs(60);

/// The mirrors that controllers share.
#[derive(Clone)]
pub struct Mirrors {
    /// All pods.
    pub pods: Mirror<Pod>,
    /// All nodes.
    pub nodes: Mirror<Node>,
}

impl Mirrors {
    /// Begins to watch.
    #[must_use]
    pub fn start(client: &Client, tasks: &mut JoinSet<()>) -> Self {
        Self {
            pods: Mirror::start(Api::all(client.clone()), tasks),
            nodes: Mirror::start(Api::all(client.clone()), tasks),
        }
    }
}

/// Starts every controller.
pub fn start(client: &Client, mirrors: &Mirrors, service_cidrs: Vec<IpNet>, tasks: &mut JoinSet<()>) {
    let services: Mirror<Service> = Mirror::start(Api::all(client.clone()), tasks);
    let slices: Mirror<EndpointSlice> = Mirror::start(Api::all(client.clone()), tasks);
    let deployments: Mirror<Deployment> = Mirror::start(Api::all(client.clone()), tasks);
    let daemon_sets: Mirror<DaemonSet> = Mirror::start(Api::all(client.clone()), tasks);
    tasks.spawn(scheduler::run(client.clone(), mirrors.clone()));
    tasks.spawn(workloads::run(client.clone(), mirrors.clone(), deployments, daemon_sets));
    tasks.spawn(services::run(client.clone(), services.clone(), service_cidrs));
    tasks.spawn(endpoints::run(client.clone(), mirrors.pods.clone(), services, slices));
}

/// Whether somebody else runs a control plane at this API: the leases of its leaders are fresh.
///
/// # Errors
/// When the API cannot be asked.
pub async fn real_control_plane(client: &Client) -> Result<bool, kube::Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-system");
    for name in ["kube-controller-manager", "kube-scheduler"] {
        let renewed =
            leases.get_opt(name).await?.and_then(|lease| lease.spec).and_then(|spec| spec.renew_time);
        let fresh = renewed.is_some_and(|at| {
            u64::try_from(Timestamp::now().duration_since(at.0).as_secs())
                .is_ok_and(|age| age < RECENT.as_secs())
        });
        if fresh {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an API call failed because somebody else was faster: the next look at the cluster tells what is left to do.
#[must_use]
pub fn overtaken(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}

/// Turns "somebody else was faster" into success.
fn unless_overtaken<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if overtaken(&error) => Ok(()),
        Err(error) => Err(error),
    }
}
