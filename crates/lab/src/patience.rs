//! How long what a lab waits for may take. Machines differ: with `KVS_LAB_PATIENCE=4` everything may take four times as long, as
//! in an emulated machine.

use std::sync::LazyLock;
use std::time::Duration;

/// The variable that says it; kept by the supervisor, which inherits it.
pub const VARIABLE: &str = "KVS_LAB_PATIENCE";

static FACTOR: LazyLock<u32> = LazyLock::new(|| factor(std::env::var(VARIABLE).ok().as_deref()));

/// What is no number above zero is as if it were not there.
fn factor(said: Option<&str>) -> u32 {
    said.and_then(|said| said.parse().ok()).filter(|factor| *factor > 0).unwrap_or(1)
}

/// What may usually take so long, here.
#[must_use]
pub fn patience(usual: Duration) -> Duration {
    usual.saturating_mul(*FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_above_zero_is_a_factor() {
        assert_eq!(
            [None, Some(""), Some("0"), Some("-2"), Some("x"), Some("4")].map(factor),
            [1, 1, 1, 1, 1, 4]
        );
    }
}
