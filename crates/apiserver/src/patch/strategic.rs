//! Strategic merge patch (`k8s.io/apimachinery/pkg/util/strategicpatch`).
//!
//! A merge patch in which some lists are merged element by element, with directives: `$patch: replace` or
//! `delete`, `$deleteFromPrimitiveList/field`, `$setElementOrder/field`, `$retainKeys`.

use serde_json::{Map, Value};

use super::rules::{self, Strategy};

#[cfg(test)]
mod tests;

/// Why a patch cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("a strategic merge patch is an object")]
    NotAnObject,
    #[error("unknown patch type {0:?} found at {1:?}")]
    UnknownDirective(String, String),
    #[error("map: {0} does not contain declared merge key: {1}")]
    NoMergeKey(String, &'static str),
    #[error("{0} is not a list")]
    NotAList(String),
    #[error("{0} has a field that $retainKeys does not name")]
    NotRetained(String),
}

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// What `original`, an object of `kind`, becomes by `patch`.
pub(crate) fn merge(original: &Value, patch: &Value, kind: &str) -> Result<Value, Error> {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else {
        return Err(Error::NotAnObject);
    };
    let merger = Merger { kind };
    Ok(Value::Object(merger.object(original.clone(), patch, &mut Vec::new())?))
}

struct Merger<'a> {
    kind: &'a str,
}

type Fields = Map<String, Value>;
type Path = Vec<String>;

impl Merger<'_> {
    fn object(&self, mut original: Fields, patch: &Fields, path: &mut Path) -> Result<Fields, Error> {
        match directive(patch, path)? {
            Some("replace") => {
                let mut patch = patch.clone();
                patch.remove(PATCH);
                return Ok(patch);
            }
            Some("delete") => return Ok(Map::new()),
            _ => {}
        }
        if let Some(keep) = patch.get(RETAIN) {
            let keep = keep.as_array().ok_or_else(|| Error::NotAList(show(path)))?;
            let named = |key: &str| keep.iter().any(|k| k == key);
            if patch.iter().any(|(key, value)| !key.starts_with('$') && !value.is_null() && !named(key)) {
                return Err(Error::NotRetained(show(path)));
            }
            original.retain(|key, _| named(key));
        }
        for (key, gone) in patch {
            if let (Some(field), Some(gone)) = (key.strip_prefix(DELETE), gone.as_array())
                && let Some(Value::Array(list)) = original.get_mut(field)
            {
                list.retain(|item| !gone.contains(item));
            }
        }
        for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
            if value.is_null() {
                original.remove(key);
                continue;
            }
            path.push(key.clone());
            let merged = self.value(original.remove(key), value, path);
            path.pop();
            original.insert(key.clone(), merged?);
        }
        for (key, order) in patch {
            let Some(field) = key.strip_prefix(ORDER) else { continue };
            path.push(field.to_owned());
            let strategy = rules::of(self.kind, path);
            path.pop();
            let order = order.as_array().ok_or_else(|| Error::NotAList(key.clone()))?;
            if let (Some(strategy), Some(Value::Array(list))) = (strategy, original.get_mut(field)) {
                let server = list.clone();
                *list = ordered(server.clone(), order, &server, strategy);
            }
        }
        Ok(original)
    }

    fn value(&self, original: Option<Value>, patch: &Value, path: &mut Path) -> Result<Value, Error> {
        let strategy = rules::of(self.kind, path);
        match (original, patch) {
            (_, Value::Object(patch)) if strategy == Some(Strategy::Replace) => {
                self.object(Map::new(), patch, path).map(Value::Object)
            }
            (Some(Value::Object(original)), Value::Object(patch)) => {
                self.object(original, patch, path).map(Value::Object)
            }
            // Merged into nothing, so that no null and no directive stays in it.
            (_, Value::Object(patch)) => self.object(Map::new(), patch, path).map(Value::Object),
            (original, Value::Array(patch)) => {
                let original = match original {
                    Some(Value::Array(list)) => list,
                    _ => Vec::new(),
                };
                self.list(original, patch, strategy.unwrap_or(Strategy::Replace), path).map(Value::Array)
            }
            (_, scalar) => Ok(scalar.clone()),
        }
    }

    fn list(
        &self,
        original: Vec<Value>,
        patch: &[Value],
        strategy: Strategy,
        path: &mut Path,
    ) -> Result<Vec<Value>, Error> {
        let server = original.clone();
        match strategy {
            Strategy::Replace => Ok(patch.to_vec()),
            Strategy::MergeSet => {
                let mut merged: Vec<Value> = Vec::new();
                for item in original.iter().chain(patch) {
                    if !merged.contains(item) {
                        merged.push(item.clone());
                    }
                }
                Ok(ordered(merged, patch, &server, strategy))
            }
            Strategy::MergeByKey(key) => {
                let mut merged = original;
                let mut plain = Vec::new();
                let mut replace = false;
                for item in patch {
                    let fields = item.as_object().ok_or_else(|| Error::NoMergeKey(show(path), key))?;
                    match directive(fields, path)? {
                        Some("replace") => replace = true,
                        Some("delete") => {
                            let gone = fields.get(key).ok_or_else(|| Error::NoMergeKey(show(path), key))?;
                            merged.retain(|item| item.get(key) != Some(gone));
                        }
                        _ => {
                            fields.get(key).ok_or_else(|| Error::NoMergeKey(show(path), key))?;
                            plain.push(item.clone());
                        }
                    }
                }
                if replace {
                    return Ok(plain);
                }
                for item in &plain {
                    let same = merged.iter_mut().find(|old| old.get(key) == item.get(key));
                    match same {
                        Some(old) => *old = self.value(Some(old.take()), item, path)?,
                        None => merged.push(self.value(None, item, path)?),
                    }
                }
                Ok(ordered(merged, &plain, &server, strategy))
            }
        }
    }
}

fn directive<'a>(fields: &'a Fields, path: &Path) -> Result<Option<&'a str>, Error> {
    match fields.get(PATCH).map(Value::as_str) {
        None => Ok(None),
        Some(Some(known @ ("replace" | "delete" | "merge"))) => Ok(Some(known)),
        Some(other) => Err(Error::UnknownDirective(other.unwrap_or_default().to_owned(), show(path))),
    }
}

fn show(path: &Path) -> String {
    path.join(".")
}

/// Elements that `wanted` names come in its order; the others keep their place among what the server had.
fn ordered(merged: Vec<Value>, wanted: &[Value], server: &[Value], strategy: Strategy) -> Vec<Value> {
    let same = |a: &Value, b: &Value| match strategy {
        Strategy::MergeByKey(key) => a.get(key) == b.get(key),
        _ => a == b,
    };
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(wanted, item).is_some());
    named.sort_by_key(|item| place(wanted, item));
    others.sort_by_key(|item| place(server, item));
    let mut result = Vec::with_capacity(named.len().saturating_add(others.len()));
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(other), Some(item)) = (others.peek(), named.peek()) {
        let first = match (place(server, other), place(server, item)) {
            (Some(other), Some(item)) => other < item,
            _ => false,
        };
        result.extend(if first { others.next() } else { named.next() });
    }
    result.extend(named);
    result.extend(others);
    result
}
