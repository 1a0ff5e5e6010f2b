//! Labs with a real Kubernetes, used as an operator uses a cluster: by `kubectl`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::Netns;
use kubernetes::programs::Programs;
use serde_json::{Value, json};

use crate::Lab;

/// The one image of the test's pods: `agnhost`, under the name that upstream's tests have for it.
pub const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.56";

/// How long anything may take: two processors carry a whole cluster, and its programs are not in a hurry.
const PATIENCE: Duration = Duration::from_secs(180);

/// Whether labs with a real Kubernetes can be brought up here. Says why when not.
#[must_use]
pub fn possible_for_real() -> bool {
    crate::possible::possible_with(true)
}

/// A cluster that is up. It is taken down when this is dropped.
#[derive(Debug)]
pub struct Kube {
    /// The lab it is.
    pub lab: Lab,
}

impl Kube {
    /// Brings a cluster up, with its name server.
    #[must_use]
    pub fn up(arguments: &[&str]) -> Self {
        let kube = Self { lab: Lab::up_real(arguments) };
        for workload in ["daemonset/k-vswitchd", "deployment/k-vswitch-controller", "deployment/coredns"] {
            kube.rollout("kube-system", workload);
        }
        kube
    }

    /// A `kubectl` command for this cluster.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(Programs::find().unwrap().own("kubectl"));
        command.env("KUBECONFIG", self.lab.folder().join("kubeconfig")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs one.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs one that must succeed; its standard output.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {said}\n{}", self.lab.tails());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Gets objects as JSON.
    pub fn get(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[&["get", "-o", "json"], arguments].concat())).unwrap()
    }

    /// Applies objects.
    pub fn apply(&self, objects: &[Value]) {
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(file.path(), list.to_string()).unwrap();
        self.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
    }

    /// Waits until a workload is as it should be.
    pub fn rollout(&self, namespace: &str, workload: &str) {
        let patience = format!("{}s", PATIENCE.as_secs());
        self.kubectl(&["rollout", "status", "-n", namespace, workload, "--timeout", &patience]);
    }

    /// Waits for something to become true.
    pub fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !done() {
            assert!(
                begin.elapsed() < PATIENCE,
                "waited in vain for {what}\n{}\n{}",
                self.kubectl(&["get", "pods", "-A", "-o", "wide"]),
                self.lab.tails()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until the pods of the namespace `default` that are told to go are gone, and their interfaces with them.
    pub fn until_gone(&self) {
        self.until("pods that end to be gone", || {
            let pods = self.get(&["pods"]);
            let stays = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
            pods["items"].as_array().unwrap().iter().all(stays)
        });
    }

    /// The running and ready pods with a label, of the namespace `default`, by name.
    #[must_use]
    pub fn ready(&self, label: &str) -> Vec<RealPod> {
        let list = self.get(&["pods", "-l", label]);
        let ready = |pod: &&Value| {
            let conditions = pod["status"]["conditions"].as_array();
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions.is_some_and(|all| {
                    all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
                })
        };
        list["items"].as_array().unwrap().iter().filter(ready).map(RealPod::read).collect()
    }

    /// Network namespace of a pod of the namespace `default`.
    ///
    /// # Panics
    /// When it has none within the usual time.
    #[must_use]
    pub fn netns(&self, pod: &RealPod) -> Netns {
        let mut found = None;
        self.until(&format!("the port of {}", pod.name), || {
            let port = self.lab.node_of(&pod.node).ports().into_iter().find(|port| port.pod == pod.name);
            found = port.and_then(|port| Netns::open(port.netns).ok());
            found.is_some()
        });
        found.unwrap()
    }
}

/// A pod of a real cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RealPod {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl RealPod {
    fn read(pod: &Value) -> Self {
        let ips = pod["status"]["podIPs"].as_array().into_iter().flatten();
        Self {
            name: pod["metadata"]["name"].as_str().unwrap().to_owned(),
            node: pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(),
            addresses: ips.map(|ip| ip["ip"].as_str().unwrap().parse().unwrap()).collect(),
        }
    }
}

/// A Deployment of web servers that say their pod's name at `/hostname`, with as many replicas.
#[must_use]
pub fn web(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 10,
                    "containers": [{
                        "name": "web", "image": AGNHOST,
                        // Goes on serving until everybody has heard that it is going.
                        "args": ["netexec", "--http-port=80", "--udp-port=80", "--delay-shutdown=3"],
                        "ports": [{"containerPort": 80}],
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 1},
                    }],
                },
            },
        },
    })
}

/// A Service of pods with the label `app`, of both families.
#[must_use]
pub fn service_of(app: &str, name: &str, spec: &Value) -> Value {
    let base = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"port": 80, "targetPort": 80}]},
    });
    crate::service::with(base, "spec", spec)
}

/// Asks a web server for a page; the body of the answer, or why there is none.
///
/// # Errors
/// What went wrong.
pub fn http(from: &Netns, to: SocketAddr, page: &str) -> std::io::Result<String> {
    let ask = || {
        let patience = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&to, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: web\r\n\r\n").as_bytes())?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap();
                }
                _ if line.is_empty() => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        // What comes after the page is of no interest: a forwarded connection may be reset there.
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body).unwrap())
    };
    from.run(ask).unwrap()
}

/// Web pages asked for one after the other, until it is told to end.
#[derive(Debug)]
pub struct Browsing {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    thread: Option<JoinHandle<(BTreeSet<String>, Vec<String>)>>,
}

impl Browsing {
    /// Asks for `/hostname`, about every 10 ms.
    #[must_use]
    pub fn start(from: &Netns, to: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, counter, from) = (Arc::clone(&stop), Arc::clone(&asked), from.clone());
        let thread = std::thread::spawn(move || {
            let (mut who, mut failures) = (BTreeSet::new(), Vec::new());
            let begin = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                match http(&from, to, "/hostname") {
                    Ok(name) => drop(who.insert(name)),
                    Err(error) => {
                        failures.push(format!("after {:.1} s: {error}", begin.elapsed().as_secs_f64()));
                    }
                }
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
            (who, failures)
        });
        Self { stop, asked, thread: Some(thread) }
    }

    /// Ends: how many were asked for, who answered, and what went wrong.
    #[must_use]
    pub fn finish(mut self) -> (u32, BTreeSet<String>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (who, failures) = self.thread.take().unwrap().join().unwrap();
        (self.asked.load(Ordering::Relaxed), who, failures)
    }
}

impl Drop for Browsing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
