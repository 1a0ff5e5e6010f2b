//! `<condition>` and `<mutation>` (RFC 7047 section 5.1).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Uuid, Value};

/// A test of one column, or a constant (an extension of `ovsdb-server(7)`, section 5.1, for monitors).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Condition {
    /// Holds for every row, or for none.
    Constant(bool),
    /// Holds for rows whose column relates to the value in this way.
    Clause(String, Function, Value),
}

impl Condition {
    /// A test of one column.
    pub fn new(column: impl Into<String>, function: Function, value: impl Into<Value>) -> Self {
        Self::Clause(column.into(), function, value.into())
    }

    /// The column equals the value.
    pub fn equals(column: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(column, Function::Equal, value)
    }

    /// The column, a set or map, has all of the value's elements or pairs.
    pub fn includes(column: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(column, Function::Includes, value)
    }

    /// The row is this one.
    #[must_use]
    pub fn uuid(uuid: Uuid) -> Self {
        Self::equals("_uuid", uuid)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(constant) => constant.fmt(f),
            Self::Clause(column, function, value) => write!(f, "{column} {function} {value}"),
        }
    }
}

/// `<function>`: how a column relates to a condition's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// `<`, for integers and reals.
    #[serde(rename = "<")]
    Less,
    /// `<=`, for integers and reals.
    #[serde(rename = "<=")]
    LessOrEqual,
    /// `==`.
    #[serde(rename = "==")]
    Equal,
    /// `!=`.
    #[serde(rename = "!=")]
    NotEqual,
    /// `>=`, for integers and reals.
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// `>`, for integers and reals.
    #[serde(rename = ">")]
    Greater,
    /// `includes`: the column has all of the value's elements.
    #[serde(rename = "includes")]
    Includes,
    /// `excludes`: the column has none of the value's elements.
    #[serde(rename = "excludes")]
    Excludes,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
            Self::Includes => "includes",
            Self::Excludes => "excludes",
        })
    }
}

/// A change of one column in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation(pub String, pub Mutator, pub Value);

impl Mutation {
    /// A change of one column in place.
    pub fn new(column: impl Into<String>, mutator: Mutator, value: impl Into<Value>) -> Self {
        Self(column.into(), mutator, value.into())
    }

    /// Adds elements to a set, or pairs whose keys are not yet there to a map.
    pub fn insert(column: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(column, Mutator::Insert, value)
    }

    /// Removes elements from a set; from a map, pairs (given a map) or keys (given a set).
    pub fn delete(column: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(column, Mutator::Delete, value)
    }

    /// Adds to an integer.
    pub fn add(column: impl Into<String>, value: i64) -> Self {
        Self::new(column, Mutator::Add, value)
    }

    /// The two mutations, to be run in this order, that set one pair of a map of strings whether or not its key is
    /// there: inserting alone leaves the value of an existing key as it is.
    #[must_use]
    pub fn put(column: &str, key: &str, value: &str) -> [Self; 2] {
        [Self::delete(column, key), Self::insert(column, Value::map([(key, value)]))]
    }
}

/// `<mutator>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutator {
    /// `+=`.
    #[serde(rename = "+=")]
    Add,
    /// `-=`.
    #[serde(rename = "-=")]
    Subtract,
    /// `*=`.
    #[serde(rename = "*=")]
    Multiply,
    /// `/=`.
    #[serde(rename = "/=")]
    Divide,
    /// `%=`.
    #[serde(rename = "%=")]
    Remainder,
    /// `insert`.
    #[serde(rename = "insert")]
    Insert,
    /// `delete`.
    #[serde(rename = "delete")]
    Delete,
}
