//! ADD: a container gets an interface, addresses and a port whose flows are in the switch.
//!
//! The order is chosen so that nothing waits that need not: the database reads while the kernel makes the veth pair,
//! and `ovs-vswitchd` and the daemon work on the port while its inside end is configured. The veth pair comes first
//! among the things that are made, because its two names are the lock against a second ADD of the same attachment.

use std::{net::IpAddr, path::Path, time::Instant};

use host::Netns;
use ipam::{Lease, LeaseError, PodPort, Snapshot, SnapshotError, lease, names};
use ipnet::IpNet;
use ovsdb::{ReplyError, Request, RequestId, Table};
use ovsdb_blocking::{Client, Monitor};

use crate::{
    AddResult, CniError, Code, Interface, Invocation, Ip, Ipam, NetConf, RouteEntry, delegate,
    error::Result,
    switch::{self, database_error},
    undo::Undo,
    wire::{Inside, Wire, host_error},
};

/// The smallest MTU of a link with IPv6 (RFC 8200 section 5), bytes.
const MIN_IPV6_MTU: u32 = 1280;

/// How often another address is tried after a lost race. Each lost race is a port another plugin has created.
const ATTEMPTS: u32 = 100;

/// Attaches the container and returns the result to print. Whatever was done is undone before an error is returned.
///
/// # Errors
/// Code 3 if the container's namespace is gone, 11 if the port's flows did not get into the switch in time, 100 if
/// the attachment exists, 101 if all addresses are taken, others for broken surroundings.
pub(crate) fn add(invocation: &Invocation, conf: &NetConf) -> Result<AddResult> {
    let deadline = Instant::now() + conf.timeout;
    let netns = open_netns(invocation)?;
    let mut client = switch::connect(&conf.ovsdb, deadline)?;
    let question = ask_for_snapshot(&mut client, &conf.bridge, deadline)?;
    let port_name = names::port(&invocation.container_id, &invocation.ifname);
    let wire = Wire::create(&port_name, &netns, &invocation.ifname)?;
    let mut undo = Undo::new(invocation, conf);
    undo.has_veth();
    let attachment = Attachment { invocation, conf, netns: &netns, port_name: &port_name, deadline };
    match attachment.make(client, question, wire, &mut undo) {
        Ok(result) => Ok(conf.prev_result.clone().unwrap_or_default().followed_by(result)),
        Err(error) => Err(undo.run(error)),
    }
}

fn open_netns(invocation: &Invocation) -> Result<Netns> {
    let path = invocation.netns.as_deref().unwrap_or(Path::new(""));
    let netns = Netns::open(path).map_err(|error| match error {
        error if error.is_not_found() => {
            CniError::new(Code::UnknownContainer, "the container's network namespace is gone", error)
        }
        error => host_error(error),
    })?;
    if netns == Netns::current().map_err(host_error)? {
        let why =
            format!("{} is the node's own network namespace; its routes are not a pod's", path.display());
        return Err(CniError::new(Code::InvalidEnvironment, "CNI_NETNS is invalid", why));
    }
    Ok(netns)
}

fn ask_for_snapshot(client: &mut Client, bridge: &str, deadline: Instant) -> Result<RequestId> {
    let id = client.send(&Request::transact(Snapshot::operations(bridge))).map_err(database_error)?;
    client.flush(deadline).map_err(database_error)?;
    Ok(id)
}

/// Reads the answer to [`Snapshot::operations`].
pub(crate) fn read_snapshot(
    client: &mut Client,
    id: RequestId,
    bridge: &str,
    deadline: Instant,
) -> Result<Snapshot> {
    let results = client
        .reply(id, deadline)
        .and_then(|reply| reply.transact().map_err(Into::into))
        .map_err(database_error)?;
    Snapshot::read(bridge, &results).map_err(snapshot_error)
}

// By value, to be what `map_err` wants.
#[allow(clippy::needless_pass_by_value)]
fn snapshot_error(error: SnapshotError) -> CniError {
    CniError::new(Code::TryAgain, "the node is not ready for pods", error)
}

/// Addresses, their gateways, and routes: what an IPAM gives.
struct Given {
    addresses: Vec<(IpAddr, IpAddr)>,
    routes: Vec<RouteEntry>,
    dns: Option<serde_json::Value>,
}

struct Attachment<'a> {
    invocation: &'a Invocation,
    conf: &'a NetConf,
    netns: &'a Netns,
    port_name: &'a str,
    deadline: Instant,
}

