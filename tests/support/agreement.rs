//! What the oracle says, against what happens on the wire.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use policy::rules::Protocol;
use policy_oracle::{End, Traffic};
use serde_json::Value;

use crate::patience;
use crate::stage::{Stage, name};

/// What each pair of ends tries: as little as tells policies apart, and all that is served.
pub const FEW: &[&str] = &["TCP/80", "TCP/81", "UDP/80", "SCTP/80", "ICMP"];
/// See [`FEW`].
pub const ALL: &[&str] = &["TCP/80", "TCP/81", "TCP/82", "UDP/80", "UDP/81", "SCTP/80", "SCTP/81", "ICMP"];

/// The outside's addresses.
const OUTSIDE: [&str; 2] = ["203.0.113.1", "2001:db8:203::1"];

/// How long a probe waits for its answer: the more often, the longer, since a switch on a busy machine is slow and what
/// is denied is waited for to the end. And how long a change may take.
const ANSWERS: [&str; 4] = ["500ms", "1s", "2s", "4s"];
const PATIENCE: Duration = Duration::from_secs(20);

/// Something that passed and must not, or did not and must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Whether the oracle lets it pass.
    pub allowed: bool,
    /// What it was, and what became of it.
    pub what: String,
}

/// Who an end of a probe is, as the oracle sees it.
enum Who<'a> {
    Pod(&'a str),
    /// A machine with a node's addresses.
    Node(u16),
    Outside,
}

