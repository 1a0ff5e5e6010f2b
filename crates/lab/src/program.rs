//! Keeping a program running inside a network namespace.
//!
//! What systemd, the kubelet or OVS's own monitor does on a machine: starts the program with its output in a log,
//! starts it again when it ends by itself (later each time, up to ten seconds), and stops it with SIGTERM first.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::netns;
use crate::protocol::Action;

/// How long a program may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before the first restart; doubled with each restart that follows soon.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that ran this long is thought to be well, and its next restart is quick again.
const WELL: Duration = Duration::from_secs(30);

/// How a program is started.
#[derive(Debug, Clone)]
pub struct ProgramSpec {
    /// The name by which people know it.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables besides the inherited ones.
    pub envs: Vec<(String, OsString)>,
    /// Where it runs.
    pub site: Site,
    /// File that its output is appended to.
    pub log: PathBuf,
}

/// Where a program runs.
#[derive(Debug, Clone)]
pub enum Site {
    /// In the network namespace of this file, and otherwise on the machine at hand.
    Netns(PathBuf),
    /// As the first process of a machine of its own in this network namespace.
    First(PathBuf),
    /// On the machine whose first process this is the state of.
    Machine(watch::Receiver<ProgramState>),
}

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The machine is switched off.
    #[error("cannot start {0}: its machine is off")]
    Off(String),
    /// The machine cannot be entered.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// The namespace is gone.
    #[error(transparent)]
    Enter(#[from] netns::EnterError),
    /// The executable or the log could not be opened.
    #[error("cannot start {name} ({program}): {source}")]
    Start {
        /// The program's name.
        name: String,
        /// The executable.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The task that keeps the program has ended: the lab is going down.
    #[error("{0} is no longer kept: the lab is going down")]
    Gone(String),
}

/// What a program is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ProgramState {
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
        /// How often it has been started again after ending by itself.
        restarts: u32,
    },
    /// It ended by itself and will be started again.
    Waiting {
        /// How it ended.
        reason: String,
        /// How often it has been started again after ending by itself.
        restarts: u32,
    },
    /// It was stopped, or has not been started yet.
    Stopped,
}

impl ProgramState {
    /// The process id, while it runs.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        match self {
            Self::Running { pid, .. } => Some(*pid),
            Self::Waiting { .. } | Self::Stopped => None,
        }
    }
}

enum Order {
    Start(ProgramSpec, oneshot::Sender<Result<(), ProgramError>>),
    Stop(oneshot::Sender<()>),
}

/// A program that is kept running, or stopped, as ordered. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<ProgramState>,
}

impl Program {
    /// A program not yet started.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let (orders, inbox) = mpsc::channel(4);
        let (report, state) = watch::channel(ProgramState::Stopped);
        tokio::spawn(keep(inbox, report));
        Self { name: name.to_owned(), orders, state }
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> ProgramState {
        self.state.borrow().clone()
    }

