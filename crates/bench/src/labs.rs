//! Labs that are down when they are dropped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use crate::Background;
use anyhow::{Context as _, bail};
use lab::client::request;
use lab::layout::Layout;
use lab::protocol::{LabStatus, Reply, Request};
use lab::sweep;

/// A lab's first node.
pub const NODE: &str = "node-1";

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    kvsctl: PathBuf,
    /// Its files and namespaces.
    pub layout: Layout,
    /// From the start of `kvsctl lab up` to its end.
    pub took: Duration,
}

impl Lab {
    /// Brings a lab up with the programs in `dist`. `name` tells this benchmark's labs apart; `arguments` are those of
    /// `kvsctl lab up`.
    ///
    /// # Errors
    /// What `kvsctl` says.
    pub fn up(dist: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let name = format!("bench-{}-{name}", std::process::id());
        let kvsctl = dist.join("kvsctl");
        // Made first, so that what a failed start leaves is removed as well.
        let mut lab = Self { kvsctl, layout: Layout::new(&name.parse()?), took: Duration::ZERO };
        let begin = Instant::now();
        lab.kvsctl(&[&["up"], arguments].concat())?;
        lab.took = begin.elapsed();
        Ok(lab)
    }

    /// Runs `kvsctl lab ARGS`; its standard output.
    ///
    /// # Errors
    /// What it says.
    pub fn kvsctl(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.kvsctl);
        command.args(["lab", "--name", self.layout.name().as_str()]).args(args);
        // Ctrl-C is for us: the lab is taken down in good order.
        command.stdin(Stdio::null()).process_group(0);
        let output = command.output().with_context(|| format!("cannot execute {}", self.kvsctl.display()))?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        bail!("kvsctl lab {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())
    }

    /// What the lab says of itself.
    ///
    /// # Errors
    /// When its supervisor does not answer.
    pub fn status(&self) -> anyhow::Result<LabStatus> {
        match request(&self.layout, &Request::Status, |_| {})? {
            Reply::Status(status) => Ok(*status),
            other => bail!("the supervisor answered something else: {other:?}"),
        }
    }

    /// Processes of its nodes that run one of these programs.
    ///
    /// # Errors
    /// When its supervisor does not answer.
    pub fn processes(&self, of: &[&str]) -> anyhow::Result<Vec<u32>> {
        let status = self.status()?;
        let programs = status.nodes.iter().flat_map(|node| &node.programs);
        let wanted = programs.filter(|program| of.contains(&program.program.as_str()));
        Ok(wanted.filter_map(|program| program.state.pid()).collect())
    }

    /// Its Kubernetes API, which is the supervisor's, and its controller: while they rest, nothing can be asked of the lab.
    ///
    /// # Errors
    /// When its supervisor does not answer.
    pub fn control_plane(&self) -> anyhow::Result<Background> {
        let status = self.status()?;
        let controller = status.controller.and_then(|controller| controller.state.pid());
        Ok(Background::of(controller.into_iter().chain([status.supervisor])))
    }
}

// Whoever runs a benchmark is told what it leaves behind.
#[allow(clippy::print_stderr)]
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
