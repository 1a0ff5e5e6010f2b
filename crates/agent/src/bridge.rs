//! The bridge in OVSDB: what its rows should say, and the operations that make them say it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::{NodeConfig, OverlayType};
use datapath::topology::GATEWAY_MAC;
use ipam::NodeFacts;
use ovsdb::Switch;
use ovsdb::tables::{Bridge, Interface, Port};
use ovsdb::{Condition, Datum as _, Mutation, Operation, Row, TableRow as _, Uuid, Value, vswitch};

use crate::host_setup::{gateway_ipv4, gateway_ipv6};
use crate::uplink::Uplink;

/// Which of OVS's datapaths carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datapath {
    /// The kernel's.
    System,
    /// OVS's own, in userspace.
    Netdev,
}

impl Datapath {
    /// `datapath_type` of the bridge.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Netdev => "netdev",
        }
    }
}

/// The datapath to use. Without one that was asked for, a bridge that is there keeps its own, since another would take
/// the network away from the pods that run; a new one gets the kernel's if the kernel has it.
///
/// # Errors
/// What to do if that is the kernel's, and the kernel has none.
pub fn choose_datapath(
    asked: Option<Datapath>,
    bridge: Option<&Bridge>,
    module: bool,
) -> Result<Datapath, String> {
    // Empty is `system` too.
    let present = bridge.map(|bridge| match bridge.datapath_type.as_str() {
        "netdev" => Datapath::Netdev,
        _ => Datapath::System,
    });
    match (asked.or(present), module) {
        (Some(Datapath::System), false) => Err(format!(
            "bridge {} has the kernel's datapath (system), and this kernel has no openvswitch module: install the \
             kernel's modules (modprobe openvswitch must succeed), or move the node to OVS's userspace datapath with \
             --datapath netdev; nothing is changed until then",
            bridge.map_or("", |bridge| &bridge.name)
        )),
        (Some(datapath), _) => Ok(datapath),
        (None, true) => Ok(Datapath::System),
        (None, false) => Ok(Datapath::Netdev),
    }
}

/// OpenFlow versions of the bridge: ours, and those that `ovs-ofctl` speaks without being told.
const PROTOCOLS: [&str; 3] = ["OpenFlow10", "OpenFlow13", "OpenFlow15"];

/// What the bridge's rows should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgePlan {
    /// The bridge's name.
    pub name: String,
    /// Its datapath.
    pub datapath: Datapath,
    /// What plugins need to know of the node.
    pub facts: NodeFacts,
    /// Encapsulation.
    pub overlay: OverlayType,
    /// The node's end of all tunnels, where Open vSwitch has to be told.
    pub local_ip: Option<IpAddr>,
}

/// The tunnels' source, unless the userspace datapath takes it by itself: the first address of its family there is. If
/// told, it wants a route of the kernel's that says the address is this node's, and has none while it reads the kernel's
/// routes anew, or where it is not to read them (`ovs_router_lookup` of lib/ovs-router.c; docs/datapaths.md).
fn local_ip(datapath: Datapath, overlay_ip: IpAddr, uplink: &Uplink) -> Option<IpAddr> {
    (datapath == Datapath::System || !uplink.first.contains(&overlay_ip)).then_some(overlay_ip)
}

/// Name of the tunnel port. It differs from pods' ports, which have a digit or a letter in place of the hyphen.
#[must_use]
pub const fn tunnel_name(overlay: OverlayType) -> &'static str {
    match overlay {
        OverlayType::Gre => "kvs-gre",
        OverlayType::Vxlan => "kvs-vxlan",
    }
}

impl BridgePlan {
    /// The plan for a node with this uplink.
    #[must_use]
    pub fn new(name: &str, datapath: Datapath, config: &NodeConfig, uplink: &Uplink, mtu: u16) -> Self {
        let ipv4 = config.pod_cidr.ipv4().and_then(|net| Some((net, gateway_ipv4(net)?)));
        let ipv6 = config.pod_cidr.ipv6().and_then(|net| Some((net, gateway_ipv6(net)?)));
        Self {
            name: name.to_owned(),
            datapath,
            facts: NodeFacts { node: config.name.clone(), ipv4, ipv6, mtu },
            overlay: config.overlay_type,
            local_ip: local_ip(datapath, config.overlay_ip, uplink),
        }
    }

    /// The operations that make the rows say what they should; none when they do.
    #[must_use]
    pub fn operations(&self, switch: &Switch) -> Vec<Operation> {
        let Some((uuid, bridge)) = switch.bridge(&self.name) else { return self.create() };
        let mut operations = self.correct_bridge(uuid, bridge);
        operations.extend(self.correct_local(switch));
        operations.extend(self.correct_tunnels(switch, bridge));
        operations
    }

    fn create(&self) -> Vec<Operation> {
        let bridge = Bridge {
            name: self.name.clone(),
            datapath_type: self.datapath.as_str().to_owned(),
            protocols: protocols(),
            fail_mode: Some("secure".to_owned()),
            other_config: other_config(),
            external_ids: self.facts.write(),
            ..Bridge::default()
        };
        let local = Interface { mtu_request: Some(self.facts.mtu.into()), ..Interface::default() };
        let mut operations = vswitch::add_bridge(&bridge, &local, "bridge").to_vec();
        operations.extend(self.add_tunnel());
        operations
    }

