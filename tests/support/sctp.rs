//! SCTP: who answers for a Service, and associations that stay.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use host::Netns;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use serde_json::Value;

use crate::Lab;
use crate::service::{Answer, any};

/// How long an answer may take: a lost INIT is sent again after three seconds (RFC 9260 section 16).
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the datapath of the lab's nodes can translate SCTP.
#[must_use]
pub fn translated(lab: &Lab) -> bool {
    let status: Value = serde_json::from_str(&lab.inspect(&["status", "-o", "json"])).unwrap();
    status[0]["tracks_sctp"].as_bool().unwrap()
}

/// Asks ports of a target, as `kvsctl lab probe` names it, in all families it has.
#[must_use]
pub fn ask(lab: &Lab, from: &str, to: &str, ports: &[u16]) -> Vec<(u16, Answer)> {
    let probes: Vec<String> = ports.iter().map(|port| format!("--probe=SCTP/{port}")).collect();
    let mut arguments = vec!["probe", "--from", from, "--to", to, "--answers", "--timeout", "4s"];
    arguments.extend(probes.iter().map(String::as_str));
    let results = lab.json(&arguments);
    let read = |result: &Value| {
        let answer = match result["result"].as_str().unwrap() {
            "connected" => Answer::read(result["answer"].as_str().unwrap()),
            "refused" => Answer::Refused,
            "dropped" => Answer::Dropped,
            other => panic!("{other}: {result}"),
        };
        (result["port"].as_u64().unwrap().try_into().unwrap(), answer)
    };
    results.as_array().unwrap().iter().map(read).collect()
}

/// Whether this kernel has sockets of SCTP.
#[must_use]
pub fn sockets() -> bool {
    socket(AddressFamily::INET).is_ok()
}

fn socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::SCTP))
}

/// An association with one of the lab's servers.
#[derive(Debug)]
pub struct Association {
    stream: BufReader<TcpStream>,
    /// The server's name.
    pub server: String,
    /// This end, as the server sees it.
    pub seen: SocketAddr,
}

impl Association {
    /// Opens one.
    #[must_use]
    pub fn open(from: &Netns, to: SocketAddr) -> Self {
        Self::try_open(from, to).unwrap_or_else(|error| panic!("{to}: {error}"))
    }

    /// Tries to open one, as a client that does not listen to ICMP.
    ///
    /// # Errors
    /// Why there is none; after ten seconds without an answer that it is in progress.
    pub fn try_open(from: &Netns, to: SocketAddr) -> std::io::Result<Self> {
        let connect = || {
            // Bound to one address, it has one path, whose packets are all translated alike.
            let route = UdpSocket::bind((any(to.ip()), 0)).unwrap();
            route.connect(to).unwrap();
            let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = socket(family).unwrap();
            rustix::net::bind(&socket, &SocketAddr::new(route.local_addr().unwrap().ip(), 0)).unwrap();
            // One-to-one sockets read and write as those of TCP do (RFC 6458 section 4).
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // This limits how long connecting takes too.
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            rustix::net::connect(&stream, &to)?;
            std::io::Result::Ok(stream)
        };
        let mut stream = BufReader::new(from.run(connect).unwrap()?);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match Answer::read(&line) {
            Answer::By { name, client } => Ok(Self { stream, server: name, seen: client }),
            other => panic!("{other:?}"),
        }
    }

    /// Says something.
    pub fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Asserts that this comes back next.
    pub fn hears(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        self.stream.read_exact(&mut heard).unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), text, "of {}", self.server);
    }
}