impl Attachment<'_> {
    fn make(
        &self,
        mut client: Client,
        question: RequestId,
        mut wire: Wire<'_>,
        undo: &mut Undo<'_>,
    ) -> Result<AddResult> {
        let mut snapshot = read_snapshot(&mut client, question, &self.conf.bridge, self.deadline)?;
        let mtu = self.conf.mtu.unwrap_or_else(|| snapshot.facts.mtu.into());
        let userspace = snapshot.userspace;
        wire.raise_host_end(mtu, userspace)?;
        let mut attempt = 0;
        let (given, mac, mut monitor) = loop {
            let given = self.addresses(&snapshot, attempt, undo)?;
            if mtu < MIN_IPV6_MTU && given.addresses.iter().any(|(address, _)| address.is_ipv6()) {
                let why = format!("{mtu} bytes are too few for IPv6, which needs {MIN_IPV6_MTU}");
                return Err(CniError::new(Code::InvalidConfig, "the MTU is too small", why));
            }
            let port = self.port(&given)?;
            undo.may_have_port();
            match self.take(&mut client, &snapshot, &port) {
                Ok(monitor) => break (given, port.mac, monitor),
                Err(Refusal::Lost(_)) if attempt < ATTEMPTS && self.conf.ipam == Ipam::Own => attempt += 1,
                Err(Refusal::Exists(error)) => {
                    undo.has_no_port();
                    return Err(error);
                }
                Err(Refusal::Lost(error) | Refusal::Other(error)) => return Err(error),
            }
            let question = ask_for_snapshot(&mut client, &self.conf.bridge, self.deadline)?;
            snapshot = read_snapshot(&mut client, question, &self.conf.bridge, self.deadline)?;
        };
        let inside = Inside { mac, mtu, addresses: given.addresses, routes: given.routes };
        wire.configure_inside(&inside, userspace)?;
        switch::wait_until_ready(&mut client, &mut monitor, self.port_name, self.deadline)?;
        Ok(self.result(&inside, wire.host_mac(), given.dns))
    }

    /// The addresses to try: of the node's pools, or of the delegated plugin.
    fn addresses(&self, snapshot: &Snapshot, attempt: u32, undo: &mut Undo<'_>) -> Result<Given> {
        match &self.conf.ipam {
            Ipam::Own => {
                let addresses =
                    lease::pick_addresses(snapshot, attempt).map_err(|e| exhausted(snapshot, &e))?;
                let with_gateway = |address: IpAddr| Some((address, gateway(snapshot, address)?));
                let addresses: Vec<_> = addresses.into_iter().filter_map(with_gateway).collect();
                Ok(Given { routes: default_routes(&addresses), addresses, dns: None })
            }
            Ipam::Delegated(plugin) => {
                let given = delegate::add(plugin, self.invocation, &self.conf.raw)?;
                undo.has_delegated(plugin);
                of_delegate(snapshot, plugin, given)
            }
        }
    }

    fn port(&self, given: &Given) -> Result<PodPort> {
        let mut port = PodPort {
            namespace: self.invocation.pod.namespace.clone().unwrap_or_default(),
            name: self.invocation.pod.name.clone().unwrap_or_default(),
            uid: self.invocation.pod.uid.clone(),
            container_id: self.invocation.container_id.clone(),
            ifname: self.invocation.ifname.clone(),
            netns: self.netns.name().to_string(),
            mac: [0; 6],
            ipv4: None,
            ipv6: None,
            mtu: self.conf.mtu.and_then(|mtu| u16::try_from(mtu).ok()),
        };
        for (address, _) in &given.addresses {
            match address {
                IpAddr::V4(address) => port.ipv4 = Some(*address),
                IpAddr::V6(address) => port.ipv6 = Some(*address),
            }
        }
        port.mac = names::mac(port.ipv4, port.ipv6).ok_or_else(|| {
            CniError::new(Code::TryAgain, "the node is not ready for pods", "it has no pod CIDR")
        })?;
        Ok(port)
    }

    /// Creates the port, and with it takes its addresses. The request to follow what becomes of it goes out in the
    /// same write.
    fn take(
        &self,
        client: &mut Client,
        snapshot: &Snapshot,
        port: &PodPort,
    ) -> std::result::Result<Monitor<Table<ovsdb::tables::Interface>>, Refusal> {
        let lease = Lease::new(snapshot, port, self.conf.ipam == Ipam::Own);
        let mut send = || {
            let id = client
                .send(&Request::transact(lease.operations().iter().cloned()))
                .map_err(database_error)?;
            let monitor = switch::follow(client, self.port_name)?;
            Ok((client.reply(id, self.deadline).map_err(database_error)?, monitor))
        };
        let (reply, monitor) = send().map_err(Refusal::Other)?;
        let results = match reply.transact() {
            Ok(results) => Ok(results),
            Err(ReplyError::Transact(failed)) => Err(failed),
            Err(error) => return Err(Refusal::Other(database_error(error.into()))),
        };
        lease.read(results).map(|_| monitor).map_err(|error| match error {
            LeaseError::PortExists(_) => Refusal::Exists(CniError::new(
                Code::AttachmentExists,
                "the attachment exists already",
                format!("{error}; a runtime must not ADD twice, DEL or GC removes what was left"),
            )),
            LeaseError::AddressTaken(_) | LeaseError::NodeChanged(_) => {
                Refusal::Lost(CniError::new(Code::TryAgain, "no address could be taken", error))
            }
            LeaseError::Refused(_) => {
                Refusal::Other(CniError::new(Code::OpenVSwitch, "the port could not be created", error))
            }
        })
    }

    fn result(&self, inside: &Inside, host_mac: host::Mac, dns: Option<serde_json::Value>) -> AddResult {
        let host_end = Interface {
            name: self.port_name.to_owned(),
            mac: Some(names::format_mac(host_mac)),
            mtu: Some(inside.mtu),
            ..Interface::default()
        };
        let inside_end = Interface {
            name: self.invocation.ifname.clone(),
            mac: Some(names::format_mac(inside.mac)),
            mtu: Some(inside.mtu),
            sandbox: Some(self.netns.name().to_string()),
            ..Interface::default()
        };
        let ip = |(address, gateway): &(IpAddr, IpAddr)| Ip::new(1, IpNet::from(*address), Some(*gateway));
        AddResult {
            interfaces: vec![host_end, inside_end],
            ips: inside.addresses.iter().map(ip).collect(),
            routes: inside.routes.clone(),
            dns: dns.unwrap_or_else(|| AddResult::default().dns),
        }
    }
}

