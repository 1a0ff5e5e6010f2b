//! Services: their manifests, and who answers for them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use host::Netns;
use serde_json::{Value, json};

use crate::{IMAGE, Lab, Node};

/// How long an answer may take. A client asks a second time half way.
const PATIENCE: Duration = Duration::from_secs(2);

/// As often a Service is asked for all of its endpoints to have answered: of three, one is left out with a probability
/// of 3 * (2 / 3)^64, some 2e-11.
const ROUNDS: usize = 64;

/// A protocol of a Service's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// A server answered.
    By {
        /// Its name, `outside`, or a node's.
        name: String,
        /// The client as the server saw it.
        client: SocketAddr,
    },
    /// Somebody said no.
    Refused,
    /// Nobody said anything.
    Dropped,
}

impl Answer {
    /// The server's name, or what became of the question.
    #[must_use]
    pub fn who(&self) -> &str {
        match self {
            Self::By { name, .. } => name,
            Self::Refused => "refused",
            Self::Dropped => "dropped",
        }
    }

    pub(crate) fn read(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("an answer of {line:?}"));
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        Self::By { name: text("name"), client: text("client").parse().unwrap() }
    }
}

/// What became of the same question in both protocols and families.
#[derive(Clone, Debug)]
pub struct Answers(pub Vec<(Protocol, SocketAddr, Answer)>);

impl Answers {
    /// Who answered, or what became of questions instead; each once.
    #[must_use]
    pub fn who(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(_, _, answer)| answer.who()).collect()
    }

    /// The clients' addresses as the servers saw them.
    #[must_use]
    pub fn clients(&self) -> BTreeSet<IpAddr> {
        let clients = self.0.iter().filter_map(|(_, _, answer)| match answer {
            Answer::By { client, .. } => Some(client.ip()),
            _ => None,
        });
        clients.collect()
    }

    /// Whether all questions ended like this.
    #[must_use]
    pub fn all(&self, who: &str) -> bool {
        self.0.iter().all(|(_, _, answer)| answer.who() == who)
    }
}

/// The address of no particular interface, of the same family.
#[must_use]
pub fn any(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// Asks who is there.
#[must_use]
pub fn ask(from: &Netns, protocol: Protocol, to: SocketAddr) -> Answer {
    from.run(|| match protocol {
        Protocol::Tcp => ask_tcp(to),
        Protocol::Udp => ask_from(&UdpSocket::bind((any(to.ip()), 0)).unwrap(), to),
    })
    .unwrap()
}

fn refused(error: &std::io::Error) -> bool {
    // ICMPv6 says "administratively prohibited" by EACCES. Who listens no more resets what it has not accepted yet, and whether
    // that is known while connecting or only when reading is chance.
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::PermissionDenied
    )
}

fn ask_tcp(to: SocketAddr) -> Answer {
    for _ in 0..2 {
        match TcpStream::connect_timeout(&to, PATIENCE / 2) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut line = String::new();
                return match BufReader::new(stream).read_line(&mut line) {
                    Ok(_) => Answer::read(&line),
                    Err(error) if refused(&error) => Answer::Refused,
                    Err(_) => Answer::Dropped,
                };
            }
            Err(error) if refused(&error) => return Answer::Refused,
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => panic!("connecting to {to}: {error}"),
        }
    }
    Answer::Dropped
}

/// Asks by a socket that may have asked before.
#[must_use]
pub fn ask_from(socket: &UdpSocket, to: SocketAddr) -> Answer {
    // Connected, it learns of refusals.
    socket.connect(to).unwrap();
    let mut buffer = [0; 1024];
    // What came too late for an earlier question.
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut buffer).is_ok() || socket.take_error().unwrap().is_some() {}
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE / 2)).unwrap();
    for _ in 0..2 {
        let said = socket.send(b"who are you?\n").and_then(|_| socket.recv(&mut buffer));
        match said {
            Ok(length) => return Answer::read(std::str::from_utf8(&buffer[..length]).unwrap()),
            Err(error) if refused(&error) => return Answer::Refused,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("asking {to}: {error}"),
        }
    }
    Answer::Dropped
}

/// Asks a port of some addresses in both protocols, all at the same time.
#[must_use]
pub fn ask_all(from: &Netns, addresses: &[IpAddr], port: u16) -> Answers {
    let questions: Vec<_> = addresses
        .iter()
        .flat_map(|address| {
            [Protocol::Tcp, Protocol::Udp].map(|protocol| (protocol, SocketAddr::new(*address, port)))
        })
        .collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = questions
            .into_iter()
            .map(|(protocol, to)| (protocol, to, scope.spawn(move || ask(from, protocol, to))))
            .collect();
        Answers(
            threads.into_iter().map(|(protocol, to, asked)| (protocol, to, asked.join().unwrap())).collect(),
        )
    })
}

/// Asserts that these answer in each protocol and at each address, and nobody else. Returns their clients' addresses as
/// they saw them.
pub fn all_answer(from: &Netns, addresses: &[IpAddr], port: u16, expected: &[&str]) -> BTreeSet<IpAddr> {
    let expected: BTreeSet<&str> = expected.iter().copied().collect();
    let mut missing: BTreeSet<_> = addresses
        .iter()
        .flat_map(|address| [Protocol::Tcp, Protocol::Udp].map(|protocol| (protocol, *address)))
        .flat_map(|(protocol, address)| expected.iter().map(move |name| (protocol, address, *name)))
        .collect();
    let mut clients = BTreeSet::new();
    for _ in 0..ROUNDS {
        let answers = ask_all(from, addresses, port);
        for (protocol, to, answer) in &answers.0 {
            assert!(expected.contains(answer.who()), "{expected:?} of {from:?} at {to}: {answers:?}");
            missing.retain(|one| *one != (*protocol, to.ip(), answer.who()));
        }
        clients.extend(answers.clients());
        if missing.is_empty() {
            return clients;
        }
    }
    panic!("never answered: {missing:?}");
}

