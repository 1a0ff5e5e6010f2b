//! `ovsdb-server` and `ovs-vswitchd`.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::ensure;
use host::Netns;
use tempfile::TempDir;

use super::{run, wait_for};
use crate::Background;

/// The programs of an Open vSwitch, with a database of their own, in a network namespace. They end when this is dropped.
#[derive(Debug)]
pub struct OpenVSwitch {
    pub(super) folder: TempDir,
    server: Child,
    pub(super) daemon: Child,
}

impl OpenVSwitch {
    /// Starts them in the namespace of this name.
    ///
    /// # Errors
    /// When Open vSwitch is not installed, or does not start.
    pub fn start(netns: &str) -> anyhow::Result<Self> {
        let schema = Path::new("/usr/share/openvswitch/vswitch.ovsschema");
        ensure!(schema.exists(), "Open vSwitch is not installed");
        let folder = TempDir::new()?;
        let path = |name: &str| folder.path().join(name);
        run(Command::new("ovsdb-tool").arg("create").arg(path("conf.db")).arg(schema))?;
        let inside = |program: &str| {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net={}", Netns::path_of(netns).display())).arg(program);
            command.env("OVS_RUNDIR", folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
            command
        };
        let server = inside("ovsdb-server")
            .arg(path("conf.db"))
            .arg(format!("--remote=punix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("ovsdb.ctl").display()))
            .spawn()?;
        wait_for(&path("db.sock"))?;
        let daemon = inside("ovs-vswitchd")
            .arg(format!("unix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("vswitchd.ctl").display()))
            .spawn()?;
        Ok(Self { folder, server, daemon })
    }

    /// Both programs.
    #[must_use]
    pub fn background(&self) -> Background {
        Background::of([self.daemon.id(), self.server.id()])
    }

    /// Runs `ovs-vsctl`.
    ///
    /// # Errors
    /// When it fails.
    pub fn vsctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let db = format!("--db=unix:{}", self.folder.path().join("db.sock").display());
        run(Command::new("ovs-vsctl").args([&db, "--timeout=20"]).args(arguments))
    }

    /// Runs `ovs-ofctl` on a bridge; `command` comes before the bridge, the arguments after it.
    ///
    /// # Errors
    /// When it fails.
    pub fn ofctl(&self, command: &str, bridge: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let socket = format!("unix:{}", self.folder.path().join(format!("{bridge}.mgmt")).display());
        run(Command::new("ovs-ofctl").args([command, &socket]).args(arguments))
    }
}

impl Drop for OpenVSwitch {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.server] {
            // One that has ended already is no trouble.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
