//! One node of a lab: its switch and its daemon.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::Netns;
use kube::Client;

use crate::kubelet::LabNode;
use crate::layout::{Layout, Place};
use crate::plan;
use crate::program::{Program, ProgramSpec, ProgramState, Site};
use crate::protocol::{Action, ProgramStatus};
use crate::real::install;
use crate::real::node::RealNode;
use crate::runtime::Runtime;
use crate::serve::{Identity, SctpResponder, ServeError, Servers};
use crate::spec::{LabSpec, OvsSite};
use crate::switch::{Switch, SwitchError};
use crate::topology::{self, UPLINK};

/// Address of the daemon's health endpoint, inside the node's namespace.
const HEALTH: &str = "127.0.0.1:9410";

/// A node with its programs.
pub(super) struct NodePrograms {
    /// What the kubelet knows of it.
    pub(super) lab: Arc<LabNode>,
    /// `None`: a pod.
    switch: Option<Switch>,
    agent: Agent,
    /// What it runs on, where Kubernetes is real.
    machine: Option<Arc<RealNode>>,
    /// The machine's own servers.
    _servers: Servers,
}

/// Its daemon.
enum Agent {
    /// A program of the lab's.
    Program(Program, Box<ProgramSpec>),
    /// A pod of a real cluster.
    Pod(Client),
}

/// What is to be known of nodes of a real cluster, by name, to find their pods.
pub(crate) type RealNodes = Arc<BTreeMap<String, RealFacts>>;

/// What is to be known of one.
pub(crate) struct RealFacts {
    /// File of its network namespace.
    pub(crate) netns: PathBuf,
    /// Its database's socket.
    pub(crate) database: PathBuf,
    /// Its machine.
    pub(crate) machine: Arc<RealNode>,
    /// Answers SCTP on its network.
    pub(crate) sctp: Arc<SctpResponder>,
}

