//! A real Open vSwitch in a network namespace of its own, with nothing but Unix sockets to the outside.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use openflow::{Decoder, Frame, Hello, Message, MultipartReply, MultipartRequest};
use tempfile::TempDir;

/// The database server, the switch, and their directory; all gone when dropped.
pub struct Vswitch {
    switch: Child,
    server: Child,
    dir: TempDir,
}

impl Vswitch {
    /// Starts a switch with the bridge `br0`. `None` where that is impossible here, which is printed.
    pub fn start() -> Option<Self> {
        for program in ["ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl"] {
            if !super::have(program) {
                return None;
            }
        }
        let in_namespace = Command::new("unshare").args(["-n", "true"]).status();
        if !in_namespace.is_ok_and(|status| status.success()) {
            println!("SKIPPED: network namespaces need root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let schema = "/usr/share/openvswitch/vswitch.ovsschema";
        let made = Command::new("ovsdb-tool").args(["create", &path("conf.db"), schema]).status().unwrap();
        assert!(made.success());
        let spawn = |program: &str, args: &[String]| {
            Command::new("unshare")
                .args(["-n", program])
                .args(args)
                .args(["-vconsole:off", &format!("--log-file={}", path(&format!("{program}.log")))])
                .env("OVS_RUNDIR", dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let server = spawn(
            "ovsdb-server",
            &[
                path("conf.db"),
                format!("--remote=punix:{}", path("db.sock")),
                format!("--unixctl={}", path("server.ctl")),
                format!("--pidfile={}", path("server.pid")),
            ],
        );
        let switch = spawn(
            "ovs-vswitchd",
            &[
                format!("unix:{}", path("db.sock")),
                format!("--unixctl={}", path("switch.ctl")),
                format!("--pidfile={}", path("switch.pid")),
            ],
        );
        let this = Self { switch, server, dir };
        this.vsctl(&[
            "add-br",
            "br0",
            "--",
            "set",
            "bridge",
            "br0",
            "datapath_type=netdev",
            "fail_mode=secure",
        ]);
        this.vsctl(&["set", "bridge", "br0", "protocols=OpenFlow13,OpenFlow14,OpenFlow15"]);
        Some(this)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn vsctl(&self, args: &[&str]) {
        let db = format!("--db=unix:{}", self.path("db.sock").display());
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let output = Command::new("ovs-vsctl").args([&db, "--timeout=10"]).args(args).output().unwrap();
            if output.status.success() {
                return;
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(Instant::now() < deadline, "ovs-vsctl {args:?}: {error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `ovs-ofctl` prints, speaking OpenFlow 1.5 with the bridge.
    pub fn ofctl(&self, command: &[&str], args: &[&str]) -> String {
        let bridge = format!("unix:{}", self.path("br0.mgmt").display());
        let mut ofctl = Command::new("ovs-ofctl");
        ofctl.args(["-O", "OpenFlow15", "--no-names"]).args(command).arg(bridge).args(args);
        let output = ofctl.output().unwrap();
        assert!(output.status.success(), "{ofctl:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A connection to the bridge on which versions have been agreed.
    pub fn connect(&self) -> Client {
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(self.path("br0.mgmt")) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Client { stream, decoder: Decoder::new(), xid: 100 };
        client.send(&Message::Hello(Hello::ours()));
        let Message::Hello(theirs) = client.receive().message else { panic!("the first message is a hello") };
        Hello::ours().negotiate(theirs).unwrap();
        client
    }
}

impl Drop for Vswitch {
    fn drop(&mut self) {
        for child in [&mut self.switch, &mut self.server] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A blocking connection.
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
    xid: u32,
}

impl Client {
    /// Sends a message and gives its transaction id.
    pub fn send(&mut self, message: &Message) -> u32 {
        self.xid += 1;
        let mut bytes = Vec::new();
        message.encode(self.xid, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
        self.xid
    }

    /// The next message that is no echo request.
    pub fn receive(&mut self) -> Frame {
        loop {
            while let Some((_, frame)) = self.decoder.poll().unwrap() {
                let frame = frame.unwrap();
                if let Message::EchoRequest(_) = frame.message {
                    continue;
                }
                return frame;
            }
            let mut buffer = [0; 65536];
            let n = self.stream.read(&mut buffer).unwrap();
            assert_ne!(n, 0, "the switch hung up");
            self.decoder.feed(&buffer[..n]);
        }
    }

    /// Waits until everything sent before is done. Errors are failures of the test.
    pub fn barrier(&mut self) {
        let xid = self.send(&Message::BarrierRequest);
        let frame = self.receive();
        assert_eq!(frame, Frame { xid, message: Message::BarrierReply }, "{frame}");
    }

    /// The reply to a request, its parts put together.
    pub fn ask(&mut self, request: MultipartRequest) -> MultipartReply {
        let xid = self.send(&Message::MultipartRequest(request));
        let mut whole: Option<MultipartReply> = None;
        loop {
            let frame = self.receive();
            assert_eq!(frame.xid, xid, "{frame}");
            let Message::MultipartReply { more, body } = frame.message else { panic!("{frame}") };
            match &mut whole {
                Some(whole) => whole.append(body).unwrap(),
                None => whole = Some(body),
            }
            if !more {
                return whole.unwrap();
            }
        }
    }
}
