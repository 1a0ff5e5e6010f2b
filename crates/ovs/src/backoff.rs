//! How long to wait before trying again: doubling, bounded, with jitter, so that the nodes of a cluster do not come
//! back in step.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The waiting times of one connection.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Default for Backoff {
    /// From 20 ms, for a daemon that is just being restarted, to 5 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(20), Duration::from_secs(5))
    }
}

impl Backoff {
    /// Waiting times from `first` to `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The time to wait now: between half and the whole of what doubling has come to.
    #[must_use]
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = self.next.saturating_mul(2).min(self.most);
        // A new RandomState has new keys each time: as much randomness as jitter needs.
        let random = RandomState::new().hash_one(0_u8) & 0xffff;
        let half = whole / 2;
        half + half.mul_f64(f64::from(u32::try_from(random).unwrap_or(0)) / f64::from(0x1_0000))
    }

    /// The last try went well.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(100));
        for whole in [20, 40, 80, 100, 100] {
            let wait = backoff.wait();
            let whole = Duration::from_millis(whole);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} for {whole:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(20));
    }
}
