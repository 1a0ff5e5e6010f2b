//! The first process of a machine.

use std::io;

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Disk, Error, mounts, refused};

/// Becomes a machine's first process: makes its file systems, says so by [`Disk::booted`], and reaps orphans until SIGTERM.
/// All other processes of the machine end with it.
///
/// # Errors
/// [`Error::Refused`] names the step that failed.
pub async fn run(disk: &Disk) -> Result<(), Error> {
    let own = |source| refused("handle signals of", &disk.folder)(source);
    // From the first moment: the kernel keeps signals from a first process that has no handler.
    let mut terminated = signal(SignalKind::terminate()).map_err(own)?;
    let mut ended =
        signal(SignalKind::child()).map_err(|source| refused("handle signals of", &disk.folder)(source))?;
    mounts::make(disk)?;
    rustix::system::sethostname(disk.host_name.as_bytes())
        .map_err(io::Error::from)
        .map_err(refused("give a host name to", &disk.folder))?;
    std::fs::write(disk.booted(), "").map_err(refused("write", disk.booted()))?;
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            _ = ended.recv() => while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {},
        }
    }
}
