//! How long what a lab waits for may take. Machines differ: with `KVS_LAB_PATIENCE=4` everything may take four times as long.

use std::ffi::OsStr;
use std::sync::LazyLock;
use std::time::Duration;

/// The variable that says it; kept by the supervisor, which inherits it.
pub const VARIABLE: &str = "KVS_LAB_PATIENCE";

static FACTOR: LazyLock<u32> = LazyLock::new(|| said().unwrap_or(1));

/// Whether the variable says something that can be meant. Where nobody asks, what cannot is as if it were not there.
///
/// # Errors
/// What is wrong with it.
pub fn check() -> Result<(), String> {
    said().map(drop)
}

fn said() -> Result<u32, String> {
    factor(std::env::var_os(VARIABLE).as_deref())
}

fn factor(said: Option<&OsStr>) -> Result<u32, String> {
    let Some(said) = said else { return Ok(1) };
    let factor = said.to_str().and_then(|said| said.parse().ok()).filter(|factor| *factor > 0);
    factor.ok_or_else(|| {
        format!("{VARIABLE} is {}: use a whole number above zero, or leave it away", said.display())
    })
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
        let factor = |said: Option<&str>| factor(said.map(OsStr::new));
        assert_eq!([None, Some("1"), Some("4")].map(factor), [Ok(1), Ok(1), Ok(4)]);
        for rubbish in ["", "0", "-2", "x", "1.5"] {
            let error = factor(Some(rubbish)).unwrap_err();
            assert!(error.contains(VARIABLE) && error.contains(rubbish), "{error}");
        }
    }
}
