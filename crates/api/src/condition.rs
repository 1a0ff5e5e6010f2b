//! Status conditions: what they are called, and how one is set without touching the others.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Set by the controller: the node's addresses can be used.
pub const ACCEPTED: &str = "Accepted";
/// Set by the node's daemon: the spec is in the switch.
pub const READY: &str = "Ready";

/// Sets `kind` among `conditions` and says whether anything changed. `lastTransitionTime` moves only with the
/// status, as the API conventions ask.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Time,
) -> bool {
    let status = if status { "True" } else { "False" };
    let old = conditions.iter_mut().find(|c| c.type_ == kind);
    let mut new = Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: now,
    };
    match old {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            let changed = *old != new;
            *old = new;
            changed
        }
        None => {
            conditions.push(new);
            true
        }
    }
}

/// Whether `kind` stands at `False`.
#[must_use]
pub fn is_false(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|c| c.type_ == kind && c.status == "False")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut all = Vec::new();
        assert!(set(&mut all, ACCEPTED, false, "NoPodCIDR", "wait", Some(1), at(1)));
        assert!(!set(&mut all, ACCEPTED, false, "NoPodCIDR", "wait", Some(1), at(2)));
        assert!(set(&mut all, ACCEPTED, false, "Overlap", "other", Some(1), at(3)));
        assert_eq!(all[0].last_transition_time, at(1));
        assert!(is_false(&all, ACCEPTED));
        assert!(set(&mut all, ACCEPTED, true, "Valid", "", Some(2), at(4)));
        assert_eq!(all[0].last_transition_time, at(4));
        assert!(set(&mut all, READY, true, "Programmed", "", Some(2), at(5)));
        assert_eq!(all.len(), 2);
        assert!(!is_false(&all, READY));
    }
}
