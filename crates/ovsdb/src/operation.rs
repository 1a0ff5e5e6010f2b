//! `<operation>` (RFC 7047 section 5.2).

use serde::{Deserialize, Serialize};

use crate::{Condition, Mutation, Row, TableRow, Uuid, Value};

/// One step of a transaction. All steps happen, in order, or none does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Inserts a row (section 5.2.1).
    Insert {
        /// The table.
        table: String,
        /// The columns that do not have their defaults.
        row: Row,
        /// The name under which other operations of the transaction refer to the row.
        #[serde(rename = "uuid-name", default, skip_serializing_if = "Option::is_none")]
        uuid_name: Option<String>,
        /// The identifier the row shall have (`ovsdb-server(7)`, section 5.2.1); the server chooses when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uuid: Option<Uuid>,
    },
    /// Reads rows (section 5.2.2).
    Select {
        /// The table.
        table: String,
        /// All must hold.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// The columns to return; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        columns: Option<Vec<String>>,
    },
    /// Overwrites columns (section 5.2.3).
    Update {
        /// The table.
        table: String,
        /// All must hold.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// The columns to overwrite.
        row: Row,
    },
    /// Changes columns in place (section 5.2.4).
    Mutate {
        /// The table.
        table: String,
        /// All must hold.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// The changes, in order.
        mutations: Vec<Mutation>,
    },
    /// Deletes rows (section 5.2.5).
    Delete {
        /// The table.
        table: String,
        /// All must hold.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
    },
    /// Waits for rows to become, or no longer to be, as given (section 5.2.6). With a timeout of zero it is a guard:
    /// the transaction fails at once with [`crate::ErrorKind::TimedOut`] unless it holds.
    Wait {
        /// The table.
        table: String,
        /// Which rows to look at: all must hold.
        #[serde(rename = "where")]
        conditions: Vec<Condition>,
        /// The columns to compare.
        columns: Vec<String>,
        /// Whether to wait for equality or for its end.
        until: Until,
        /// What to compare with.
        rows: Vec<Row>,
        /// How long to wait, in milliseconds; as long as it takes when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u32>,
    },
    /// Asks for the changes to be on disk before the reply, if `durable` (section 5.2.7).
    Commit {
        /// Whether to wait for the disk.
        durable: bool,
    },
    /// Undoes the transaction (section 5.2.8).
    Abort,
    /// Writes into the database's log (section 5.2.9).
    Comment {
        /// What to write.
        comment: String,
    },
    /// Fails unless this connection holds the lock (section 5.2.10).
    Assert {
        /// The lock's name.
        lock: String,
    },
}

/// What a `wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    /// The rows found are the rows given.
    #[serde(rename = "==")]
    Equal,
    /// The rows found are not the rows given.
    #[serde(rename = "!=")]
    NotEqual,
}

impl Operation {
    /// Inserts a row.
    pub fn insert(table: impl Into<String>, row: Row) -> Self {
        Self::Insert { table: table.into(), row, uuid_name: None, uuid: None }
    }

    /// Inserts a typed row under a name for other operations to refer to.
    pub fn insert_named<R: TableRow>(row: &R, uuid_name: impl Into<String>) -> Self {
        Self::insert_named_row(R::TABLE, row.to_row(), uuid_name)
    }

    /// Inserts a row under a name for other operations to refer to.
    pub fn insert_named_row(table: impl Into<String>, row: Row, uuid_name: impl Into<String>) -> Self {
        Self::Insert { table: table.into(), row, uuid_name: Some(uuid_name.into()), uuid: None }
    }

    /// Reads all columns of rows.
    pub fn select(table: impl Into<String>, conditions: impl IntoIterator<Item = Condition>) -> Self {
        Self::Select { table: table.into(), conditions: conditions.into_iter().collect(), columns: None }
    }

    /// Reads some columns of rows.
    pub fn select_columns<C: Into<String>>(
        table: impl Into<String>,
        conditions: impl IntoIterator<Item = Condition>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        Self::Select {
            table: table.into(),
            conditions: conditions.into_iter().collect(),
            columns: Some(columns.into_iter().map(Into::into).collect()),
        }
    }

    /// Reads the columns of rows that `R` has fields for, and `_uuid`.
    pub fn select_rows<R: TableRow>(conditions: impl IntoIterator<Item = Condition>) -> Self {
        let columns = R::COLUMNS.iter().copied().chain(["_uuid"]);
        Self::select_columns(R::TABLE, conditions, columns)
    }

    /// Overwrites columns.
    pub fn update(
        table: impl Into<String>,
        conditions: impl IntoIterator<Item = Condition>,
        row: Row,
    ) -> Self {
        Self::Update { table: table.into(), conditions: conditions.into_iter().collect(), row }
    }

    /// Changes columns in place.
    pub fn mutate(
        table: impl Into<String>,
        conditions: impl IntoIterator<Item = Condition>,
        mutations: impl IntoIterator<Item = Mutation>,
    ) -> Self {
        Self::Mutate {
            table: table.into(),
            conditions: conditions.into_iter().collect(),
            mutations: mutations.into_iter().collect(),
        }
    }

    /// Deletes rows.
    pub fn delete(table: impl Into<String>, conditions: impl IntoIterator<Item = Condition>) -> Self {
        Self::Delete { table: table.into(), conditions: conditions.into_iter().collect() }
    }

    /// A guard: fails the transaction at once unless exactly one row meets the conditions, and its `column` is
    /// `value`. Give a column that tells rows apart, such as `name`.
    pub fn guard_one(
        table: impl Into<String>,
        conditions: impl IntoIterator<Item = Condition>,
        column: &str,
        value: impl Into<Value>,
    ) -> Self {
        Self::guard(table, conditions, column, vec![Row::new().with(column, value)])
    }

    /// A guard: fails the transaction at once if any row meets the conditions. `column` is any column of the table.
    pub fn guard_none(
        table: impl Into<String>,
        conditions: impl IntoIterator<Item = Condition>,
        column: &str,
    ) -> Self {
        Self::guard(table, conditions, column, Vec::new())
    }

    fn guard(
        table: impl Into<String>,
        conditions: impl IntoIterator<Item = Condition>,
        column: &str,
        rows: Vec<Row>,
    ) -> Self {
        Self::Wait {
            table: table.into(),
            conditions: conditions.into_iter().collect(),
            columns: vec![column.to_owned()],
            until: Until::Equal,
            rows,
            timeout: Some(0),
        }
    }

    /// Writes into the database's log.
    pub fn comment(comment: impl Into<String>) -> Self {
        Self::Comment { comment: comment.into() }
    }

    /// Fails unless this connection holds the lock.
    pub fn assert(lock: impl Into<String>) -> Self {
        Self::Assert { lock: lock.into() }
    }
}

#[cfg(test)]
mod tests;
