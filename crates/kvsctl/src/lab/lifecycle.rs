//! Bringing labs up and down, and looking at them.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::lab::client::{ClientError, request};
use ::lab::layout::Layout;
use ::lab::patience::patience;
use ::lab::program::ProgramState;
use ::lab::protocol::{LabStatus, ProgramStatus, Reply, Request, Stage};
use ::lab::spec::LabSpec;
use ::lab::sweep::{self, Swept};
use anyhow::{Context as _, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::{Common, Up, output};
use crate::style::{bold, dim, green, red, yellow};

/// How long the supervisor may take to open its socket.
const PATIENCE: Duration = Duration::from_secs(10);

/// Open files of the supervisor.
const OPEN_FILES: u64 = 65_536;

/// Where administrators' programs are, which not every user has in PATH.
const ADMIN_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// `kvsctl lab up`.
pub(super) fn up(common: &Common, up: &Up) -> anyhow::Result<()> {
    let status = bring_up(common, up, |text| {
        if !common.json() {
            let _ = output::line(&format!("{} {text}", green("✔")));
        }
    })?;
    if common.json() {
        return output::json(&status);
    }
    let seconds = status.ready_after_ms.map(|ms| format!(" in {}.{} s", ms / 1000, ms % 1000 / 100));
    output::line(&format!(
        "{} lab {} is ready{}",
        green("✔"),
        bold(common.name.as_str()),
        seconds.unwrap_or_default()
    ))?;
    let export = format!("export KUBECONFIG={}", status.kubeconfig.display());
    Ok(output::line(&format!("  {export}   {}", dim("# then kubectl as usual")))?)
}

/// Brings a lab up and returns when it is ready; `step` is called with each step.
pub(super) fn bring_up(common: &Common, up: &Up, mut step: impl FnMut(&str)) -> anyhow::Result<LabStatus> {
    ensure_root()?;
    let layout = common.layout();
    if let Some(pid) = sweep::supervisor(&layout)? {
        bail!(
            "lab {} is up already (supervisor {pid}): take it down with `kvsctl lab down --name {}`",
            common.name,
            common.name
        );
    }
    if !sweep::traces(&layout)?.is_empty() {
        let swept = sweep::sweep(&layout)?;
        step(&format!("removed what an earlier lab left: {}", describe(swept)));
    }
    let spec = spec_of(common, up)?;
    let mut supervisor = start_supervisor(&layout, &spec)?;
    match request(&layout, &Request::Follow, step) {
        Ok(Reply::Status(status)) => Ok(*status),
        Ok(other) => bail!("the supervisor answered something else: {other:?}"),
        Err(error) => {
            // Looking at the child also says whether it died.
            let died = supervisor.try_wait().ok().flatten();
            let log = layout.log("supervisor");
            let died = died.map(|status| format!(" (the supervisor ended: {status})")).unwrap_or_default();
            bail!(
                "{error}{died}\n  what there is stays to be looked at: {} has the details;\n  \
                 `kvsctl lab status --name {name}` shows the programs, `kvsctl lab down --name {name}` removes all",
                log.display(),
                name = common.name
            )
        }
    }
}

fn ensure_root() -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a lab is made of network namespaces, which only root may create: run this as root"
    );
    Ok(())
}

fn spec_of(common: &Common, up: &Up) -> anyhow::Result<LabSpec> {
    let bin_dir = match &up.bin_dir {
        Some(folder) => folder.clone(),
        None => std::env::current_exe()?.parent().context("kvsctl is in no folder")?.to_owned(),
    };
    let bin_dir = bin_dir.canonicalize().with_context(|| format!("--bin-dir {}", bin_dir.display()))?;
    let api = match &up.api {
        ::lab::spec::ApiSource::Kubeconfig(path) => ::lab::spec::ApiSource::Kubeconfig(
            path.canonicalize().with_context(|| format!("--api {}", path.display()))?,
        ),
        own @ (::lab::spec::ApiSource::Embedded | ::lab::spec::ApiSource::Kubernetes) => own.clone(),
    };
    let spec = LabSpec {
        name: common.name.clone(),
        nodes: up.nodes,
        overlay: up.overlay,
        families: up.families.clone(),
        api,
        bin_dir,
        datapath: up.datapath,
        ovs: up.ovs,
        agent_args: up.agent_args.clone(),
    };
    spec.check()?;
    Ok(spec)
}

