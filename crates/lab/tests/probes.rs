//! Probes and pod servers between two network namespaces joined by a veth pair.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stderr)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lab::probe::{Attempt, Outcome, Probe, run};
use lab::serve::{Greeting, Identity, SctpResponder, Servers};

static COUNTER: AtomicU32 = AtomicU32::new(0);

fn ip(args: &str) {
    lines(args);
}

fn lines(args: &str) -> String {
    let done = Command::new("ip").args(args.split_whitespace()).output().expect("ip runs");
    assert!(done.status.success(), "ip {args}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Two namespaces, `a` at .1 and `b` at .2, removed when dropped.
struct Pair {
    a: String,
    b: String,
}

impl Pair {
    fn new() -> Self {
        let id = COUNTER.fetch_add(1, Ordering::Relaxed);
        let pair = Self {
            a: format!("kvst-{}-{id}-a", std::process::id()),
            b: format!("kvst-{}-{id}-b", std::process::id()),
        };
        for (name, end) in [(&pair.a, 1), (&pair.b, 2)] {
            ip(&format!("netns add {name}"));
            if end == 1 {
                continue;
            }
            ip(&format!("-n {name} link add eth0 type veth peer name eth0 netns {}", pair.a));
        }
        for (name, end) in [(&pair.a, 1), (&pair.b, 2)] {
            for key in ["net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"] {
                ip(&format!("netns exec {name} sysctl -q -w {key}=0"));
            }
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} addr add 192.0.2.{end}/24 dev eth0"));
            ip(&format!("-n {name} addr add 2001:db8::{end}/64 dev eth0 nodad"));
            ip(&format!("-n {name} link set eth0 up"));
        }
        // The kernel tells the ends of their carrier with a delay of up to a second.
        for name in [&pair.a, &pair.b] {
            while !lines(&format!("-n {name} -o link show eth0")).contains("LOWER_UP") {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in [&self.a, &self.b] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn netns(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: network namespaces need root");
    }
    root
}

fn addresses(end: u8) -> Vec<IpAddr> {
    vec![format!("192.0.2.{end}").parse().unwrap(), format!("2001:db8::{end}").parse().unwrap()]
}

async fn server(place: &Path) -> Servers {
    let responder = SctpResponder::start(place, &addresses(2)).await.unwrap();
    let ports: Vec<Probe> = ["TCP/80", "UDP/81", "SCTP/82"].iter().map(|p| p.parse().unwrap()).collect();
    let me = Identity { namespace: "ns".into(), name: "b".into() };
    Servers::start(place, &me, &ports, &addresses(2), &responder).await.unwrap()
}

#[tokio::test]
async fn probes_tell_connected_from_refused_from_dropped() {
    if !root() {
        return;
    }
    let pair = Pair::new();
    let place = netns(&pair.b);
    let _servers = server(&place).await;
    // Keeps the port table of SCTP at work in the probing namespace as well, as in a pod.
    let _own = SctpResponder::start(&netns(&pair.a), &addresses(1)).await.unwrap();
    ip(&format!("netns exec {} nft add table inet t", pair.b));
    ip(&format!("netns exec {} nft add chain inet t in {{ type filter hook input priority 0 ; }}", pair.b));
    for protocol in ["tcp", "udp", "sctp"] {
        ip(&format!("netns exec {} nft add rule inet t in {protocol} dport 999 drop", pair.b));
    }

    let cases = [
        ("TCP/80", Outcome::Connected),
        ("UDP/81", Outcome::Connected),
        ("SCTP/82", Outcome::Connected),
        ("ICMP", Outcome::Connected),
        ("TCP/81", Outcome::Refused),
        ("UDP/82", Outcome::Refused),
        ("SCTP/80", Outcome::Refused),
        ("TCP/999", Outcome::Dropped),
        ("UDP/999", Outcome::Dropped),
        ("SCTP/999", Outcome::Dropped),
    ];
    let mut attempts = Vec::new();
    let mut expected = Vec::new();
    for (probe, outcome) in cases {
        for target in addresses(2) {
            attempts.push(Attempt {
                netns: netns(&pair.a),
                target,
                probe: probe.parse().unwrap(),
                timeout: Duration::from_millis(500),
                listen: true,
            });
            expected.push((probe, target, outcome));
        }
    }
    let begin = std::time::Instant::now();
    let verdicts = run(&attempts).await;
    assert!(begin.elapsed() < Duration::from_millis(900), "in parallel: {:?}", begin.elapsed());
    for ((probe, target, outcome), verdict) in expected.iter().zip(&verdicts) {
        assert_eq!(verdict.outcome, *outcome, "{probe} to {target}: {verdict:?}");
        if *outcome == Outcome::Connected && *probe != "ICMP" {
            let greeting: Greeting = serde_json::from_str(verdict.answer.as_deref().unwrap()).unwrap();
            let client = if target.is_ipv4() { "192.0.2.1:" } else { "[2001:db8::1]:" };
            assert_eq!((greeting.namespace.as_str(), greeting.name.as_str()), ("ns", "b"));
            assert!(greeting.client.starts_with(client), "{greeting:?}");
        }
    }
}

#[tokio::test]
async fn ports_are_refused_once_their_server_is_gone() {
    if !root() {
        return;
    }
    let pair = Pair::new();
    let place = netns(&pair.b);
    let responder = SctpResponder::start(&place, &addresses(2)).await.unwrap();
    let ports: Vec<Probe> = ["TCP/80", "UDP/81", "SCTP/82"].iter().map(|p| p.parse().unwrap()).collect();
    let me = Identity { namespace: "ns".into(), name: "b".into() };
    let attempts: Vec<Attempt> = ports
        .iter()
        .map(|probe| Attempt {
            netns: netns(&pair.a),
            target: addresses(2)[0],
            probe: *probe,
            timeout: Duration::from_millis(500),
            listen: false,
        })
        .collect();
    let servers = Servers::start(&place, &me, &ports, &addresses(2), &responder).await.unwrap();
    for verdict in run(&attempts).await {
        assert_eq!(verdict.outcome, Outcome::Connected);
    }
    drop(servers);
    // The tasks that held the sockets end at their next turn.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for verdict in run(&attempts).await {
        assert_eq!(verdict.outcome, Outcome::Refused, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_an_error_and_not_a_drop() {
    let attempt = Attempt {
        netns: netns("kvst-there-is-no-such-namespace"),
        target: addresses(1)[0],
        probe: "TCP/80".parse().unwrap(),
        timeout: Duration::from_millis(100),
        listen: false,
    };
    let verdicts = run(&[attempt]).await;
    assert_eq!(verdicts[0].outcome, Outcome::Error);
    assert!(verdicts[0].answer.as_deref().unwrap().contains("kvst-there-is-no-such-namespace"));
}

#[tokio::test]
async fn sixteen_sources_and_targets_take_little_more_than_one_timeout() {
    if !root() {
        return;
    }
    let pair = Pair::new();
    let _servers = server(&netns(&pair.b)).await;
    let attempt = |probe: &str, target: &str| Attempt {
        netns: netns(&pair.a),
        target: target.parse().unwrap(),
        probe: probe.parse().unwrap(),
        timeout: Duration::from_secs(1),
        listen: false,
    };
    // 16 * 16 pairs, two probes each, half of them to an address nobody has.
    let attempts: Vec<Attempt> =
        (0..256).flat_map(|_| [attempt("TCP/80", "192.0.2.2"), attempt("UDP/81", "192.0.2.77")]).collect();
    let begin = std::time::Instant::now();
    let verdicts = run(&attempts).await;
    assert!(begin.elapsed() < Duration::from_millis(1800), "{:?}", begin.elapsed());
    for (attempt, verdict) in attempts.iter().zip(verdicts) {
        let reached = attempt.target.to_string() == "192.0.2.2";
        assert_eq!(
            verdict.outcome,
            if reached { Outcome::Connected } else { Outcome::Dropped },
            "{verdict:?}"
        );
    }
}

/// However many there are, and however many ask for them at a time: sockets are opened within the process's limit.
#[tokio::test]
async fn more_probes_than_files_can_be_open_wait_for_each_other() {
    if !root() {
        return;
    }
    let pair = Pair::new();
    let attempt = Attempt {
        netns: netns(&pair.a),
        target: "192.0.2.2".parse().unwrap(),
        probe: "TCP/81".parse().unwrap(),
        timeout: Duration::from_secs(60),
        listen: false,
    };
    let many = vec![attempt; 5000];
    let verdicts = tokio::join!(run(&many), run(&many), run(&many));
    for verdict in [verdicts.0, verdicts.1, verdicts.2].iter().flatten() {
        assert_eq!(verdict.outcome, Outcome::Refused, "{verdict:?}");
    }
}
