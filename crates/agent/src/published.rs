//! What of the host's addresses and ports, and of others', leads to Services in the bridge: the elements of the sets and
//! maps that [`crate::host_setup`] declares when its plan has Services.
//!
//! An event costs what it changes: [`apply`] adds and takes away single elements. [`restate`] says everything, the first
//! time, at audits, and after anything went wrong. Each is one transaction of the kernel: no packet sees a part of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use service::lb::{External, Protocol};

use crate::host_setup::{EXTERNAL, NODE_PORTS, batch, element, sets_and_maps};

/// A node port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodePort {
    /// Of the node's IPv6 addresses, not of its IPv4 ones.
    pub ipv6: bool,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// What leads to Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Ports of the node's own addresses.
    pub node_ports: BTreeSet<NodePort>,
    /// Other destinations, and the node ports that stand for them in the bridge.
    pub external: BTreeMap<External, u16>,
}

/// What makes one [`Published`] another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Node ports that come (`true`) or go.
    pub node_ports: BTreeMap<NodePort, bool>,
    /// Destinations: the node port that stood for it, and the one that is to.
    pub external: BTreeMap<External, (Option<u16>, Option<u16>)>,
}

impl Changes {
    /// From what the host has to what it should have.
    #[must_use]
    pub fn between(has: &Published, wanted: &Published) -> Self {
        let come = wanted.node_ports.difference(&has.node_ports).map(|port| (*port, true));
        let go = has.node_ports.difference(&wanted.node_ports).map(|port| (*port, false));
        let mut external = BTreeMap::new();
        for (at, port) in &wanted.external {
            let before = has.external.get(at);
            if before != Some(port) {
                external.insert(*at, (before.copied(), Some(*port)));
            }
        }
        for (at, port) in has.external.iter().filter(|(at, _)| !wanted.external.contains_key(at)) {
            external.insert(*at, (Some(*port), None));
        }
        Self { node_ports: come.chain(go).collect(), external }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node_ports.is_empty() && self.external.is_empty()
    }

    /// Everything that goes, goes first: a key cannot have two values.
    fn commands(&self) -> Vec<Value> {
        let (mut go, mut come) = (Elements::default(), Elements::default());
        for (port, comes) in &self.node_ports {
            if *comes { &mut come } else { &mut go }.node_port(*port);
        }
        for (at, (before, after)) in &self.external {
            before.iter().for_each(|port| go.external(*at, *port));
            after.iter().for_each(|port| come.external(*at, *port));
        }
        go.commands("delete").chain(come.commands("add")).collect()
    }
}

impl Published {
    /// Does what was done to the host.
    pub fn follow(&mut self, changes: &Changes) {
        for (port, comes) in &changes.node_ports {
            if *comes {
                self.node_ports.insert(*port);
            } else {
                self.node_ports.remove(port);
            }
        }
        for (at, (_, after)) in &changes.external {
            match after {
                Some(port) => self.external.insert(*at, *port),
                None => self.external.remove(at),
            };
        }
    }

    fn commands(&self) -> Vec<Value> {
        let mut all = Elements::default();
        self.node_ports.iter().for_each(|port| all.node_port(*port));
        self.external.iter().for_each(|(at, port)| all.external(*at, *port));
        sets_and_maps("flush").chain(all.commands("add")).collect()
    }
}

/// Carries changes to the host. Blocking.
///
/// # Errors
/// What `nft` says; then nothing has changed. It also does so if the host did not have what the changes start from, as
/// after somebody else deleted the table: [`restate`] after [`crate::host_setup::apply`] is the cure.
pub fn apply(changes: &Changes) -> host::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    host::nft::apply(&batch(&changes.commands()))
}

/// Makes the host have this and nothing else, whatever it had. Blocking.
///
/// # Errors
/// What `nft` says; then nothing has changed.
pub fn restate(wanted: &Published) -> host::Result<()> {
    host::nft::apply(&batch(&wanted.commands()))
}

/// Elements of each set and map, IPv4's and IPv6's.
#[derive(Default)]
struct Elements {
    node_ports: [Vec<Value>; 2],
    external: [Vec<Value>; 2],
}

impl Elements {
    fn node_port(&mut self, port: NodePort) {
        let [ipv4, ipv6] = &mut self.node_ports;
        let elements = if port.ipv6 { ipv6 } else { ipv4 };
        elements.push(json!({ "concat": [port.protocol.number(), port.port] }));
    }

    fn external(&mut self, at: External, stand_in: u16) {
        let [ipv4, ipv6] = &mut self.external;
        let elements = if at.address.is_ipv6() { ipv6 } else { ipv4 };
        let key = json!({ "concat": [at.address, at.protocol.number(), at.port] });
        elements.push(json!([key, stand_in]));
    }

    fn commands(self, verb: &str) -> impl Iterator<Item = Value> {
        let sets = NODE_PORTS.into_iter().zip(self.node_ports);
        let all = sets.chain(EXTERNAL.into_iter().zip(self.external));
        all.filter(|(_, elements)| !elements.is_empty())
            .map(move |(name, elements)| element(verb, name, &elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ipv6: bool, port: u16) -> NodePort {
        NodePort { ipv6, protocol: Protocol::Tcp, port }
    }

    fn at(address: &str) -> External {
        External { address: address.parse().unwrap(), protocol: Protocol::Udp, port: 53 }
    }

    fn published(node_ports: &[NodePort], external: &[(External, u16)]) -> Published {
        Published {
            node_ports: node_ports.iter().copied().collect(),
            external: external.iter().copied().collect(),
        }
    }

    /// Verb, set or map, and elements of each command that changes elements.
    fn said(commands: &[Value]) -> Vec<String> {
        let of = |command: &Value| {
            let (verb, what) = command.as_object().unwrap().iter().next().unwrap();
            let what = what.get("element").unwrap();
            format!("{verb} {} {}", what["name"].as_str().unwrap(), what["elem"])
        };
        commands.iter().map(of).collect()
    }

    #[test]
    fn only_what_changes_is_said_and_a_key_goes_before_it_comes() {
        let has = published(
            &[port(false, 30001), port(true, 30001)],
            &[(at("192.0.2.1"), 30001), (at("192.0.2.2"), 30001), (at("2001:db8::1"), 30001)],
        );
        let wanted = published(
            &[port(false, 30001), port(false, 30002)],
            &[(at("192.0.2.1"), 30001), (at("192.0.2.2"), 30002), (at("2001:db8::2"), 30001)],
        );
        let changes = Changes::between(&has, &wanted);
        assert_eq!(
            said(&changes.commands()),
            [
                r#"delete node-ports6 [{"concat":[6,30001]}]"#,
                r#"delete external4 [[{"concat":["192.0.2.2",17,53]},30001]]"#,
                r#"delete external6 [[{"concat":["2001:db8::1",17,53]},30001]]"#,
                r#"add node-ports4 [{"concat":[6,30002]}]"#,
                r#"add external4 [[{"concat":["192.0.2.2",17,53]},30002]]"#,
                r#"add external6 [[{"concat":["2001:db8::2",17,53]},30001]]"#,
            ]
        );
        let mut followed = has.clone();
        followed.follow(&changes);
        assert_eq!(followed, wanted);
        assert!(Changes::between(&wanted, &wanted).is_empty());
    }

    #[test]
    fn everything_is_said_after_everything_is_forgotten() {
        let commands = published(&[port(true, 30001)], &[(at("192.0.2.1"), 30001)]).commands();
        let flushed = commands.iter().filter(|command| command.get("flush").is_some()).count();
        assert_eq!((flushed, commands.len()), (4, 6));
    }
}
