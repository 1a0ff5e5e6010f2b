//! Two pods on the switch: network namespaces with a veth pair each.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use agent::view::{ClusterPod, PodRef};
use anyhow::Context as _;
use bench::Samples;
use bench::switch::{Switch, run};
use datapath::topology::ROUTER_MAC;
use host::Netns;

/// Where pods send everything to; the bridge's router answers for it.
const HOP: &str = "169.254.1.1";

/// A pod. Its namespace goes with it.
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: [u8; 6],
    netns: Netns,
    netns_name: String,
}

impl Pod {
    /// Makes one beside the switch. Returns it and the port's number.
    pub(crate) fn new(switch: &Switch, name: &'static str, address: Ipv4Addr) -> anyhow::Result<(Self, u32)> {
        let (pod, outer) = Self::beside(switch.name(), name, address)?;
        let number = switch.add_port(&outer)?;
        Ok((pod, number))
    }

    /// Makes one beside a network namespace. Returns it and the name of its interface there.
    pub(crate) fn beside(
        node: &str,
        name: &'static str,
        address: Ipv4Addr,
    ) -> anyhow::Result<(Self, String)> {
        let netns_name = format!("{node}-{name}");
        let netns = Netns::create(&netns_name)?;
        let mac = ipam::names::mac(Some(address), None).context("no MAC")?;
        let pod = Self { name, address, mac, netns, netns_name };
        let (own, router) = (ipam::names::format_mac(mac), ROUTER_MAC.to_string());
        let outer = format!("to-{name}");
        let (place, source) = (&pod.netns_name, format!("{address}/32"));
        let add =
            ["link", "add", "eth0", "netns", place, "address", &own, "type", "veth", "peer", "name", &outer];
        run(Command::new("ip").args(["-n", node]).args(add))?;
        run(Command::new("ip").args(["-n", node, "link", "set", &outer, "up"]))?;
        let commands: [&[&str]; 5] = [
            &["address", "add", &source, "dev", "eth0"],
            &["link", "set", "eth0", "up"],
            &["link", "set", "lo", "up"],
            &["route", "add", "default", "via", HOP, "dev", "eth0", "onlink"],
            &["neighbour", "add", HOP, "lladdr", &router, "dev", "eth0"],
        ];
        for arguments in commands {
            run(Command::new("ip").args(["-n", place]).args(arguments))?;
        }
        // Checksums must be whole, or connection tracking takes packets for broken ones.
        let ethtool = ["netns", "exec", place, "ethtool", "-K", "eth0", "tx", "off"];
        run(Command::new("ip").args(ethtool))?;
        Ok((pod, outer))
    }

    pub(crate) fn in_cluster(&self, namespace: &str, node: &str) -> ClusterPod {
        ClusterPod {
            pod: PodRef { namespace: namespace.to_owned(), name: self.name.to_owned() },
            node: node.to_owned(),
            facts: policy::spec::Pod {
                namespace: namespace.to_owned(),
                addresses: vec![self.address.into()],
                ..policy::spec::Pod::default()
            },
            ..ClusterPod::default()
        }
    }

    /// Accepts connections, and closes them, until the process ends.
    pub(crate) fn serve(&self, port: u16) -> anyhow::Result<()> {
        let listener = self.netns.run(|| TcpListener::bind((self.address, port)))??;
        rustix::net::listen(&listener, 4096)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                drop(stream);
            }
        });
        Ok(())
    }

    /// So many connections, one after the other: how long each took to come about.
    pub(crate) fn connect(&self, to: SocketAddr, connections: usize) -> anyhow::Result<Samples> {
        let one = || -> io::Result<Duration> {
            let begin = Instant::now();
            let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
            let took = begin.elapsed();
            // Reset, so that no port waits for its time to be over.
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
            Ok(took)
        };
        let times: io::Result<Samples> = self.netns.run(|| (0..connections).map(|_| one()).collect())?;
        times.with_context(|| format!("connecting to {to}"))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Err(error) = Netns::delete(&self.netns_name) {
            eprintln!("warning: {error}");
        }
    }
}
