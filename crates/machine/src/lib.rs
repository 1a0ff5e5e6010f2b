//! Machines on this machine, for programs that think they have one: the kubelet, a container runtime.
//!
//! A machine is a process tree with mount, PID, IPC and host name namespaces of its own, in a network namespace that is
//! given. It sees the real machine's files, with `/etc`, `/opt` and `/var` under layers of its own, so that what it writes
//! there stays its own; `/run`, `/tmp`, `/proc` and `/sys` are its own altogether. Its first process ([`init`]) makes all
//! that and reaps orphans; when that process ends the kernel ends all others: that is its power switch. What is on its disk
//! stays for the next boot.
//!
//! - [`Disk`] says what a machine is to be; it travels to the first process as a file.
//! - [`unshared`] starts the first process, [`inside`] any other.
//!
//! Nothing outside of the machine's own folder is written, and nothing is mounted in the namespace of who calls.

mod enter;
pub mod init;
mod mounts;

pub use enter::{inside, unshared};

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why a machine does not boot, or cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a step.
    #[error("cannot {action} {path}: {source}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no such machine: its first process has ended.
    #[error("the machine of process {pid} cannot be entered: {source}")]
    Enter {
        /// The first process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// `Error::Refused` for a step.
fn refused(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::Refused { action, path, source }
}

/// What a machine has on its disk and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its host name.
    pub host_name: String,
    /// Folder that holds what it writes, and nothing else. It must not be on an overlay file system.
    pub folder: PathBuf,
    /// Folders and files of the real machine that it sees under another name, or under the same in spite of a `/run` of
    /// its own: (there, here), in the order of mounting.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// Files that it has, with their content, written at each boot.
    pub files: Vec<(PathBuf, String)>,
}

impl Disk {
    /// File that is there when the machine has booted.
    #[must_use]
    pub fn booted(&self) -> PathBuf {
        self.folder.join("booted")
    }

    /// A folder of the disk, which is a plain one on the real machine: container runtimes mount overlays over theirs.
    #[must_use]
    pub fn plain(&self, name: &str) -> PathBuf {
        self.folder.join("plain").join(name)
    }

    /// Reads one that was written to a file.
    ///
    /// # Errors
    /// When there is no such file, or nothing of the kind in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read(path).map_err(refused("read", path))?;
        serde_json::from_slice(&text).map_err(|error| refused("read", path)(error.into()))
    }
}
