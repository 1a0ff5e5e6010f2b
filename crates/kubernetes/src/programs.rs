//! Where Kubernetes' programs are.

use std::path::{Path, PathBuf};

use crate::Error;

/// Names the folder of programs, where set.
pub const FOLDER: &str = "KVS_KUBERNETES";

/// Kubernetes' version, where the folder is not named: `scripts/kube` builds this one.
const VERSION: &str = "v1.34.4";

/// Those that come from Kubernetes and those that come from the system.
const OWN: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];
const SYSTEM: [&str; 3] = ["etcd", "containerd", "runc"];

/// All that a cluster is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those in the folder that [`FOLDER`] names, or in the one that `scripts/kube` fills.
    ///
    /// # Errors
    /// [`Error::Missing`] names the first one that is not there, and how to get it.
    pub fn find() -> Result<Self, Error> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let cache = || {
            let home = || variable("HOME").unwrap_or_default().join(".cache");
            variable("XDG_CACHE_HOME").unwrap_or_else(home).join("k-vswitch/kubernetes").join(VERSION)
        };
        Self::within(variable(FOLDER).unwrap_or_else(cache))
    }

    fn within(folder: PathBuf) -> Result<Self, Error> {
        for program in OWN {
            if !folder.join(program).is_file() {
                let hint = "run `make kube`, which builds it with Go";
                return Err(Error::Missing { program: program.into(), places: vec![folder], hint });
            }
        }
        for program in SYSTEM {
            if on_path(program).is_none() {
                let hint = "install the packages etcd-server, containerd and runc";
                let places = path_folders().collect();
                return Err(Error::Missing { program: program.into(), places, hint });
            }
        }
        Ok(Self { folder })
    }

    /// Path of one of Kubernetes' own, or of an image's archive.
    #[must_use]
    pub fn own(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder, which holds image archives too.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Path of one of the system's, found once: a program that runs elsewhere need not have the same `PATH`.
pub(crate) fn system(name: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| name.into())
}

fn on_path(name: &str) -> Option<PathBuf> {
    path_folders().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn path_folders() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let text = Programs::within(folder.path().to_owned()).unwrap_err().to_string();
        assert!(text.contains("kube-apiserver is not in /") && text.contains("make kube"), "{text}");
    }
}
