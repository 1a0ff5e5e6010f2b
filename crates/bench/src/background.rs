//! Programs that keep what is measured going, and must not be measured with something else.

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// Processes that can be made to rest. They go on when this is dropped.
#[derive(Debug)]
pub struct Background(Vec<Pid>);

impl Background {
    /// Of the processes with these numbers.
    #[must_use]
    pub fn of(pids: impl IntoIterator<Item = u32>) -> Self {
        let known = pids.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        Self(known.collect())
    }

    /// Lets them do nothing (SIGSTOP) until [`wake`](Self::wake).
    ///
    /// # Errors
    /// When one of them has ended: what it kept going is not what was to be measured.
    pub fn rest(&self) -> anyhow::Result<()> {
        self.tell(Signal::STOP)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// As [`rest`](Self::rest).
    pub fn wake(&self) -> anyhow::Result<()> {
        self.tell(Signal::CONT)
    }

    fn tell(&self, signal: Signal) -> anyhow::Result<()> {
        let tell =
            |pid: &Pid| kill_process(*pid, signal).with_context(|| format!("process {}", pid.as_raw_pid()));
        self.0.iter().try_for_each(tell)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that has ended needs no waking.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use super::*;

    /// Waits for a process's state (proc(5)): `T` is stopped, `S` sleeps.
    fn comes_to(child: &Child, state: &str) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            if stat.rsplit_once(") ").unwrap().1.starts_with(state) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }

    #[test]
    fn processes_rest_and_go_on() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(comes_to(&child, "S"));
        let background = Background::of([child.id()]);
        background.rest().unwrap();
        assert!(comes_to(&child, "T"));
        background.wake().unwrap();
        assert!(comes_to(&child, "S"));
        background.rest().unwrap();
        assert!(comes_to(&child, "T"));
        drop(background);
        assert!(comes_to(&child, "S"));
        child.kill().unwrap();
        let background = Background::of([child.id()]);
        child.wait().unwrap();
        let said = format!("{:#}", background.rest().unwrap_err());
        assert!(said.contains(&format!("process {}: No such process", child.id())), "{said}");
    }
}
