//! Doing things inside a named network namespace.
//!
//! A thread enters the namespace, does its blocking work (opening sockets, starting a process) and ends: no thread
//! of the runtime ever changes its namespace, so nothing has to be changed back. Sockets stay in the namespace they
//! were opened in; a child process stays in the one it was started in.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Why work could not be done inside a namespace.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// There is no such namespace, or it may not be entered.
    #[error("cannot enter the network namespace {path}: {source}")]
    Enter {
        /// The namespace's file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The work ended without an answer, which only a panic does.
    #[error("the work inside the network namespace {0} ended early")]
    Lost(PathBuf),
}

/// Moves the calling thread into the namespace, for good: for a process about to execute another program.
///
/// # Errors
/// [`EnterError::Enter`].
pub fn move_into(path: &Path) -> Result<(), EnterError> {
    let enter = || {
        let file = File::open(path)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    };
    enter().map_err(|source| EnterError::Enter { path: path.to_owned(), source })
}

/// Runs blocking `work` on a thread of its own inside the namespace.
///
/// # Errors
/// [`EnterError`] when the namespace cannot be entered; what `work` returns is returned as it is.
pub async fn within<T, F>(path: &Path, work: F) -> Result<T, EnterError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (answer, answered) = tokio::sync::oneshot::channel();
    let place = path.to_owned();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("netns".to_owned())
        .spawn(move || {
            let _runtime = runtime.enter();
            // Nobody waits any more when the receiver is gone.
            let _ = answer.send(move_into(&place).map(|()| work()));
        })
        .map_err(EnterError::Thread)?;
    answered.await.map_err(|_| EnterError::Lost(path.to_owned()))?
}
