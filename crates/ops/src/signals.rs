//! Being told to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is asked to end (SIGTERM or SIGINT), with the signal's name.
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn terminated() -> std::io::Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}
