//! Talking to a lab's supervisor, blocking.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use crate::layout::Layout;
use crate::protocol::{Reply, Request};

/// Why a supervisor gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no such lab, or its supervisor died.
    #[error(
        "there is no lab {name}: bring it up with `kvsctl lab up --name {name}`; `kvsctl lab list` shows all"
    )]
    Absent {
        /// The lab.
        name: String,
    },
    /// Its supervisor died.
    #[error(
        "the supervisor of lab {name} died: `kvsctl lab up --name {name}` makes the lab anew, \
         `kvsctl lab down --name {name}` removes what is left"
    )]
    Dead {
        /// The lab.
        name: String,
    },
    /// The connection broke.
    #[error("the supervisor of lab {name} does not answer: {source}; see {log}")]
    Connection {
        /// The lab.
        name: String,
        /// What the kernel said.
        source: io::Error,
        /// Its log.
        log: std::path::PathBuf,
    },
    /// The supervisor said no.
    #[error("{0}")]
    Refused(String),
}

/// Sends a request; `step` is called with each step on the way, and the final reply is returned.
///
/// # Errors
/// [`ClientError`]; an error reply of the supervisor is [`ClientError::Refused`].
pub fn request(layout: &Layout, request: &Request, mut step: impl FnMut(&str)) -> Result<Reply, ClientError> {
    let name = layout.name().to_string();
    let broken =
        |source| ClientError::Connection { name: name.clone(), source, log: layout.log("supervisor") };
    let mut stream = match UnixStream::connect(layout.socket()) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !layout.root().exists() => {
            return Err(ClientError::Absent { name });
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            return Err(ClientError::Dead { name });
        }
        Err(error) => return Err(broken(error)),
    };
    let line = serde_json::to_string(request).map_err(|error| broken(error.into()))? + "\n";
    stream.write_all(line.as_bytes()).map_err(broken)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(broken)?).map_err(|error| broken(error.into()))? {
            Reply::Step { text } => step(&text),
            Reply::Error { message } => return Err(ClientError::Refused(message)),
            reply => return Ok(reply),
        }
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}
