//! What of the host's addresses and ports, and of others', leads to Services: the elements of the sets and maps that
//! [`crate::host_setup`] declares when its plan has Services. Most leads to the bridge; what a process of the host answers that is
//! to see its clients' addresses goes straight to it.
//!
//! An event costs what it changes: [`apply`] adds and takes away single elements. [`restate`] says everything, the first
//! time, at audits, and after anything went wrong. Each is one transaction of the kernel: no packet sees a part of it.
//! Then there may be [`Earlier`] clients.

mod earlier;
mod elements;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;
use service::lb::{External, Protocol};

use crate::host_setup::{batch, sets_and_maps};
pub use earlier::Earlier;
use elements::Elements;

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

/// Who answers on the host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// One of the host's addresses, and the port.
    pub to: SocketAddr,
    /// Whose packets go straight there, of the address's family; empty: everybody's. The bridge judges others.
    pub sources: Arc<[IpNet]>,
}

/// What leads to Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Ports of the node's own addresses.
    pub node_ports: BTreeSet<NodePort>,
    /// Other destinations, and the node ports that stand for them in the bridge.
    pub external: BTreeMap<External, u16>,
    /// What comes straight to processes of the host, from outside; all of it is above too, for the node's own processes.
    pub own: OwnProcesses,
}

/// What comes straight to processes of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnProcesses {
    /// To node ports.
    pub node_ports: BTreeMap<NodePort, SocketAddr>,
    /// To other destinations.
    pub external: BTreeMap<External, Own>,
}

/// What each key had, and what it is to have.
type Differences<K, V> = BTreeMap<K, (Option<V>, Option<V>)>;

/// What makes one [`Published`] another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Node ports that come (`true`) or go.
    pub node_ports: BTreeMap<NodePort, bool>,
    /// Destinations: the node port that stood for it, and the one that is to.
    pub external: Differences<External, u16>,
    /// Node ports: who answered on the host, and who is to.
    pub own_node_ports: Differences<NodePort, SocketAddr>,
    /// Destinations: who answered on the host, and who is to.
    pub own_external: Differences<External, Own>,
}

impl Changes {
    /// From what the host has to what it should have.
    #[must_use]
    pub fn between(has: &Published, wanted: &Published) -> Self {
        let come = wanted.node_ports.difference(&has.node_ports).map(|port| (*port, true));
        let go = has.node_ports.difference(&wanted.node_ports).map(|port| (*port, false));
        Self {
            node_ports: come.chain(go).collect(),
            external: differences(&has.external, &wanted.external),
            own_node_ports: differences(&has.own.node_ports, &wanted.own.node_ports),
            own_external: differences(&has.own.external, &wanted.own.external),
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node_ports.is_empty()
            && self.external.is_empty()
            && self.own_node_ports.is_empty()
            && self.own_external.is_empty()
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
        for (port, (before, after)) in &self.own_node_ports {
            before.iter().for_each(|to| go.own_node_port(*port, *to));
            after.iter().for_each(|to| come.own_node_port(*port, *to));
        }
        for (at, (before, after)) in &self.own_external {
            before.iter().for_each(|own| go.own_external(*at, own));
            after.iter().for_each(|own| come.own_external(*at, own));
        }
        go.commands("delete").chain(come.commands("add")).collect()
    }
}

fn differences<K: Ord + Copy, V: Clone + PartialEq>(
    has: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Differences<K, V> {
    let come = wanted.iter().map(|(key, value)| (*key, (has.get(key).cloned(), Some(value.clone()))));
    let gone = has.iter().filter(|(key, _)| !wanted.contains_key(key));
    let all = come.chain(gone.map(|(key, value)| (*key, (Some(value.clone()), None))));
    all.filter(|(_, (before, after))| before != after).collect()
}

fn follow<K: Ord + Copy, V: Clone>(has: &mut BTreeMap<K, V>, differences: &Differences<K, V>) {
    for (key, (_, after)) in differences {
        match after {
            Some(value) => has.insert(*key, value.clone()),
            None => has.remove(key),
        };
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
        follow(&mut self.external, &changes.external);
        follow(&mut self.own.node_ports, &changes.own_node_ports);
        follow(&mut self.own.external, &changes.own_external);
    }

    fn commands(&self) -> Vec<Value> {
        let mut all = Elements::default();
        self.node_ports.iter().for_each(|port| all.node_port(*port));
        self.external.iter().for_each(|(at, port)| all.external(*at, *port));
        self.own.node_ports.iter().for_each(|(port, to)| all.own_node_port(*port, *to));
        self.own.external.iter().for_each(|(at, own)| all.own_external(*at, own));
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
            own: OwnProcesses::default(),
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
        assert_eq!((flushed, commands.len()), (12, 14));
    }

    #[test]
    fn the_hosts_own_processes_have_an_address_and_a_port_for_each_range_of_clients() {
        let to = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = |to: &str, sources: &[&str]| Own {
            to: to.parse().unwrap(),
            sources: sources.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let mut has = Published::default();
        has.own.node_ports.insert(port(true, 30001), to("[fd00::1]:80"));
        // The kernel takes no ranges that overlap.
        let overlapping = own("10.0.0.1:8080", &["192.0.2.0/24", "192.0.2.7/32"]);
        has.own.external.insert(at("198.51.100.1"), overlapping);
        let wanted = Published {
            own: OwnProcesses {
                node_ports: [(port(true, 30001), to("[fd00::1]:81"))].into(),
                external: [(at("198.51.100.1"), own("10.0.0.1:8080", &[]))].into(),
            },
            ..Published::default()
        };
        let changes = Changes::between(&has, &wanted);
        let (narrow, wide) = (
            r#"{"prefix":{"addr":"192.0.2.0","len":24}},"198.51.100.1",17,53"#,
            r#"{"prefix":{"addr":"0.0.0.0","len":0}},"198.51.100.1",17,53"#,
        );
        assert_eq!(
            said(&changes.commands()),
            [
                r#"delete own-node-port-addresses6 [[{"concat":[6,30001]},"fd00::1"]]"#.to_owned(),
                r#"delete own-node-port-ports6 [[{"concat":[6,30001]},80]]"#.to_owned(),
                format!(r#"delete own-external-addresses4 [[{{"concat":[{narrow}]}},"10.0.0.1"]]"#),
                format!(r#"delete own-external-ports4 [[{{"concat":[{narrow}]}},8080]]"#),
                r#"add own-node-port-addresses6 [[{"concat":[6,30001]},"fd00::1"]]"#.to_owned(),
                r#"add own-node-port-ports6 [[{"concat":[6,30001]},81]]"#.to_owned(),
                format!(r#"add own-external-addresses4 [[{{"concat":[{wide}]}},"10.0.0.1"]]"#),
                format!(r#"add own-external-ports4 [[{{"concat":[{wide}]}},8080]]"#),
            ]
        );
        has.follow(&changes);
        assert_eq!(has, wanted);
    }
}
