//! CHECK: is an attachment as ADD left it?

use std::{net::IpAddr, time::Instant};

use host::{Netlink, Netns};
use ipam::{PodPort, names};
use ipnet::IpNet;

use crate::{
    AddResult, CniError, Code, Command, Interface, Invocation, Ipam, NetConf, RouteEntry, delegate,
    error::Result,
    switch,
    wire::{self, host_error},
};

/// Looks at everything ADD made and says all that is wrong.
///
/// # Errors
/// Code 104 with every fault, 3 if the container's namespace is gone, 7 without `prevResult`.
pub(crate) fn check(invocation: &Invocation, conf: &NetConf) -> Result<()> {
    let Some(previous) = &conf.prev_result else {
        let why = "CHECK compares with the result of ADD; the runtime has to pass it";
        return Err(CniError::new(Code::InvalidConfig, "the network configuration has no prevResult", why));
    };
    if let Ipam::Delegated(plugin) = &conf.ipam {
        delegate::call(plugin, Command::Check, invocation, &conf.raw)?;
    }
    let expected = Expected::of(previous, &invocation.ifname)?;
    let netns =
        Netns::open(invocation.netns.as_deref().unwrap_or(std::path::Path::new(""))).map_err(|error| {
            let code = if error.is_not_found() { Code::UnknownContainer } else { Code::Host };
            CniError::new(code, "the container's network namespace cannot be opened", error)
        })?;
    let mac = expected.interface.mac.as_deref();
    let mut faults = wire::faults(&netns, &invocation.ifname, mac, &expected.ips, &expected.routes)?;
    faults.extend(host_faults(invocation)?);
    faults.extend(port_faults(invocation, conf, &expected.ips)?);
    if faults.is_empty() {
        return Ok(());
    }
    Err(CniError::new(Code::CheckFailed, "the attachment is not as it was left", faults.join("; ")))
}

/// What of the previous result is ours.
struct Expected<'a> {
    interface: &'a Interface,
    ips: Vec<IpNet>,
    routes: Vec<RouteEntry>,
}

impl<'a> Expected<'a> {
    fn of(previous: &'a AddResult, ifname: &str) -> Result<Self> {
        let is_ours = |interface: &Interface| interface.name == ifname && interface.sandbox.is_some();
        let ours = previous.interfaces.iter().enumerate().rev().find(|(_, interface)| is_ours(interface));
        let Some((index, interface)) = ours else {
            let why = format!("it has no interface {ifname} inside a container");
            return Err(CniError::new(Code::InvalidConfig, "prevResult is not of this attachment", why));
        };
        let ips: Vec<IpNet> =
            previous.ips.iter().filter(|ip| ip.interface == Some(index)).map(|ip| ip.address).collect();
        // A route of another plugin of the chain is its own business: only those to our gateways are ours.
        let gateways: Vec<IpAddr> = previous
            .ips
            .iter()
            .filter(|ip| ip.interface == Some(index))
            .filter_map(|ip| ip.gateway)
            .collect();
        let is_ours = |route: &&RouteEntry| route.gw.is_some_and(|gateway| gateways.contains(&gateway));
        Ok(Self { interface, ips, routes: previous.routes.iter().filter(is_ours).cloned().collect() })
    }
}

fn host_faults(invocation: &Invocation) -> Result<Option<String>> {
    let name = names::port(&invocation.container_id, &invocation.ifname);
    let link = Netlink::open().and_then(|mut netlink| netlink.find_link(&name)).map_err(host_error)?;
    Ok(match link {
        None => Some(format!("interface {name} is gone from the host")),
        Some(link) if !link.up => Some(format!("interface {name} on the host is down")),
        Some(_) => None,
    })
}

/// The port has to be there, with the addresses as its lease, and its flows in the switch. Flows may be on their way
/// when the switch or the daemon has just been restarted: they get the time that ADD gives them.
fn port_faults(invocation: &Invocation, conf: &NetConf, ips: &[IpNet]) -> Result<Vec<String>> {
    let deadline = Instant::now() + conf.timeout;
    let (id, ifname) = (&invocation.container_id, &invocation.ifname);
    let name = names::port(id, ifname);
    let mut client = switch::connect(&conf.ovsdb, deadline)?;
    let Some(found) = switch::find_port(&mut client, &name, deadline)? else {
        return Ok(vec![switch::Progress::Absent.complaint(&name)]);
    };
    if !found.is_of(id, ifname) {
        return Ok(vec![format!("port {name} is of another attachment")]);
    }
    let held: Vec<IpAddr> = PodPort::taken(&found.interface.external_ids).collect();
    let lost = ips.iter().filter(|ip| !held.contains(&ip.addr()));
    let mut faults: Vec<String> =
        lost.map(|ip| format!("port {name} no longer holds address {ip}")).collect();
    let mut monitor = switch::follow(&mut client, &name)?;
    if let Err(error) = switch::wait_until_ready(&mut client, &mut monitor, &name, deadline) {
        faults.push(error.details);
    }
    Ok(faults)
}
