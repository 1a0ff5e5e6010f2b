//! A node, what stands for its bridge, and a client: three network namespaces.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agent::host_setup::{self, HostPlan, Services};
use api::{NodeConfig, OverlayType};
use datapath::topology::{HOST_ROUTER_IPV4, HOST_ROUTER_IPV6, REFUSED_MAC, ROUTER_IPV6};
use host::sysctl::Sysctls;
use host::{Netlink, Netns};
use openflow::MacAddr;
use service::lb::Protocol;

const BRIDGE: &str = "k-vswitch0";
const PATIENCE: Duration = Duration::from_secs(5);

/// What the far end of the bridge's interface does with what is sent to Services.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bridge {
    /// Answers it itself, as an endpoint would.
    Answers,
    /// Hands it back to be refused.
    Refuses,
}

/// The addresses of a family.
#[derive(Clone, Copy)]
pub struct Family {
    /// The node's, on the client's side.
    pub node: &'static str,
    /// Another of its addresses.
    pub second: &'static str,
    /// The client's.
    pub client: &'static str,
    /// The node's in the pod CIDR.
    pub gateway: &'static str,
    /// The last one of the pod CIDR.
    pub node_port: &'static str,
    /// A pod's.
    pub pod: &'static str,
    /// A ClusterIP.
    pub cluster_ip: &'static str,
    /// One that no machine has, which the client reaches by way of the node.
    pub external: &'static str,
    router: &'static str,
}

pub const IPV4: Family = Family {
    node: "192.0.2.1",
    second: "198.51.100.1",
    client: "192.0.2.100",
    gateway: "10.0.1.1",
    node_port: "10.0.1.255",
    pod: "10.0.1.2",
    cluster_ip: "10.96.0.10",
    external: "203.0.113.7",
    router: "169.254.107.118",
};

pub const IPV6: Family = Family {
    node: "2001:db8::1",
    second: "2001:db8:1::1",
    client: "2001:db8::100",
    gateway: "fd00:0:0:1::1",
    node_port: "fd00::1:ffff:ffff:ffff:ffff",
    pod: "fd00:0:0:1::2",
    cluster_ip: "fd96::10",
    external: "2001:db8:2::7",
    router: "fe80::6b76:1",
};

pub const FAMILIES: [Family; 2] = [IPV4, IPV6];

/// Dropping it deletes the namespaces.
pub struct World {
    pub node: Netns,
    pub bridge: Netns,
    pub client: Netns,
    names: Vec<String>,
}

