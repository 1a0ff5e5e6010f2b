//! Namespaces with names, as `ip netns` keeps them: a file under `/run/netns` with the namespace mounted on it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount},
    thread::UnshareFlags,
};

use super::{Netns, on_own_thread};
use crate::{Error, Result};

/// Where `ip netns` keeps its namespaces.
const DIRECTORY: &str = "/run/netns";

impl Netns {
    /// The path of the namespace named `name`.
    #[must_use]
    pub fn path_of(name: &str) -> PathBuf {
        Path::new(DIRECTORY).join(name)
    }

    /// Opens a namespace by its name.
    ///
    /// # Errors
    /// As [`Netns::open`]; a name with a slash is refused.
    pub fn named(name: &str) -> Result<Self> {
        check(name, "open")?;
        Self::open_as(&Self::path_of(name), name.to_owned())
    }

    /// Creates a namespace that `ip netns` sees as `name`. Its loopback interface is down, as the kernel leaves it.
    ///
    /// # Errors
    /// [`Error::Netns`]; [`Error::is_exists`] if the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        let failed = |source| Error::Netns { action: "create", netns: name.to_owned(), source };
        check(name, "create")?;
        prepare_directory().map_err(failed)?;
        let path = Self::path_of(name);
        OpenOptions::new().write(true).create_new(true).mode(0o000).open(&path).map_err(failed)?;
        let mounted = on_own_thread("create", name, || {
            unshare_network()?;
            Ok(mount_bind("/proc/thread-self/ns/net", &path)?)
        });
        mounted.and_then(|()| Self::named(name)).inspect_err(|_| {
            let _ = unmount(&path, UnmountFlags::DETACH);
            let _ = fs::remove_file(&path);
        })
    }

    /// Deletes the name. The namespace itself ends when its last process and handle are gone.
    ///
    /// # Errors
    /// [`Error::Netns`]; [`Error::is_not_found`] if there is no such name.
    pub fn delete(name: &str) -> Result<()> {
        let failed = |source| Error::Netns { action: "delete", netns: name.to_owned(), source };
        check(name, "delete")?;
        let path = Self::path_of(name);
        match unmount(&path, UnmountFlags::DETACH) {
            // Nothing is mounted on the file: a creation that was interrupted. The file is what is left to remove.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        fs::remove_file(&path).map_err(failed)
    }

    /// The names there are, sorted. Files without a namespace on them (see [`Netns::delete`]) are listed too.
    ///
    /// # Errors
    /// [`Error::File`] if the directory cannot be read; a missing directory is an empty list.
    pub fn names() -> Result<Vec<String>> {
        let failed = |source| Error::File { action: "list", path: DIRECTORY.into(), source };
        let entries = match fs::read_dir(DIRECTORY) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

fn check(name: &str, action: &'static str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.len() > 255 {
        let source =
            io::Error::new(io::ErrorKind::InvalidInput, "a name is a file name of at most 255 bytes");
        return Err(Error::Netns { action, netns: name.to_owned(), source });
    }
    Ok(())
}

/// Makes the directory a shared mount point, so that a namespace mounted or unmounted by one process is so for
/// all mount namespaces that share the directory (containers with `mountPropagation`, other users of `ip netns`).
fn prepare_directory() -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY)?;
    // Two processes that both find it unshared would mount it twice, the second hiding names of the first.
    // `ip netns` takes the same lock.
    let directory = File::open(DIRECTORY)?;
    flock(&directory, FlockOperation::LockExclusive)?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match mount_change(DIRECTORY, shared) {
        // It is no mount point yet.
        Err(Errno::INVAL) => {
            mount_bind_recursive(DIRECTORY, DIRECTORY)?;
            Ok(mount_change(DIRECTORY, shared)?)
        }
        other => Ok(other?),
    }
}

/// Moves the calling thread into a new network namespace.
#[allow(unsafe_code)]
fn unshare_network() -> io::Result<()> {
    // SAFETY: rustix marks `unshare` unsafe because of CLONE_FILES, which could make the descriptors of other
    // threads go away. Only the network namespace of this thread is replaced here.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?)
}