fn traffic(probe: &str) -> Traffic {
    let Some((protocol, port)) = probe.split_once('/') else { return Traffic::Other };
    let protocol = match protocol {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    Traffic::Port(protocol, port.parse().unwrap())
}

/// Addresses with which a node may appear to others: its own, and its gateway's.
fn node_addresses(node: u16, ipv4: bool) -> [IpAddr; 2] {
    let [own, gateway] = if ipv4 {
        [format!("172.30.0.{}", 10 + node), format!("10.244.{node}.1")]
    } else {
        [format!("fd00:30::{}", 10 + node), format!("fd00:10:244:{node}::1")]
    };
    [own.parse().unwrap(), gateway.parse().unwrap()]
}

impl Stage {
    fn who<'a>(&self, place: &'a str) -> Who<'a> {
        if let Some(node) = place.strip_prefix("node:node-") {
            return Who::Node(node.parse().unwrap());
        }
        match self.cast.get(place) {
            Some(pod) if pod.on_host => Who::Node(pod.node),
            Some(_) => Who::Pod(place),
            None => Who::Outside,
        }
    }

    /// Whether the oracle lets a probe pass. `None` where it is not asked.
    #[must_use]
    pub fn expected(&self, from: &str, to: &str, probe: &str, ipv4: bool) -> Option<bool> {
        let traffic = traffic(probe);
        let outside: IpAddr = OUTSIDE[usize::from(!ipv4)].parse().unwrap();
        match (self.who(from), self.who(to)) {
            (Who::Pod(from), Who::Pod(to)) => {
                let ends = [name(from), name(to)];
                let [from, to] = [0, 1]
                    .map(|end| End::Pod(&ends[end], self.address(if end == 0 { from } else { to }, ipv4)));
                Some(self.cluster.allowed(from, to, traffic))
            }
            (Who::Pod(from), Who::Node(node)) => {
                let key = name(from);
                let to = End::Outside(node_addresses(node, ipv4)[0]);
                let own = self.cast[from].node == node;
                Some(own || self.cluster.allowed(End::Pod(&key, self.address(from, ipv4)), to, traffic))
            }
            (Who::Node(node), Who::Pod(to)) => {
                if self.cast[to].node == node {
                    return Some(true);
                }
                let key = name(to);
                let to = End::Pod(&key, self.address(to, ipv4));
                let answers = node_addresses(node, ipv4)
                    .map(|address| self.cluster.allowed(End::Outside(address), to, traffic));
                (answers[0] == answers[1]).then_some(answers[0])
            }
            (Who::Pod(from), Who::Outside) => {
                let key = name(from);
                let from = End::Pod(&key, self.address(from, ipv4));
                Some(self.cluster.allowed(from, End::Outside(outside), traffic))
            }
            (Who::Outside, Who::Pod(to)) => {
                let key = name(to);
                let to = End::Pod(&key, self.address(to, ipv4));
                Some(self.cluster.allowed(End::Outside(outside), to, traffic))
            }
            _ => None,
        }
    }

    /// Probes everything from everywhere; what is not as the oracle says.
    fn mismatches(&self, probes: &[&str], timeout: &str) -> Vec<Mismatch> {
        let probes: Vec<&str> = probes.iter().flat_map(|probe| ["--probe", probe]).collect();
        let ask = |to: &str| {
            let results =
                self.lab.json(&[&["matrix", "--to", to, "--timeout", timeout], &probes[..]].concat());
            let results = results.as_array().unwrap().iter();
            results.filter_map(|result| self.mismatch(result)).collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let outside = scope.spawn(|| ask("outside"));
            [ask("pods"), outside.join().unwrap()].concat()
        })
    }

    fn mismatch(&self, result: &Value) -> Option<Mismatch> {
        let text = |key: &str| result[key].as_str().unwrap();
        let (from, to, protocol, outcome) = (text("from"), text("to"), text("protocol"), text("result"));
        let probe = match protocol {
            "ICMP" => protocol.to_owned(),
            _ => format!("{protocol}/{}", result["port"]),
        };
        let allowed = self.expected(from, to, &probe, text("family") == "ipv4")?;
        let right = outcome == if allowed { "connected" } else { "dropped" };
        let what = || format!("{from} -> {to} {probe} {}: {outcome} {}", text("family"), result["answer"]);
        (!right).then(|| Mismatch { allowed, what: what() })
    }

    /// Waits until the wire agrees with the oracle, and sees that it goes on to.
    ///
    /// # Errors
    /// What does not agree.
    pub fn agree(&self, what: &str, probes: &[&str]) -> Result<(), String> {
        let begin = Instant::now();
        let mut answers = ANSWERS.iter().cycle();
        loop {
            let wrong = self.mismatches(probes, answers.next().unwrap());
            if wrong.is_empty() {
                break;
            }
            if begin.elapsed() > patience(PATIENCE) {
                let cure =
                    if self.is_stale(probes) { " (and not without the datapath's old flows)" } else { "" };
                return Err(self.explain(&format!("{what}, in the end{cure}"), &wrong));
            }
        }
        println!("{what}: agreed after {:.1?}", begin.elapsed());
        // A packet may be lost on a busy machine; one that passes is never a matter of chance.
        let mut wrong = Vec::new();
        for timeout in ANSWERS {
            wrong = self.mismatches(probes, timeout);
            if wrong.iter().any(|one| !one.allowed) || wrong.is_empty() {
                break;
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(self.explain(&format!("{what}, later"), &wrong)) }
    }

    /// Whether it is not the tables that are wrong, but flows of the datapath that should have gone with the old ones.
    fn is_stale(&self, probes: &[&str]) -> bool {
        let nodes: BTreeSet<u16> = self.cast.values().map(|pod| pod.node).collect();
        for node in nodes {
            self.lab.node(node).exec(&["ovs-appctl", "revalidator/purge"]);
        }
        self.mismatches(probes, ANSWERS[2]).is_empty()
    }

    fn explain(&self, when: &str, wrong: &[Mismatch]) -> String {
        let some: Vec<String> = wrong
            .iter()
            .take(16)
            .map(|one| format!("  must {}pass: {}", if one.allowed { "" } else { "not " }, one.what))
            .collect();
        let policies = self.cluster.policies.iter();
        let policies: Vec<_> =
            policies.map(|(name, spec)| (format!("{}/{}", name.namespace, name.name), spec)).collect();
        let policies = serde_json::to_string(&policies).unwrap();
        format!("{when}: {} differ\n{}\n  {policies}", wrong.len(), some.join("\n"))
    }

    /// What a person expects of the oracle, in both families: `FROM > TO PROBE`.
    ///
    /// # Errors
    /// Where the oracle says something else.
    pub fn spots(&self, spots: &[(&str, bool)]) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (spot, wanted) in spots {
            let (from, rest) = spot.split_once(" > ").unwrap();
            let (to, probe) = rest.split_once(' ').unwrap();
            for ipv4 in [true, false] {
                if self.expected(from, to, probe, ipv4) != Some(*wanted) {
                    wrong.push(format!("{spot} must be {wanted} (ipv4: {ipv4})"));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("the oracle: {}", wrong.join("; "))) }
    }
}