impl World {
    /// A node to which nothing has been done yet; `None` with the reason where there cannot be one.
    pub fn new(role: Bridge) -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: needs root, for network namespaces");
            return None;
        }
        if Command::new("nft").arg("--version").output().is_err() {
            println!("SKIPPED: nftables is not installed");
            return None;
        }
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let names = ["n", "b", "c"].map(|role| format!("kvst-s{}-{number}{role}", std::process::id()));
        let [node, bridge, client] = names.each_ref().map(|name| Netns::create(name).unwrap());
        let world = Self { node, bridge, client, names: names.into() };
        let [_, in_bridge, in_client] = names_of(&world.names);
        for netns in [&world.node, &world.bridge, &world.client] {
            run(netns, "ip link set lo up");
        }
        run(&world.node, &format!("ip link add {BRIDGE} type veth peer name host netns {in_bridge}"));
        run(&world.node, &format!("ip link add eth0 type veth peer name eth0 netns {in_client}"));
        if role == Bridge::Refuses {
            run(&world.bridge, &format!("ip link set host address {REFUSED_MAC}"));
        }
        run(&world.bridge, "ip link set host up");
        run(&world.client, "ip link set eth0 up");
        run(&world.node, "ip link set eth0 up");
        run(&world.node, &format!("ip link set {BRIDGE} up"));
        for (family, (short, long)) in FAMILIES.iter().zip([(24, 32), (64, 128)]) {
            run(&world.node, &format!("ip addr add {}/{short} dev eth0 nodad", family.node));
            run(&world.node, &format!("ip addr add {}/{long} dev eth0 nodad", family.second));
            run(
                &world.node,
                &format!("ip route add default via {} dev eth0 src {}", family.client, family.node),
            );
            run(&world.client, &format!("ip addr add {}/{short} dev eth0 nodad", family.client));
            run(&world.client, &format!("ip route add default via {} dev eth0", family.node));
            let (pod, gateway) = (family.pod, family.gateway);
            run(&world.bridge, &format!("ip addr add {pod}/{long} dev host nodad"));
            run(&world.bridge, &format!("ip route add {gateway}/{long} dev host src {pod}"));
            run(&world.bridge, &format!("ip route add default via {gateway} dev host src {pod}"));
            run(&world.bridge, &format!("ip addr add {}/{long} dev host nodad", family.router));
        }
        match role {
            Bridge::Answers => {
                for (family, long) in FAMILIES.iter().zip([32, 128]) {
                    run(&world.bridge, &format!("ip addr add {}/{long} dev host nodad", family.node_port));
                    run(&world.bridge, &format!("ip addr add {}/{long} dev host nodad", family.cluster_ip));
                }
            }
            Bridge::Refuses => world.hands_back(),
        }
        Some(world)
    }

    /// The far end routes everything back. Neighbours are known, since their discovery would be refused as well.
    fn hands_back(&self) {
        let mac = Netlink::open_in(&self.node).unwrap().link(BRIDGE).unwrap().mac.unwrap();
        let host = MacAddr(mac);
        for key in ["ipv4.conf.all.send_redirects=0", "ipv4.conf.host.send_redirects=0", "ipv4.ip_forward=1"]
        {
            run(&self.bridge, &format!("sysctl -qw net.{key}"));
        }
        run(&self.bridge, "sysctl -qw net.ipv6.conf.all.forwarding=1");
        for family in FAMILIES {
            run(&self.bridge, &format!("ip neigh add {} lladdr {host} dev host", family.gateway));
            for neighbour in [family.router, family.node_port, family.pod, family.cluster_ip] {
                run(&self.node, &format!("ip neigh add {neighbour} lladdr {REFUSED_MAC} dev {BRIDGE}"));
            }
        }
        let routers: [IpAddr; 2] = [HOST_ROUTER_IPV4.into(), HOST_ROUTER_IPV6.into()];
        assert_eq!(FAMILIES.map(|f| ip(f.router)), routers);
    }

    pub fn plan(&self, services: Option<Services>) -> HostPlan {
        let config = NodeConfig {
            name: "node-1".into(),
            cluster_cidr: "10.0.0.0/16,fd00::/48".parse().unwrap(),
            pod_cidr: "10.0.1.0/24,fd00:0:0:1::/64".parse().unwrap(),
            service_cidr: "10.96.0.0/16,fd96::/112".parse().unwrap(),
            overlay_type: OverlayType::Vxlan,
            overlay_ip: "192.0.2.1".parse().unwrap(),
            mtu: None,
            generation: None,
        };
        HostPlan::new(BRIDGE, &config, services)
    }

    /// Sets the host's side up.
    pub fn set_up(&self, services: Option<Services>) {
        let plan = self.plan(services);
        self.on_node(|| host_setup::apply(&plan, &Sysctls::default())).unwrap();
        // What stands for the bridge here has one MAC only.
        let mac = MacAddr(Netlink::open_in(&self.bridge).unwrap().link("host").unwrap().mac.unwrap());
        for router in [ROUTER_IPV6, HOST_ROUTER_IPV6] {
            run(&self.node, &format!("ip neigh replace {router} lladdr {mac} dev {BRIDGE}"));
        }
    }

    pub fn on_node<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.node.run(work).unwrap()
    }

    pub fn table(&self) -> String {
        run(&self.node, "nft list table inet k-vswitch")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Netns::delete(name);
        }
    }
}

