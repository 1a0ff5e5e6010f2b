//! The control plane's programs, in the namespace of the control plane.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, NodeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use kubernetes::Invocation;
use kubernetes::control_plane::{self, Plan};
use kubernetes::pki::{Authority, Endpoint};
use kubernetes::programs::Programs;
use tokio::time::Instant;

use super::RealError;
use crate::api::{ApiEndpoint, client_of};
use crate::layout::{Layout, Place};
use crate::plan;
use crate::program::{Program, ProgramSpec, ProgramState, Site};
use crate::protocol::ProgramStatus;
use crate::spec::LabSpec;

/// How long the API may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// A control plane that runs.
pub(crate) struct ControlPlane {
    layout: Layout,
    programs: Vec<(&'static str, Program)>,
}

/// Makes the nodes known with the pod networks that the plan has for them: the controllers would give them networks in the order in
/// which their kubelets come. All else is for the kubelets to say.
pub(crate) async fn register_nodes(client: &Client, spec: &LabSpec) -> Result<(), RealError> {
    let nodes: Api<Node> = Api::all(client.clone());
    for index in 1..=spec.nodes {
        let cidrs: Vec<String> =
            plan::pod_cidrs(&spec.families, index).iter().map(ToString::to_string).collect();
        let node = Node {
            metadata: ObjectMeta { name: Some(plan::node_name(index)), ..ObjectMeta::default() },
            spec: Some(NodeSpec {
                pod_cidr: cidrs.first().cloned(),
                pod_cidrs: Some(cidrs),
                ..NodeSpec::default()
            }),
            status: None,
        };
        let created = nodes.create(&PostParams::default(), &node).await;
        created.map_err(|error| RealError::Refused {
            what: format!("the Node {}", plan::node_name(index)),
            said: ops::reason(&error),
        })?;
    }
    Ok(())
}

/// The cluster's networks and addresses.
pub(crate) fn plan_of(spec: &LabSpec, layout: &Layout) -> Plan {
    Plan {
        folder: layout.root().join("control-plane"),
        addresses: spec.families.iter().map(|family| plan::CONTROL_PLANE.of(family)).collect(),
        port: plan::API_PORT,
        cluster_cidrs: plan::cluster_cidrs(&spec.families),
        service_cidrs: plan::service_cidrs(&spec.families),
        node_prefixes: plan::NODE_PREFIX,
    }
}

impl ControlPlane {
    /// Starts it, and returns when the API is ready.
    pub(crate) async fn start(
        spec: &LabSpec,
        layout: &Layout,
        programs: &Programs,
        authority: &Authority,
    ) -> Result<(Self, ApiEndpoint), RealError> {
        let plan = plan_of(spec, layout);
        let mut running = Self { layout: layout.clone(), programs: Vec::new() };
        for invocation in control_plane::api(&plan, programs, authority)? {
            running.launch(invocation).await?;
        }
        for invocation in control_plane::controllers(&plan, programs, authority)? {
            running.launch(invocation).await?;
        }
        let api = running.endpoint(&plan, authority).await?;
        running.wait(&api.client).await?;
        Ok((running, api))
    }

    async fn launch(&mut self, invocation: Invocation) -> Result<(), RealError> {
        let program = Program::new(invocation.name);
        let spec = ProgramSpec {
            name: invocation.name.to_owned(),
            program: invocation.program,
            args: invocation.args,
            envs: invocation.envs,
            site: Site::Netns(self.layout.netns(&Place::ControlPlane)),
            log: self.layout.log(invocation.name),
        };
        program.start(spec).await?;
        self.programs.push((invocation.name, program));
        Ok(())
    }

    /// Kubeconfigs for people and for programs, and a client.
    async fn endpoint(&self, plan: &Plan, authority: &Authority) -> Result<ApiEndpoint, RealError> {
        let (port, forward) = ApiEndpoint::forward_from_loopback(&self.layout).await?;
        let outer = format!("https://127.0.0.1:{port}");
        let admin = |path: std::path::PathBuf, server: &str| {
            let endpoint = Endpoint { server, server_name: None };
            authority.kubeconfig(&path, endpoint, "kubernetes-admin", Some("system:masters"))
        };
        admin(self.layout.kubeconfig(), &outer)?;
        admin(self.layout.inner_kubeconfig(), &plan.url())?;
        let client = client_of(&self.layout.kubeconfig()).await?;
        Ok(ApiEndpoint::new(client, outer, forward))
    }

    async fn wait(&self, client: &Client) -> Result<(), RealError> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            // The API makes this namespace itself, when all else of it is up.
            if namespaces.get("kube-system").await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(RealError::Late {
            what: "the Kubernetes API was not ready".to_owned(),
            seconds: PATIENCE.as_secs(),
            log: self.layout.log("kube-apiserver"),
        })
    }

    /// How its programs are.
    pub(crate) fn statuses(&self) -> Vec<ProgramStatus> {
        let status = |(name, program): &(&'static str, Program)| ProgramStatus {
            program: (*name).to_owned(),
            state: program.state(),
            log: self.layout.log(name),
        };
        self.programs.iter().map(status).collect()
    }

    /// Stops all, the last one first.
    pub(crate) async fn stop(&self) {
        for (_, program) in self.programs.iter().rev() {
            if program.state() != ProgramState::Stopped {
                program.stop().await;
            }
        }
    }
}
