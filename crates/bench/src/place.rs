//! Network namespaces that are gone when they are dropped.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::{Netlink, Netns, sysctl};

/// Settings of all namespaces, whoever's pod is in them: an IPv6 address is usable at once. Otherwise a plugin that
/// waits until it is would be measured by the kernel's patience (a second or two).
const SYSCTLS: [(&str, &str); 2] =
    [("net/ipv6/conf/default/accept_dad", "0"), ("net/ipv6/conf/default/dad_transmits", "0")];

static COUNTER: AtomicUsize = AtomicUsize::new(0);

/// A named network namespace.
#[derive(Debug)]
pub struct Place {
    name: String,
    /// The namespace.
    pub netns: Netns,
}

impl Place {
    /// A new one, with nothing in it.
    ///
    /// # Errors
    /// Those of the kernel, to anybody but root for instance.
    pub fn new() -> host::Result<Self> {
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
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn machine() -> host::Result<Self> {
        let place = Self::new()?;
        Netlink::open_in(&place.netns)?.set_up("lo", true)?;
        Ok(place)
    }

    /// `CNI_NETNS`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Netns::path_of(&self.name)
    }

    /// Unique among all that are there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

// Whoever runs a benchmark is told what it leaves behind.
#[allow(clippy::print_stderr)]
impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = Netns::delete(&self.name) {
            eprintln!("warning: {error}");
        }
    }
}