/// Why a node does not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodeError {
    #[error(transparent)]
    Switch(#[from] SwitchError),
    #[error(transparent)]
    Host(#[from] host::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl NodePrograms {
    /// Starts the node's switch; its namespace exists. The daemon is started later.
    pub(super) async fn start(
        spec: &LabSpec,
        layout: &Layout,
        index: u16,
        netdev: bool,
    ) -> Result<Self, NodeError> {
        let name = plan::node_name(index);
        let files = layout.node(&name);
        let netns = layout.netns(&Place::Node(&name));
        let underlay = plan::node(index);
        let switch = match spec.ovs {
            OvsSite::Host => {
                let switch = Switch::new(&name, files.clone(), netns.clone(), underlay, netdev);
                switch.start().await?;
                Some(switch)
            }
            OvsSite::Pods => {
                topology::set_addresses(&Netns::open(&netns)?, UPLINK, underlay, true)?;
                None
            }
        };
        let addresses: Vec<_> = spec.families.iter().map(|family| underlay.of(family)).collect();
        let sctp = SctpResponder::start(&netns, &underlay.both()).await?;
        let identity = Identity { namespace: String::new(), name: name.clone() };
        let servers =
            Servers::start(&netns, &identity, &super::outside::echo_ports(), &underlay.both(), &sctp).await?;
        let runtime = Runtime { netns: netns.clone(), bin_dir: files.cni_bin(), conf_dir: files.cni_conf() };
        let agent_spec = agent_spec(spec, layout, &name, &netns, netdev);
        let lab = Arc::new(LabNode { name, netns, layout: files, addresses, runtime, sctp });
        let agent = Agent::Program(Program::new("k-vswitchd"), Box::new(agent_spec));
        Ok(Self { lab, switch, agent, machine: None, _servers: servers })
    }

    /// The same on a machine of a real cluster, whose daemon is a pod.
    pub(super) fn on(mut self, machine: RealNode, client: Client) -> Self {
        self.agent = Agent::Pod(client);
        self.machine = Some(Arc::new(machine));
        self
    }

    /// What is to be known of it to find its pods, where Kubernetes is real.
    pub(super) fn real(&self) -> Option<RealFacts> {
        let database = self.lab.layout.ovsdb_socket();
        let sctp = Arc::clone(&self.lab.sctp);
        let facts = |machine| RealFacts { netns: self.lab.netns.clone(), database, machine, sctp };
        self.machine.clone().map(facts)
    }

    /// Starts, stops or restarts the daemon.
    pub(super) async fn control_agent(&self, action: Action) -> Result<(), String> {
        match &self.agent {
            Agent::Program(program, spec) => {
                program.control(spec, action).await.map_err(|error| error.to_string())
            }
            Agent::Pod(client) => install::AGENT.control(client, &self.lab.name, action).await,
        }
    }

    /// Starts, stops or restarts the kubelet or the container runtime; or all of the machine, its switch included.
    pub(super) async fn control_machine(&self, program: &str, action: Action) -> Result<(), String> {
        let no = "this lab's kubelets and runtimes are simulated: bring it up with --api kubernetes";
        let machine = self.machine.as_ref().ok_or(no)?;
        if program != "machine" {
            return machine.control(program, action).await.map_err(|error| error.to_string());
        }
        if action != Action::Start {
            machine.off().await;
            if let Some(switch) = &self.switch {
                switch.stop().await;
            }
        }
        if action != Action::Stop {
            if self.switch.is_some() {
                self.control_switch(Action::Start).await?;
            }
            machine.boot().await.map_err(|error| error.to_string())?;
            machine.start_kubelet().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Starts, stops or restarts the switch.
    pub(super) async fn control_switch(&self, action: Action) -> Result<(), String> {
        let switch = match (&self.switch, &self.agent) {
            (Some(switch), _) => switch,
            (None, Agent::Pod(client)) => return install::OVS.control(client, &self.lab.name, action).await,
            (None, Agent::Program(..)) => return Err("Kubernetes is not there yet".to_owned()),
        };
        let running = switch.states().iter().all(|(_, state)| state.pid().is_some());
        match action {
            Action::Stop => switch.stop().await,
            Action::Start if running => {}
            Action::Start | Action::Restart => switch.start().await.map_err(|error| error.to_string())?,
        }
        Ok(())
    }

    /// Stops everything, the daemon first.
    pub(super) async fn stop(&self) {
        if let Agent::Program(program, _) = &self.agent {
            program.stop().await;
        }
        if let Some(machine) = &self.machine {
            machine.off().await;
        }
        if let Some(switch) = &self.switch {
            switch.stop().await;
        }
    }

    /// What its programs are doing.
    pub(super) fn programs(&self) -> Vec<ProgramStatus> {
        let status = |program: &str, state: ProgramState| ProgramStatus {
            program: program.to_owned(),
            state,
            log: self.lab.layout.log(program),
        };
        let mut programs = match &self.agent {
            Agent::Program(program, _) => vec![status("agent", program.state())],
            Agent::Pod(_) => Vec::new(),
        };
        programs.extend(self.machine.iter().flat_map(|machine| machine.statuses()));
        let states = self.switch.iter().flat_map(Switch::states);
        programs.extend(states.map(|(program, state)| status(program, state)));
        programs
    }
}

/// `k-vswitchd` as its DaemonSet would start it, with this node's folders instead of the host's.
fn agent_spec(spec: &LabSpec, layout: &Layout, node: &str, netns: &Path, netdev: bool) -> ProgramSpec {
    let files = layout.node(node);
    let socket = format!("unix:{}", files.ovsdb_socket().display());
    let plugin: PathBuf = spec.bin_dir.join("k-vswitch-cni");
    let args: Vec<(&str, OsString)> = vec![
        ("--node-name", node.into()),
        ("--kubeconfig", layout.inner_kubeconfig().into()),
        ("--ovsdb", socket.into()),
        ("--ovs-rundir", files.ovs().into()),
        ("--cni-bin-dir", files.cni_bin().into()),
        ("--cni-conf-dir", files.cni_conf().into()),
        ("--cni-plugin", plugin.into()),
        ("--datapath", if netdev { "netdev" } else { "system" }.into()),
        ("--health-addr", HEALTH.into()),
    ];
    ProgramSpec {
        name: format!("{node}/agent"),
        program: spec.bin_dir.join("k-vswitchd"),
        args: args
            .into_iter()
            .flat_map(|(flag, value)| [flag.into(), value])
            .chain(spec.agent_args.iter().map(Into::into))
            .collect(),
        envs: Vec::new(),
        site: Site::Netns(netns.to_owned()),
        log: files.log("agent"),
    }
}