/// Starts the supervisor in the background and returns when its socket answers.
fn start_supervisor(layout: &Layout, spec: &LabSpec) -> anyhow::Result<Child> {
    let log = layout.log("supervisor");
    let folder = log.parent().unwrap_or(layout.root()).to_owned();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(layout.spec(), serde_json::to_vec_pretty(spec)?)
        .with_context(|| format!("cannot write {}", layout.spec().display()))?;
    let file = OpenOptions::new().create(true).append(true).open(&log)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["lab", "supervise", "--name", spec.name.as_str()])
        .env("PATH", format!("{path}:{ADMIN_PATH}"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("cannot start the supervisor")?;
    let begin = Instant::now();
    // The file is there a moment before anybody listens on it.
    while UnixStream::connect(layout.socket()).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("the supervisor ended at once ({status}): see {}", log.display());
        }
        ensure!(
            begin.elapsed() < patience(PATIENCE),
            "the supervisor did not come up: see {}",
            log.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

/// Probes open thousands of sockets. Where the limit may not be raised, the most that it allows: probes then wait for each other.
fn open_files() -> rustix::io::Result<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    let set = |most| setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    set(most.map(|most| most.max(OPEN_FILES))).or_else(|_| set(most))
}

/// `kvsctl lab supervise`: becomes the lab's supervisor.
pub(super) fn supervise(common: &Common) -> anyhow::Result<()> {
    // A terminal's signals are not for the lab. Fails only for the leader of a process group, which is just as well.
    let _ = rustix::process::setsid();
    open_files()?;
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("KVS_LAB_LOG").unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(::lab::supervisor::run(common.layout()));
    // Threads that still wait for the kernel do not keep the process.
    runtime.shutdown_background();
    Ok(result?)
}

/// `kvsctl lab machine`: becomes the first process of a machine.
pub(super) fn machine(disk: &Path) -> anyhow::Result<()> {
    let disk = machine::Disk::read(disk)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(machine::init::run(&disk))?)
}

/// `kvsctl lab down`.
pub(super) fn down(common: &Common) -> anyhow::Result<()> {
    let swept = take_down(common)?;
    if common.json() {
        return output::json(&json!({
            "name": common.name.as_str(),
            "down": true,
            "was_there": swept.is_some(),
        }));
    }
    let name = bold(common.name.as_str());
    let text = match swept {
        Some(_) => format!("{} lab {name} is down; nothing is left of it", green("✔")),
        None => format!("there is no lab {name}"),
    };
    Ok(output::line(&text)?)
}