    fn correct_bridge(&self, uuid: Uuid, bridge: &Bridge) -> Vec<Operation> {
        let mut row = Row::new();
        if bridge.datapath_type != self.datapath.as_str() {
            row.set("datapath_type", self.datapath.as_str());
        }
        if bridge.fail_mode.as_deref() != Some("secure") {
            row.set("fail_mode", "secure");
        }
        if bridge.protocols != protocols() {
            row.set("protocols", protocols().to_value());
        }
        let here = || [Condition::uuid(uuid)];
        let mut operations = Vec::new();
        if !row.is_empty() {
            operations.push(Operation::update(Bridge::TABLE, here(), row));
        }
        // Maps are mutated key by key: other keys are other programs', and the plugins'.
        let mut mutations = set_pairs("other_config", &bridge.other_config, &other_config(), &[]);
        mutations.extend(set_pairs(
            "external_ids",
            &bridge.external_ids,
            &self.facts.write(),
            &NodeFacts::KEYS,
        ));
        if !mutations.is_empty() {
            operations.push(Operation::mutate(Bridge::TABLE, here(), mutations));
        }
        operations
    }

    fn correct_local(&self, switch: &Switch) -> Option<Operation> {
        let (uuid, local) = switch.interfaces.iter().find(|(_, interface)| interface.name == self.name)?;
        let mtu = i64::from(self.facts.mtu);
        (local.mtu_request != Some(mtu)).then(|| {
            Operation::update(Interface::TABLE, [Condition::uuid(uuid)], Row::new().with("mtu_request", mtu))
        })
    }

    /// The tunnel port of the overlay in use, and no other one of ours.
    fn correct_tunnels(&self, switch: &Switch, bridge: &Bridge) -> Vec<Operation> {
        let mut operations = Vec::new();
        let mut found = false;
        for uuid in &bridge.ports {
            let Some(port) = switch.ports.get(*uuid) else { continue };
            if port.name == tunnel_name(self.overlay) {
                found = true;
                let interface = switch.interfaces.iter().find(|(_, i)| i.name == port.name);
                if let Some((uuid, interface)) = interface
                    && (interface.options != self.tunnel_options() || interface.kind != self.overlay.as_str())
                {
                    let row = Row::new()
                        .with("type", self.overlay.as_str())
                        .with("options", self.tunnel_options().to_value());
                    operations.push(Operation::update(Interface::TABLE, [Condition::uuid(uuid)], row));
                }
            } else if [OverlayType::Gre, OverlayType::Vxlan].iter().any(|o| port.name == tunnel_name(*o)) {
                operations.push(vswitch::remove_port(*uuid));
            }
        }
        if !found {
            operations.extend(self.add_tunnel());
        }
        operations
    }

    fn add_tunnel(&self) -> Vec<Operation> {
        let name = tunnel_name(self.overlay).to_owned();
        let port = Port { name: name.clone(), ..Port::default() };
        let interface = Interface {
            name,
            kind: self.overlay.as_str().to_owned(),
            options: self.tunnel_options(),
            ..Interface::default()
        };
        vswitch::add_port(&self.name, &port, &interface, "tunnel").to_vec()
    }

    /// Flow-based: flows say where to, with which key.
    fn tunnel_options(&self) -> BTreeMap<String, String> {
        let pairs = [("remote_ip", "flow".to_owned()), ("key", "flow".to_owned())];
        let local = self.local_ip.map(|address| ("local_ip", address.to_string()));
        pairs.into_iter().chain(local).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// Removes `keys` that are not wanted and sets pairs that differ.
fn set_pairs(
    column: &str,
    present: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    keys: &[&str],
) -> Vec<Mutation> {
    let mut mutations = Vec::new();
    for key in keys {
        if present.contains_key(*key) && !wanted.contains_key(*key) {
            mutations.push(Mutation::delete(column, Value::set([*key])));
        }
    }
    for (key, value) in wanted {
        if present.get(key) != Some(value) {
            mutations.extend(Mutation::put(column, key, value));
        }
    }
    mutations
}

fn protocols() -> BTreeSet<String> {
    PROTOCOLS.iter().map(|&p| p.to_owned()).collect()
}

fn other_config() -> BTreeMap<String, String> {
    [("hwaddr", GATEWAY_MAC.to_string()), ("disable-in-band", "true".to_owned())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_keeps_its_datapath_unless_another_is_asked_for() {
        let bridge = |kind: &str| Bridge {
            name: "k-vswitch0".into(),
            datapath_type: kind.into(),
            ..Bridge::default()
        };
        let (system, netdev) = (Ok(Datapath::System), Ok(Datapath::Netdev));
        assert_eq!(choose_datapath(None, None, true), system);
        assert_eq!(choose_datapath(None, None, false), netdev);
        assert_eq!(choose_datapath(None, Some(&bridge("netdev")), true), netdev);
        for kind in ["system", ""] {
            assert_eq!(choose_datapath(None, Some(&bridge(kind)), true), system);
            let why = choose_datapath(None, Some(&bridge(kind)), false).unwrap_err();
            assert!(why.contains("modprobe openvswitch") && why.contains("--datapath netdev"), "{why}");
            assert_eq!(choose_datapath(Some(Datapath::Netdev), Some(&bridge(kind)), false), netdev);
        }
        assert_eq!(choose_datapath(Some(Datapath::System), Some(&bridge("netdev")), true), system);
    }

    #[test]
    fn tunnels_have_a_source_unless_the_userspace_datapath_takes_it_by_itself() {
        let [own, other, ipv6] =
            ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let uplink = |first: &[IpAddr]| Uplink {
            name: "br-phy".into(),
            mtu: 1500,
            addresses: vec![own, other, ipv6],
            first: first.to_vec(),
        };
        assert_eq!(local_ip(Datapath::System, own, &uplink(&[own])), Some(own));
        assert_eq!(local_ip(Datapath::Netdev, own, &uplink(&[own, ipv6])), None);
        assert_eq!(local_ip(Datapath::Netdev, own, &uplink(&[other, ipv6])), Some(own));
        assert_eq!(local_ip(Datapath::Netdev, ipv6, &uplink(&[own, ipv6])), None);
    }
}
