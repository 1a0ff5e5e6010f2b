//! `kvsctl in-pod`: the two ends of `kvsctl check --pods`, in pods. One serves; the other asks all that it is told of, and leaves
//! what did not answer as its termination message.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use serde::{Deserialize, Serialize};

/// Where it is served: TCP and UDP.
pub(crate) const PORT: u16 = 8080;

/// The kubelet keeps so many bytes of a message.
const MESSAGE: usize = 4096;

/// Time for one answer, and how often it is tried: what has just started may need a moment.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 3;

/// So many targets are asked at the same time.
const AT_ONCE: usize = 32;

/// Bytes there and back again by TCP: several packets of full size.
const STREAM: usize = 16 * 1024;
/// By UDP: one packet that fits everywhere.
const DATAGRAM: usize = 1000;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Give back what comes, on TCP and UDP port 8080, until the pod ends
    Serve,
    /// Ask these addresses
    Probe {
        /// Where the kubelet looks for the last words
        #[arg(long, default_value = "/dev/termination-log")]
        message: PathBuf,
        /// Whom to ask
        #[arg(required = true)]
        targets: Vec<IpAddr>,
    },
}

/// What the asking pod has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// How many did not answer.
    pub(crate) failed: usize,
    /// As many of them as there is room for.
    pub(crate) failures: Vec<Failure>,
}

/// Somebody who did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The address.
    pub(crate) to: IpAddr,
    /// `TCP` or `UDP`.
    pub(crate) by: String,
    /// Why not.
    pub(crate) why: String,
}

/// Runs a command.
pub(crate) fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => serve()?,
        Command::Probe { message, targets } => {
            let found = Message::of(probe(targets, PORT));
            std::fs::write(message, serde_json::to_vec(&found)?)
                .with_context(|| format!("cannot write {}", message.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Message {
    /// As many as fit.
    fn of(mut failures: Vec<Failure>) -> Self {
        let failed = failures.len();
        loop {
            let message = Self { failed, failures };
            if serde_json::to_vec(&message).is_ok_and(|text| text.len() <= MESSAGE)
                || message.failures.is_empty()
            {
                return message;
            }
            failures = message.failures;
            failures.truncate(failures.len() * 3 / 4);
        }
    }
}

/// Both families, where there are both.
fn anywhere<T>(bind: impl Fn(SocketAddr) -> std::io::Result<T>) -> std::io::Result<T> {
    bind((Ipv6Addr::UNSPECIFIED, PORT).into()).or_else(|_| bind((Ipv4Addr::UNSPECIFIED, PORT).into()))
}

fn serve() -> anyhow::Result<()> {
    let listener = anywhere(TcpListener::bind).context("cannot listen on TCP port 8080")?;
    let socket = anywhere(UdpSocket::bind).context("cannot listen on UDP port 8080")?;
    std::thread::spawn(move || {
        let mut buffer = [0; 2 * DATAGRAM];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            let _ = buffer.get(..length).map(|data| socket.send_to(data, from));
        }
    });
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = std::io::copy(&mut &stream, &mut &stream);
        });
    }
    Ok(())
}

/// Asks everybody, over TCP and UDP.
fn probe(targets: &[IpAddr], port: u16) -> Vec<Failure> {
    let queue: VecDeque<(IpAddr, &str)> =
        targets.iter().flat_map(|target| ["TCP", "UDP"].map(|by| (*target, by))).collect();
    let (queue, failures) = (Mutex::new(queue), Mutex::new(Vec::new()));
    let ask_all = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((to, by)) = next else { return };
            if let Err(error) = ask(SocketAddr::new(to, port), by) {
                let failure = Failure { to, by: by.to_owned(), why: error.to_string() };
                failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(2 * targets.len()) {
            scope.spawn(ask_all);
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by(|a, b| (a.to, &a.by).cmp(&(b.to, &b.by)));
    failures
}

fn ask(to: SocketAddr, by: &str) -> std::io::Result<()> {
    let mut tries = 1;
    loop {
        let answer = if by == "TCP" { stream(to) } else { datagram(to) };
        match answer {
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => {
                tries += 1;
                std::thread::sleep(PATIENCE / 4);
            }
            Ok(()) => return Ok(()),
        }
    }
}

fn stream(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&[7; STREAM])?;
    let mut back = [0; STREAM];
    stream.read_exact(&mut back).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            std::io::Error::new(error.kind(), "connected, and packets of full size do not pass")
        }
        _ => error,
    })
}

fn datagram(to: SocketAddr) -> std::io::Result<()> {
    let from: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(&[7; DATAGRAM])?;
    socket.recv(&mut [0; DATAGRAM]).map(drop).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => std::io::Error::new(error.kind(), "no answer"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_not_named_and_who_does_not_is() {
        // A port of the test's own: the pods' may be taken here.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        let found = probe(&["127.0.0.1".parse().unwrap()], port);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].by, "UDP");
    }

    #[test]
    fn a_message_fits_into_what_the_kubelet_keeps_and_says_how_many_there_are() {
        let failure = |n: u8| Failure {
            to: Ipv4Addr::new(10, 0, 0, n).into(),
            by: "TCP".into(),
            why: "no route to host".into(),
        };
        let message = Message::of((0..200).map(failure).collect());
        let text = serde_json::to_vec(&message).unwrap();
        assert!(text.len() <= MESSAGE && !message.failures.is_empty());
        assert_eq!(message.failed, 200);
        assert_eq!(serde_json::from_slice::<Message>(&text).unwrap(), message);
    }
}
