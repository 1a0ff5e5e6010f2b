//! Probes: what is asked, what came of it, and asking it.
//!
//! - [`Probe`] is a protocol and a port; [`Outcome`] what became of one.
//! - [`run()`] does any number of them at the same time, each from inside its source's network namespace.

mod icmp;
mod run;
mod sctp;
mod stream;

pub use run::{Attempt, Verdict, run};
pub(crate) use sctp::random;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::spec::Family;

/// A transport protocol, or ICMP echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP or ICMPv6 echo, which has no port.
    Icmp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
        })
    }
}

/// Why a text is not a probe.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("probe {0:?}: write TCP/80, UDP/53, SCTP/9 or ICMP")]
pub struct ProbeParseError(String);

/// What is asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port; 0 with ICMP.
    pub port: u16,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Icmp => f.write_str("ICMP"),
            protocol => write!(f, "{protocol}/{}", self.port),
        }
    }
}

impl FromStr for Probe {
    type Err = ProbeParseError;

    fn from_str(text: &str) -> Result<Self, ProbeParseError> {
        let wrong = || ProbeParseError(text.to_owned());
        let upper = text.to_ascii_uppercase();
        if upper == "ICMP" {
            return Ok(Self { protocol: Protocol::Icmp, port: 0 });
        }
        let (protocol, port) = upper.split_once('/').ok_or_else(wrong)?;
        let protocol = match protocol {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => return Err(wrong()),
        };
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self { protocol, port }),
            _ => Err(wrong()),
        }
    }
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The target answered.
    Connected,
    /// Somebody said no: a TCP reset, an SCTP abort, an ICMP unreachable.
    Refused,
    /// Nobody said anything until the time was up.
    Dropped,
    /// The probe could not be sent.
    Error,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connected => "connected",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Error => "error",
        })
    }
}

/// One line of the answer to `kvsctl lab probe` and `kvsctl lab matrix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// `NAMESPACE/POD`, `node:NAME` or `outside`.
    pub from: String,
    /// The target as it was named.
    pub to: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port; 0 with ICMP.
    pub port: u16,
    /// The address family.
    pub family: Family,
    /// What became of it.
    pub result: Outcome,
    /// Milliseconds until that was known, in steps of a microsecond.
    pub latency_ms: f64,
    /// What the target said, or why the probe could not be sent. Only there when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read_and_written_alike() {
        for text in ["TCP/80", "UDP/65535", "SCTP/1", "ICMP"] {
            assert_eq!(text.parse::<Probe>().unwrap().to_string(), text);
        }
        assert_eq!("tcp/80".parse::<Probe>().unwrap().to_string(), "TCP/80");
        for bad in ["", "TCP", "TCP/", "TCP/0", "TCP/65536", "TCP/-1", "IP/4", "80"] {
            assert!(bad.parse::<Probe>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_result_has_the_documented_json() {
        let result = ProbeResult {
            from: "ns/a".into(),
            to: "ns/b".into(),
            protocol: Protocol::Tcp,
            port: 80,
            family: Family::Ipv4,
            result: Outcome::Connected,
            latency_ms: 1.2,
            answer: None,
        };
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"from":"ns/a","to":"ns/b","protocol":"TCP","port":80,"family":"ipv4","result":"connected","latency_ms":1.2}"#
        );
    }
}
