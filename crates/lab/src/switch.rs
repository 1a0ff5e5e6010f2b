//! A node's Open vSwitch: `ovsdb-server` and `ovs-vswitchd` of its own, as a distribution's service would run them.
//!
//! With OVS's own datapath (`netdev`) tunnels need the underlay addresses on a bridge, so the node's uplink is a port of
//! `br-phy`, an ordinary learning switch, whose local interface has the node's addresses. It is told the routes that tunnels
//! take, and reads none of the kernel's: otherwise, it would have none for a moment whenever an interface comes or goes, as
//! docs/datapaths.md has it. With the kernel's datapath the uplink keeps the addresses and there is no such bridge.

mod physical;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Netns;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::task::JoinHandle;

use self::physical::Physical;
use crate::layout::NodeLayout;
use crate::patience::patience;
use crate::plan::{self, Ends};
use crate::probe::{Attempt, Outcome, Probe, Protocol, run};
use crate::program::{Program, ProgramError, ProgramSpec, ProgramState, Site};
use crate::topology::{self, UPLINK};

/// The schema that Open vSwitch's packages install.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// As Open vSwitch's own script starts them (`ovs-ctl`, `--ovs-vswitchd-priority`). With OVS's own datapath what comes while
/// `ovs-vswitchd` waits for a processor is lost after some hundred packets.
const NICENESS: &str = "-10";

/// How long the switch may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the gateway may take to answer, and how long that is tried.
const GATEWAY_ANSWERS: Duration = Duration::from_millis(300);
const GATEWAY_PATIENCE: Duration = Duration::from_secs(5);

/// Why a node's switch does not run.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// Its programs could not be started.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its namespace or interfaces are not as they should be.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// A file could not be written.
    #[error("cannot prepare {path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// One of OVS's tools said no.
    #[error("{tool} failed: {said}; see {log}")]
    Tool {
        /// The tool.
        tool: &'static str,
        /// What it wrote to its standard error.
        said: String,
        /// Log of the program it talks to.
        log: PathBuf,
    },
    /// It did not come up.
    #[error("{what} did not come up in {} s; see {log}", patience(PATIENCE).as_secs())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// Log that says why.
        log: PathBuf,
    },
}

