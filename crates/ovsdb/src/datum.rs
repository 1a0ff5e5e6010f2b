//! Rust types for columns.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Atom, Uuid, Value};

/// A column holds another type than the one it is read into: the schema of the database is not the expected one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct TypeError {
    expected: &'static str,
    found: Value,
}

impl TypeError {
    fn new(expected: &'static str, found: &Value) -> Self {
        Self { expected, found: found.clone() }
    }
}

/// A Rust type that a column is read into. Its `Default` is the column's default (RFC 7047 section 5.2.1).
pub trait Datum: Default {
    /// From what a row holds.
    ///
    /// # Errors
    /// When the value is of another type.
    fn from_value(value: &Value) -> Result<Self, TypeError>;

    /// To what a row holds.
    fn to_value(&self) -> Value;

    /// Applies the difference that a monitor sends for a modified row (`ovsdb-server(7)`, section 4.1.14). For a
    /// column of at most one element it is the new value; sets and maps differ, see their implementations.
    ///
    /// # Errors
    /// When the difference is of another type.
    fn apply_difference(&mut self, difference: &Value) -> Result<(), TypeError> {
        *self = Self::from_value(difference)?;
        Ok(())
    }
}

/// A Rust type for one atom.
trait Scalar: Sized {
    const NAME: &'static str;
    fn from_atom(atom: &Atom) -> Option<Self>;
    fn to_atom(&self) -> Atom;
}

macro_rules! scalar {
    ($type:ty, $name:literal, $variant:ident) => {
        impl Scalar for $type {
            const NAME: &'static str = $name;

            fn from_atom(atom: &Atom) -> Option<Self> {
                match atom {
                    Atom::$variant(value) => Some(value.clone()),
                    _ => None,
                }
            }

            fn to_atom(&self) -> Atom {
                Atom::$variant(self.clone())
            }
        }

        impl Datum for $type {
            fn from_value(value: &Value) -> Result<Self, TypeError> {
                match value {
                    Value::Atom(atom) => Self::from_atom(atom),
                    Value::Set(_) | Value::Map(_) => None,
                }
                .ok_or_else(|| TypeError::new($name, value))
            }

            fn to_value(&self) -> Value {
                Value::Atom(self.to_atom())
            }
        }
    };
}

scalar!(String, "a string", String);
scalar!(i64, "an integer", Integer);
scalar!(bool, "a boolean", Boolean);
scalar!(Uuid, "a UUID", Uuid);

impl<T: Scalar> Datum for Option<T> {
    fn from_value(value: &Value) -> Result<Self, TypeError> {
        match value {
            Value::Set(set) if set.is_empty() => Some(None),
            Value::Atom(atom) => T::from_atom(atom).map(Some),
            Value::Set(_) | Value::Map(_) => None,
        }
        .ok_or_else(|| TypeError::new(T::NAME, value))
    }

    fn to_value(&self) -> Value {
        Value::set(self.as_ref().map(Scalar::to_atom))
    }
}

impl<T: Scalar + Ord> Datum for BTreeSet<T> {
    fn from_value(value: &Value) -> Result<Self, TypeError> {
        let elements = value.elements().and_then(|e| e.into_iter().map(T::from_atom).collect());
        elements.ok_or_else(|| TypeError::new("a set", value))
    }

    fn to_value(&self) -> Value {
        Value::set(self.iter().map(Scalar::to_atom))
    }

    /// "The difference between two sets are all elements that only belong to one of the sets."
    fn apply_difference(&mut self, difference: &Value) -> Result<(), TypeError> {
        for element in Self::from_value(difference)? {
            if !self.remove(&element) {
                self.insert(element);
            }
        }
        Ok(())
    }
}

impl<K: Scalar + Ord, V: Scalar + PartialEq> Datum for BTreeMap<K, V> {
    fn from_value(value: &Value) -> Result<Self, TypeError> {
        let pairs = match value {
            Value::Map(map) => {
                map.iter().map(|(key, value)| Some((K::from_atom(key)?, V::from_atom(value)?))).collect()
            }
            Value::Atom(_) | Value::Set(_) => None,
        };
        pairs.ok_or_else(|| TypeError::new("a map", value))
    }

    fn to_value(&self) -> Value {
        Value::map(self.iter().map(|(key, value)| (key.to_atom(), value.to_atom())))
    }

    /// "All key-value pairs whose keys appears in only one of the maps, plus the key-value pairs whose keys appear in
    /// both maps but with different values. For the latter elements, `<row>` includes the value from the new column."
    fn apply_difference(&mut self, difference: &Value) -> Result<(), TypeError> {
        for (key, value) in Self::from_value(difference)? {
            if self.get(&key) == Some(&value) {
                self.remove(&key);
            } else {
                self.insert(key, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Map = BTreeMap<String, String>;

    #[test]
    fn optional_columns_are_replaced_and_sets_are_toggled() {
        let mut optional = Some(5_i64);
        optional.apply_difference(&Value::from(6_i64)).unwrap();
        assert_eq!(optional, Some(6));
        optional.apply_difference(&Value::EMPTY).unwrap();
        assert_eq!(optional, None);

        let mut set = BTreeSet::from([1_i64, 2]);
        set.apply_difference(&Value::set([2_i64, 3])).unwrap();
        assert_eq!(set, BTreeSet::from([1, 3]));
        set.apply_difference(&Value::from(1_i64)).unwrap();
        assert_eq!(set, BTreeSet::from([3]));
    }

    #[test]
    fn map_differences_insert_change_and_remove() {
        let mut map = Map::from([("gone".into(), "x".into()), ("changed".into(), "old".into())]);
        map.apply_difference(&Value::map([("gone", "x"), ("changed", "new"), ("added", "y")])).unwrap();
        assert_eq!(map, Map::from([("added".into(), "y".into()), ("changed".into(), "new".into())]));
    }

    #[test]
    fn another_type_is_an_error_that_shows_the_value() {
        let error = i64::from_value(&Value::from("x")).unwrap_err();
        assert_eq!(error.to_string(), "expected an integer, found \"x\"");
        assert!(String::from_value(&Value::set(["a", "b"])).is_err());
        assert!(<Option<String>>::from_value(&Value::set(["a", "b"])).is_err());
        assert!(Map::from_value(&Value::EMPTY).is_err());
        assert!(<BTreeSet<Uuid>>::from_value(&Value::map([("a", "b")])).is_err());
    }
}
