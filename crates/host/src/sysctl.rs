//! Sysctls. Those below `net` belong to the network namespace of the *calling thread*: use [`crate::Netns::run`].
//!
//! Keys are written with slashes (`net/ipv4/conf/eth0/rp_filter`), since interface names may have dots in them.

use std::{fs, io, path::PathBuf};

use crate::{Error, Result};

/// The folder that sysctls are files in. Containers have `/proc/sys` read-only, unless they are privileged; what they may
/// write is mounted elsewhere in them.
#[derive(Clone, Debug)]
pub struct Sysctls(PathBuf);

impl Default for Sysctls {
    fn default() -> Self {
        Self::at("/proc/sys")
    }
}

impl Sysctls {
    /// Those in a folder that is, or looks like, `/proc/sys`.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// As [`write()`].
    ///
    /// # Errors
    /// As [`write()`].
    pub fn write(&self, key: &str, value: &str) -> Result<()> {
        let path = self.path(key)?;
        fs::write(&path, value).map_err(|source| Error::File { action: "write", path, source })?;
        let found = self.read(key)?;
        if words(&found).eq(words(value)) {
            Ok(())
        } else {
            Err(Error::SysctlIgnored { key: key.to_owned(), wanted: value.to_owned(), found })
        }
    }

    /// As [`write_if_there`].
    ///
    /// # Errors
    /// As [`write_if_there`].
    pub fn write_if_there(&self, key: &str, value: &str) -> Result<bool> {
        match self.write(key, value) {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// As [`read`].
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self, key: &str) -> Result<String> {
        let path = self.path(key)?;
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim_end().to_owned()),
            Err(source) => Err(Error::File { action: "read", path, source }),
        }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        let path = self.0.join(key);
        // Every sysctl is in a folder: a key without one was written with dots.
        if !key.contains('/')
            || key.starts_with('/')
            || key.split('/').any(|part| part.is_empty() || part.starts_with('.'))
        {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, "a sysctl is named like net/ipv4/ip_forward");
            return Err(Error::File { action: "find the sysctl", path, source });
        }
        Ok(path)
    }
}

/// Sets a sysctl and checks that it took.
///
/// # Errors
/// [`Error::File`] if it cannot be written ([`Error::is_not_found`] if the kernel does not have it),
/// [`Error::SysctlIgnored`] if another value is there afterwards.
pub fn write(key: &str, value: &str) -> Result<()> {
    Sysctls::default().write(key, value)
}

/// Sets a sysctl if the kernel has it; `false` if it has not (IPv6 switched off, a module not loaded).
///
/// # Errors
/// As [`write()`], but for a missing key.
pub fn write_if_there(key: &str, value: &str) -> Result<bool> {
    Sysctls::default().write_if_there(key, value)
}

/// Reads a sysctl, without the trailing line break.
///
/// # Errors
/// [`Error::File`].
pub fn read(key: &str) -> Result<String> {
    Sysctls::default().read(key)
}

/// Values of several words come back separated by tabs.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_the_sysctl_tree() {
        for key in ["", "/etc/passwd", "net/../../etc/passwd", "net//x"] {
            assert!(read(key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_key_with_dots_is_an_error_and_not_a_missing_one() {
        let error = write_if_there("net.ipv4.ip_forward", "1").unwrap_err();
        assert!(!error.is_not_found() && error.to_string().contains("net/ipv4/ip_forward"), "{error}");
    }

    #[test]
    fn a_missing_key_is_not_found() {
        assert!(read("net/ipv4/kvst_no_such").unwrap_err().is_not_found());
        assert!(!write_if_there("net/ipv4/kvst_no_such", "1").unwrap());
    }

    #[test]
    fn they_may_be_in_another_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("net")).unwrap();
        fs::write(folder.path().join("net/key"), "0\n").unwrap();
        let sysctls = Sysctls::at(folder.path());
        sysctls.write("net/key", "1").unwrap();
        assert_eq!(sysctls.read("net/key").unwrap(), "1");
    }

    #[test]
    fn values_of_several_words_compare_by_word() {
        assert!(words("1 2\t3\n").eq(words("1 2 3")));
    }
}
