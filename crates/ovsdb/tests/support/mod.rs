//! A real `ovsdb-server` of one's own, on a Unix socket in a temporary folder. It touches no network.
#![allow(clippy::print_stdout, dead_code, unreachable_pub)]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// The server, killed when dropped.
pub struct Server {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts a server with an empty `Open_vSwitch` database but for its one root row. `None`, with a line that says
    /// why, where Open vSwitch is not installed.
    pub fn start() -> Option<Self> {
        Self::create(&["create"], &[])
    }

    /// Like [`Self::start`], but as the only member of a cluster: only those keep a history of transactions.
    pub fn start_clustered() -> Option<Self> {
        Self::create(&["create-cluster"], &["unix:raft"])
    }

    fn create(command: &[&str], address: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut create = Command::new("ovsdb-tool");
        create.current_dir(folder.path()).args(command).args(["db", SCHEMA]).args(address);
        if !create.status().is_ok_and(|status| status.success()) {
            println!("SKIPPED: ovsdb-tool cannot create a database: install openvswitch-switch");
            return None;
        }
        let mut server = Self { folder, child: None };
        server.restart();
        while server.client(&["list-dbs"]).lines().all(|db| db != "Open_vSwitch") {
            std::thread::sleep(Duration::from_millis(20));
        }
        server.client(&["transact", r#"["Open_vSwitch",{"op":"insert","table":"Open_vSwitch","row":{}}]"#]);
        Some(server)
    }

    /// Starts it again, after ending what runs. The database stays.
    pub fn restart(&mut self) {
        self.kill();
        let path = |name: &str| self.folder.path().join(name);
        let child = Command::new("ovsdb-server")
            .current_dir(self.folder.path())
            .arg("db")
            .arg(format!("--remote=punix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("ctl").display()))
            .arg(format!("--log-file={}", path("log").display()))
            .args(["--no-chdir", "-vconsole:off"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < deadline, "ovsdb-server did not come up; see {}", path("log").display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("db.sock")
    }

    /// Makes it listen on the loopback address as well. Returns the port.
    pub fn listen_tcp(&self) -> String {
        self.appctl(&["ovsdb-server/add-remote", "ptcp:0:127.0.0.1"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            if let Some((_, port)) = log.trim_end().rsplit_once("listening on port ") {
                return port.to_owned();
            }
            assert!(Instant::now() < deadline, "no port in the log: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs `ovs-appctl` on it.
    pub fn appctl(&self, args: &[&str]) -> String {
        run(Command::new("ovs-appctl").arg("-t").arg(self.folder.path().join("ctl")).args(args))
    }

    /// Runs `ovs-vsctl --no-wait` on it.
    pub fn vsctl(&self, args: &[&str]) -> String {
        run(Command::new("ovs-vsctl")
            .arg(format!("--db=unix:{}", self.socket().display()))
            .arg("--no-wait")
            .args(args))
    }

    /// Runs `ovsdb-client COMMAND SOCKET ARGS...` on it.
    pub fn client(&self, args: &[&str]) -> String {
        let (command, rest) = args.split_first().unwrap();
        run(Command::new("ovsdb-client")
            .arg(command)
            .arg(format!("unix:{}", self.socket().display()))
            .args(rest))
    }

    /// Stops its process, which keeps its sockets, and lets it go on.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    out.trim().to_owned()
}
