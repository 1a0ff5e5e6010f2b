//! Which interfaces are on our bridge. No I/O.
//!
//! A port's OpenFlow number means something on its own bridge only: a port that looks like ours on another bridge (moved
//! there, or made by another copy of us) must have no flows on this one, where its number is somebody else's.

use std::collections::BTreeSet;
use std::sync::Arc;

use ovsdb::tables::{Bridge, Interface};
use ovsdb::{RowChange, Switch, SwitchChange, Uuid};

/// The interfaces of one bridge.
#[derive(Debug)]
pub struct Members {
    bridge: String,
    interfaces: BTreeSet<Uuid>,
}

impl Members {
    /// Of the bridge of this name; none are known yet.
    #[must_use]
    pub fn new(bridge: &str) -> Self {
        Self { bridge: bridge.to_owned(), interfaces: BTreeSet::new() }
    }

    /// Forgets all: the database's contents come again from the start.
    pub fn reset(&mut self) {
        self.interfaces.clear();
    }

    /// What an update means for the bridge's interfaces, those that go first. `switch` is as the update leaves it, so
    /// that the order of its rows does not matter.
    pub fn follow(&mut self, changes: &[SwitchChange], switch: &Switch) -> Vec<RowChange<Interface>> {
        let mut out = Vec::new();
        let mut joined = BTreeSet::new();
        if changes.iter().any(may_move) {
            let bridge = switch.bridge(&self.bridge);
            let now: BTreeSet<Uuid> = bridge
                .map(|(_, bridge)| switch.interfaces_of(bridge).map(|(uuid, _)| uuid).collect())
                .unwrap_or_default();
            // One that was deleted tells so itself, below.
            let gone = self.interfaces.difference(&now).filter_map(|uuid| {
                Some(RowChange::Deleted { uuid: *uuid, row: Arc::new(switch.interfaces.get(*uuid)?.clone()) })
            });
            out.extend(gone);
            joined = &now - &self.interfaces;
            let left: BTreeSet<Uuid> = &self.interfaces - &now;
            out.extend(
                changes
                    .iter()
                    .filter_map(interface)
                    .filter(|change| change.after().is_none() && left.contains(&change.uuid()))
                    .cloned(),
            );
            self.interfaces = now;
        }
        let stay = |uuid: &Uuid| self.interfaces.contains(uuid) && !joined.contains(uuid);
        let changed = changes.iter().filter_map(interface).filter(|change| stay(&change.uuid()));
        out.extend(changed.cloned());
        out.extend(joined.iter().filter_map(|uuid| {
            Some(RowChange::Inserted { uuid: *uuid, row: Arc::new(switch.interfaces.get(*uuid)?.clone()) })
        }));
        out
    }
}

fn interface(change: &SwitchChange) -> Option<&RowChange<Interface>> {
    match change {
        SwitchChange::Interface(change) => Some(change),
        _ => None,
    }
}

/// Whether an interface may have come to a bridge, or left it. Bridges also change for other reasons with every pod.
fn may_move(change: &SwitchChange) -> bool {
    match change {
        SwitchChange::Bridge(change) => {
            let key = |bridge: Option<&Bridge>| bridge.map(|b| (b.name.clone(), b.ports.clone()));
            key(change.before()) != key(change.after())
        }
        SwitchChange::Port(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use ovsdb::Replica as _;
    use serde_json::{Value, json};

    use super::*;

    const OURS: &str = "00000000-0000-0000-0000-000000000001";
    const OTHER: &str = "00000000-0000-0000-0000-000000000002";
    const PORT: &str = "00000000-0000-0000-0000-000000000003";
    const IFACE: &str = "00000000-0000-0000-0000-000000000004";

    /// Applies an update; says what comes of it for our bridge: `+` and `-` for coming and going, `=` for a change.
    fn follow(members: &mut Members, switch: &mut Switch, update: Value) -> String {
        let mut changes = Vec::new();
        switch.apply(&serde_json::from_value(update).unwrap(), &mut changes).unwrap();
        let sign = |change: RowChange<Interface>| match (change.before(), change.after()) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '=',
        };
        members.follow(&changes, switch).into_iter().map(sign).collect()
    }

    fn ports(port: bool) -> Value {
        json!({ "ports": ["set", if port { vec![json!(["uuid", PORT])] } else { vec![] }] })
    }

    fn bridges(members: &mut Members, switch: &mut Switch) {
        let bridge = |name: &str| json!({ "initial": { "name": name } });
        let update = json!({ "Bridge": { OURS: bridge("k-vswitch0"), OTHER: bridge("br0") } });
        assert_eq!(follow(members, switch, update), "");
    }

    fn port_on(bridge: &str) -> Value {
        json!({
            "Interface": { IFACE: { "insert": { "name": "kvs0", "ofport": 3 } } },
            "Port": { PORT: { "insert": { "name": "kvs0", "interfaces": ["set", [["uuid", IFACE]]] } } },
            "Bridge": { bridge: { "modify": ports(true) } },
        })
    }

    #[test]
    fn only_interfaces_of_our_bridge_count_and_they_do_so_from_their_first_moment() {
        let (mut members, mut switch) = (Members::new("k-vswitch0"), Switch::default());
        bridges(&mut members, &mut switch);
        assert_eq!(follow(&mut members, &mut switch, port_on(OURS)), "+");
        let number = json!({ "Interface": { IFACE: { "modify": { "ofport": 4 } } } });
        assert_eq!(follow(&mut members, &mut switch, number), "=");
        let gone = json!({
            "Interface": { IFACE: { "delete": null } },
            "Port": { PORT: { "delete": null } },
            // What `modify` has of a set is what differs.
            "Bridge": { OURS: { "modify": ports(true) } },
        });
        assert_eq!(follow(&mut members, &mut switch, gone), "-");
        assert_eq!(follow(&mut members, &mut switch, port_on(OTHER)), "");
        let number = json!({ "Interface": { IFACE: { "modify": { "ofport": 4 } } } });
        assert_eq!(follow(&mut members, &mut switch, number), "");
    }

    #[test]
    fn a_port_that_moves_to_another_bridge_goes_and_comes_back_as_it_is_then() {
        let (mut members, mut switch) = (Members::new("k-vswitch0"), Switch::default());
        bridges(&mut members, &mut switch);
        assert_eq!(follow(&mut members, &mut switch, port_on(OURS)), "+");
        let swap = json!({ "Bridge": { OURS: { "modify": ports(true) }, OTHER: { "modify": ports(true) } } });
        assert_eq!(follow(&mut members, &mut switch, swap.clone()), "-");
        assert_eq!(follow(&mut members, &mut switch, swap.clone()), "+");
        let with_number = json!({
            "Interface": { IFACE: { "modify": { "ofport": 7 } } }, "Bridge": swap["Bridge"].clone(),
        });
        assert_eq!(follow(&mut members, &mut switch, with_number), "-", "whatever else changes with it");
        members.reset();
        let touched = json!({ "Bridge": { OURS: { "modify": { "name": "k-vswitch9" } } } });
        assert_eq!(follow(&mut members, &mut switch, touched), "");
    }
}
