//! The network namespaces of pods.

use std::path::{Path, PathBuf};

use host::Netns;

use crate::{Lab, real};

/// Where the network namespaces of a lab's pods are: those that are there, whatever the API says.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    folders: Vec<PathBuf>,
    prefix: String,
}

impl Sandboxes {
    pub(crate) fn of(lab: &Lab) -> Self {
        if !lab.is_real() {
            return Self { folders: vec!["/run/netns".into()], prefix: lab.netns_name("p-") };
        }
        let nodes = real::nodes(lab).into_iter();
        let folders =
            nodes.filter_map(|node| Some(real::seen(real::first_process(lab, &node)?, "/run/netns")));
        Self { folders: folders.collect(), prefix: "cni-".to_owned() }
    }

    /// Their files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let is_one = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&self.prefix)) && is_netns(path)
        };
        let entries = self.folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
        entries.flatten().map(|entry| entry.path()).filter(is_one).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files().len()
    }
}

/// A name is there before its namespace is, and for a moment after it.
fn is_netns(path: &Path) -> bool {
    Netns::open(path).is_ok()
}
