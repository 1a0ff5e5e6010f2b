//! `kvsctl check`: a healthy cluster has no problem, and what is broken is named, with what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::process::Command;

use host::Netlink;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use system_tests::{Api, Lab, possible};

/// One that is about this, and says all of these words, in what was found and in what to do.
fn has(findings: &[Value], about: &str, result: &str, check: &str, words: &[&str]) -> bool {
    findings.iter().any(|finding| {
        let said = format!("{} {}", finding["found"], finding["todo"]);
        finding["about"] == about
            && finding["result"] == result
            && finding["check"] == check
            && finding["todo"].is_string()
            && words.iter().all(|word| said.contains(word))
    })
}

/// Waits until there is no problem.
fn until_well(lab: &Lab) {
    lab.until("all to be well", || lab.check().iter().all(|finding| finding["result"] != "problem"));
}

/// Breaks something on node-1, sees that just this is named, and mends it.
fn one(lab: &Lab, check_name: &str, words: &[&str], breaking: &[&str], mending: &[&str]) {
    let node = lab.node(1);
    node.exec(breaking);
    let findings = lab.check();
    assert!(has(&findings, "node-1", "problem", check_name, words), "{breaking:?}: {findings:#?}");
    let problems = findings.iter().filter(|finding| finding["result"] == "problem");
    let others: Vec<&Value> = problems.filter(|finding| finding["check"] != check_name).collect();
    assert!(others.is_empty(), "{breaking:?}: {others:#?}");
    node.exec(mending);
    until_well(lab);
}

fn node_folder(lab: &Lab) -> PathBuf {
    lab.folder().join("nodes/node-1")
}

#[test]
fn a_healthy_cluster_has_no_problem() {
    if !possible() {
        return;
    }
    for arguments in [["--nodes", "3", "--overlay", "vxlan"], ["--nodes", "2", "--overlay", "gre"]] {
        let lab = Lab::up(&arguments);
        let findings = lab.check();
        let other: Vec<&Value> = findings.iter().filter(|finding| finding["result"] != "ok").collect();
        assert!(other.is_empty(), "{arguments:?}: {other:#?}");
        let reach = findings.iter().filter(|finding| finding["check"] == "reach");
        assert!(reach.clone().count() > 1, "{findings:#?}");
        for finding in reach {
            assert!(finding["found"].as_str().unwrap().contains("packets of full size"), "{finding}");
        }
    }
}

#[test]
fn what_is_in_the_way_on_a_node_is_named() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    until_well(&lab);
    let folder = node_folder(&lab);
    let path = |file: &str| folder.join(file).display().to_string();

    let first = path("cni/net.d/05-other.conflist");
    one(&lab, "cni", &["05-other.conflist", &format!("rm {first}")], &["touch", &first], &["rm", &first]);
    let plugin = path("cni/bin/k-vswitch-cni");
    one(&lab, "cni", &["not executable"], &["chmod", "644", &plugin], &["chmod", "755", &plugin]);
    let (there, away) = (path("cni/net.d/10-k-vswitch.conflist"), path("conflist"));
    one(
        &lab,
        "cni",
        &["has no 10-k-vswitch.conflist", "kvsctl status"],
        &["mv", &there, &away],
        &["mv", &away, &there],
    );

    let route = |verb| ["ip", "route", verb, "10.244.77.0/24", "via", "172.30.0.254"];
    let words = ["10.244.77.0/24", "cluster CIDR", "ip route delete"];
    one(&lab, "addresses", &words, &route("add"), &route("delete"));
    let address = |verb| ["ip", "address", verb, "10.96.77.1/24", "dev", "lo"];
    let words = ["10.96.77.1/24", "Service CIDR", "choose another"];
    one(&lab, "addresses", &words, &address("add"), &address("delete"));

    let closed =
        "add table inet fw; add chain inet fw ahead { type filter hook forward priority 0; policy drop; }";
    let words = ["table inet fw, chain ahead", "accept iifname k-vswitch0"];
    one(&lab, "firewall", &words, &["nft", closed], &["nft", "delete table inet fw"]);

    let node = lab.node(1);
    node.exec(&["ip", "link", "add", "cni0", "type", "bridge"]);
    node.exec(&["nft", "add table ip kube-proxy"]);
    let findings = lab.check();
    assert!(
        has(&findings, "node-1", "note", "others", &["cni0", "Flannel", "ip link delete cni0"]),
        "{findings:#?}"
    );
    assert!(has(&findings, "node-1", "note", "others", &["nftables mode", "--cleanup"]), "{findings:#?}");
    // Notes are no problems.
    until_well(&lab);
    node.exec(&["ip", "link", "add", "kube-ipvs0", "type", "bridge"]);
    let findings = lab.check();
    assert!(has(&findings, "node-1", "problem", "others", &["IPVS", "nftables mode"]), "{findings:#?}");
}

