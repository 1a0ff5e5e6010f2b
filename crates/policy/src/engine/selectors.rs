//! Label selectors, each held once.

use super::labels::varies_from_pod_to_pod;
use super::pool::Pool;
use super::strings::{Pair, Strings, Sym};
use crate::spec::{LabelSelector, Requirement};
use incremental::Digest;

/// Requirements, in ascending order; all must hold.
pub(crate) type Selector = Box<[Required]>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Required {
    pub(crate) key: Sym,
    pub(crate) value: Values,
}

/// What must be true of a label's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Values {
    /// It is there, and one of these.
    In(Box<[Sym]>),
    /// It is not there, or none of these.
    NotIn(Box<[Sym]>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// Belongs to a selector.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub(crate) digest: u64,
    /// It requires something of a label that varies from pod to pod.
    pub(crate) varying: bool,
}

/// Something is wrong; where, from the selector's path on, and what.
pub(crate) type Wrong = (String, String);

#[derive(Default)]
pub(crate) struct Selectors {
    pool: Pool<Selector, About>,
}

impl Selectors {
    /// One user more of a selector.
    pub(crate) fn intern(
        &mut self,
        strings: &mut Strings,
        selector: &LabelSelector,
    ) -> Result<u32, Vec<Wrong>> {
        check(selector)?;
        let mut requirements: Vec<Required> =
            selector.match_labels.iter().flatten().fold(Vec::new(), |mut requirements, (key, value)| {
                let (key, value) = strings.pair((key, value));
                requirements.push(Required { key, value: Values::In([value].into()) });
                requirements
            });
        for requirement in selector.match_expressions.iter().flatten() {
            requirements.push(required(strings, requirement));
        }
        requirements.sort_unstable();
        requirements.dedup_by(|a, b| {
            let same = a == b;
            if same {
                release(strings, a);
            }
            same
        });
        let (index, new) = self.pool.acquire(requirements.as_slice(), || {
            let digests = requirements.iter().map(|one| digest(strings, one));
            let digest = Digest::new("selector").set(digests).finish();
            let varying = requirements.iter().any(|one| varies_from_pod_to_pod(strings.text(one.key)));
            (requirements.as_slice().into(), About { digest, varying })
        });
        if !new {
            requirements.iter().for_each(|one| release(strings, one));
        }
        Ok(index)
    }

