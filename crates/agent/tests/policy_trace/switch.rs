//! An Open vSwitch with one bridge in a network namespace of its own, and questions to it.

use std::io::{BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use host::Netns;
use ovs::Address;
use ovs::openflow::Session;
use serde_json::{Value, json};
use tempfile::TempDir;

const BRIDGE: &str = "k-vswitch0";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PATIENCE: Duration = Duration::from_secs(20);

/// How many questions are on their way at once: what the sockets hold, in both directions, without anybody waiting.
const AT_ONCE: usize = 16;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Number of the bridge's own port, as a register has it.
pub(crate) const LOCAL: u32 = 0xfffe;
/// Number of the tunnel's port.
pub(crate) const TUNNEL: u32 = 1;
/// Numbers of the ports that pods can have.
pub(crate) const PORTS: std::ops::RangeInclusive<u32> = 10..=19;

/// Why no switch can be started here.
pub(crate) fn obstacle() -> Option<&'static str> {
    if std::fs::metadata("/proc/self").ok().map(|own| std::os::unix::fs::MetadataExt::uid(&own)) != Some(0) {
        return Some("a network namespace needs root");
    }
    (!Path::new(SCHEMA).exists()).then_some("Open vSwitch is not installed")
}

/// Its processes end, and its namespace is deleted, when it is dropped.
pub(crate) struct Switch {
    name: String,
    folder: TempDir,
    children: Vec<Child>,
    questions: Option<Questions>,
}

/// A connection on which Open vSwitch answers, one after the other.
struct Questions {
    to: UnixStream,
    from: BufReader<UnixStream>,
}

impl Switch {
    pub(crate) fn start() -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kvs-trace-{}-{number}", std::process::id());
        Netns::create(&name).unwrap();
        let mut switch =
            Self { name, folder: TempDir::new().unwrap(), children: Vec::new(), questions: None };
        let path = |name: &str| switch.folder.path().join(name).display().to_string();
        let (database, socket, control) = (path("conf.db"), path("db.sock"), path("vswitchd.ctl"));
        run(Command::new("ovsdb-tool").args(["create", &database, SCHEMA]));
        let remote = format!("--remote=punix:{socket}");
        switch.spawn("ovsdb-server", &[&database, &remote, &format!("--unixctl={}", path("ovsdb.ctl"))]);
        wait_for(Path::new(&socket));
        switch.spawn("ovs-vswitchd", &[&format!("unix:{socket}"), &format!("--unixctl={control}")]);
        switch.add_bridge();
        let to = UnixStream::connect(control).unwrap();
        to.set_read_timeout(Some(PATIENCE)).unwrap();
        let from = BufReader::new(to.try_clone().unwrap());
        switch.questions = Some(Questions { to, from });
        switch
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", Netns::path_of(&self.name).display())).arg(program).args(arguments);
        command.env("OVS_RUNDIR", self.folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
        self.children.push(command.spawn().unwrap());
    }

    /// The bridge, a tunnel, and ports that a packet can come from and go to.
    fn add_bridge(&self) {
        let database = format!("--db=unix:{}", self.folder.path().join("db.sock").display());
        let mut command = Command::new("ovs-vsctl");
        command.args([&database, "--timeout=20", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE]);
        command.args(["datapath_type=netdev", "fail_mode=secure", "protocols=OpenFlow15"]);
        let mut add = |name: &str, number: u32, settings: &[&str]| {
            command.args(["--", "add-port", BRIDGE, name, "--", "set", "interface", name]);
            command.arg(format!("ofport_request={number}")).args(settings);
        };
        add("tunnel", TUNNEL, &["type=vxlan", "options:remote_ip=flow", "options:key=flow"]);
        for number in PORTS {
            add(&format!("pod{number}"), number, &["type=internal"]);
        }
        run(&mut command);
        for number in PORTS.chain([TUNNEL]) {
            let name = if number == TUNNEL { "tunnel".to_owned() } else { format!("pod{number}") };
            let get = ["--timeout=20", "get", "interface", &name, "ofport"];
            let found = run(Command::new("ovs-vsctl").arg(&database).args(get));
            assert_eq!(found.trim(), number.to_string(), "number of {name}");
        }
        wait_for(&self.folder.path().join(format!("{BRIDGE}.mgmt")));
    }

    pub(crate) async fn session(&self) -> Session {
        let address = Address::Unix(self.folder.path().join(format!("{BRIDGE}.mgmt")));
        let (session, mut asynchronous) = Session::connect(&address).await.unwrap();
        tokio::spawn(async move { while asynchronous.next().await.is_some() {} });
        session
    }

    /// What becomes of packets: `ofproto/trace` of each flow, with a state of its connection.
    pub(crate) fn trace<'a>(&mut self, packets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        let packets: Vec<_> = packets.into_iter().collect();
        let Questions { to, from } = self.questions.as_mut().unwrap();
        let mut answers = Vec::new();
        for part in packets.chunks(AT_ONCE) {
            for (flow, state) in part {
                let question = json!({"method": "ofproto/trace", "id": 0,
                    "params": [BRIDGE, flow, "--ct-next", state]});
                to.write_all(question.to_string().as_bytes()).unwrap();
            }
            let stream = serde_json::Deserializer::from_reader(&mut *from).into_iter::<Value>();
            answers.extend(stream.take(part.len()).map(|answer| {
                let answer = answer.unwrap();
                answer["result"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
            }));
        }
        answers
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // One that has ended already is no trouble.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Err(error) = Netns::delete(&self.name) {
            println!("warning: {error}");
        }
    }
}

/// Runs a command that must succeed; its output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn wait_for(path: &Path) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(begin.elapsed() < PATIENCE, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}
