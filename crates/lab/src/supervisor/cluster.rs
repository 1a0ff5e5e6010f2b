//! A lab that is up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::node::NodePrograms;
use super::probing::no_pod;
use crate::api::ApiEndpoint;
use crate::cluster::mirror::Mirror;
use crate::cluster::scheduler::is_ready;
use crate::kubelet::Registry;
use crate::layout::{Layout, Place};
use crate::plan;
use crate::program::{Program, ProgramSpec, Site};
use crate::protocol::{Action, NodeStatus, ProgramStatus, Source};
use crate::real::control_plane::ControlPlane;
use crate::real::install;
use crate::serve::Servers;
use crate::spec::{Families, LabSpec};

/// Address of the controller's health endpoint, inside the control plane's namespace.
const HEALTH: &str = "127.0.0.1:9411";

/// The cluster's controller.
pub(super) enum Controller {
    /// A program of the lab's.
    Program(Program),
    /// Pods of a real cluster, on its control plane.
    Pods(ControlPlane),
}

/// Everything that makes up a running lab.
pub(super) struct Cluster {
    pub(super) layout: Layout,
    pub(super) spec: LabSpec,
    pub(super) client: Client,
    pub(super) nodes: BTreeMap<String, NodePrograms>,
    pub(super) registry: Registry,
    pub(super) objects: Mirror<Node>,
    pub(super) netdev: bool,
    pub(super) controller: Controller,
    pub(super) _outside: Servers,
    /// Controllers, kubelets, watches. Ends before the programs do.
    pub(super) tasks: Mutex<JoinSet<()>>,
    /// Ends last.
    pub(super) _api: ApiEndpoint,
}

impl Cluster {
    /// The node of this name.
    pub(super) fn node(&self, name: &str) -> Result<&NodePrograms, String> {
        self.nodes.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
            format!("there is no node {name}: this lab has {}", names.join(", "))
        })
    }

    /// Address families of the pod network.
    pub(super) const fn families(&self) -> &Families {
        &self.spec.families
    }

    /// The datapath of all nodes.
    pub(super) const fn datapath(&self) -> &'static str {
        if self.netdev { "netdev" } else { "system" }
    }

    /// File of a place's network namespace.
    pub(super) fn netns_of(&self, place: &Source) -> Result<PathBuf, String> {
        match place {
            Source::Node(name) => Ok(self.node(name)?.lab.netns.clone()),
            Source::Outside => Ok(self.layout.netns(&Place::Outside)),
            Source::Pod { namespace, name } => {
                let pod = self.registry.find(namespace, name).ok_or_else(|| no_pod(namespace, name))?;
                Ok(pod.netns)
            }
        }
    }

    /// How the nodes are.
    pub(super) fn node_statuses(&self) -> Vec<NodeStatus> {
        let pods = self.registry.all();
        let mut statuses: Vec<NodeStatus> = self
            .nodes
            .iter()
            .map(|(name, node)| {
                let object = self.objects.get(None, name);
                NodeStatus {
                    name: name.clone(),
                    ready: object.as_ref().is_some_and(|object| is_ready(object)),
                    message: object.as_ref().and_then(|object| ready_message(object)).unwrap_or_default(),
                    addresses: node.lab.addresses.clone(),
                    pods: pods.iter().filter(|pod| pod.node == *name).count(),
                    programs: node.programs(),
                }
            })
            .collect();
        // node-10 comes after node-9.
        statuses.sort_by_key(|status| (status.name.len(), status.name.clone()));
        statuses
    }

    /// How the controller is, unless it is a pod.
    pub(super) fn controller_status(&self) -> Option<ProgramStatus> {
        let program = "controller".to_owned();
        let Controller::Program(controller) = &self.controller else { return None };
        Some(ProgramStatus { state: controller.state(), log: self.layout.log(&program), program })
    }

    /// How the control plane's programs are, where Kubernetes is real.
    pub(super) fn control_plane(&self) -> Vec<ProgramStatus> {
        match &self.controller {
            Controller::Program(_) => Vec::new(),
            Controller::Pods(control_plane) => control_plane.statuses(),
        }
    }

    /// Starts, stops or restarts the controller.
    pub(super) async fn control_controller(&self, action: Action) -> Result<(), String> {
        match &self.controller {
            Controller::Program(controller) => {
                let spec = controller_spec(&self.spec, &self.layout);
                controller.control(&spec, action).await.map_err(|error| error.to_string())
            }
            Controller::Pods(_) => install::control_controller(&self.client, self.spec.nodes, action).await,
        }
    }

    /// Stops everything: what watches, then the controller and the nodes at the same time.
    pub(super) async fn stop(&self) {
        self.tasks.lock().await.shutdown().await;
        let nodes = futures::future::join_all(self.nodes.values().map(NodePrograms::stop));
        match &self.controller {
            Controller::Program(controller) => drop(futures::future::join(controller.stop(), nodes).await),
            Controller::Pods(control_plane) => {
                nodes.await;
                control_plane.stop().await;
            }
        }
    }
}

fn ready_message(node: &Node) -> Option<String> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")?.message.clone()
}

/// `k-vswitch-controller` as its Deployment would start it.
fn controller_spec(spec: &LabSpec, layout: &Layout) -> ProgramSpec {
    let list = |cidrs: Vec<ipnet::IpNet>| cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let args: Vec<(&str, OsString)> = vec![
        ("--kubeconfig", layout.inner_kubeconfig().into()),
        ("--cluster-cidr", list(plan::cluster_cidrs(&spec.families)).into()),
        ("--service-cidr", list(plan::service_cidrs(&spec.families)).into()),
        ("--overlay-type", spec.overlay.as_str().into()),
        ("--health-addr", HEALTH.into()),
    ];
    ProgramSpec {
        name: "controller".to_owned(),
        program: spec.bin_dir.join("k-vswitch-controller"),
        args: args.into_iter().flat_map(|(flag, value)| [flag.into(), value]).collect(),
        envs: Vec::new(),
        site: Site::Netns(layout.netns(&Place::ControlPlane)),
        log: layout.log("controller"),
    }
}