#[test]
fn programs_that_do_not_run_are_named() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    until_well(&lab);
    let node = lab.node(1);

    let (pid, _) = lab.program("node-1", "ovs-vswitchd").unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let findings = lab.check();
    kill_process(pid, Signal::CONT).unwrap();
    assert!(
        has(&findings, "node-1", "problem", "openvswitch", &["does not answer", "restart"]),
        "{findings:#?}"
    );
    until_well(&lab);

    node.control("stop", "agent");
    let findings = lab.check();
    assert!(
        has(&findings, "node-1", "problem", "daemon", &["is k-vswitchd running?", "get pods"]),
        "{findings:#?}"
    );
    node.exec(&["nft", "flush ruleset"]);
    let findings = lab.check();
    assert!(
        has(&findings, "node-1", "problem", "firewall", &["no table inet k-vswitch", "nftables.service"]),
        "{findings:#?}"
    );
    node.control("start", "agent");
    until_well(&lab);

    node.control("stop", "ovs");
    let findings = lab.check();
    assert!(
        has(&findings, "node-1", "problem", "openvswitch", &["ovsdb-server", "systemctl"]),
        "{findings:#?}"
    );
    // On the userspace datapath the node's own addresses go with it.
    lab.until("the daemon to say so", || {
        has(&lab.check(), "node-1", "problem", "daemon", &["not ready", "troubleshooting.md"])
    });
    node.control("start", "ovs");
    until_well(&lab);
}

#[test]
fn what_is_in_the_way_between_nodes_is_named() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    until_well(&lab);
    let wire = lab.wire();
    let mut netlink = Netlink::open_in(&wire).unwrap();
    let nft = |rules: &str| {
        assert!(wire.run(|| Command::new("nft").arg(rules).status()).unwrap().unwrap().success());
    };

    netlink.set_mtu("n2", 1400).unwrap();
    let findings = lab.check();
    // A veth pair carries four bytes more than its MTU, for a VLAN's tag, and a userspace switch behind it does not.
    let words = ["node-2 (172.30.0.12) carries packets of 140", "1500 are needed", "at most 135"];
    assert!(has(&findings, "node-1", "problem", "reach", &words), "{findings:#?}");
    netlink.set_mtu("n2", 1500).unwrap();
    until_well(&lab);

    nft(
        "add table bridge cut; add chain bridge cut f { type filter hook forward priority 0; policy accept; }; \
         add rule bridge cut f udp dport 4789 drop",
    );
    let findings = lab.check();
    for (node, other) in [("node-1", "10.244.2.1"), ("node-2", "fd00:10:244:1::1")] {
        let words = ["answers over the underlay, and not at", other, "let UDP port 4789 pass"];
        assert!(has(&findings, node, "problem", "reach", &words), "{findings:#?}");
    }
    nft("delete table bridge cut");
    until_well(&lab);

    // On the userspace datapath, tunnels take routes that Open vSwitch was told.
    if !host::kernel::has_openvswitch().unwrap() {
        let node = lab.node(1);
        node.exec(&["ovs-appctl", "ovs/route/del", "172.30.0.0/24"]);
        node.exec(&["ovs-appctl", "ovs/route/del", "0.0.0.0/0"]);
        let words = ["no route from 172.30.0.11", "ovs-appctl ovs/route/add NETWORK br-phy"];
        let findings = lab.check();
        assert!(has(&findings, "node-1", "problem", "openvswitch", &words), "{findings:#?}");
        node.exec(&["ovs-appctl", "ovs/route/add", "172.30.0.0/24", "br-phy"]);
        until_well(&lab);
    }

    netlink.set_up("n2", false).unwrap();
    let findings = lab.check();
    for (node, words) in
        [("node-1", ["node-2", "172.30.0.12", "ip route get"]), ("node-2", ["node-1", "172.30.0.11", "ICMP"])]
    {
        assert!(has(&findings, node, "problem", "reach", &words), "{findings:#?}");
    }
    netlink.set_up("n2", true).unwrap();
    until_well(&lab);

    // The uplink itself: what does not fit is said of the node that has it.
    let node = lab.node(1);
    node.set_uplink_mtu(1300);
    let findings = lab.check();
    let words = [format!("{} carries 1300", node.uplink()), "at least 1330".into()];
    assert!(
        has(&findings, "node-1", "problem", "mtu", &words.each_ref().map(String::as_str)),
        "{findings:#?}"
    );
    node.set_uplink_mtu(1500);
    until_well(&lab);
}

#[test]
fn what_the_cluster_lacks_is_named() {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "1"]);
    until_well(&lab);
    let api = Api::new(&lab);
    api.create_node("node-9", &[], &["172.30.0.99"]);
    let findings = lab.check();
    assert!(
        has(&findings, "cluster", "problem", "cluster", &["node-9", "--allocate-node-cidrs"]),
        "{findings:#?}"
    );
    assert!(has(&findings, "node-1", "problem", "reach", &["node-9", "172.30.0.99"]), "{findings:#?}");
    api.delete_node("node-9");
    api.create_node("node-9", &["10.99.0.0/24"], &["172.30.0.99"]);
    lab.until("the controller's word", || {
        has(&lab.check(), "cluster", "problem", "cluster", &["node-9 is not accepted", "10.99.0.0/24"])
    });
    api.delete_node("node-9");
    until_well(&lab);
}