/// Why a port was not created.
enum Refusal {
    /// Another plugin was faster, or the node has changed: another address may do.
    Lost(CniError),
    /// There is one of this name, made by somebody else.
    Exists(CniError),
    /// Anything else; it may have been created.
    Other(CniError),
}

/// The error for a node without free addresses.
pub(crate) fn exhausted(snapshot: &Snapshot, error: &ipam::Exhausted) -> CniError {
    let cidr = match error.ipv6 {
        false => snapshot.facts.ipv4.map(|(cidr, _)| IpNet::from(cidr)),
        true => snapshot.facts.ipv6.map(|(cidr, _)| IpNet::from(cidr)),
    };
    let cidr = cidr.map(|cidr| format!(" ({cidr})")).unwrap_or_default();
    let details = format!("{error}{cidr}; run fewer pods on this node or give it a larger pod CIDR");
    CniError::new(Code::AddressesExhausted, "the node has no free pod address", details)
}

fn gateway(snapshot: &Snapshot, address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) => snapshot.facts.ipv4.map(|(_, gateway)| gateway.into()),
        IpAddr::V6(_) => snapshot.facts.ipv6.map(|(_, gateway)| gateway.into()),
    }
}

fn default_routes(addresses: &[(IpAddr, IpAddr)]) -> Vec<RouteEntry> {
    let everywhere = |(_, gateway): &(IpAddr, IpAddr)| {
        let unspecified: IpAddr = match gateway {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        Some(RouteEntry::new(IpNet::new(unspecified, 0).ok()?, Some(*gateway)))
    };
    addresses.iter().filter_map(everywhere).collect()
}

/// What a delegated plugin gave, as far as a pod here can have it: one address of each family, each with a gateway.
fn of_delegate(snapshot: &Snapshot, plugin: &str, given: AddResult) -> Result<Given> {
    let unusable = |why: String| {
        let msg = format!("the addresses of the IPAM plugin {plugin} cannot be used");
        CniError::new(Code::InvalidConfig, msg, why)
    };
    let mut addresses: Vec<(IpAddr, IpAddr)> = Vec::new();
    for ip in &given.ips {
        let address = ip.address.addr();
        if addresses.iter().any(|(other, _)| other.is_ipv4() == address.is_ipv4()) {
            return Err(unusable(format!(
                "{address} is the second one of its family; give one range per family"
            )));
        }
        let gateway = ip.gateway.or_else(|| gateway(snapshot, address));
        let gateway = gateway.ok_or_else(|| unusable(format!("{address} has no gateway")))?;
        addresses.push((address, gateway));
    }
    let mut routes = given.routes;
    for route in &mut routes {
        let own = addresses.iter().find(|(address, _)| address.is_ipv4() == route.dst.addr().is_ipv4());
        route.gw = route.gw.or(own.map(|(_, gateway)| *gateway));
    }
    if routes.is_empty() {
        routes = default_routes(&addresses);
    }
    Ok(Given { addresses, routes, dns: Some(given.dns) })
}
