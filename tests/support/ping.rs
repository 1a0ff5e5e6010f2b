//! Echo requests that run while something is broken, and tell which of them were lost.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use host::Netns;
use rustix::process::{Pid, Signal, kill_process};

/// How often echo requests are sent.
const PING_INTERVAL: Duration = Duration::from_millis(10);

/// How long a ping goes on when it is told to end, and how many echo requests that are at most: they may be on their way.
const LAST: Duration = Duration::from_secs(1);
const ON_THEIR_WAY: u32 = 100;

/// `ping`, one every 10 ms.
#[derive(Debug)]
pub struct Ping {
    to: IpAddr,
    child: Child,
    /// Sequence numbers of what was answered, and what `ping` said besides.
    reader: Option<JoinHandle<(BTreeSet<u32>, String)>>,
}

impl Ping {
    /// Sends so many echo requests from a namespace.
    #[must_use]
    pub fn start(from: &Netns, to: impl Into<IpAddr>, count: u32) -> Self {
        let to = to.into();
        let mut command = Command::new("ping");
        let interval = PING_INTERVAL.as_secs_f64().to_string();
        command.args(["-n", "-i", &interval, "-c", &count.to_string(), &to.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = from.run(|| command.spawn()).unwrap().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { to, child, reader: Some(std::thread::spawn(move || answers(said))) }
    }

    /// Whether it has more to send.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it after another second: how many were sent and how many of them had no answer. Those of that second that no answer
    /// has overtaken may be on their way; they are neither.
    #[must_use]
    pub fn interrupt(self) -> (u32, u32) {
        std::thread::sleep(LAST);
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        self.count(ON_THEIR_WAY)
    }

    /// Waits for its end: how many were sent and how many of them had no answer.
    #[must_use]
    pub fn finish(self) -> (u32, u32) {
        self.count(0)
    }

    fn count(mut self, on_their_way: u32) -> (u32, u32) {
        let (answered, said) = self.reader.take().unwrap().join().unwrap();
        self.child.wait().unwrap();
        let words: Vec<&str> = said.split_whitespace().collect();
        let sent =
            words.iter().position(|word| *word == "packets").and_then(|at| words.get(at.checked_sub(1)?));
        let sent: u32 = sent
            .and_then(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("ping {} said {said:?}", self.to));
        let overtaken = answered.last().filter(|last| sent.saturating_sub(**last) <= on_their_way);
        let judged = overtaken.copied().unwrap_or(sent);
        let lost: Vec<u32> = (1..=judged).filter(|number| !answered.contains(number)).collect();
        if !lost.is_empty() {
            println!("ping {}: of {judged}, one each {PING_INTERVAL:?}, lost: {}", self.to, runs(&lost));
        }
        (judged, u32::try_from(lost.len()).unwrap())
    }
}

/// Reads what `ping` says to the end.
fn answers(said: impl BufRead) -> (BTreeSet<u32>, String) {
    let (mut answered, mut rest) = (BTreeSet::new(), String::new());
    for line in said.lines().map(Result::unwrap) {
        let number = || line.split_once("icmp_seq=")?.1.split_whitespace().next()?.parse().ok();
        match number().filter(|_| line.contains(" bytes from ")) {
            Some(number) => drop(answered.insert(number)),
            None => rest.extend([&line, "\n"]),
        }
    }
    (answered, rest)
}

/// Numbers in order, with a dash between the ends of those that follow each other.
fn runs(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(", ")
}

impl Drop for Ping {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_errors() {
        let said = "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n\
            64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.02 ms\n\
            From 10.0.0.2 icmp_seq=2 Destination Host Unreachable\n\
            64 bytes from 10.0.0.1: icmp_seq=3 ttl=64 time=0.02 ms (DUP!)\n\n\
            3 packets transmitted, 2 received, 33% packet loss, time 20ms\n";
        let (answered, rest) = answers(said.as_bytes());
        assert_eq!(answered, BTreeSet::from([1, 3]));
        assert!(rest.contains("3 packets transmitted"), "{rest}");
    }

    #[test]
    fn what_was_lost_is_told_in_runs() {
        assert_eq!(runs(&[1, 3, 4, 5, 9, 10]), "1, 3-5, 9-10");
    }
}
