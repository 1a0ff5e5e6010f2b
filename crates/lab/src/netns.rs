//! Doing things inside a named network namespace, from asynchronous code.
//!
//! Sockets stay in the namespace they were opened in; a child process stays in the one it was started in. So a thread
//! that enters the namespace for a moment ([`host::Netns::run`]) is all it takes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use host::Netns;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Why work could not be done inside a namespace.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// There is no such namespace, or it may not be entered.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// There is no such namespace, or it may not be entered.
    #[error("cannot move into the network namespace {path}: {source}")]
    Move {
        /// The namespace's file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The work ended without an answer, which only a panic or the end of the runtime does.
    #[error("the work inside the network namespace {0} ended early")]
    Lost(PathBuf),
}

/// Moves the calling thread into the namespace, for good: for a process about to execute another program.
///
/// # Errors
/// [`EnterError::Move`].
pub fn move_into(path: &Path) -> Result<(), EnterError> {
    let enter = || {
        let file = File::open(path)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(())
    };
    enter().map_err(|source| EnterError::Move { path: path.to_owned(), source })
}

/// Runs blocking `work` inside the namespace.
///
/// # Errors
/// [`EnterError`] when the namespace cannot be entered; what `work` returns is returned as it is.
pub async fn within<T, F>(path: &Path, work: F) -> Result<T, EnterError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let place = path.to_owned();
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || {
        Netns::open(&place)?.run(|| {
            // Sockets and children made here belong to this runtime.
            let _runtime = runtime.enter();
            work()
        })
    });
    Ok(done.await.map_err(|_| EnterError::Lost(path.to_owned()))??)
}
