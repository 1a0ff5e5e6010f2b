//! `<value>` (RFC 7047 section 5.1): what one column of one row holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Uuid;
use crate::atom::{Atom, Tag, last};

/// What one column of one row holds.
///
/// A set of exactly one element and that element alone are the same on the wire ("an `<atom>` ... may be used in place
/// of a `<set>` with exactly one element"), so here the set of one element is always [`Value::Atom`]. Build sets with
/// [`Value::set`], which sees to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A scalar, or a set of one element.
    Atom(Atom),
    /// A set of none or several elements.
    Set(BTreeSet<Atom>),
    /// A map.
    Map(BTreeMap<Atom, Atom>),
}

impl Value {
    /// The set without elements, which is also how an optional scalar is absent.
    pub const EMPTY: Self = Self::Set(BTreeSet::new());

    /// A set of any size.
    pub fn set<A: Into<Atom>>(elements: impl IntoIterator<Item = A>) -> Self {
        let mut set: BTreeSet<Atom> = elements.into_iter().map(Into::into).collect();
        match (set.len(), set.pop_first()) {
            (1, Some(atom)) => Self::Atom(atom),
            (_, first) => {
                set.extend(first);
                Self::Set(set)
            }
        }
    }

    /// A map.
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// A reference to the row that an operation of this transaction inserts under `name`.
    #[must_use]
    pub fn named_uuid(name: impl Into<String>) -> Self {
        Self::Atom(Atom::named_uuid(name))
    }

    /// The elements, with a scalar as a set of one. `None` for a map.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<&Atom>> {
        match self {
            Self::Atom(atom) => Some(vec![atom]),
            Self::Set(set) => Some(set.iter().collect()),
            Self::Map(_) => None,
        }
    }
}

impl<T: Into<Atom>> From<T> for Value {
    fn from(value: T) -> Self {
        Self::Atom(value.into())
    }
}

impl fmt::Display for Value {
    /// As `ovs-vsctl` prints it, strings always quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(atom) => atom.fmt(f),
            Self::Set(set) => {
                f.write_str("[")?;
                for (at, atom) in set.iter().enumerate() {
                    write!(f, "{}{atom}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(map) => {
                f.write_str("{")?;
                for (at, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{key}={value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Atom(atom) => atom.serialize(serializer),
            Self::Set(set) => {
                let mut pair = serializer.serialize_tuple(2)?;
                pair.serialize_element("set")?;
                pair.serialize_element(set)?;
                pair.end()
            }
            Self::Map(map) => {
                let mut pair = serializer.serialize_tuple(2)?;
                pair.serialize_element("map")?;
                pair.serialize_element(&Pairs(map))?;
                pair.end()
            }
        }
    }
}

/// A map as OVSDB writes it: an array of pairs, since keys need not be strings.
struct Pairs<'a>(&'a BTreeMap<Atom, Atom>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> de::Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an OVSDB value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Into::into).map_err(|_| E::custom("an integer above 2^63-1"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Atom(Atom::Real(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let tag = seq.next_element::<Tag>()?;
        match tag.ok_or_else(|| de::Error::invalid_length(0, &"two elements"))? {
            Tag::Uuid => Ok(last::<Uuid, _>(&mut seq)?.into()),
            Tag::NamedUuid => Ok(Value::named_uuid(last::<String, _>(&mut seq)?)),
            Tag::Set => Ok(Value::set(last::<Vec<Atom>, _>(&mut seq)?)),
            Tag::Map => Ok(Value::map(last::<Vec<(Atom, Atom)>, _>(&mut seq)?)),
        }
    }
}

#[cfg(test)]
mod tests;
