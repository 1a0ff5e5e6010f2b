//! Named conditions that together make a program ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state of all checks of one program. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
}

/// One part's condition. It starts as not met and stays registered when dropped.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    health: Health,
}

impl Health {
    /// Adds a condition that is not met yet; `why` says what it waits for.
    #[must_use]
    pub fn check(&self, name: &'static str, why: &str) -> Check {
        self.lock().insert(name, Err(why.to_owned()));
        Check { name, health: self.clone() }
    }

    /// Whether every check holds, and a line for each check. A program without checks has not come far enough to
    /// have any: it is not ready.
    #[must_use]
    pub fn report(&self) -> (bool, String) {
        let checks = self.lock();
        let mut text = String::new();
        for (name, state) in checks.iter() {
            match state {
                Ok(()) => text.push_str(&format!("[+] {name}\n")),
                Err(why) => text.push_str(&format!("[-] {name}: {why}\n")),
            }
        }
        if checks.is_empty() {
            text.push_str("[-] starting\n");
        }
        (!checks.is_empty() && checks.values().all(Result::is_ok), text)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Result<(), String>>> {
        // A map of plain values stays whole whoever panicked.
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The condition holds.
    pub fn met(&self) {
        self.health.lock().insert(self.name, Ok(()));
    }

    /// The condition does not hold, because of `why`.
    pub fn unmet(&self, why: impl Into<String>) {
        self.health.lock().insert(self.name, Err(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_check_holds() {
        let health = Health::default();
        assert_eq!(health.report(), (false, "[-] starting\n".to_owned()));
        let api = health.check("api", "not connected yet");
        let switch = health.check("switch", "not connected yet");
        api.met();
        assert_eq!(health.report(), (false, "[+] api\n[-] switch: not connected yet\n".to_owned()));
        switch.met();
        assert!(health.report().0);
        api.unmet("lost");
        assert_eq!(health.report().1, "[-] api: lost\n[+] switch\n");
    }
}