fn names_of(names: &[String]) -> [&str; 3] {
    [&names[0], &names[1], &names[2]]
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a program prints.
pub fn run(netns: &Netns, command: &str) -> String {
    let mut words = command.split(' ');
    let output = netns.run(|| Command::new(words.next().unwrap()).args(words).output().unwrap()).unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Somebody who listens at an address and port.
pub enum Server {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Server {
    pub fn new(netns: &Netns, protocol: Protocol, address: &str, port: u16) -> Self {
        let at = SocketAddr::new(ip(address), port);
        let server = netns.run(|| match protocol {
            Protocol::Tcp => Self::Tcp(TcpListener::bind(at).unwrap()),
            Protocol::Udp => Self::Udp(UdpSocket::bind(at).unwrap()),
            Protocol::Sctp => panic!("no sockets of SCTP here"),
        });
        let server = server.unwrap();
        match &server {
            Self::Tcp(listener) => listener.set_nonblocking(true).unwrap(),
            Self::Udp(socket) => socket.set_read_timeout(Some(PATIENCE)).unwrap(),
        }
        server
    }

    /// Answers one client, and says what address that had.
    fn answer(&self) -> IpAddr {
        match self {
            Self::Tcp(listener) => {
                let until = Instant::now() + PATIENCE;
                loop {
                    match listener.accept() {
                        Ok((mut stream, peer)) => {
                            stream.write_all(b"answer").unwrap();
                            return peer.ip();
                        }
                        Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                            std::thread::sleep(Duration::from_millis(2));
                        }
                        Err(e) => panic!("no client: {e}"),
                    }
                }
            }
            Self::Udp(socket) => {
                let (_, peer) = socket.recv_from(&mut [0; 16]).unwrap();
                socket.send_to(b"answer", peer).unwrap();
                peer.ip()
            }
        }
    }

    /// Whether a client has said something that nobody has read.
    pub fn has_heard(&self) -> bool {
        match self {
            Self::Tcp(listener) => listener.accept().is_ok(),
            Self::Udp(socket) => {
                socket.set_nonblocking(true).unwrap();
                socket.recv(&mut [0; 16]).is_ok()
            }
        }
    }

    /// Has a client speak to an address and port, by which it reaches this server, and hear its answer. Returns the
    /// client's address as it and as the server sees it.
    pub fn hears(&self, client: &Netns, to: &str, port: u16) -> (IpAddr, IpAddr) {
        let any = if ip(to).is_ipv4() { "0.0.0.0" } else { "::" };
        self.hears_from(client, any, to, port)
    }

    /// As [`Self::hears`], from one of the client's addresses.
    pub fn hears_from(&self, client: &Netns, from: &str, to: &str, port: u16) -> (IpAddr, IpAddr) {
        let (from, to) = (ip(from), SocketAddr::new(ip(to), port));
        std::thread::scope(|scope| {
            let seen = scope.spawn(|| self.answer());
            let mut answer = [0; 6];
            let own = match self {
                Self::Tcp(_) => {
                    let mut stream = client.run(|| connect(from, to)).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.read_exact(&mut answer).unwrap();
                    stream.local_addr().unwrap()
                }
                Self::Udp(_) => {
                    let socket = connected(client, from, to);
                    socket.send(b"request").unwrap();
                    socket.recv(&mut answer).unwrap();
                    socket.local_addr().unwrap()
                }
            };
            assert_eq!(&answer, b"answer");
            (own.ip(), seen.join().unwrap())
        })
    }
}

fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE)).unwrap();
    bind(&socket, &SocketAddr::new(from, 0)).unwrap();
    connect(&socket, &to).unwrap();
    socket.into()
}

fn connected(netns: &Netns, from: IpAddr, to: SocketAddr) -> UdpSocket {
    netns
        .run(|| {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.connect(to).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        })
        .unwrap()
}

/// What a client gets who is not answered: `ConnectionRefused` if it is told so.
pub fn failure(client: &Netns, protocol: Protocol, to: &str, port: u16) -> ErrorKind {
    let to = SocketAddr::new(ip(to), port);
    match protocol {
        Protocol::Tcp => {
            client.run(|| TcpStream::connect_timeout(&to, PATIENCE)).unwrap().expect_err("an answer").kind()
        }
        _ => {
            let any = if to.is_ipv4() { ip("0.0.0.0") } else { ip("::") };
            let socket = connected(client, any, to);
            socket.send(b"request").unwrap();
            socket.recv(&mut [0; 16]).expect_err("an answer").kind()
        }
    }
}
