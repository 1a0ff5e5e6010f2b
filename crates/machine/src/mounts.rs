//! The file systems of a machine, made by its first process in its own mount namespace.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_move,
};

use crate::{Disk, Error, refused};

/// Folders of the real machine that are seen under a layer of the machine's own.
const LAYERED: [&str; 3] = ["/etc", "/opt", "/var"];

/// Folders that are its own altogether, and how they are mounted. The last one covers the disk's folder, mostly, with what is
/// mounted there.
const OWN: [(&str, &CStr); 2] = [("/tmp", c"mode=1777"), ("/run", c"mode=755")];

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Makes all of them.
pub(crate) fn make(disk: &Disk) -> Result<(), Error> {
    change(MountPropagationFlags::PRIVATE)?;
    let aside = folder(disk.folder.join("cgroup"))?;
    bind_all(Path::new(CGROUPS), &aside)?;
    fresh("proc", Path::new("/proc"), c"")?;
    fresh("sysfs", Path::new("/sys"), c"")?;
    mount_move(&aside, CGROUPS)
        .map_err(io::Error::from)
        .map_err(refused("move control groups to", CGROUPS))?;

    for lower in LAYERED {
        layer(disk, Path::new(lower))?;
    }
    // What is seen of the old /run and /tmp must be in the new ones before one of these covers the old.
    let mut new = Vec::new();
    for (base, data) in OWN {
        let at = folder(disk.folder.join(base.trim_start_matches('/')))?;
        fresh("tmpfs", &at, data)?;
        new.push((base, at));
    }
    for (there, here) in &disk.binds {
        let below = new.iter().find_map(|(base, at)| Some(at.join(here.strip_prefix(base).ok()?)));
        bind(there, below.as_ref().unwrap_or(here))?;
    }
    for (base, at) in new {
        mount_move(&at, base).map_err(io::Error::from).map_err(refused("move the new one to", base))?;
    }
    for (path, content) in &disk.files {
        if let Some(parent) = path.parent() {
            folder(parent)?;
        }
        // A link there may lead anywhere: the file takes its place.
        let _ = std::fs::remove_file(path);
        std::fs::write(path, content).map_err(refused("write", path))?;
    }
    // What a container runtime mounts, its containers shall see where they ask for it.
    change(MountPropagationFlags::SHARED)
}

fn change(propagation: MountPropagationFlags) -> Result<(), Error> {
    mount_change("/", propagation | MountPropagationFlags::REC)
        .map_err(io::Error::from)
        .map_err(refused("change how mounts propagate below", "/"))
}

fn folder(path: impl Into<PathBuf>) -> Result<PathBuf, Error> {
    let path = path.into();
    std::fs::create_dir_all(&path).map_err(refused("create", &path))?;
    Ok(path)
}

/// Mounts a new file system.
fn fresh(kind: &str, at: &Path, data: &CStr) -> Result<(), Error> {
    mount(kind, at, kind, MountFlags::empty(), data)
        .map_err(io::Error::from)
        .map_err(refused("mount a new file system at", at))
}

/// Covers a folder with a layer that takes what is written there.
fn layer(disk: &Disk, lower: &Path) -> Result<(), Error> {
    let own = disk.folder.join("layers").join(lower.strip_prefix("/").unwrap_or(lower));
    let upper = folder(own.join("upper"))?;
    let work = folder(own.join("work"))?;
    let mut data = b"lowerdir=".to_vec();
    for (key, path) in [("", lower), (",upperdir=", &upper), (",workdir=", &work)] {
        data.extend(key.as_bytes());
        data.extend(path.as_os_str().as_bytes());
    }
    let data = CString::new(data).map_err(|_| refused("layer", lower)(io::ErrorKind::InvalidInput.into()))?;
    mount("overlay", lower, "overlay", MountFlags::empty(), data.as_c_str())
        .map_err(io::Error::from)
        .map_err(refused("put a layer on", lower))
}

/// Binds a file or a folder, which is made where it is not there.
fn bind(there: &Path, here: &Path) -> Result<(), Error> {
    if there.is_file() {
        folder(here.parent().unwrap_or(here))?;
        std::fs::File::create(here).map_err(refused("create", here))?;
    } else {
        folder(there)?;
        folder(here)?;
    }
    mount_bind(there, here).map_err(io::Error::from).map_err(refused("bind", here))
}

fn bind_all(there: &Path, here: &Path) -> Result<(), Error> {
    mount_bind_recursive(there, here).map_err(io::Error::from).map_err(refused("bind", here))
}
