//! The kernel: its version, nftables, and whether it forwards.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use super::finding::{Check, Finding};
use super::switch::parse;

const CHECK: Check = Check("kernel");

/// The least versions, with the proxy of Services and without.
const WITH_PROXY: (u32, u32) = (5, 9);
const WITHOUT_PROXY: (u32, u32) = (5, 4);

/// What can be known of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// As `uname -r` has it.
    pub(super) release: String,
    /// Whether rules can be listed, or why not.
    pub(super) nftables: Result<(), String>,
    /// For each family, whether forwarding can be switched on.
    pub(super) ipv4: Forwarding,
    pub(super) ipv6: Forwarding,
}

/// Whether forwarding can be switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Forwarding {
    /// It is on, or can be.
    Writable,
    /// The kernel does not have the family.
    Missing,
    /// It cannot be switched on, for this reason.
    Refused(String),
}

/// Asks the kernel, in the calling thread's network namespace. `ruleset` is what listing the rules came to.
pub(super) fn gather(sysctls: &Path, ruleset: &Result<serde_json::Value, String>) -> Facts {
    Facts {
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        nftables: ruleset.as_ref().map(|_| ()).map_err(Clone::clone),
        ipv4: forwarding(&sysctls.join("net/ipv4/ip_forward")),
        ipv6: forwarding(&sysctls.join("net/ipv6/conf/all/forwarding")),
    }
}

/// Opening the file for writing is as good as writing to it, and changes nothing.
fn forwarding(path: &Path) -> Forwarding {
    if std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "1") {
        return Forwarding::Writable;
    }
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Forwarding::Writable,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Forwarding::Missing,
        Err(error) => Forwarding::Refused(format!("{} cannot be written: {error}", path.display())),
    }
}

/// Judges the facts. `proxy`: k-vswitch is the proxy of Services. `wants_ipv6`: pods have, or will have, IPv6.
pub(super) fn check(facts: &Facts, proxy: bool, wants_ipv6: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let release = &facts.release;
    match parse(release) {
        Some(version) if version < WITHOUT_PROXY => findings.push(CHECK.problem(
            format!("Linux is {release}, and 5.9 or newer is needed (5.4 without the proxy of Services)"),
            "update the node's kernel",
        )),
        Some(version) if version < WITH_PROXY && proxy => findings.push(CHECK.problem(
            format!("Linux is {release}, and k-vswitch needs 5.9 or newer to be the proxy of Services"),
            "update the node's kernel, or set serviceProxy: off and run kube-proxy",
        )),
        _ => {}
    }
    if let Err(why) = &facts.nftables {
        findings.push(CHECK.problem(
            format!("nftables cannot be used: {why}"),
            "the kernel must have nf_tables (modprobe nf_tables); the program nft is in the package nftables, and in the \
             image; this needs root",
        ));
    }
    for (family, forwarding) in [("IPv4", &facts.ipv4), ("IPv6", &facts.ipv6)] {
        match forwarding {
            Forwarding::Writable => {}
            Forwarding::Missing if family == "IPv6" && !wants_ipv6 => {}
            Forwarding::Missing => findings.push(CHECK.problem(
                format!("the kernel has no {family}, and pods are to have it"),
                format!("switch {family} on (kernel command line: no ipv6.disable=1), or take its CIDRs out of the cluster's"),
            )),
            Forwarding::Refused(why) => findings.push(CHECK.problem(
                format!("{family} forwarding is off, and {why}"),
                "run as root; in a container mount /proc/sys/net of the host, and name its folder by --sysctl-dir",
            )),
        }
    }
    CHECK.or_ok(findings, format!("Linux {release}, nftables can be used, the node can forward"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn facts() -> Facts {
        let (ipv4, ipv6) = (Forwarding::Writable, Forwarding::Writable);
        Facts { release: "6.1.0-28-amd64".into(), nftables: Ok(()), ipv4, ipv6 }
    }

    fn problems(facts: &Facts, proxy: bool, wants_ipv6: bool) -> Vec<String> {
        let found = check(facts, proxy, wants_ipv6).into_iter();
        found.filter(|f| f.result == Verdict::Problem).map(|f| f.found).collect()
    }

    #[test]
    fn the_version_that_is_needed_depends_on_the_proxy() {
        let of = |release: &str| Facts { release: release.into(), ..facts() };
        assert!(problems(&facts(), true, true).is_empty());
        assert!(problems(&of("5.4.0"), false, true).is_empty());
        assert!(problems(&of("5.4.0"), true, true)[0].contains("proxy of Services"));
        assert!(problems(&of("4.19.0"), false, true)[0].contains("5.9 or newer"));
    }

    #[test]
    fn what_the_kernel_lacks_is_a_problem_where_it_is_needed() {
        let without = Facts { ipv6: Forwarding::Missing, ..facts() };
        assert!(problems(&without, true, false).is_empty());
        assert!(problems(&without, true, true)[0].contains("no IPv6"));
        let read_only = Facts { ipv4: Forwarding::Refused("x cannot be written".into()), ..facts() };
        assert!(problems(&read_only, true, true)[0].contains("IPv4 forwarding is off"));
        let no_nft = Facts { nftables: Err("no nft".into()), ..facts() };
        assert!(problems(&no_nft, true, true)[0].contains("no nft"));
    }

    #[test]
    fn a_sysctl_that_is_not_there_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(forwarding(&folder.path().join("x")), Forwarding::Missing);
        std::fs::write(folder.path().join("y"), "0\n").unwrap();
        assert_eq!(forwarding(&folder.path().join("y")), Forwarding::Writable);
    }
}
