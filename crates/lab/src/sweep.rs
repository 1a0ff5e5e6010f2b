//! Finding and removing all that a lab left: its supervisor, the processes in its namespaces, the namespaces and the
//! folder. It needs nothing but the lab's name, so it works after any kind of death. All functions block.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::Netns;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::layout::{LABS_DIR, Layout, NETNS_DIR};
use crate::patience::patience;
use crate::real::cgroup;
use crate::spec::LabName;

/// How long a supervisor may take to end by itself, and a killed process to be gone.
const PATIENCE: Duration = Duration::from_secs(20);
const KILLED: Duration = Duration::from_secs(5);

/// Why something of a lab is still there.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A file or folder could not be read or removed.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A namespace could not be removed.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// Processes live on after SIGKILL.
    #[error("processes {0:?} of the lab cannot be killed")]
    Immortal(Vec<i32>),
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Processes killed.
    pub processes: usize,
    /// Namespaces deleted.
    pub namespaces: usize,
}

/// What is left of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traces {
    /// Its folder.
    pub folder: Option<PathBuf>,
    /// Its namespaces' names.
    pub namespaces: Vec<String>,
    /// Processes in its namespaces.
    pub processes: Vec<i32>,
    /// Whether it has control groups.
    pub cgroups: bool,
}

impl Traces {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folder.is_none() && self.namespaces.is_empty() && self.processes.is_empty() && !self.cgroups
    }
}

/// Names of all labs that have a folder.
///
/// # Errors
/// When the folder of labs cannot be read.
pub fn labs() -> Result<Vec<LabName>, SweepError> {
    let failed = |source| SweepError::File { action: "list", path: LABS_DIR.into(), source };
    let entries = match std::fs::read_dir(LABS_DIR) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().and_then(|name| name.parse().ok()));
    }
    names.sort();
    Ok(names)
}

/// Process id of the lab's living supervisor: it holds the lock.
///
/// # Errors
/// When the lock's file cannot be read.
pub fn supervisor(layout: &Layout) -> Result<Option<i32>, SweepError> {
    let path = layout.lock();
    let failed = |source| SweepError::File { action: "read", path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            Ok(text.trim().parse().ok())
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// Takes the lock that says that this process is the lab's supervisor. Returns `None` when another one is.
///
/// # Errors
/// When the file cannot be written.
pub fn become_supervisor(layout: &Layout) -> Result<Option<File>, SweepError> {
    let path = layout.lock();
    let failed = |source| SweepError::File { action: "write", path: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            std::fs::write(&path, format!("{}\n", std::process::id())).map_err(failed)?;
            Ok(Some(file))
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

/// What there is of the lab.
///
/// # Errors
/// When it cannot be looked for.
pub fn traces(layout: &Layout) -> Result<Traces, SweepError> {
    let prefix = layout.netns_prefix();
    let namespaces: Vec<String> =
        Netns::names()?.into_iter().filter(|name| name.starts_with(&prefix)).collect();
    let folder = layout.root().exists().then(|| layout.root().to_owned());
    Ok(Traces { folder, processes: processes_in(&namespaces), namespaces, cgroups: cgroup::exist(layout) })
}

/// Ends the supervisor, if one lives, and removes everything of the lab.
///
/// # Errors
/// [`SweepError`] names what could not be removed.
pub fn sweep(layout: &Layout) -> Result<Swept, SweepError> {
    let mut killed = 0;
    if let Some(pid) = supervisor(layout)? {
        signal(pid, Signal::TERM);
        let begin = Instant::now();
        while supervisor(layout)?.is_some() && begin.elapsed() < patience(PATIENCE) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if supervisor(layout)? == Some(pid) {
            signal(pid, Signal::KILL);
            killed += 1;
        }
    }
    let mut swept = remove_all(layout)?;
    swept.processes += killed;
    Ok(swept)
}

/// Removes everything of the lab but its supervisor: kills what runs in its namespaces, deletes these and the folder.
///
/// # Errors
/// [`SweepError`] names what could not be removed.
pub fn remove_all(layout: &Layout) -> Result<Swept, SweepError> {
    let found = traces(layout)?;
    let processes = kill_all(&found.namespaces)?;
    // Killed processes are in their groups until the kernel is done with them.
    let begin = Instant::now();
    while cgroup::exist(layout) && begin.elapsed() < KILLED {
        cgroup::remove(layout);
        std::thread::sleep(Duration::from_millis(5));
    }
    for name in &found.namespaces {
        match Netns::delete(name) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
    }
    match std::fs::remove_dir_all(layout.root()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SweepError::File { action: "remove", path: layout.root().to_owned(), source: error });
        }
        _ => {}
    }
    // The folder of all labs goes with the last one; it stays when another lab is in it.
    let _ = std::fs::remove_dir(LABS_DIR);
    Ok(Swept { processes, namespaces: found.namespaces.len() })
}

/// Kills until no process is left: one may be starting another.
fn kill_all(namespaces: &[String]) -> Result<usize, SweepError> {
    let mut killed = BTreeSet::new();
    let begin = Instant::now();
    loop {
        let living = processes_in(namespaces);
        if living.is_empty() {
            return Ok(killed.len());
        }
        if begin.elapsed() > KILLED {
            return Err(SweepError::Immortal(living));
        }
        for pid in living {
            signal(pid, Signal::KILL);
            killed.insert(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Fails only when it is gone, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

/// Processes whose network namespace is one of these, without this process. Those that have ended and wait to be
/// reaped are in no namespace any more.
fn processes_in(namespaces: &[String]) -> Vec<i32> {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let wanted: BTreeSet<(u64, u64)> =
        namespaces.iter().filter_map(|name| identity(&Path::new(NETNS_DIR).join(name))).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own)
        .filter(|pid| {
            identity(Path::new(&format!("/proc/{pid}/ns/net"))).is_some_and(|found| wanted.contains(&found))
        })
        .collect()
}
