//! Threads inside machines: what they start is inside.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space,
    move_into_thread_name_spaces,
};

use crate::Error;

/// Runs `start` on a thread that has left everything but the network namespace `netns`: the process it starts is the
/// first one of a new machine, and is to become [`crate::init::run`]. Only one can be started so. Blocks.
///
/// # Errors
/// What `start` returns, or what the kernel says to the namespaces.
pub fn unshared<T, F>(netns: &Path, start: F) -> io::Result<T>
where
    T: Send,
    F: FnOnce() -> io::Result<T> + Send,
{
    on_own_thread(|| {
        let file = File::open(netns)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        unshare(
            UnshareFlags::FS
                | UnshareFlags::NEWNS
                | UnshareFlags::NEWPID
                | UnshareFlags::NEWIPC
                | UnshareFlags::NEWUTS,
        )?;
        start()
    })
}

/// Runs `work` on a thread inside the machine whose first process is `pid`. Processes that it starts are in there; it must
/// not make threads. Blocks.
///
/// # Errors
/// [`Error::Enter`] when there is no such machine.
pub fn inside<T, F>(pid: u32, work: F) -> Result<T, Error>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    let first = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let enter = || {
        let first = first.ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(first, PidfdFlags::empty())?;
        // Threads of a process share their working directory, which a mount namespace must not.
        unshare(UnshareFlags::FS)?;
        let all = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
        move_into_thread_name_spaces(process.as_fd(), all)?;
        Ok(work())
    };
    on_own_thread(enter).map_err(|source| Error::Enter { pid, source })
}

/// On a thread that ends with it, so that none is left where it does not belong.
fn on_own_thread<T, F>(work: F) -> io::Result<T>
where
    T: Send,
    F: FnOnce() -> io::Result<T> + Send,
{
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("machine".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[allow(unsafe_code)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: rustix marks `unshare` unsafe because of CLONE_FILES, which could make the descriptors of other threads go
    // away. It is not among the flags here.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
