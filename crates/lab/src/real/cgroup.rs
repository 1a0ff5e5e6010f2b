//! Control groups of a lab's nodes: one for each node, in every hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RealError;
use crate::layout::Layout;

/// Where hierarchies are mounted: one (version 2) or several (version 1).
const MOUNTED: &str = "/sys/fs/cgroup";

/// Version 2 beside version 1.
const UNIFIED: &str = "unified";

/// The groups of all labs.
const LABS: &str = "kvs-lab";

/// A node's group, from the root of each hierarchy.
pub(crate) fn of_node(layout: &Layout, node: &str) -> String {
    format!("/{LABS}/{}/{node}", layout.name())
}

/// Makes the group in every hierarchy. Sets of processors and memory, which a new group has none of in version 1, are
/// those of its parent.
fn create(group: &str) -> Result<(), RealError> {
    // One of version 2 beside those of version 1 has no controllers.
    for hierarchy in hierarchies().into_iter().filter(|hierarchy| !hierarchy.ends_with(UNIFIED)) {
        let mut folder = hierarchy.clone();
        for part in group.split('/').filter(|part| !part.is_empty()) {
            let parent = folder.clone();
            folder.push(part);
            let failed = |source| RealError::File { action: "create", path: folder.clone(), source };
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
            for set in ["cpuset.cpus", "cpuset.mems"] {
                let (from, to) = (parent.join(set), folder.join(set));
                if fs::read_to_string(&to).is_ok_and(|has| has.trim().is_empty())
                    && let Ok(value) = fs::read_to_string(from)
                    && !value.trim().is_empty()
                {
                    fs::write(&to, value).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

/// Makes the group anew: at a boot there is nothing of the life before, and a kubelet would take what is there for containers.
pub(crate) fn renew(group: &str) -> Result<(), RealError> {
    for hierarchy in hierarchies() {
        remove_below(&hierarchy.join(group.trim_start_matches('/')));
    }
    create(group)
}

/// Removes all groups of a lab whose processes have ended. The kernel keeps those that have some.
pub(crate) fn remove(layout: &Layout) {
    for hierarchy in hierarchies() {
        let labs = hierarchy.join(LABS);
        remove_below(&labs.join(layout.name().as_str()));
        // Stays while another lab has groups in it.
        let _ = fs::remove_dir(labs);
    }
}

/// Whether a lab has groups.
pub(crate) fn exist(layout: &Layout) -> bool {
    hierarchies().iter().any(|hierarchy| hierarchy.join(LABS).join(layout.name().as_str()).exists())
}

fn remove_below(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    // What cannot be removed is found by whoever looks for traces.
    let _ = fs::remove_dir(folder);
}

/// Folders of the hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(MOUNTED);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let mounted = fs::read_dir(&root).into_iter().flatten().flatten();
    // Links are second names of hierarchies that are there under their first.
    mounted
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .collect()
}
