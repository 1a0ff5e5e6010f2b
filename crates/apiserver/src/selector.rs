//! Label and field selectors in their text form.
//!
//! Labels: `a=b,c!=d,e in (f,g),h notin (i),j,!k` and, since labels may be numbers, `l>1,m<2`.
//! Fields: `a=b,c==d,e!=f`.

use std::collections::BTreeMap;

use crate::status::ApiError;

#[cfg(test)]
mod tests;

/// A conjunction of requirements on labels. The empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    /// Matches objects without the key, too.
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
    Greater(String, i64),
    Less(String, i64),
}

impl LabelSelector {
    /// # Errors
    /// `BadRequest` where the text is not a selector.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let bad =
            |why: &str| ApiError::bad_request(format!("unable to parse requirement: {why} in {text:?}"));
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(bad("found ',', expected: identifier"));
            }
            requirements.push(Requirement::parse(part).map_err(bad)?);
        }
        Ok(Self(requirements))
    }

    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Requirement {
    fn parse(part: &str) -> Result<Self, &'static str> {
        if let Some(key) = part.strip_prefix('!') {
            return Ok(Self::DoesNotExist(valid_key(key)?));
        }
        if let Some(set) = part.strip_suffix(')') {
            let (head, values) = set.split_once('(').ok_or("found ')', expected '('")?;
            let values = values.split(',').map(valid_value).collect::<Result<_, _>>()?;
            let mut words = head.split_whitespace();
            return match (words.next(), words.next(), words.next()) {
                (Some(key), Some("in"), None) => Ok(Self::In(valid_key(key)?, values)),
                (Some(key), Some("notin"), None) => Ok(Self::NotIn(valid_key(key)?, values)),
                _ => Err("expected 'in' or 'notin' before '('"),
            };
        }
        if let Some((key, value)) = part.split_once("!=") {
            return Ok(Self::NotIn(valid_key(key)?, vec![valid_value(value)?]));
        }
        if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            return Ok(Self::In(valid_key(key)?, vec![valid_value(value)?]));
        }
        let number = |value: &str| value.trim().parse().map_err(|_| "expected an integer");
        if let Some((key, value)) = part.split_once('>') {
            return Ok(Self::Greater(valid_key(key)?, number(value)?));
        }
        if let Some((key, value)) = part.split_once('<') {
            return Ok(Self::Less(valid_key(key)?, number(value)?));
        }
        Ok(Self::Exists(valid_key(part)?))
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let number = |key| labels.get(key).and_then(|v: &String| v.parse::<i64>().ok());
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
            Self::Greater(key, least) => number(key).is_some_and(|v| v > *least),
            Self::Less(key, most) => number(key).is_some_and(|v| v < *most),
        }
    }
}

fn valid_key(key: &str) -> Result<String, &'static str> {
    let key = key.trim();
    if crate::strategy::names::qualified_name(key).is_none() {
        Ok(key.to_owned())
    } else {
        Err("the label key is not a qualified name")
    }
}

fn valid_value(value: &str) -> Result<String, &'static str> {
    let value = value.trim();
    if crate::strategy::names::label_value(value).is_none() {
        Ok(value.to_owned())
    } else {
        Err("the label value is not valid")
    }
}

fn split_outside_parentheses(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// A conjunction of (in)equalities on fields. The empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<FieldRequirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// # Errors
    /// `BadRequest` where the text is not a selector, or names a field that is not in `selectable`.
    pub(crate) fn parse(text: &str, selectable: &[String]) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
                (field, value, false)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, value, true)
            } else {
                let message = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(ApiError::bad_request(message));
            };
            let known = matches!(field, "metadata.name" | "metadata.namespace");
            if !known && !selectable.iter().any(|s| s == field) {
                return Err(ApiError::bad_request(format!("field label not supported: {field}")));
            }
            requirements.push(FieldRequirement { field: field.to_owned(), value: value.to_owned(), equal });
        }
        Ok(Self(requirements))
    }

    /// `fields` gives the value of a field; empty where there is none.
    pub(crate) fn matches<'a>(&self, fields: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|r| (fields(&r.field) == r.value) == r.equal)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