/// A node's switch.
#[derive(Debug)]
pub struct Switch {
    node: String,
    layout: NodeLayout,
    netns: PathBuf,
    underlay: Ends,
    database: Program,
    vswitchd: Program,
    /// With OVS's own datapath.
    physical: Option<Physical>,
    /// Gives `br-phy` what it needs again whenever `ovs-vswitchd` was started anew.
    keeper: Option<JoinHandle<()>>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl Switch {
    /// A switch not yet started. `netdev` chooses OVS's own datapath.
    #[must_use]
    pub fn new(node: &str, layout: NodeLayout, netns: PathBuf, underlay: Ends, netdev: bool) -> Self {
        let vswitchd = Program::new("ovs-vswitchd");
        let physical = netdev.then(|| Physical::new(layout.clone(), netns.clone(), underlay));
        let keeper = physical.clone().map(|physical| tokio::spawn(physical.keep(vswitchd.watch())));
        Self {
            node: node.to_owned(),
            layout,
            netns,
            underlay,
            database: Program::new("ovsdb-server"),
            vswitchd,
            physical,
            keeper,
        }
    }

    /// Starts it, after stopping what runs of it. The database keeps its content.
    ///
    /// # Errors
    /// [`SwitchError`]; what was started goes on running.
    pub async fn start(&self) -> Result<(), SwitchError> {
        self.stop().await;
        let ovs = self.layout.ovs();
        let file = |source| SwitchError::File { path: ovs.clone(), source };
        tokio::fs::create_dir_all(&ovs).await.map_err(file)?;
        let database = ovs.join("conf.db");
        if !tokio::fs::try_exists(&database).await.map_err(file)? {
            let create = [OsString::from("create"), database.clone().into(), SCHEMA.into()];
            run_tool(&self.layout, "ovsdb-tool", &create).await?;
        }
        let remote = format!("--remote=punix:{}", self.layout.ovsdb_socket().display());
        self.database.start(self.spec("ovsdb-server", [database.into(), remote.into()])).await?;
        self.wait_for_database().await?;
        let system_id = format!("external_ids:system-id={}", self.node);
        self.vsctl(&["--no-wait", "init", "--", "set", "Open_vSwitch", ".", &system_id]).await?;
        let socket = format!("unix:{}", self.layout.ovsdb_socket().display());
        let option = self.physical.as_ref().map(|_| physical::VSWITCHD_OPTION.into());
        self.vswitchd.start(self.spec("ovs-vswitchd", [socket.into()].into_iter().chain(option))).await?;
        if let Some(physical) = &self.physical {
            self.vsctl(&physical::BRIDGE_COMMANDS).await?;
            physical.equip().await?;
        } else {
            let (netns, underlay) = (self.netns.clone(), self.underlay);
            blocking(move || topology::set_addresses(&Netns::open(netns)?, UPLINK, underlay, true)).await?;
        }
        self.wait_for_gateway().await;
        Ok(())
    }

    /// The first packets through a new datapath may get lost, and the kernel asks for a neighbour only once a second:
    /// returns when the gateway answers, so that the node is on the network from then on. A gateway that does not is
    /// for probes to find.
    async fn wait_for_gateway(&self) {
        let ask = |target| Attempt {
            netns: self.netns.clone(),
            target,
            probe: Probe { protocol: Protocol::Icmp, port: 0 },
            timeout: GATEWAY_ANSWERS,
            listen: false,
        };
        let attempts = plan::GATEWAY.both().map(ask);
        let begin = tokio::time::Instant::now();
        while begin.elapsed() < patience(GATEWAY_PATIENCE) {
            if run(&attempts).await.iter().all(|verdict| verdict.outcome == Outcome::Connected) {
                return;
            }
        }
        tracing::warn!(node = self.node, "the gateway does not answer");
    }

    /// Stops it. Without the kernel's datapath, the node is off the network then.
    pub async fn stop(&self) {
        self.vswitchd.stop().await;
        self.database.stop().await;
    }

    /// What its programs are doing.
    #[must_use]
    pub fn states(&self) -> [(&'static str, ProgramState); 2] {
        [("ovsdb-server", self.database.state()), ("ovs-vswitchd", self.vswitchd.state())]
    }

    fn spec(&self, name: &'static str, args: impl IntoIterator<Item = OsString>) -> ProgramSpec {
        let ovs = self.layout.ovs();
        let mut all: Vec<OsString> = ["-n", NICENESS, name].map(OsString::from).into();
        all.extend(args);
        // With its pid file and control socket under their usual names, ovs-appctl finds it.
        all.push(format!("--pidfile={}", ovs.join(format!("{name}.pid")).display()).into());
        all.extend(["--no-chdir", "-vconsole:info", "-vsyslog:off", "-vfile:off"].map(OsString::from));
        ProgramSpec {
            name: format!("{}/{name}", self.node),
            program: "nice".into(),
            args: all,
            envs: ovs_environment(&self.layout),
            site: Site::Netns(self.netns.clone()),
            log: self.layout.log(name),
        }
    }

    async fn wait_for_database(&self) -> Result<(), SwitchError> {
        let socket = self.layout.ovsdb_socket();
        let up = async {
            while UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let log = self.layout.log("ovsdb-server");
        tokio::time::timeout(patience(PATIENCE), up)
            .await
            .map_err(|_| SwitchError::Late { what: "ovsdb-server's socket", log })
    }

    async fn vsctl(&self, args: &[&str]) -> Result<(), SwitchError> {
        let mut all: Vec<OsString> = vec![
            format!("--db=unix:{}", self.layout.ovsdb_socket().display()).into(),
            format!("--timeout={}", patience(PATIENCE).as_secs()).into(),
        ];
        all.extend(args.iter().map(OsString::from));
        run_tool(&self.layout, "ovs-vsctl", &all).await
    }
}

/// Runs one of OVS's tools, which finds this node's switch.
async fn run_tool(layout: &NodeLayout, tool: &'static str, args: &[OsString]) -> Result<(), SwitchError> {
    let failed = |said: String| SwitchError::Tool { tool, said, log: layout.log("ovs-vswitchd") };
    let run = Command::new(tool)
        .args(args)
        .envs(ovs_environment(layout))
        .stdin(std::process::Stdio::null())
        .output();
    let output = run.await.map_err(|error| {
        failed(format!("{error}; install the openvswitch-switch package if it is missing"))
    })?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// The variables by which OVS's tools find this node's switch.
#[must_use]
pub fn ovs_environment(layout: &NodeLayout) -> Vec<(String, OsString)> {
    ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"]
        .map(|name| (name.to_owned(), layout.ovs().into_os_string()))
        .to_vec()
}

async fn blocking<F>(work: F) -> Result<(), SwitchError>
where
    F: FnOnce() -> host::Result<()> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        // The runtime is going down.
        Err(_) => Ok(()),
    }
}

/// Whether nodes use OVS's own datapath, and why not the kernel's.
///
/// # Errors
/// [`host::Error`] when the kernel cannot be asked.
pub fn choose_netdev(choice: crate::spec::Datapath) -> host::Result<bool> {
    use crate::spec::Datapath;
    match choice {
        Datapath::System => Ok(false),
        Datapath::Netdev => Ok(true),
        Datapath::Auto => Ok(!host::kernel::has_openvswitch()?),
    }
}

/// Whether OVS is installed: its programs and its schema.
#[must_use]
pub fn installed() -> bool {
    Path::new(SCHEMA).exists()
}
