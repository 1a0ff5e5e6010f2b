//! Open vSwitch, and one with one bridge in a network namespace of its own.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use host::Netns;
use ovs::Address;
use ovs::openflow::Session;

use crate::processor_time;

mod programs;

pub use programs::OpenVSwitch;

const BRIDGE: &str = "k-vswitch0";
const PATIENCE: Duration = Duration::from_secs(20);

/// An Open vSwitch. Its processes end, and its namespace is deleted, when it is dropped.
#[derive(Debug)]
pub struct Switch {
    name: String,
    netns: Netns,
    programs: OpenVSwitch,
}

impl Switch {
    /// Starts one with the userspace datapath; `what` makes its namespace's name.
    ///
    /// # Errors
    /// When Open vSwitch is not installed, or does not start.
    pub fn start(what: &str) -> anyhow::Result<Self> {
        let name = format!("kvs-bench-{}-{what}", std::process::id());
        let netns = Netns::create(&name)?;
        let programs = match OpenVSwitch::start(&name) {
            Ok(programs) => programs,
            Err(error) => {
                // The first error counts.
                let _ = Netns::delete(&name);
                return Err(error);
            }
        };
        let switch = Self { name, netns, programs };
        switch.vsctl(&[
            "add-br",
            BRIDGE,
            "--",
            "set",
            "bridge",
            BRIDGE,
            "datapath_type=netdev",
            "fail_mode=secure",
            "protocols=OpenFlow15",
        ])?;
        wait_for(&switch.programs.folder.path().join(format!("{BRIDGE}.mgmt")))?;
        Ok(switch)
    }

    /// The namespace it is in.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection to the bridge.
    ///
    /// # Errors
    /// When the bridge does not answer.
    pub async fn session(&self) -> anyhow::Result<Session> {
        let address = Address::Unix(self.programs.folder.path().join(format!("{BRIDGE}.mgmt")));
        let (session, mut asynchronous) = Session::connect(&address).await?;
        tokio::spawn(async move { while asynchronous.next().await.is_some() {} });
        Ok(session)
    }

    /// Adds an interface to the bridge; its number there.
    ///
    /// # Errors
    /// When the switch does not take it.
    pub fn add_port(&self, interface: &str) -> anyhow::Result<u32> {
        self.vsctl(&["add-port", BRIDGE, interface])?;
        let number = self.vsctl(&["get", "interface", interface, "ofport"])?;
        number.trim().parse().with_context(|| format!("{interface} has the number {number}"))
    }

    /// Runs `ovs-vsctl`.
    ///
    /// # Errors
    /// When it fails.
    pub fn vsctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.programs.vsctl(arguments)
    }

    /// Runs `ovs-appctl` on ovs-vswitchd.
    ///
    /// # Errors
    /// When it fails.
    pub fn appctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let target = self.programs.folder.path().join("vswitchd.ctl");
        run(Command::new("ovs-appctl").arg("-t").arg(target).args(arguments))
    }

    /// Seconds of CPU that ovs-vswitchd has used.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        Ok(processor_time(self.programs.daemon.id())?.as_secs_f64())
    }

    /// Resident memory of ovs-vswitchd, MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.programs.daemon.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok((kib / 1024.0).round())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // The programs hold the namespace for a moment longer, but not its name. There is nobody to tell.
        let _ = Netns::delete(&self.name);
    }
}

/// Runs a command that must succeed; its output.
///
/// # Errors
/// What it said.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn wait_for(path: &Path) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !path.exists() {
        ensure!(begin.elapsed() < PATIENCE, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
