//! The three-way merge behind `apply`, as a JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

/// What turns `held` into what `wanted` says, less what `last` said and `wanted` does not; `None` when nothing does.
pub(super) fn patch(wanted: &Value, held: &Value, last: &Value) -> Option<Value> {
    let (Some(wanted), Some(held)) = (wanted.as_object(), held.as_object()) else {
        // What was said before and is said no more need not show as a difference: an element of a list may have lost a part.
        let said_anew = !last.is_null() && wanted != last && wanted != held;
        return (said_anew || !covers(held, wanted)).then(|| wanted.clone());
    };
    let mut patch = Map::new();
    for (key, wanted) in wanted {
        let last = last.get(key).unwrap_or(&Value::Null);
        match held.get(key) {
            None => {
                patch.insert(key.clone(), wanted.clone());
            }
            Some(held) => {
                if let Some(part) = self::patch(wanted, held, last) {
                    patch.insert(key.clone(), part);
                }
            }
        }
    }
    for key in last.as_object().into_iter().flat_map(Map::keys) {
        if !wanted.contains_key(key) && held.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Whether `held` says all that `wanted` says; the server may have completed it.
fn covers(held: &Value, wanted: &Value) -> bool {
    match (held, wanted) {
        (Value::Object(held), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| held.get(key).is_some_and(|held| covers(held, wanted)))
        }
        (Value::Array(held), Value::Array(wanted)) => {
            held.len() == wanted.len() && held.iter().zip(wanted).all(|(held, wanted)| covers(held, wanted))
        }
        _ => held == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_completed_is_no_difference() {
        let wanted = json!({"spec": {"containers": [{"name": "c"}], "x": 1}});
        let held =
            json!({"spec": {"containers": [{"name": "c", "pull": "Always"}], "x": 1, "y": 2}, "status": {}});
        assert_eq!(patch(&wanted, &held, &wanted), None);
    }

    #[test]
    fn what_is_no_longer_said_is_removed_and_what_others_said_stays() {
        let last = json!({"labels": {"a": "1", "b": "2"}});
        let wanted = json!({"labels": {"a": "3"}});
        let held = json!({"labels": {"a": "1", "b": "2", "other": "x"}});
        assert_eq!(patch(&wanted, &held, &last), Some(json!({"labels": {"a": "3", "b": null}})));
    }

    #[test]
    fn what_an_element_of_a_list_no_longer_says_is_removed() {
        let last = json!({"ingress": [{"from": ["a"], "ports": [80]}]});
        let held = json!({"ingress": [{"from": ["a"], "ports": [80], "completed": true}]});
        assert_eq!(patch(&last, &held, &last), None);
        let wanted = json!({"ingress": [{"ports": [80]}]});
        assert_eq!(patch(&wanted, &held, &last), Some(wanted.clone()));
    }

    #[test]
    fn lists_are_replaced_as_a_whole() {
        let held = json!({"ports": [{"port": 80, "protocol": "TCP"}]});
        let wanted = json!({"ports": [{"port": 80}, {"port": 81}]});
        assert_eq!(patch(&wanted, &held, &Value::Null), Some(wanted));
    }
}