    /// Changes of what it is doing.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<ProgramState> {
        self.state.clone()
    }

    /// Starts it, after stopping it where it runs.
    ///
    /// # Errors
    /// [`ProgramError`] when the first start fails; later ones are tried again.
    pub async fn start(&self, spec: ProgramSpec) -> Result<(), ProgramError> {
        let (done, answer) = oneshot::channel();
        let gone = || ProgramError::Gone(self.name.clone());
        self.orders.send(Order::Start(spec, done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Does what was asked; starting one that runs is nothing.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn control(&self, spec: &ProgramSpec, action: Action) -> Result<(), ProgramError> {
        match action {
            Action::Stop => self.stop().await,
            Action::Start if self.state().pid().is_some() => {}
            Action::Start | Action::Restart => self.start(spec.clone()).await?,
        }
        Ok(())
    }

    /// Stops it and returns when it has ended.
    pub async fn stop(&self) {
        let (done, ended) = oneshot::channel();
        if self.orders.send(Order::Stop(done)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// The task behind a [`Program`].
struct Keeper {
    report: watch::Sender<ProgramState>,
    spec: Option<ProgramSpec>,
    child: Option<Child>,
    /// When the running child was started.
    since: Instant,
    /// When to start it again, after it ended by itself.
    wake: Option<Instant>,
    pause: Duration,
    restarts: u32,
}

async fn keep(mut inbox: mpsc::Receiver<Order>, report: watch::Sender<ProgramState>) {
    let mut keeper = Keeper {
        report,
        spec: None,
        child: None,
        since: Instant::now(),
        wake: None,
        pause: FIRST_PAUSE,
        restarts: 0,
    };
    loop {
        let wake = keeper.wake;
        tokio::select! {
            order = inbox.recv() => match order {
                Some(Order::Start(spec, done)) => {
                    keeper.stop().await;
                    let _ = done.send(keeper.start(spec).await);
                }
                Some(Order::Stop(done)) => {
                    keeper.stop().await;
                    let _ = done.send(());
                }
                // Nobody gives orders any more: the child is killed as it is dropped.
                None => break,
            },
            reason = ended(keeper.child.as_mut()) => keeper.wait_and_retry(reason),
            () = at(wake) => keeper.retry().await,
        }
    }
}

/// Waits for the child's end and says how it ended.
async fn ended(child: Option<&mut Child>) -> String {
    match child {
        Some(child) => child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string()),
        None => std::future::pending().await,
    }
}

async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

impl Keeper {
    async fn start(&mut self, spec: ProgramSpec) -> Result<(), ProgramError> {
        let child = launch(&spec).await?;
        self.spec = Some(spec);
        self.restarts = 0;
        self.pause = FIRST_PAUSE;
        self.runs(child);
        Ok(())
    }

    fn runs(&mut self, child: Child) {
        self.report
            .send_replace(ProgramState::Running { pid: child.id().unwrap_or(0), restarts: self.restarts });
        self.child = Some(child);
        self.since = Instant::now();
        self.wake = None;
    }

    fn wait_and_retry(&mut self, reason: String) {
        self.child = None;
        if self.since.elapsed() > WELL {
            self.pause = FIRST_PAUSE;
        }
        let name = self.spec.as_ref().map_or("", |spec| &spec.name);
        tracing::warn!(program = name, reason, pause = ?self.pause, "ended by itself and will be started again");
        self.report.send_replace(ProgramState::Waiting { reason, restarts: self.restarts });
        self.wake = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    async fn retry(&mut self) {
        self.wake = None;
        let Some(spec) = &self.spec else { return };
        self.restarts = self.restarts.saturating_add(1);
        match launch(spec).await {
            Ok(child) => self.runs(child),
            Err(error) => self.wait_and_retry(error.to_string()),
        }
    }

    async fn stop(&mut self) {
        self.wake = None;
        if let Some(child) = self.child.take() {
            end(child, self.spec.as_ref().map_or("", |spec| &spec.name)).await;
        }
        self.report.send_replace(ProgramState::Stopped);
    }
}

async fn launch(spec: &ProgramSpec) -> Result<Child, ProgramError> {
    let failed =
        |source| ProgramError::Start { name: spec.name.clone(), program: spec.program.clone(), source };
    let (wanted, runtime) = (spec.clone(), tokio::runtime::Handle::current());
    match &spec.site {
        Site::Netns(place) => netns::within(place, move || spawn(&runtime, &wanted)).await?.map_err(failed),
        Site::First(place) => {
            let place = place.clone();
            blocking(spec, move || machine::unshared(&place, || spawn(&runtime, &wanted)))
                .await?
                .map_err(failed)
        }
        Site::Machine(first) => {
            let first = first.borrow().pid().ok_or_else(|| ProgramError::Off(spec.name.clone()))?;
            blocking(spec, move || machine::inside(first, || spawn(&runtime, &wanted)))
                .await??
                .map_err(failed)
        }
    }
}

/// Does something on a thread that may block, such as one that goes elsewhere.
async fn blocking<T, F>(spec: &ProgramSpec, work: F) -> Result<T, ProgramError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| ProgramError::Gone(spec.name.clone()))
}

/// Starts it where the calling thread is.
fn spawn(runtime: &tokio::runtime::Handle, spec: &ProgramSpec) -> io::Result<Child> {
    // Children made here belong to this runtime.
    let _runtime = runtime.enter();
    let log = OpenOptions::new().create(true).append(true).open(&spec.log)?;
    Command::new(&spec.program)
        .args(&spec.args)
        .envs(spec.envs.iter().cloned())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A signal meant for the supervisor's group is not for its programs.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

async fn end(mut child: Child, name: &str) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // Fails only when it has ended already.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        tracing::warn!(program = name, "did not end in time and is killed");
        if let Err(error) = child.kill().await {
            tracing::warn!(program = name, %error, "could not be killed");
        }
    }
}