/// Takes a lab down and makes sure that nothing is left. `None` when there was nothing.
pub(super) fn take_down(common: &Common) -> anyhow::Result<Option<Swept>> {
    ensure_root()?;
    let layout = common.layout();
    if sweep::traces(&layout)?.is_empty() {
        return Ok(None);
    }
    // The supervisor takes most of it down in good order; what remains, or all where it died, is swept.
    if let Some(pid) = sweep::supervisor(&layout)? {
        let ends = match request(&layout, &Request::Down, |_| {}) {
            Ok(_) | Err(ClientError::Dead { .. } | ClientError::Absent { .. }) => true,
            Err(ClientError::Silent { after, .. }) => {
                eprintln!("{} the supervisor has not answered for {after:?}: it is killed", yellow("note:"));
                false
            }
            Err(error) => {
                eprintln!("{} {error}", yellow("note:"));
                true
            }
        };
        let begin = Instant::now();
        while ends && lives(pid) && begin.elapsed() < patience(3 * PATIENCE) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let swept = sweep::sweep(&layout)?;
    let left = sweep::traces(&layout)?;
    ensure!(left.is_empty(), "something is left of lab {}: {left:?}", common.name);
    Ok(Some(swept))
}

/// Whether the process has not ended. One that has, and waits for its parent to ask, has no command line any more.
fn lives(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn describe(swept: Swept) -> String {
    format!("{} processes, {} network namespaces", swept.processes, swept.namespaces)
}

/// `kvsctl lab list`.
pub(super) fn list(common: &Common) -> anyhow::Result<()> {
    let mut statuses = Vec::new();
    for name in sweep::labs()? {
        let layout = Layout::new(&name);
        match request(&layout, &Request::Status, |_| {}) {
            Ok(Reply::Status(status)) => statuses.push(json!(status)),
            Err(ClientError::Silent { .. }) => {
                statuses.push(json!({"name": name.as_str(), "stage": "silent"}));
            }
            _ => statuses.push(json!({"name": name.as_str(), "stage": Stage::Dead})),
        }
    }
    if common.json() {
        return output::json(&statuses);
    }
    let header = ["NAME", "STAGE", "NODES", "PODS", "OVERLAY", "FAMILIES"];
    let mut rows = vec![header.map(bold).to_vec()];
    for status in &statuses {
        let text = |key: &str| status.get(key).and_then(|value| value.as_str()).unwrap_or("-").to_owned();
        let families = status.get("families").and_then(|value| value.as_array());
        let families =
            families.map(|list| list.iter().filter_map(|f| f.as_str()).collect::<Vec<_>>().join(","));
        let nodes = status.get("nodes").and_then(|value| value.as_array()).map(|list| list.len().to_string());
        let pods = status.get("pods").map(ToString::to_string);
        rows.push(vec![
            text("name"),
            coloured_stage(&text("stage")),
            nodes.unwrap_or_else(|| "-".to_owned()),
            pods.unwrap_or_else(|| "-".to_owned()),
            text("overlay"),
            families.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    Ok(output::table(&rows)?)
}

fn coloured_stage(stage: &str) -> String {
    match stage {
        "ready" => green(stage),
        "starting" | "stopping" => yellow(stage),
        _ => red(stage),
    }
}

/// How the lab is.
pub(super) fn status_of(layout: &Layout) -> anyhow::Result<LabStatus> {
    match request(layout, &Request::Status, |_| {})? {
        Reply::Status(status) => Ok(*status),
        other => bail!("the supervisor answered something else: {other:?}"),
    }
}

/// `kvsctl lab status`.
pub(super) fn status(common: &Common) -> anyhow::Result<()> {
    let status = status_of(&common.layout())?;
    if common.json() {
        return output::json(&status);
    }
    let families: Vec<String> = status.families.iter().map(ToString::to_string).collect();
    output::line(&format!(
        "lab {}: {}, {} pods, overlay {}, {}, {} datapath",
        bold(&status.name),
        coloured_stage(&status.stage.to_string()),
        status.pods,
        status.overlay,
        families.join("+"),
        status.datapath.as_deref().unwrap_or("unknown"),
    ))?;
    let header = ["WHERE", "PROGRAM", "STATE", "PID", "RESTARTS", "LOG"];
    let mut rows = vec![header.map(bold).to_vec()];
    let control_plane = status.controller.iter().chain(&status.control_plane);
    rows.extend(control_plane.map(|program| program_row("control plane", program)));
    for node in &status.nodes {
        rows.extend(node.programs.iter().map(|program| program_row(&node.name, program)));
    }
    output::table(&rows)?;
    let header = ["NODE", "READY", "PODS", "ADDRESSES", "MESSAGE"];
    let mut rows = vec![header.map(bold).to_vec()];
    for node in &status.nodes {
        let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        let ready = if node.ready { green("yes") } else { red("no") };
        let message = if node.ready { String::new() } else { node.message.clone() };
        rows.push(vec![node.name.clone(), ready, node.pods.to_string(), addresses.join(","), message]);
    }
    output::line("")?;
    Ok(output::table(&rows)?)
}

fn program_row(place: &str, program: &ProgramStatus) -> Vec<String> {
    let (state, pid, restarts) = match &program.state {
        ProgramState::Running { pid, restarts } => (green("running"), pid.to_string(), restarts.to_string()),
        ProgramState::Waiting { reason, restarts } => {
            (red(&format!("waiting: {reason}")), "-".to_owned(), restarts.to_string())
        }
        ProgramState::Stopped => (yellow("stopped"), "-".to_owned(), "-".to_owned()),
    };
    let log = program.log.display().to_string();
    vec![place.to_owned(), program.program.clone(), state, pid, restarts, log]
}

/// `kvsctl lab kubeconfig`.
pub(super) fn kubeconfig(common: &Common) -> anyhow::Result<()> {
    let path: PathBuf = status_of(&common.layout())?.kubeconfig;
    if common.json() {
        return output::json(&json!({"kubeconfig": path}));
    }
    output::line(&path.display().to_string())?;
    // A shell that captures the path gets nothing else; a person gets a hint.
    if std::io::stdout().is_terminal() {
        let hint = format!("export KUBECONFIG=$(kvsctl lab kubeconfig --name {})", common.name);
        writeln!(std::io::stderr(), "{}", dim(&hint))?;
    }
    Ok(())
}
