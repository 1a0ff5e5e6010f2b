//! `<atom>` (RFC 7047 section 5.1): one scalar.

use std::cmp::Ordering;
use std::fmt;

use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::Uuid;

/// One scalar of a column.
///
/// Atoms are ordered (by kind, then by value; reals by `total_cmp`), so that sets and maps have one form.
#[derive(Clone, Debug)]
pub enum Atom {
    /// An integer.
    Integer(i64),
    /// A real number. Not finite ones cannot be sent.
    Real(f64),
    /// A boolean.
    Boolean(bool),
    /// A string.
    String(String),
    /// A reference to a row, or a row's own identifier.
    Uuid(Uuid),
    /// A reference to a row that another operation of the same transaction inserts, by its `uuid-name`.
    NamedUuid(String),
}

impl Atom {
    /// A reference to the row that an operation of this transaction inserts under `name`.
    #[must_use]
    pub fn named_uuid(name: impl Into<String>) -> Self {
        Self::NamedUuid(name.into())
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) => 0,
            Self::Real(_) => 1,
            Self::Boolean(_) => 2,
            Self::String(_) => 3,
            Self::Uuid(_) => 4,
            Self::NamedUuid(_) => 5,
        }
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.total_cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) | (Self::NamedUuid(a), Self::NamedUuid(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Atom {}

impl From<&str> for Atom {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Atom {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<i64> for Atom {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Uuid> for Atom {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

impl fmt::Display for Atom {
    /// As `ovs-vsctl` prints it, strings always quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::String(value) => write!(f, "{value:?}"),
            Self::Uuid(value) => value.fmt(f),
            Self::NamedUuid(value) => write!(f, "@{value}"),
        }
    }
}

impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (tag, text): (_, &dyn fmt::Display) = match self {
            Self::Integer(value) => return serializer.serialize_i64(*value),
            Self::Real(value) if value.is_finite() => return serializer.serialize_f64(*value),
            Self::Real(value) => return Err(ser::Error::custom(format_args!("{value} has no form in JSON"))),
            Self::Boolean(value) => return serializer.serialize_bool(*value),
            Self::String(value) => return serializer.serialize_str(value),
            Self::Uuid(value) => ("uuid", value),
            Self::NamedUuid(value) => ("named-uuid", value),
        };
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(tag)?;
        pair.serialize_element(&format_args!("{text}"))?;
        pair.end()
    }
}

impl<'de> Deserialize<'de> for Atom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AtomVisitor)
    }
}

struct AtomVisitor;

impl<'de> de::Visitor<'de> for AtomVisitor {
    type Value = Atom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an OVSDB atom")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Atom, E> {
        Ok(Atom::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Atom, E> {
        Ok(Atom::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Atom, E> {
        i64::try_from(value).map(Atom::Integer).map_err(|_| E::custom("an integer above 2^63-1"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Atom, E> {
        Ok(Atom::Real(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Atom, E> {
        Ok(Atom::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Atom, E> {
        Ok(Atom::String(value))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Atom, A::Error> {
        match seq.next_element::<Tag>()? {
            Some(Tag::Uuid) => Ok(Atom::Uuid(last(&mut seq)?)),
            Some(Tag::NamedUuid) => Ok(Atom::NamedUuid(last(&mut seq)?)),
            _ => Err(de::Error::custom(
                "an array in place of an atom must start with \"uuid\" or \"named-uuid\"",
            )),
        }
    }
}

/// The first element of an array that stands for a value.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tag {
    Uuid,
    NamedUuid,
    Set,
    Map,
}

/// The second and last element of such an array.
pub(crate) fn last<'de, T: Deserialize<'de>, A: de::SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    let value = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &"two elements"))?;
    match seq.next_element::<de::IgnoredAny>()? {
        None => Ok(value),
        Some(_) => Err(de::Error::invalid_length(3, &"two elements")),
    }
}
