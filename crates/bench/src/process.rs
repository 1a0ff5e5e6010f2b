//! What the kernel says of a process.

use std::time::Duration;

use anyhow::Context as _;

/// `_SC_CLK_TCK`, in which `/proc/PID/stat` counts (proc(5)): ticks of a hundredth of a second on every Linux that people run.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that a process has used, in its own code and in the kernel for it.
///
/// # Errors
/// When there is no such process.
pub fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // After the name, which may hold anything: state is the first, utime and stime the 12th and 13th (proc(5)).
    let after = stat.rsplit_once(')').with_context(|| format!("no name in {path}"))?.1;
    let ticks = after.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks: u32 = ticks.sum::<Result<_, _>>().with_context(|| format!("no times in {path}"))?;
    Ok(TICK * ticks)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_busy_process_uses_its_processor() {
        let pid = std::process::id();
        let (before, begin) = (processor_time(pid).unwrap(), Instant::now());
        while processor_time(pid).unwrap() < before + 2 * TICK && begin.elapsed() < Duration::from_secs(20) {}
        assert!(before < processor_time(pid).unwrap());
        assert!(processor_time(0).unwrap_err().to_string().contains("/proc/0/stat"));
    }
}
