//! Times of events, which take microseconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is said of many, microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) n: usize,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        // By nearest rank: each is a time that was measured.
        let rank = |percent: usize| {
            let time = times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
            time.map_or(0.0, |time| (time.as_secs_f64() * 1e8).round() / 1e2)
        };
        Self { n: times.len(), p50_us: rank(50), p99_us: rank(99), max_us: rank(100) }
    }
}
