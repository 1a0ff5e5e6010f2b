//! Network namespaces that are gone when they are dropped.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::{Netlink, Netns, sysctl};

/// Settings of all namespaces, whoever's pod is in them: an IPv6 address is usable at once. Otherwise a plugin that
/// waits until it is would be measured by the kernel's patience (a second or two).
const SYSCTLS: [(&str, &str); 2] =
    [("net.ipv6.conf.default.accept_dad", "0"), ("net.ipv6.conf.default.dad_transmits", "0")];

static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// A named network namespace.
#[derive(Debug)]
pub(crate) struct Place {
    name: String,
    pub(crate) netns: Netns,
}

impl Place {
    pub(crate) fn new() -> host::Result<Self> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kvs-bench-{}-{number}", std::process::id());
        let place = Self { netns: Netns::create(&name)?, name };
        place.netns.run(|| {
            for (key, value) in SYSCTLS {
                sysctl::write_if_there(key, value)?;
            }
            Ok(())
        })??;
        Ok(place)
    }

    /// One that stands for a machine: its loopback interface is up.
    pub(crate) fn machine() -> host::Result<Self> {
        let place = Self::new()?;
        Netlink::open_in(&place.netns)?.set_up("lo", true)?;
        Ok(place)
    }

    /// `CNI_NETNS`.
    pub(crate) fn path(&self) -> PathBuf {
        Netns::path_of(&self.name)
    }

    /// Unique among all that are there.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = Netns::delete(&self.name) {
            eprintln!("warning: {error}");
        }
    }
}