/// A pod that serves these ports in TCP and UDP, labelled `app` with its name. They have names: `tcp` or `udp` and
/// their place in the list.
#[must_use]
pub fn server(name: &str, node: u16, ports: &[u16]) -> Value {
    let ports: Vec<Value> = (1..)
        .zip(ports)
        .flat_map(|(place, port)| {
            ["TCP", "UDP", "SCTP"].map(|protocol| {
                let name = format!("{}{place}", protocol.to_lowercase());
                json!({"name": name, "protocol": protocol, "containerPort": port})
            })
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"nodeName": format!("node-{node}"),
            "containers": [{"name": "c", "image": IMAGE, "ports": ports}]},
    })
}

/// Adds to an object.
#[must_use]
pub fn and(mut object: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// Adds to a manifest's part.
#[must_use]
pub fn with(mut manifest: Value, part: &str, more: &Value) -> Value {
    manifest[part] = and(manifest[part].take(), more);
    manifest
}

/// A list of manifests, which may be lists.
#[must_use]
pub fn list(items: &[Value]) -> Value {
    let flat = items.iter().flat_map(|item| match item["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![item.clone()],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": flat.collect::<Vec<_>>()})
}

/// Ports of a Service in TCP and UDP: a number, and the number or name at the endpoints. A name gets a prefix by the
/// protocol, as [`server`]'s ports have.
#[must_use]
pub fn ports(ports: &[(u16, Value)]) -> Value {
    let of = |(port, target): &(u16, Value)| {
        ["TCP", "UDP"].map(|protocol| {
            let prefix = protocol.to_lowercase();
            let target = match target {
                Value::String(name) => format!("{prefix}{name}").into(),
                number => number.clone(),
            };
            json!({"name": format!("{prefix}-{port}"), "protocol": protocol, "port": port, "targetPort": target})
        })
    };
    ports.iter().flat_map(of).collect()
}

/// The `spec` of a Service that has this node port for port 80, in TCP and UDP.
#[must_use]
pub fn at_node_port(node_port: u16) -> Value {
    let mut ports = ports(&[(80, 8080.into())]);
    for port in ports.as_array_mut().unwrap() {
        port["nodePort"] = node_port.into();
    }
    json!({"type": "NodePort", "ports": ports})
}

/// A Service in both families with port 80 in TCP and UDP, which is 8080 at its endpoints: pods whose `app` is its name.
/// `spec` says what else there is, or what is different.
#[must_use]
pub fn service(name: &str, spec: &Value) -> Value {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"ipFamilyPolicy": "RequireDualStack", "selector": {"app": name},
            "ports": ports(&[(80, 8080.into())])},
    });
    with(service, "spec", spec)
}

/// A Service as [`service`] makes it, but without selector: its endpoints are in slices written by hand.
#[must_use]
pub fn service_of_slices(name: &str, spec: &Value) -> Value {
    let mut service = service(name, spec);
    service["spec"].as_object_mut().unwrap().remove("selector");
    service
}

/// A slice of a Service whose endpoints have the port number of [`ports`]' number 80.
#[must_use]
pub fn slice(name: &str, service: &str, ipv6: bool, port: u16, endpoints: &[Value]) -> Value {
    let ports = ["TCP", "UDP"].map(|protocol| {
        json!({"name": format!("{}-80", protocol.to_lowercase()), "protocol": protocol, "port": port})
    });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": if ipv6 { "IPv6" } else { "IPv4" }, "ports": ports, "endpoints": endpoints,
    })
}

/// A slice for each family, with endpoints at these addresses, each of which has `more` too: conditions, for instance.
#[must_use]
pub fn slices(name: &str, service: &str, port: u16, endpoints: &[([IpAddr; 2], Value)]) -> Value {
    let of = |family: usize| {
        let endpoints: Vec<Value> = endpoints
            .iter()
            .map(|(addresses, more)| {
                let mut endpoint = more.clone();
                endpoint["addresses"] = json!([addresses[family]]);
                endpoint
            })
            .collect();
        slice(&format!("{name}-ipv{}", [4, 6][family]), service, family == 1, port, &endpoints)
    };
    list(&[of(0), of(1)])
}

/// Waits until everybody who asks in both protocols and all families is answered by this server.
pub fn wait_for(lab: &Lab, from: &Netns, addresses: &[IpAddr], port: u16, who: &str) {
    let what = format!("{who} at {addresses:?}, port {port}");
    lab.until(&what, || ask_all(from, addresses, port).all(who));
}

/// The outside sends packets for these addresses to a node, as a router would that has learned them from it.
pub fn route(lab: &Lab, to: &[IpAddr], node: &Node<'_>) {
    for (address, via) in to.iter().zip(node.addresses()) {
        let mut command = Command::new("ip");
        command.args(["route", "replace", &address.to_string(), "via", &via.to_string()]);
        assert!(lab.outside().run(|| command.status()).unwrap().unwrap().success(), "{address}");
    }
}
