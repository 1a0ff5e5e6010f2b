//! Network namespaces as handles: opened once, compared by identity, entered only by threads made for it.

use std::{
    fmt,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::Arc,
    thread,
};

use rustix::{
    fs::{fstat, fstatfs},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{Error, Result};

mod named;
#[cfg(test)]
mod tests;

/// `NSFS_MAGIC` of `linux/magic.h`: the file system that namespaces live in.
const NSFS_MAGIC: i128 = 0x6e73_6673;

/// An open network namespace. It keeps existing while the handle does, whatever happens to its path.
#[derive(Debug, Clone)]
pub struct Netns {
    file: Arc<File>,
    name: Arc<str>,
    id: NetnsId,
}

/// What tells two namespaces apart: device and inode number of the namespace file. A number is reused after the
/// namespace is gone, so it identifies only namespaces that exist at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    /// Device number of the namespace file system.
    pub dev: u64,
    /// Inode number: what `ip netns identify` and `lsns` compare.
    pub ino: u64,
}

impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.ino)
    }
}

impl Netns {
    /// Opens the namespace mounted at `path`, for instance `/run/netns/pod1` or `/proc/42/ns/net`.
    ///
    /// # Errors
    /// [`Error::Netns`] if the path cannot be opened, [`Error::NotNetns`] if it is no namespace (the mount is gone
    /// and the empty file is left).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_as(path, path.display().to_string())
    }

    /// Opens the namespace that process `pid` is in.
    ///
    /// # Errors
    /// As [`Netns::open`].
    pub fn of_pid(pid: u32) -> Result<Self> {
        Self::open(format!("/proc/{pid}/ns/net"))
    }

    /// Opens the namespace the calling thread is in.
    ///
    /// # Errors
    /// As [`Netns::open`].
    pub fn current() -> Result<Self> {
        Self::open_as(Path::new("/proc/thread-self/ns/net"), "of this process".to_owned())
    }

    fn open_as(path: &Path, name: String) -> Result<Self> {
        let failed =
            |source: io::Error| Error::Netns { action: "open", netns: path.display().to_string(), source };
        let file = File::open(path).map_err(failed)?;
        let file_system = fstatfs(&file).map_err(|e| failed(e.into()))?;
        if i128::from(file_system.f_type) != NSFS_MAGIC {
            return Err(Error::NotNetns { path: path.to_owned() });
        }
        let stat = fstat(&file).map_err(|e| failed(e.into()))?;
        Ok(Self {
            file: Arc::new(file),
            name: name.into(),
            id: NetnsId { dev: stat.st_dev, ino: stat.st_ino },
        })
    }

    /// Path or name it was opened by, for messages.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        self.id
    }

    /// Runs `work` inside the namespace and returns what it returns.
    ///
    /// It runs on a thread of its own that ends afterwards, so no thread is ever left in another namespace than it
    /// was in. A panic of `work` continues in the caller. Processes that `work` starts are in the namespace as well.
    ///
    /// # Errors
    /// [`Error::Netns`] if the namespace cannot be entered, which takes CAP_SYS_ADMIN.
    pub fn run<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        on_own_thread("enter", &self.name, || {
            move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl PartialEq for Netns {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Netns {}

/// Runs `work`, which changes the namespace of its thread, on a thread that ends with it.
fn on_own_thread<T, F>(action: &'static str, netns: &str, work: F) -> Result<T>
where
    F: FnOnce() -> io::Result<T> + Send,
    T: Send,
{
    let outcome = thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    outcome.map_err(|source| Error::Netns { action, netns: netns.to_owned(), source })
}