    /// One user less.
    pub(crate) fn release(&mut self, strings: &mut Strings, index: u32) {
        if let Some((requirements, _)) = self.pool.release(index) {
            requirements.iter().for_each(|one| release(strings, one));
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    pub(crate) fn get(&self, index: u32) -> &[Required] {
        self.pool.key(index).map_or(&[], |requirements| requirements)
    }

    pub(crate) fn about(&self, index: u32) -> Option<&About> {
        self.pool.value(index)
    }

    pub(crate) fn matches(&self, index: u32, pairs: &[Pair]) -> bool {
        self.pool.key(index).is_some_and(|all| all.iter().all(|one| one.is_met(pairs)))
    }
}

impl Required {
    fn is_met(&self, pairs: &[Pair]) -> bool {
        let value = pairs.iter().find(|(key, _)| *key == self.key).map(|(_, value)| value);
        match &self.value {
            Values::In(values) => value.is_some_and(|value| values.contains(value)),
            Values::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Values::Exists => value.is_some(),
            Values::DoesNotExist => value.is_none(),
        }
    }
}

fn check(selector: &LabelSelector) -> Result<(), Vec<Wrong>> {
    let mut wrong = Vec::new();
    for (key, _) in selector.match_labels.iter().flatten() {
        if !is_key(key) {
            wrong.push((".matchLabels".to_owned(), not_a_key(key)));
        }
    }
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!(".matchExpressions[{index}]");
        let has_values = requirement.values.iter().flatten().next().is_some();
        match (requirement.operator.as_str(), has_values) {
            ("In" | "NotIn", true) | ("Exists" | "DoesNotExist", false) => {}
            ("In" | "NotIn", false) => wrong.push((
                format!("{path}.values"),
                format!("{} needs values: list at least one", requirement.operator),
            )),
            ("Exists" | "DoesNotExist", true) => wrong.push((
                format!("{path}.values"),
                format!("{} takes no values: remove them", requirement.operator),
            )),
            (other, _) => wrong.push((
                format!("{path}.operator"),
                format!("{other:?} is no operator: use In, NotIn, Exists or DoesNotExist"),
            )),
        }
        if !is_key(&requirement.key) {
            wrong.push((format!("{path}.key"), not_a_key(&requirement.key)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Whether a label could have this key. What names of ports are kept under could not.
fn is_key(key: &str) -> bool {
    !key.is_empty() && !key.starts_with(':')
}

fn not_a_key(key: &str) -> String {
    format!("{key:?} is no label's key: write the one that is meant")
}

fn required(strings: &mut Strings, requirement: &Requirement) -> Required {
    let key = strings.intern(&requirement.key);
    let mut values = || {
        let mut syms: Vec<Sym> =
            requirement.values.iter().flatten().map(|value| strings.intern(value)).collect();
        syms.sort_unstable();
        syms.dedup_by(|a, b| {
            let same = a == b;
            if same {
                strings.release(*a);
            }
            same
        });
        syms.into()
    };
    let value = match requirement.operator.as_str() {
        "In" => Values::In(values()),
        "NotIn" => Values::NotIn(values()),
        "Exists" => Values::Exists,
        _ => Values::DoesNotExist,
    };
    Required { key, value }
}

fn release(strings: &mut Strings, required: &Required) {
    strings.release(required.key);
    if let Values::In(values) | Values::NotIn(values) = &required.value {
        values.iter().for_each(|value| strings.release(*value));
    }
}

fn digest(strings: &Strings, required: &Required) -> u64 {
    let (operator, values) = match &required.value {
        Values::In(values) => ("In", &values[..]),
        Values::NotIn(values) => ("NotIn", &values[..]),
        Values::Exists => ("Exists", &[][..]),
        Values::DoesNotExist => ("DoesNotExist", &[][..]),
    };
    let values = values.iter().map(|value| Digest::new("value").text(strings.text(*value)).finish());
    Digest::new("requirement").text(strings.text(required.key)).text(operator).set(values).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(labels: &[(&str, &str)], requirements: &[(&str, &str, &[&str])]) -> LabelSelector {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let one = |(key, operator, values): &(&str, &str, &[&str])| Requirement {
            key: (*key).to_owned(),
            operator: (*operator).to_owned(),
            values: Some(own(values)),
        };
        LabelSelector {
            match_labels: Some(labels.iter().map(pair).collect()),
            match_expressions: Some(requirements.iter().map(one).collect()),
        }
    }

    #[test]
    fn selectors_that_require_the_same_are_one() {
        let (mut strings, mut selectors) = (Strings::default(), Selectors::default());
        let mut intern = |selector| selectors.intern(&mut strings, &selector).unwrap();
        let a = intern(selector(&[("app", "web"), ("tier", "x")], &[]));
        let b = intern(selector(&[], &[("tier", "In", &["x"]), ("app", "In", &["web", "web"])]));
        let c = intern(selector(&[("app", "web")], &[("app", "In", &["web"]), ("tier", "In", &["x"])]));
        assert!(a == b && b == c);
        let d = intern(selector(&[], &[("app", "NotIn", &["web", "x"])]));
        let e = intern(selector(&[], &[("app", "NotIn", &["x", "web"])]));
        assert!(d == e && d != a);
        for index in [a, b, c, d, e] {
            selectors.release(&mut strings, index);
        }
        assert!(selectors.is_empty() && strings.is_empty());
    }

    #[test]
    fn a_selector_that_is_wrong_holds_nothing() {
        let (mut strings, mut selectors) = (Strings::default(), Selectors::default());
        let wrong =
            selector(&[("", "x")], &[("app", "In", &[]), ("app", "Exists", &["x"]), ("app", "is", &[])]);
        let wrong = selectors.intern(&mut strings, &wrong).unwrap_err();
        let paths: Vec<_> = wrong.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                ".matchLabels",
                ".matchExpressions[0].values",
                ".matchExpressions[1].values",
                ".matchExpressions[2].operator",
            ]
        );
        assert!(selectors.is_empty() && strings.is_empty());
    }

    #[test]
    fn digests_depend_on_what_is_written_and_not_on_when() {
        let digest = |before: &str| {
            let (mut strings, mut selectors) = (Strings::default(), Selectors::default());
            strings.intern(before);
            let one = selector(&[("b", "1")], &[("a", "NotIn", &["y", "x"])]);
            let index = selectors.intern(&mut strings, &one).unwrap();
            selectors.about(index).unwrap().digest
        };
        assert_eq!(digest("x"), digest("b"));
    }
}
