//! The machine a benchmark ran on.

use serde::Serialize;

/// What has to be known of a machine to make anything of times measured on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// Processes that wanted to run, on average over the minute before the benchmark began. More than there are
    /// processors means that others were at work, and that only ratios say something.
    pub load: f64,
}

impl Machine {
    /// This one, now. What cannot be found out is left empty.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            load: first_word(&read("/proc/loadavg")),
        }
    }
}

fn first_word(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_kernel_and_processors() {
        let machine = Machine::this();
        assert!(!machine.kernel.is_empty() && machine.processors > 0, "{machine:?}");
        assert_eq!(first_word("1.25 0.90 0.50 1/100 4242\n").to_string(), "1.25");
    }
}
