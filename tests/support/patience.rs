//! How long anything may take. Machines differ: `KVS_LAB_PATIENCE=4` gives everything four times as long.
//! Labs read it too.
//!
//! This bounds what is waited for. For how long something must *not* happen is no matter of patience.

use std::sync::LazyLock;
use std::time::Duration;

/// The variable that chooses.
const CHOICE: &str = "KVS_LAB_PATIENCE";

static FACTOR: LazyLock<u32> = LazyLock::new(|| match std::env::var(CHOICE) {
    Ok(factor) => factor
        .parse()
        .ok()
        .filter(|factor| *factor > 0)
        .unwrap_or_else(|| panic!("{CHOICE}: {factor:?} is no factor")),
    Err(_) => 1,
});

/// What may take so long on a machine of its own, here.
///
/// # Panics
/// When the variable is no number above zero.
#[must_use]
pub fn patience(usual: Duration) -> Duration {
    usual * *FACTOR
}
