//! Running probes: all at once, each from its own network namespace.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;

use super::{Outcome, Probe, Protocol, icmp, sctp, stream};
use crate::{netns, sctp_socket};

/// Sockets that one probe has at most.
const SOCKETS: u64 = 2;
/// Open files that are left to everything else in the process: servers of pods, and what these have accepted.
const OTHERS: u64 = 2048;

/// Probes at the same time, of the whole process, within its limit of open files.
static AT_ONCE: LazyLock<usize> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = limit.saturating_sub(OTHERS) / SOCKETS;
    usize::try_from(most).unwrap_or(usize::MAX).clamp(64, 4096)
});
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*AT_ONCE));

/// One probe to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// File of the network namespace to probe from.
    pub netns: PathBuf,
    /// Whom to probe.
    pub target: IpAddr,
    /// What to ask.
    pub probe: Probe,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// Whether to wait for what the target has to say as well.
    pub listen: bool,
}

/// What became of an [`Attempt`].
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The result.
    pub outcome: Outcome,
    /// Time until it was known.
    pub latency: Duration,
    /// What the target said, or the reason of an [`Outcome::Error`].
    pub answer: Option<String>,
}

/// Makes all attempts at the same time and returns their verdicts in the same order.
pub async fn run(attempts: &[Attempt]) -> Vec<Verdict> {
    let mut sources: BTreeMap<PathBuf, (Vec<usize>, Vec<Attempt>)> = BTreeMap::new();
    for (index, attempt) in attempts.iter().enumerate() {
        let (indices, mine) = sources.entry(attempt.netns.clone()).or_default();
        indices.push(index);
        mine.push(attempt.clone());
    }
    // Those of one source are opened together.
    let groups = sources.into_iter().flat_map(|(place, (indices, mine))| {
        let parts = indices.chunks(*AT_ONCE).zip(mine.chunks(*AT_ONCE));
        parts.map(|(indices, mine)| (place.clone(), indices.to_vec(), mine.to_vec())).collect::<Vec<_>>()
    });
    let verdicts = groups.map(|(place, indices, mine)| async move {
        let count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
        // It is never closed: there is always a permit, some time.
        let _permit = PLACES.acquire_many(count).await;
        let verdicts = run_from(&place, mine).await;
        indices.into_iter().zip(verdicts).collect::<Vec<_>>()
    });
    let mut verdicts: Vec<_> = join_all(verdicts).await.into_iter().flatten().collect();
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// Makes the attempts of one source. Its sockets are opened together, on one thread inside the namespace.
async fn run_from(place: &Path, attempts: Vec<Attempt>) -> Vec<Verdict> {
    let count = attempts.len();
    let opened = netns::within(place, move || attempts.into_iter().map(open).collect::<Vec<_>>()).await;
    match opened {
        Ok(opened) => join_all(opened.into_iter().map(ask)).await,
        Err(error) => vec![Verdict::error(Duration::ZERO, error.to_string()); count],
    }
}

/// A socket for each kind of probe, not yet used.
enum Opened {
    Stream(tokio::net::TcpSocket, tokio::net::TcpSocket),
    Udp(std::net::UdpSocket),
    Sctp(std::os::fd::OwnedFd),
    Icmp(std::os::fd::OwnedFd),
}

fn open(attempt: Attempt) -> (Attempt, std::io::Result<Opened>) {
    let target = attempt.target;
    let to = SocketAddr::new(target, attempt.probe.port);
    let socket = match attempt.probe.protocol {
        Protocol::Tcp => stream::open_tcp(to).map(|(first, second)| Opened::Stream(first, second)),
        Protocol::Udp => stream::open_udp(to).map(Opened::Udp),
        Protocol::Sctp if sctp_socket::available() => {
            stream::open_sctp(to).map(|(first, second)| Opened::Stream(first, second))
        }
        Protocol::Sctp => sctp::open(target).map(Opened::Sctp),
        Protocol::Icmp => icmp::open(target).map(Opened::Icmp),
    };
    (attempt, socket)
}

async fn ask((attempt, socket): (Attempt, std::io::Result<Opened>)) -> Verdict {
    let begin = Instant::now();
    let target = SocketAddr::new(attempt.target, attempt.probe.port);
    let asked = async {
        match socket? {
            Opened::Stream(first, second) => stream::connect(first, second, target, attempt.timeout).await,
            Opened::Udp(socket) => stream::udp(socket, attempt.timeout).await,
            Opened::Sctp(socket) => sctp::probe(socket, target.port(), attempt.timeout).await,
            Opened::Icmp(socket) => icmp::probe(socket, target.ip(), attempt.timeout).await,
        }
    };
    let answered = tokio::time::timeout(attempt.timeout, asked).await;
    let latency = begin.elapsed();
    match answered {
        Err(_) => Verdict { outcome: Outcome::Dropped, latency, answer: None },
        Ok(Err(error)) => Verdict::from_error(latency, &error),
        Ok(Ok(Answer::Said(said))) => Verdict { outcome: Outcome::Connected, latency, answer: Some(said) },
        Ok(Ok(Answer::Refused)) => Verdict { outcome: Outcome::Refused, latency, answer: None },
        Ok(Ok(Answer::Connected(connection))) => {
            let left = attempt.timeout.saturating_sub(latency);
            let answer = if attempt.listen { stream::first_line(connection, left).await } else { None };
            Verdict { outcome: Outcome::Connected, latency, answer }
        }
    }
}

/// What a target did.
pub(super) enum Answer {
    /// It answered, with these words.
    Said(String),
    /// It accepted a connection or an association, on which it may say something.
    Connected(tokio::net::TcpStream),
    /// It said no in the protocol's own way.
    Refused,
}

impl Verdict {
    const fn error(latency: Duration, reason: String) -> Self {
        Self { outcome: Outcome::Error, latency, answer: Some(reason) }
    }

    /// Errors of a socket that an ICMP message or a TCP reset caused are refusals; others are not about the target.
    fn from_error(latency: Duration, error: &std::io::Error) -> Self {
        use rustix::io::Errno;
        // ECONNREFUSED: reset or port unreachable. ENOPROTOOPT: protocol unreachable. EACCES: ICMPv6
        // administratively prohibited. ECONNRESET: a reset after the handshake.
        const REFUSALS: [Errno; 4] = [Errno::CONNREFUSED, Errno::NOPROTOOPT, Errno::ACCESS, Errno::CONNRESET];
        if REFUSALS.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            Self { outcome: Outcome::Refused, latency, answer: None }
        } else {
            Self::error(latency, error.to_string())
        }
    }
}
