//! What can go wrong, told so that an operator knows what to look at.

use std::{io, path::PathBuf, sync::Arc};

use rustix::io::Errno;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done to the host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a netlink request.
    #[error(
        "cannot {action} in network namespace {netns}: {}{}{}",
        plain(source),
        in_brackets(said),
        hint(source)
    )]
    Kernel {
        /// What was attempted, as an infinitive: `create veth kvs0`.
        action: String,
        /// The namespace, as [`crate::Netns::name`] gives it.
        netns: Arc<str>,
        /// The errno.
        source: io::Error,
        /// The kernel's own words (the extended acknowledgement), often empty.
        said: String,
    },
    /// The kernel's answer to a netlink request makes no sense to us.
    #[error(
        "cannot {action} in network namespace {netns}: the kernel's answer cannot be read ({reason}); please report \
         this with the output of `uname -r`"
    )]
    Answer {
        /// What was attempted.
        action: String,
        /// The namespace.
        netns: Arc<str>,
        /// What is wrong with the answer.
        reason: String,
    },
    /// No interface has this name or index.
    #[error("network namespace {netns} has no interface {link} (look at `ip link` there)")]
    NoLink {
        /// Name, or `index N`.
        link: String,
        /// The namespace.
        netns: Arc<str>,
    },
    /// No interface can have this name.
    #[error("{name:?} cannot be the name of an interface: {reason}")]
    LinkName {
        /// The name.
        name: String,
        /// The kernel's rule it breaks.
        reason: &'static str,
    },
    /// A namespace cannot be opened, entered, created or deleted.
    #[error("cannot {action} network namespace {netns}: {}{}", plain(source), hint(source))]
    Netns {
        /// `open`, `enter`, `create`, …
        action: &'static str,
        /// Path or name.
        netns: String,
        /// The errno.
        source: io::Error,
    },
    /// The path exists and is something else than a namespace.
    #[error(
        "{} is not a network namespace: the file is there but no namespace is mounted on it (any more)",
        path.display()
    )]
    NotNetns {
        /// The path.
        path: PathBuf,
    },
    /// A file cannot be read, written or installed.
    #[error("cannot {action} {}: {}{}", path.display(), plain(source), hint(source))]
    File {
        /// `write`, `rename`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// A sysctl was written and reads back as something else.
    #[error("sysctl {key} was set to {wanted:?} but reads back as {found:?}: the kernel refused the value")]
    SysctlIgnored {
        /// The key, with slashes.
        key: String,
        /// What was written.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// An offload cannot be switched.
    #[error("cannot switch {feature} off on interface {link}: {}{}", plain(source), hint(source))]
    Offload {
        /// The offload, as `ethtool -k` calls it.
        feature: &'static str,
        /// The interface.
        link: String,
        /// The errno.
        source: io::Error,
    },
    /// `nft` cannot be run or refused the rules.
    #[error("nftables: {0}")]
    Nft(String),
}

impl Error {
    /// The errno behind the error, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { source, .. }
            | Self::Netns { source, .. }
            | Self::File { source, .. }
            | Self::Offload { source, .. } => Errno::from_io_error(source),
            Self::NoLink { .. } => Some(Errno::NODEV),
            _ => None,
        }
    }

    /// Whether the thing asked for, or to be removed, is not there: a missing interface, address, route, file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotNetns { .. })
            || matches!(
                self.errno(),
                Some(Errno::NODEV | Errno::NOENT | Errno::SRCH | Errno::ADDRNOTAVAIL | Errno::NXIO)
            )
    }

    /// Whether the thing to be created is there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }

    /// Whether privileges are missing.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.errno(), Some(Errno::PERM | Errno::ACCESS | Errno::ROFS))
    }
}

/// The error's text without Rust's `(os error N)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((head, _)) => head.to_owned(),
        None => text,
    }
}

fn in_brackets(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}

fn hint(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "; this needs CAP_NET_ADMIN, and CAP_SYS_ADMIN to enter a namespace: run as root, or as a privileged \
             container"
        }
        Some(Errno::ROFS) => {
            "; the file system is mounted read-only here: mount /proc/sys/net elsewhere in the container (k-vswitchd: \
             --sysctl-dir), or make it a privileged one"
        }
        Some(Errno::OPNOTSUPP) => {
            "; this kernel lacks the feature or its module (veth, bridge, nf_tables): look at `modprobe` and `dmesg`"
        }
        Some(Errno::EXIST) => "; it is there already",
        Some(Errno::BUSY) => "; something else uses it",
        Some(Errno::NODEV) => "; there is no such interface (look at `ip link`)",
        Some(Errno::NOBUFS | Errno::NOMEM) => "; the kernel is out of memory",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_privileges_are_named() {
        let error = Error::Kernel {
            action: "create veth kvs0".into(),
            netns: "node1".into(),
            source: Errno::PERM.into(),
            said: String::new(),
        };
        assert!(error.is_permission());
        let text = error.to_string();
        assert!(
            text.starts_with("cannot create veth kvs0 in network namespace node1: Operation not permitted")
        );
        assert!(text.contains("CAP_NET_ADMIN"), "{text}");
    }

    #[test]
    fn the_kernels_own_words_are_passed_on() {
        let error = Error::Kernel {
            action: "add route".into(),
            netns: "x".into(),
            source: Errno::INVAL.into(),
            said: "Nexthop has invalid gateway".into(),
        };
        assert_eq!(
            error.to_string(),
            "cannot add route in network namespace x: Invalid argument (Nexthop has invalid gateway)"
        );
    }
}
