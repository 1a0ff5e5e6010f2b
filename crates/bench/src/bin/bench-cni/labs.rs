//! Labs that are down when they are dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, bail};
use lab::client::request;
use lab::layout::Layout;
use lab::protocol::{LabStatus, Reply, Request};
use lab::sweep;

/// The node that plugins run on.
pub(crate) const NODE: &str = "node-1";

/// A lab that is up.
#[derive(Debug)]
pub(crate) struct Lab {
    kvsctl: PathBuf,
    pub(crate) layout: Layout,
    /// From the start of `kvsctl lab up` to its end.
    pub(crate) took: Duration,
}

impl Lab {
    /// Brings a lab up with the programs in `dist`. `name` tells this benchmark's labs apart.
    pub(crate) fn up(dist: &Path, name: &str, nodes: u16) -> anyhow::Result<Self> {
        let name = format!("bench-{}-{name}", std::process::id());
        let kvsctl = dist.join("kvsctl");
        // Made first, so that what a failed start leaves is removed as well.
        let mut lab = Self { kvsctl, layout: Layout::new(&name.parse()?), took: Duration::ZERO };
        let begin = Instant::now();
        lab.kvsctl(&["up", "--nodes", &nodes.to_string()])?;
        lab.took = begin.elapsed();
        Ok(lab)
    }

    /// Runs `kvsctl lab ARGS`.
    pub(crate) fn kvsctl(&self, args: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(&self.kvsctl);
        command.arg("lab").args(args).args(["--name", self.layout.name().as_str()]);
        // Ctrl-C is for us: the lab is taken down in good order.
        command.stdin(Stdio::null()).process_group(0);
        let output = command.output().with_context(|| format!("cannot execute {}", self.kvsctl.display()))?;
        if output.status.success() {
            return Ok(());
        }
        bail!("kvsctl lab {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())
    }

    /// What the lab says of itself.
    pub(crate) fn status(&self) -> anyhow::Result<LabStatus> {
        match request(&self.layout, &Request::Status, |_| {})? {
            Reply::Status(status) => Ok(*status),
            other => bail!("the supervisor answered something else: {other:?}"),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.kvsctl(&["down"]) {
            eprintln!("warning: {error:#}");
            if let Err(error) = sweep::sweep(&self.layout) {
                eprintln!("warning: {error}");
            }
        }
    }
}
