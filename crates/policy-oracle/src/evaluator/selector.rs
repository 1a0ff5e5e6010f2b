//! Selectors of labels (`meta/v1` `LabelSelector`).

use policy::spec::{LabelSelector, Labels, Requirement};

/// What a selector makes of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// It matches.
    Yes,
    /// It does not.
    No,
    /// It is no selector.
    Invalid,
}

pub(super) fn select(selector: &LabelSelector, labels: &Labels) -> Selected {
    let requirements = selector.match_expressions.as_deref().unwrap_or_default();
    let answers: Vec<Selected> = requirements.iter().map(|one| meets(one, labels)).collect();
    if answers.contains(&Selected::Invalid) {
        return Selected::Invalid;
    }
    let mut wanted = selector.match_labels.iter().flatten();
    let all = wanted.all(|(key, value)| labels.get(key) == Some(value)) && !answers.contains(&Selected::No);
    if all { Selected::Yes } else { Selected::No }
}

/// Whether it has no requirement at all, and so matches everything.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

fn meets(requirement: &Requirement, labels: &Labels) -> Selected {
    let values = requirement.values.as_deref().unwrap_or_default();
    let value = labels.get(&requirement.key);
    let listed = value.is_some_and(|value| values.contains(value));
    let met = match (requirement.operator.as_str(), values.is_empty()) {
        ("In", false) => listed,
        ("NotIn", false) => !listed,
        ("Exists", true) => value.is_some(),
        ("DoesNotExist", true) => value.is_none(),
        _ => return Selected::Invalid,
    };
    if met { Selected::Yes } else { Selected::No }
}
