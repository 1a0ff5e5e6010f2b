//! Times and what is said of many of them.

use std::time::Duration;

use serde::Serialize;

/// Times of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(Vec<Duration>);

/// What is said of samples, milliseconds. Percentiles are by nearest rank: each is a time that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Number of samples.
    pub n: usize,
    /// The shortest.
    pub min_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// At most one in a hundred is longer; with fewer than a hundred samples it is the longest.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Samples {
    /// Adds one.
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds all of others.
    pub fn merge(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// What is to be said of them; nothing if there are none.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().map(milliseconds)
        };
        Some(Summary {
            n: sorted.len(),
            min_ms: rank(0)?,
            p50_ms: rank(50)?,
            p99_ms: rank(99)?,
            max_ms: rank(100)?,
        })
    }
}

impl Extend<Duration> for Samples {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Self(times.into_iter().collect())
    }
}

/// To the microsecond, which is finer than any of this can be measured.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// One time as a part of another, to three digits; nothing if the other is nothing.
#[must_use]
pub fn ratio(ours: f64, other: f64) -> Option<f64> {
    (other > 0.0).then(|| (ours / other * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(times: impl IntoIterator<Item = u64>) -> Summary {
        times.into_iter().map(Duration::from_millis).collect::<Samples>().summary().unwrap()
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let hundred = summary((1..=100).rev());
        assert_eq!((hundred.n, hundred.min_ms, hundred.p50_ms), (100, 1.0, 50.0));
        assert_eq!((hundred.p99_ms, hundred.max_ms), (99.0, 100.0));
        let three = summary([9, 1, 5]);
        assert_eq!((three.p50_ms, three.p99_ms), (5.0, 9.0));
        let one = summary([7]);
        assert_eq!((one.min_ms, one.p50_ms, one.p99_ms, one.max_ms), (7.0, 7.0, 7.0, 7.0));
    }

    #[test]
    fn nothing_is_said_of_no_samples_and_nothing_is_a_part_of_no_time() {
        assert_eq!(Samples::default().summary(), None);
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(1.0, 3.0), Some(0.333));
    }
}
