//! The crate against the real kernel, in network namespaces made for the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod links;
mod namespaces;
mod netfilter;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use host::{Netlink, Netns, Veth};
use ipnet::IpNet;

/// A namespace that is deleted with the value.
struct TestNetns {
    name: String,
    netns: Netns,
}

impl TestNetns {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kvst-h{}-{count}", std::process::id());
        let netns = Netns::create(&name).unwrap();
        Self { name, netns }
    }

    fn netlink(&self) -> Netlink {
        Netlink::open_in(&self.netns).unwrap()
    }

    /// An interface that is up and running: one end of a veth pair.
    fn interface(&self, name: &str) -> u32 {
        let (mut netlink, peer) = (self.netlink(), format!("{name}-peer"));
        netlink.create_veth(&Veth { up: true, ..Veth::new(name, &peer) }).unwrap();
        netlink.set_up(&peer, true).unwrap();
        netlink.link(name).unwrap().index
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        let _ = Netns::delete(&self.name);
    }
}

/// Namespaces take root.
fn privileged() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: not root, and network namespaces take CAP_SYS_ADMIN");
    }
    root
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
