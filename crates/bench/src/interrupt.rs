//! Ending early, in good order.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody wants the benchmark to end (SIGINT, SIGTERM, SIGHUP). The process goes on until it asks, so that
/// guards remove what was made. Cloning shares it.
///
/// Children that a terminal's Ctrl-C must not kill in the middle of something need a process group of their own.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// What a benchmark's process ends with, said on standard error where it is not what was hoped for.
// Output is what benchmarks are for.
#[allow(clippy::print_stderr)]
pub fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted; everything is removed");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The benchmark was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Interrupt {
    /// Listens from now on, on a thread of its own.
    ///
    /// # Errors
    /// When signals cannot be listened for.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut signals = {
            let _runtime = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            )
        };
        let flag = interrupt.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = signals.0.recv() => {}
                    _ = signals.1.recv() => {}
                    _ = signals.2.recv() => {}
                }
            });
            flag.0.store(true, Ordering::Relaxed);
        })?;
        Ok(interrupt)
    }

    /// To be asked wherever ending is fine.
    ///
    /// # Errors
    /// [`Interrupted`] when the benchmark is to end.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_signal_is_noticed_instead_of_killing() {
        let interrupt = Interrupt::listen().unwrap();
        assert_eq!(interrupt.check(), Ok(()));
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        let begin = Instant::now();
        while interrupt.check().is_ok() && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(interrupt.check(), Err(Interrupted));
    }
}
