//! A real ovsdb-server and ovs-vswitchd in a network namespace and a directory of their own.
#![allow(clippy::print_stdout, dead_code, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ovs::Address;

/// A switch with one bridge, `br`, on the userspace datapath. Dropping it ends it.
pub struct Switch {
    folder: tempfile::TempDir,
    ovsdb: Child,
    vswitchd: Option<Child>,
}

impl Switch {
    /// Starts one, or says why that cannot be done here.
    pub fn start() -> Option<Self> {
        if !Path::new("/usr/sbin/ovs-vswitchd").exists() {
            println!("SKIPPED: Open vSwitch is not installed");
            return None;
        }
        if !Command::new("unshare").args(["--net", "true"]).status().is_ok_and(|s| s.success()) {
            println!("SKIPPED: no permission to make a network namespace: run as root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let path = |name: &str| root.join(name);
        let created = Command::new("ovsdb-tool")
            .args(["create".as_ref(), path("conf.db").as_os_str()])
            .arg("/usr/share/openvswitch/vswitch.ovsschema")
            .status()
            .unwrap();
        assert!(created.success());
        let ovsdb = Command::new("ovsdb-server")
            .arg(path("conf.db"))
            .arg(format!("--remote=punix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("ovsdb.ctl").display()))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut switch = Self { ovsdb, vswitchd: None, folder };
        wait_for(&path("db.sock"));
        switch.start_vswitchd();
        switch.vsctl(&[
            "add-br",
            "br",
            "--",
            "set",
            "bridge",
            "br",
            "datapath_type=netdev",
            "fail_mode=secure",
            "protocols=OpenFlow10,OpenFlow15",
        ]);
        wait_for(&path("br.mgmt"));
        Some(switch)
    }

    fn start_vswitchd(&mut self) {
        let child = Command::new("unshare")
            .args(["--net", "ovs-vswitchd"])
            .arg(format!("unix:{}", self.path("db.sock").display()))
            .arg(format!("--unixctl={}", self.path("vswitchd.ctl").display()))
            .env("OVS_RUNDIR", self.folder.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.vswitchd = Some(child);
    }

    /// Kills ovs-vswitchd and starts it again.
    pub fn restart_vswitchd(&mut self) {
        if let Some(mut child) = self.vswitchd.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        std::fs::remove_file(self.path("br.mgmt")).unwrap();
        self.start_vswitchd();
        wait_for(&self.path("br.mgmt"));
    }

    /// Runs `ovs-vsctl` and returns what it prints.
    pub fn vsctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("ovs-vsctl")
            .arg(format!("--db=unix:{}", self.path("db.sock").display()))
            .arg("--timeout=10")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn openflow(&self) -> Address {
        Address::Unix(self.path("br.mgmt"))
    }

    pub fn ovsdb(&self) -> Address {
        Address::Unix(self.path("db.sock"))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for child in self.vswitchd.iter_mut().chain([&mut self.ovsdb]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}
