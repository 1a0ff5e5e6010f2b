//! `<row>` (RFC 7047 section 5.1), untyped and typed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Datum, TypeError, Uuid, Value};

/// Some columns of one row, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Value>);

/// A column that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column:?} of table {table:?}: {source}; is this the schema of Open vSwitch 2.13 or later?")]
pub struct ColumnError {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: String,
    /// What was wrong with it.
    pub source: TypeError,
}

impl Row {
    /// A row without columns: all have their defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With `column` set to `value`.
    #[must_use]
    pub fn with(mut self, column: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(column, value);
        self
    }

    /// Sets `column` to `value`.
    pub fn set(&mut self, column: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(column.into(), value.into());
    }

    /// What `column` holds, if the row has it.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// The row's identifier, if a `select` asked for `_uuid` or for all columns.
    #[must_use]
    pub fn uuid(&self) -> Option<Uuid> {
        self.0.get("_uuid").and_then(|value| Uuid::from_value(value).ok())
    }

    /// The columns, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(column, value)| (column.as_str(), value))
    }

    /// Whether no column is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a typed row; columns that are not there have their defaults.
    ///
    /// # Errors
    /// When a column holds another type.
    pub fn to<R: TableRow>(&self) -> Result<R, ColumnError> {
        let mut row = R::default();
        row.assign(self)?;
        Ok(row)
    }
}

impl<C: Into<String>, V: Into<Value>> FromIterator<(C, V)> for Row {
    fn from_iter<I: IntoIterator<Item = (C, V)>>(columns: I) -> Self {
        Self(columns.into_iter().map(|(column, value)| (column.into(), value.into())).collect())
    }
}

/// A struct with a field per column. Columns it does not have are passed over.
pub trait TableRow: Clone + Default + PartialEq {
    /// The table's name in the schema.
    const TABLE: &'static str;

    /// The columns there are fields for, by their names in the schema.
    const COLUMNS: &'static [&'static str];

    /// Overwrites the fields that `row` has columns for.
    ///
    /// # Errors
    /// When a column holds another type.
    fn assign(&mut self, row: &Row) -> Result<(), ColumnError>;

    /// Applies a monitor's difference.
    ///
    /// # Errors
    /// When a column holds another type.
    fn apply_difference(&mut self, difference: &Row) -> Result<(), ColumnError>;

    /// The columns that do not have their defaults, to insert such a row.
    fn to_row(&self) -> Row;
}
