//! `<database-schema>` (RFC 7047 section 3.2), as far as a client needs it: which columns there are, and of which
//! type.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

/// A database's schema, as `get_schema` returns it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DatabaseSchema {
    /// The database's name.
    pub name: String,
    /// The schema's version; servers accept schemas without one.
    #[serde(default)]
    pub version: Option<String>,
    /// The tables, by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// A table's schema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TableSchema {
    /// The columns, by name.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// Whether rows stay without a reference to them.
    #[serde(default, rename = "isRoot")]
    pub is_root: bool,
}

/// A column's schema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ColumnSchema {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether it is lost when the server stops.
    #[serde(default)]
    pub ephemeral: bool,
}

/// `<type>`: what a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// The type of an element, or of a map's keys.
    pub key: BaseType,
    /// The type of a map's values; `None` for what is no map.
    pub value: Option<BaseType>,
    /// The least number of elements.
    pub min: u64,
    /// The greatest number of elements; `None` for no bound.
    pub max: Option<u64>,
}

impl ColumnType {
    /// Whether a column may hold more than one element, so that monitors send differences of it instead of values.
    #[must_use]
    pub fn is_composite(&self) -> bool {
        self.max != Some(1)
    }
}

/// `<atomic-type>`, without the constraints of a `<base-type>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseType {
    /// An integer.
    Integer,
    /// A real.
    Real,
    /// A boolean.
    Boolean,
    /// A string.
    String,
    /// A reference.
    Uuid,
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Base {
            Plain(BaseType),
            Constrained {
                #[serde(rename = "type")]
                kind: BaseType,
            },
        }
        impl Base {
            fn kind(self) -> BaseType {
                match self {
                    Self::Plain(kind) | Self::Constrained { kind } => kind,
                }
            }
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Bound {
            Number(u64),
            Word(String),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Type {
            Atomic(BaseType),
            Full { key: Base, value: Option<Base>, min: Option<u64>, max: Option<Bound> },
        }
        match Type::deserialize(deserializer)? {
            Type::Atomic(key) => Ok(Self { key, value: None, min: 1, max: Some(1) }),
            Type::Full { key, value, min, max } => Ok(Self {
                key: key.kind(),
                value: value.map(Base::kind),
                min: min.unwrap_or(1),
                max: match max {
                    None => Some(1),
                    Some(Bound::Number(max)) => Some(max),
                    Some(Bound::Word(word)) if word == "unlimited" => None,
                    Some(Bound::Word(_)) => {
                        return Err(de::Error::custom("max is a number or \"unlimited\""));
                    }
                },
            }),
        }
    }
}
