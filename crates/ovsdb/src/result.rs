//! What came of a transaction (RFC 7047 sections 4.1.3 and 3.1).

use std::fmt;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::{Row, Uuid};

/// What came of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// An `insert`: the new row.
    Inserted(Uuid),
    /// A `select`.
    Rows(Vec<Row>),
    /// An `update`, `mutate` or `delete`: how many rows met the conditions.
    Count(u64),
    /// Any other operation.
    Done,
    /// The operation failed, and with it the transaction.
    Failed(OpError),
    /// An operation before it failed.
    NotRun,
}

impl OpResult {
    /// The rows of a `select`; none for every other result.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Rows(rows) => rows,
            _ => &[],
        }
    }

    /// How many rows an `update`, `mutate` or `delete` changed; zero for every other result.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Count(count) => *count,
            _ => 0,
        }
    }
}

impl<'de> Deserialize<'de> for OpResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            uuid: Option<crate::Atom>,
            rows: Option<Vec<Row>>,
            count: Option<u64>,
            error: Option<String>,
            details: Option<String>,
        }
        Ok(match Option::<Fields>::deserialize(deserializer)? {
            None => Self::NotRun,
            Some(Fields { error: Some(error), details, .. }) => {
                Self::Failed(OpError { kind: ErrorKind::from(error), details: details.unwrap_or_default() })
            }
            Some(Fields { uuid: Some(crate::Atom::Uuid(uuid)), .. }) => Self::Inserted(uuid),
            Some(Fields { uuid: Some(_), .. }) => {
                return Err(D::Error::custom("an insert's uuid is no UUID"));
            }
            Some(Fields { rows: Some(rows), .. }) => Self::Rows(rows),
            Some(Fields { count: Some(count), .. }) => Self::Count(count),
            Some(_) => Self::Done,
        })
    }
}

/// `<error>`: why an operation, a request or the commit failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}{details}", if details.is_empty() { "" } else { ": " })]
pub struct OpError {
    /// Which error.
    pub kind: ErrorKind,
    /// The server's explanation, for people; may be empty.
    pub details: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The error strings of RFC 7047 section 5.2 and `ovsdb-server(7)` section 3.1.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum ErrorKind {
            $($(#[$doc])* $variant,)*
            /// One that is not listed here.
            Other(String),
        }

        impl From<String> for ErrorKind {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl From<ErrorKind> for String {
            fn from(kind: ErrorKind) -> Self {
                kind.to_string()
            }
        }

        impl fmt::Display for ErrorKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                })
            }
        }
    };
}

kinds! {
    /// A `wait` did not come true in its time: a guard did not hold.
    TimedOut = "timed out",
    /// The transaction would break a constraint of the schema, such as a unique index.
    ConstraintViolation = "constraint violation",
    /// The transaction would leave a reference to a row that is not there.
    ReferentialIntegrityViolation = "referential integrity violation",
    /// The server has not the resources.
    ResourcesExhausted = "resources exhausted",
    /// The server could not write.
    IoError = "I/O error",
    /// Two inserts have one `uuid-name`.
    DuplicateUuidName = "duplicate uuid-name",
    /// An insert asks for the UUID of another row.
    DuplicateUuid = "duplicate uuid",
    /// A division by zero.
    DomainError = "domain error",
    /// A number became too large.
    RangeError = "range error",
    /// The server does not do this.
    NotSupported = "not supported",
    /// The transaction asked for it.
    Aborted = "aborted",
    /// An `assert` for a lock that is not held by this connection.
    NotOwner = "not owner",
    /// The request was canceled.
    Canceled = "canceled",
    /// The request could not be understood.
    SyntaxError = "syntax error",
    /// No such database.
    UnknownDatabase = "unknown database",
    /// No such column.
    UnknownColumn = "unknown column",
    /// A set or map has a key twice, and the like.
    OvsdbError = "ovsdb error",
    /// Role-based access control forbids it.
    PermissionError = "permission error",
    /// The server does not know the request.
    UnknownMethod = "unknown method",
    /// A cluster's server has lost its leader.
    NotLeader = "not leader",
    /// A bug in the server.
    InternalError = "internal error",
}

/// A transaction that failed. Nothing of it has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(*index, error))]
pub struct TransactError {
    /// The operation that failed, counted from zero; `None` when all passed and the commit failed.
    pub index: Option<usize>,
    /// Why.
    pub error: OpError,
}

fn describe(index: Option<usize>, error: &OpError) -> String {
    match index {
        Some(index) => format!("operation {index} of the OVSDB transaction failed: {error}"),
        None => format!("the OVSDB transaction could not be committed: {error}"),
    }
}

/// Finds out whether a transaction of `operations` operations was committed.
///
/// "If all of the operations succeed, but the results cannot be committed, then `result` will have one more element
/// than `params`, with the additional element being an `<error>`" (RFC 7047 section 4.1.3).
///
/// # Errors
/// The first failed operation, or the failed commit.
pub fn check_results(operations: usize, results: Vec<OpResult>) -> Result<Vec<OpResult>, TransactError> {
    let failed = results.iter().enumerate().find_map(|(index, result)| match result {
        OpResult::Failed(error) => {
            Some(TransactError { index: (index < operations).then_some(index), error: error.clone() })
        }
        _ => None,
    });
    match failed {
        Some(error) => Err(error),
        None if results.len() == operations => Ok(results),
        None => {
            let details = format!("{} results for {operations} operations", results.len());
            Err(TransactError { index: None, error: OpError { kind: ErrorKind::InternalError, details } })
        }
    }
}

#[cfg(test)]
mod tests;
