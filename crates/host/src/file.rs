//! Files that appear whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{Error, Result};

/// Installs `contents` at `path` with permissions `mode`: readers see the old file or the new one, never a part, also
/// after a power failure. A program that is being executed can be replaced.
///
/// # Errors
/// [`Error::File`]; nothing has changed then.
pub fn install(path: impl AsRef<Path>, contents: &[u8], mode: u32) -> Result<()> {
    let path = path.as_ref();
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |action| move |source| Error::File { action, path: path.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed("create the directory of"))?;
    let temporary = temporary_beside(path).map_err(failed("install"))?;
    let written = write_synced(&temporary, contents, mode)
        .map_err(failed("write"))
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("rename a new file to")));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    // The name is only durable with the directory.
    File::open(directory).and_then(|d| d.sync_all()).map_err(failed("write the directory of"))
}

/// Installs a file only if its contents or permissions differ; says whether it did.
///
/// # Errors
/// As [`install`].
pub fn install_if_changed(path: impl AsRef<Path>, contents: &[u8], mode: u32) -> Result<bool> {
    let path = path.as_ref();
    let same_mode = fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o7777 == mode);
    if same_mode && fs::read(path).is_ok_and(|found| found == contents) {
        return Ok(false);
    }
    install(path, contents, mode).map(|()| true)
}

/// A name in the same directory (a rename cannot cross file systems) that no other writer uses. It starts with a dot:
/// container runtimes that watch the directory pass it over.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{count}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn write_synced(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The mode at creation is subject to the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cni/bin/plugin");
        assert!(install_if_changed(&path, b"one", 0o755).unwrap());
        assert!(!install_if_changed(&path, b"one", 0o755).unwrap());
        assert!(install_if_changed(&path, b"one", 0o700).unwrap());
        install(&path, b"two", 0o755).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_names_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = install(&path, b"x", 0o644).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
