//! A Linux bridge on each machine, as the plugin `bridge` makes it, with routes over one of the kernel's tunnels, as flannel
//! has them, and the rules that kube-proxy makes for as many Services as ours has.
//!
//! Pods of one machine are bridged and never see these rules: `br_netfilter`, which would have them do so, is left out.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use bench::Place;
use host::{Netns, sysctl};

use crate::cluster::{SERVICES, cluster_ip, elsewhere};
use crate::contender::{BRIDGE, Contender, Overlay};
use crate::machines::{Conditions, Machines, UNDERLAY, ip};

/// MACs of the tunnels' ends.
const MACS: [&str; 2] = ["0a:58:00:00:01:01", "0a:58:00:00:01:02"];

pub(crate) fn contender(overlay: Overlay, conditions: Conditions) -> anyhow::Result<Contender> {
    let mut machines = Machines::new()?;
    machines.address("eth0")?;
    for number in 0..2 {
        machine(&machines, number, overlay, conditions)?;
    }
    let mut pod = |machine: usize, name: &str, number: u8| {
        let end = machines.pod(machine, name, address(machine, number), 24, conditions)?;
        let on = machines.machines.get(machine).context("there are two machines")?;
        ip(on, &["link", "set", name, "master", "cni0"])?;
        machines.in_last_pod(&["route", "add", "default", "via", &address(machine, 1).to_string()])?;
        anyhow::Ok(end)
    };
    let (client, near, far) = (pod(0, "client", 2)?, pod(0, "near", 3)?, pod(1, "far", 2)?);
    let (nodes, background) = (machines.netns(), Vec::new());
    Ok(Contender { key: BRIDGE, client, near, far, nodes, background, _guard: Box::new(machines) })
}

/// An address of a machine's pods.
fn address(machine: usize, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 98, if machine == 0 { 1 } else { 2 }, number)
}

fn machine(
    machines: &Machines,
    number: usize,
    overlay: Overlay,
    conditions: Conditions,
) -> anyhow::Result<()> {
    let other = 1 - number;
    let (Some(on), Some(mac), Some(there)) =
        (machines.machines.get(number), MACS.get(number), MACS.get(other))
    else {
        anyhow::bail!("there are two machines");
    };
    let [own, remote] = [number, other].map(|number| UNDERLAY.get(number).map(ToString::to_string));
    let (own, remote) = (own.unwrap_or_default(), remote.unwrap_or_default());
    let mtu = conditions.mtu.to_string();
    let gateway = format!("{}/24", address(number, 1));
    let kind: &[&str] = match overlay {
        Overlay::Vxlan => {
            &["vxlan", "id", "7", "local", &own, "dev", "eth0", "dstport", "4789", "nolearning"]
        }
        Overlay::Gre => &["gretap", "local", &own, "remote", &remote, "key", "7"],
    };
    ip(on, &["link", "add", "cni0", "mtu", &mtu, "type", "bridge"])?;
    ip(on, &["address", "add", &gateway, "dev", "cni0"])?;
    ip(on, &["link", "set", "cni0", "up"])?;
    ip(on, &[&["link", "add", "over0", "address", mac, "mtu", &mtu, "type"], kind].concat())?;
    ip(on, &["link", "set", "over0", "up"])?;
    let (pods, via) = (format!("{}/24", address(other, 0)), address(other, 0).to_string());
    ip(on, &["route", "add", &pods, "via", &via, "dev", "over0", "onlink"])?;
    ip(on, &["neighbour", "add", &via, "lladdr", there, "dev", "over0"])?;
    if overlay == Overlay::Vxlan {
        let mut forward = Command::new("bridge");
        forward.args(["-n", on.name(), "fdb", "append", there, "dev", "over0", "dst", &remote]);
        bench::switch::run(&mut forward)?;
    }
    on.netns.run(|| sysctl::write("net/ipv4/ip_forward", "1"))??;
    rules(on)
}

/// kube-proxy's rules (Kubernetes 1.34, `--proxy-mode=nftables`), as far as packets between pods meet them.
fn rules(on: &Place) -> anyhow::Result<()> {
    let (mut chains, mut elements) = (String::new(), String::new());
    for number in 0..SERVICES {
        let (targets, mut choice) = (elsewhere(number), String::new());
        for (place, to) in targets.iter().enumerate() {
            writeln!(chains, "chain endpoint-{number}-{place} {{ meta l4proto tcp dnat to {to}:8080; }}")?;
            write!(choice, "{place} : goto endpoint-{number}-{place}, ")?;
        }
        let count = targets.len();
        writeln!(chains, "chain service-{number} {{ numgen random mod {count} vmap {{ {choice} }}; }}")?;
        write!(elements, "{} . tcp . 80 : goto service-{number}, ", cluster_ip(number))?;
    }
    let all = format!(
        "table ip kube-proxy {{
        {chains}
        map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ {elements} }} }}
        chain services {{
          ip daddr . meta l4proto . th dport vmap @service-ips
          ip daddr 10.96.0.0/16 return
        }}
        chain masquerade-marked {{
          meta mark & 0x4000 == 0 return
          meta mark set meta mark ^ 0x4000
          masquerade fully-random
        }}
        chain cluster-ips-check {{ ip daddr 10.96.0.0/16 reject; }}
        chain prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
        chain output {{ type nat hook output priority -100; jump services; }}
        chain postrouting {{ type nat hook postrouting priority srcnat; jump masquerade-marked; }}
        chain forward {{ type filter hook forward priority filter; ct state new jump cluster-ips-check; }}
        chain filter-output {{ type filter hook output priority filter; ct state new jump cluster-ips-check; }}
        }}\n"
    );
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", Netns::path_of(on.name()).display())).args(["nft", "-f", "-"]);
    let mut nft = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("nft")?;
    nft.stdin.take().context("no standard input")?.write_all(all.as_bytes())?;
    let output = nft.wait_with_output()?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
