//! A real Kubernetes: what its programs must be given to be a cluster, in files and arguments.
//!
//! - [`programs`]: where they are.
//! - [`pki`]: the certificates by which they know each other, and kubeconfigs.
//! - [`control_plane`]: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.
//! - [`node`]: containerd and the kubelet.
//!
//! Nothing is started here: an [`Invocation`] says what to start, and what starts it knows where.

pub mod control_plane;
pub mod node;
pub mod pki;
pub mod programs;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A certificate or a key cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A program is not there.
    #[error("{program} is not in {}: {hint}", .places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" nor "))]
    Missing {
        /// Its name.
        program: String,
        /// Where it was looked for.
        places: Vec<PathBuf>,
        /// What to do.
        hint: &'static str,
    },
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its name.
    pub name: &'static str,
    /// The executable.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<OsString>,
    /// Environment variables besides the inherited ones.
    pub envs: Vec<(String, OsString)>,
}

impl Invocation {
    fn new(name: &'static str, program: PathBuf, args: impl IntoIterator<Item = String>) -> Self {
        Self { name, program, args: args.into_iter().map(OsString::from).collect(), envs: Vec::new() }
    }
}

/// Writes a file that only its owner may read, with the folders it is in.
fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |source| Error::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
    io::Write::write_all(&mut file, content.as_ref()).map_err(failed)
}

/// As JSON, which every YAML reader takes.
fn write_json(path: &Path, content: &serde_json::Value) -> Result<(), Error> {
    write(path, format!("{content:#}\n"))
}
