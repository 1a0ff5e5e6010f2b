//! What can go wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ovsdb::{EncodeError, OpError, ReplicaError, ReplyError, SessionError, TransactError};

/// Why a call failed. After any error but [`Error::Reply`] and [`Error::Encode`], the client is of no further use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection to be had.
    #[error("cannot connect to the OVSDB server at {path}: {source}{}", hint(source))]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The deadline has passed.
    #[error("the OVSDB server did not answer in time while {0}")]
    Timeout(Step),
    /// The server has closed the connection.
    #[error("the OVSDB server closed the connection while {0}: was it restarted?")]
    Closed(Step),
    /// The connection broke.
    #[error("the connection to the OVSDB server broke while {step}: {source}")]
    Io {
        /// What was being done.
        step: Step,
        /// What the kernel says.
        source: io::Error,
    },
    /// The server said something that makes no sense.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server refused the request, or the transaction failed.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The request cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A row is not what was expected.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The server has ended a monitor.
    #[error("the OVSDB server ended a monitor: was its database removed or converted?")]
    MonitorCanceled,
}

/// What the client was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connecting.
    Connecting,
    /// Writing a request.
    Writing,
    /// Waiting for the answer to a request.
    Reading,
    /// Waiting for monitored rows to become what the caller wants.
    Watching,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Writing => "taking a request",
            Self::Reading => "an answer was awaited",
            Self::Watching => "a change of its rows was awaited",
        })
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "; is Open vSwitch running, and is this its socket?"
        }
        io::ErrorKind::PermissionDenied => "; it needs the rights of root",
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "; the server does not accept connections",
        _ => "",
    }
}

impl Error {
    /// Whether a deadline has passed.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// The failed transaction, if that is what it was: nothing of it has happened.
    #[must_use]
    pub const fn transaction(&self) -> Option<&TransactError> {
        match self {
            Self::Reply(ReplyError::Transact(error)) => Some(error),
            _ => None,
        }
    }

    /// The server's refusal, of a request or of an operation.
    #[must_use]
    pub const fn refusal(&self) -> Option<&OpError> {
        match self {
            Self::Reply(ReplyError::Transact(error)) => Some(&error.error),
            Self::Reply(ReplyError::Refused(error)) => Some(&error.0),
            _ => None,
        }
    }
}
