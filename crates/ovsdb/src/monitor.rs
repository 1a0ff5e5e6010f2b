//! What `monitor_cond_since` asks for and what it brings (`ovsdb-server(7)` sections 4.1.12 to 4.1.16).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Condition, Row, TableRow, Uuid};

/// `<monitor-cond-requests>`: tables by name, each with what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MonitorRequests(BTreeMap<String, Vec<MonitorRequest>>);

impl MonitorRequests {
    /// No tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a request about `table`. Several requests about one table must name different columns.
    #[must_use]
    pub fn with(mut self, table: impl Into<String>, request: MonitorRequest) -> Self {
        self.0.entry(table.into()).or_default().push(request);
        self
    }

    /// With the columns that `R` has fields for, of rows that meet one of the conditions; of all rows when there are
    /// none.
    #[must_use]
    pub fn rows<R: TableRow>(self, conditions: impl IntoIterator<Item = Condition>) -> Self {
        let request = MonitorRequest::columns(R::COLUMNS.iter().copied()).matching(conditions);
        self.with(R::TABLE, request)
    }
}

/// `<monitor-cond-request>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MonitorRequest {
    /// Which columns; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Which rows: those that meet one of the conditions; all when absent.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
    /// Which kinds of change; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<MonitorSelect>,
}

impl MonitorRequest {
    /// Some columns of all rows.
    pub fn columns<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self { columns: Some(columns.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// Of rows that meet one of the conditions (not all of them, as in an operation); of all rows when there are
    /// none.
    #[must_use]
    pub fn matching(mut self, conditions: impl IntoIterator<Item = Condition>) -> Self {
        let conditions: Vec<_> = conditions.into_iter().collect();
        self.conditions = (!conditions.is_empty()).then_some(conditions);
        self
    }
}

/// `<monitor-select>`: which kinds of change are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MonitorSelect {
    /// The rows that are there at the start.
    pub initial: bool,
    /// Rows that come to be, or to meet the conditions.
    pub insert: bool,
    /// Rows that cease to be, or to meet the conditions.
    pub delete: bool,
    /// Rows whose columns change.
    pub modify: bool,
}

/// The answer to `monitor_cond_since`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MonitorReply {
    /// Whether the server knew the transaction: if so, `updates` are the changes since, otherwise all rows.
    pub found: bool,
    /// The last transaction included; [`Uuid::ZERO`] when the server keeps no history, as a server that is no member
    /// of a cluster does not.
    pub last_transaction: Uuid,
    /// Changes, or all rows.
    pub updates: TableUpdates,
}

/// `<table-updates2>`: changed rows by table.
///
/// Kept as lists in the order of the message, since they are only ever walked through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableUpdates(Vec<(String, Vec<(Uuid, RowUpdate)>)>);

impl TableUpdates {
    /// The tables in the message, with their changed rows.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[(Uuid, RowUpdate)])> {
        self.0.iter().map(|(table, rows)| (table.as_str(), rows.as_slice()))
    }

    /// The changed rows of one table.
    #[must_use]
    pub fn table(&self, table: &str) -> &[(Uuid, RowUpdate)] {
        self.iter().find_map(|(name, rows)| (name == table).then_some(rows)).unwrap_or_default()
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, rows)| rows.is_empty())
    }
}

impl<'de> Deserialize<'de> for TableUpdates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entries(tables) = Entries::<String, Entries<Uuid, RowUpdate>>::deserialize(deserializer)?;
        Ok(Self(tables.into_iter().map(|(table, Entries(rows))| (table, rows)).collect()))
    }
}

/// `<row-update2>`: what happened to one row.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowUpdate {
    /// The row was there at the start. Columns with their defaults are left out.
    Initial(Row),
    /// The row is new. Columns with their defaults are left out.
    Insert(Row),
    /// The row has changed: the differences, see [`crate::Datum::apply_difference`].
    Modify(Row),
    /// The row is gone.
    #[serde(deserialize_with = "null")]
    Delete,
}

/// "`<row>` is always a null object for a delete update."
fn null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    de::IgnoredAny::deserialize(deserializer).map(|_| ())
}

/// An object's members in order.
struct Entries<K, V>(Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<K, V>(std::marker::PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> de::Visitor<'de> for Visitor<K, V> {
            type Value = Entries<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}
