//! Talking to a lab's supervisor, blocking.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::layout::Layout;
use crate::patience::patience;
use crate::protocol::{Reply, Request};

/// How long a supervisor may take to say how its lab is, and to take it down.
const TO_SAY: Duration = Duration::from_secs(20);
const TO_TAKE_DOWN: Duration = Duration::from_secs(60);

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
    /// It lives, and says nothing.
    #[error(
        "the supervisor of lab {name} has not answered for {after:?}: is it stopped (`ps` says T; SIGCONT lets it go on), or the \
         machine overloaded? See {log}; `kvsctl lab down --name {name}` removes the lab in any case"
    )]
    Silent {
        /// The lab.
        name: String,
        /// How long it was waited for.
        after: Duration,
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
pub fn request(layout: &Layout, request: &Request, step: impl FnMut(&str)) -> Result<Reply, ClientError> {
    // Others take as long as what they ask for.
    let limit = match request {
        Request::Status => Some(patience(TO_SAY)),
        Request::Down => Some(patience(TO_TAKE_DOWN)),
        _ => None,
    };
    request_within(limit, layout, request, step)
}

fn request_within(
    limit: Option<Duration>,
    layout: &Layout,
    request: &Request,
    mut step: impl FnMut(&str),
) -> Result<Reply, ClientError> {
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
    stream.set_read_timeout(limit).map_err(broken)?;
    let unread = |source: io::Error| match (source.kind(), limit) {
        (io::ErrorKind::WouldBlock, Some(after)) => {
            ClientError::Silent { name: name.clone(), after, log: layout.log("supervisor") }
        }
        _ => broken(source),
    };
    let line = serde_json::to_string(request).map_err(|error| broken(error.into()))? + "\n";
    stream.write_all(line.as_bytes()).map_err(broken)?;
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(unread)?).map_err(|error| broken(error.into()))? {
            Reply::Step { text } => step(&text),
            Reply::Error { message } => return Err(ClientError::Refused(message)),
            reply => return Ok(reply),
        }
    }
    Err(broken(io::ErrorKind::UnexpectedEof.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_supervisor_that_says_nothing_is_told_from_a_dead_one() {
        let layout = Layout::new(&format!("silent-{}", std::process::id()).parse().unwrap());
        let asked = || {
            let limit = Some(Duration::from_millis(50));
            request_within(limit, &layout, &Request::Status, |_| {}).unwrap_err()
        };
        assert!(matches!(asked(), ClientError::Absent { .. }));
        if let Err(error) = std::fs::create_dir_all(layout.root()) {
            println!("SKIPPED: no folder of a lab: {error}");
            return;
        }
        let listener = UnixListener::bind(layout.socket()).unwrap();
        let silent = asked();
        drop(listener);
        let dead = asked();
        std::fs::remove_dir_all(layout.root()).unwrap();
        assert!(matches!(silent, ClientError::Silent { .. }), "{silent}");
        assert!(silent.to_string().contains("SIGCONT"), "{silent}");
        assert!(matches!(dead, ClientError::Dead { .. }), "{dead}");
    }
}
