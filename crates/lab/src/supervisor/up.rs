//! Bringing a lab up, step by step. [`real`] is the way of one with a real Kubernetes.

mod real;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use tokio::task::JoinSet;

use super::Shared;
use super::cluster::{Cluster, Controller};
use super::node::{NodeError, NodePrograms};
use super::outside;
use crate::api::{ApiEndpoint, ApiError};
use crate::cluster::{self, Mirrors};
use crate::kubelet::{self, Kubelet, Registry};
use crate::layout::{Layout, Place};
use crate::manifest;
use crate::patience::patience;
use crate::plan;
use crate::program::Program;
use crate::protocol::{Action, Stage};
use crate::real::RealError;
use crate::serve::ServeError;
use crate::spec::{ApiSource, OvsSite, SpecError};
use crate::{switch, topology};

/// How long nodes may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a lab does not come up.
#[derive(Debug, thiserror::Error)]
enum UpError {
    #[error("{program} is not in {folder}: build the programs, or say with --bin-dir where they are")]
    NotBuilt { program: &'static str, folder: PathBuf },
    #[error("Open vSwitch is not installed: install the package openvswitch-switch")]
    NoSwitch,
    #[error("cannot create {path}: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Host(#[from] host::Error),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the Kubernetes API refused to {action}: {source}")]
    Refused { action: &'static str, source: Box<kube::Error> },
    #[error("{node}: {source}")]
    Node { node: String, source: NodeError },
    #[error("the outside: {0}")]
    Outside(#[from] ServeError),
    #[error("{0}")]
    Program(String),
    #[error("the nodes did not become ready in {patience} s: {0}", patience = patience(PATIENCE).as_secs())]
    NotReady(String),
    #[error(transparent)]
    Real(#[from] RealError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("interrupted")]
    Interrupted,
}

/// Brings the lab up and says how it went.
pub(super) async fn bring_up(shared: Arc<Shared>) {
    let outcome = try_up(&shared).await;
    shared.progress.send_modify(|progress| match outcome {
        Ok(()) => {
            progress.stage = Stage::Ready;
            progress.ready_after_ms = u64::try_from(shared.begin.elapsed().as_millis()).ok();
        }
        Err(error) => {
            tracing::error!(%error, "the lab did not come up");
            progress.stage = Stage::Failed;
            progress.failure = Some(error.to_string());
        }
    });
}

async fn try_up(shared: &Arc<Shared>) -> Result<(), UpError> {
    let (spec, layout) = (&shared.spec, &shared.layout);
    check_programs(&spec.bin_dir)?;
    make_folders(layout, spec.nodes)?;
    let datapath = spec.datapath;
    let netdev = blocking(move || switch::choose_netdev(datapath)).await?;
    spec.check_datapath(netdev)?;

    let (wires, nodes) = (layout.clone(), spec.nodes);
    blocking(move || {
        topology::build_base(&wires)?;
        (1..=nodes).try_for_each(|index| topology::build_node(&wires, &plan::node_name(index), index))
    })
    .await?;
    let count = if nodes == 1 { "one node".to_owned() } else { format!("{nodes} nodes") };
    shared.step(format!("network namespaces of {count}, the control plane and the outside"));

    if spec.api == ApiSource::Kubernetes {
        return real::up(shared, netdev).await;
    }
    let mut tasks = JoinSet::new();
    let api = ApiEndpoint::start(&spec.api, layout).await?;
    let client = api.client.clone();
    install_crds(&client).await?;
    shared.step(format!("Kubernetes API at {}", api.url));

    let outside = outside::serve(layout).await?;
    let programs = switches(shared, netdev).await?;

    let refused = |action| move |source| UpError::Refused { action, source: Box::new(source) };
    let real = cluster::real_control_plane(&client).await.map_err(refused("list leases"))?;
    for index in 1..=spec.nodes {
        let name = plan::node_name(index);
        let cidrs = if real { Vec::new() } else { plan::pod_cidrs(&spec.families, index) };
        let addresses: Vec<_> = spec.families.iter().map(|family| plan::node(index).of(family)).collect();
        kubelet::register(&client, &name, &addresses, &cidrs).await.map_err(refused("register a node"))?;
    }
    let mirrors = Mirrors::start(&client, &mut tasks);
    if !real {
        cluster::start(&client, &mirrors, plan::service_cidrs(&spec.families), &mut tasks);
    }
    let registry = Registry::default();
    let lab_nodes = programs.iter().map(|(name, node)| (name.clone(), Arc::clone(&node.lab))).collect();
    let kubelet = Kubelet::new(&client, layout, lab_nodes, registry.clone());
    tasks.spawn(kubelet.run(mirrors.pods.clone()));
    for node in programs.values() {
        let runtime = node.lab.runtime.clone();
        tasks.spawn(kubelet::watch_readiness(client.clone(), node.lab.name.clone(), runtime));
    }

    let cluster = Arc::new(Cluster {
        layout: layout.clone(),
        spec: spec.clone(),
        client,
        nodes: programs,
        registry,
        objects: mirrors.nodes.clone(),
        netdev,
        controller: Controller::Program(Program::new("k-vswitch-controller")),
        _outside: outside,
        tasks: tokio::sync::Mutex::new(tasks),
        _api: api,
    });
    *shared.cluster.write().await = Some(Arc::clone(&cluster));
    cluster.control_controller(Action::Start).await.map_err(UpError::Program)?;
    for node in cluster.nodes.values() {
        node.control_agent(Action::Start).await.map_err(UpError::Program)?;
    }
    shared.step("k-vswitch-controller, and k-vswitchd on every node");
    wait_until_ready(shared, &cluster, &mirrors).await
}

/// Starts the nodes' switches, all at the same time.
async fn switches(shared: &Shared, netdev: bool) -> Result<BTreeMap<String, NodePrograms>, UpError> {
    let mut switches = JoinSet::new();
    for index in 1..=shared.spec.nodes {
        let (spec, layout) = (shared.spec.clone(), shared.layout.clone());
        switches.spawn(async move {
            let node = plan::node_name(index);
            let started = NodePrograms::start(&spec, &layout, index, netdev).await;
            started.map(|programs| (node.clone(), programs)).map_err(|source| UpError::Node { node, source })
        });
    }
    let mut programs = BTreeMap::new();
    while let Some(started) = switches.join_next().await {
        let (name, started) = started.map_err(|_| UpError::Interrupted)??;
        programs.insert(name, started);
    }
    if shared.spec.ovs == OvsSite::Host {
        let datapath = if netdev { "userspace" } else { "kernel" };
        shared.step(format!("Open vSwitch on every node, {datapath} datapath"));
    }
    Ok(programs)
}

fn check_programs(folder: &std::path::Path) -> Result<(), UpError> {
    for program in ["k-vswitchd", "k-vswitch-controller", "k-vswitch-cni"] {
        if !folder.join(program).is_file() {
            return Err(UpError::NotBuilt { program, folder: folder.to_owned() });
        }
    }
    if switch::installed() { Ok(()) } else { Err(UpError::NoSwitch) }
}

fn make_folders(layout: &Layout, nodes: u16) -> Result<(), UpError> {
    for index in 1..=nodes {
        let node = layout.node(&plan::node_name(index));
        for path in [node.ovs(), node.cni_bin(), node.cni_conf(), node.root().join("log")] {
            std::fs::create_dir_all(&path).map_err(|source| UpError::Folder { path, source })?;
        }
    }
    Ok(())
}

async fn install_crds(client: &Client) -> Result<(), UpError> {
    for crd in api::crds() {
        let object = manifest::Object::from_resource::<CustomResourceDefinition>(&crd);
        let applied = match object {
            Ok(object) => manifest::apply(client, &object).await.map(drop),
            Err(error) => Err(error),
        };
        applied.map_err(|error| UpError::Program(error.to_string()))?;
    }
    Ok(())
}

async fn wait_until_ready(shared: &Shared, cluster: &Cluster, mirrors: &Mirrors) -> Result<(), UpError> {
    let mut changes = mirrors.nodes.changes();
    let mut told = std::collections::BTreeSet::new();
    let all_ready = async {
        loop {
            changes.mark_unchanged();
            for node in cluster.node_statuses() {
                if node.ready && told.insert(node.name.clone()) {
                    shared.step(format!("{} is ready", node.name));
                }
            }
            if told.len() == cluster.nodes.len() || changes.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(patience(PATIENCE), all_ready).await.is_ok() {
        return Ok(());
    }
    let place = Place::ControlPlane;
    let reasons: Vec<String> = cluster
        .node_statuses()
        .into_iter()
        .filter(|node| !node.ready)
        .map(|node| {
            let log = cluster.layout.node(&node.name).log("agent");
            format!("{}: {} (see {})", node.name, node.message, log.display())
        })
        .collect();
    tracing::debug!(netns = %cluster.layout.netns(&place).display(), "the control plane's namespace");
    Err(UpError::NotReady(reasons.join("; ")))
}

async fn blocking<T, F>(work: F) -> Result<T, UpError>
where
    T: Send + 'static,
    F: FnOnce() -> host::Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(UpError::Interrupted),
    }
}
