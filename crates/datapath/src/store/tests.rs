use std::collections::BTreeMap;

use openflow::{Action, Match};
use proptest::prelude::*;

use super::*;
use crate::{Cookie, Table};

fn flow(reg: u32, port: u32) -> Flow {
    let matching = Match::new().metadata(reg.into());
    Flow::new(Table::Route.number(), 1, matching)
        .cookie(Cookie::fixed().0)
        .actions([Action::output(openflow::PortNo::new(port))])
}

fn send(store: &mut Store<u8>, switch: &mut BTreeMap<String, Flow>) -> usize {
    let changes = store.changes();
    for change in &changes {
        match change {
            Change::Put(flow) => switch.insert(format!("{:?}", flow.key()), (**flow).clone()),
            Change::Delete(key) => {
                Some(switch.remove(&format!("{key:?}")).expect("deletes only what is there"))
            }
        };
    }
    store.acknowledge(&changes);
    changes.len()
}

#[test]
fn only_differences_are_sent() {
    let (mut store, mut switch) = (Store::default(), BTreeMap::new());
    store.set(&1, vec![flow(1, 1), flow(2, 1)]);
    assert_eq!(send(&mut store, &mut switch), 2);
    assert_eq!(send(&mut store, &mut switch), 0);
    store.set(&1, vec![flow(1, 1), flow(2, 9), flow(3, 1)]);
    assert_eq!(send(&mut store, &mut switch), 2);
    store.remove(&1);
    assert_eq!(send(&mut store, &mut switch), 3);
    assert!(switch.is_empty() && store.is_empty());
}

#[test]
fn a_restart_with_nothing_changed_sends_nothing() {
    let mut store = Store::default();
    store.set(&1, vec![flow(1, 1), flow(2, 1)]);
    store.read_back([flow(1, 1), flow(2, 1)]);
    assert_eq!(store.changes(), vec![]);
}

#[test]
fn a_change_that_was_undone_before_it_was_sent_sends_nothing() {
    let (mut store, mut switch) = (Store::default(), BTreeMap::new());
    store.set(&1, vec![flow(1, 1)]);
    send(&mut store, &mut switch);
    store.set(&1, vec![flow(1, 2)]);
    store.set(&1, vec![flow(1, 1)]);
    store.set(&2, vec![flow(5, 1)]);
    store.remove(&2);
    assert_eq!(send(&mut store, &mut switch), 0);
}

#[test]
fn the_audit_repairs_what_others_did() {
    let (mut store, mut switch) = (Store::default(), BTreeMap::new());
    store.set(&1, vec![flow(1, 1), flow(2, 1), flow(3, 1)]);
    send(&mut store, &mut switch);
    // One deleted, one changed, one added.
    assert_eq!(store.read_back([flow(2, 7), flow(3, 1), flow(4, 1)]), 3);
    let keys: Vec<String> = store.changes().iter().map(|c| format!("{:?}", c.key().matching)).collect();
    assert_eq!(keys.len(), 3);
    assert!(matches!(store.changes()[0], Change::Delete(_)), "deletions come first");
}

#[test]
fn a_key_that_two_want_goes_to_the_second_when_the_first_lets_go() {
    let (mut store, mut switch) = (Store::default(), BTreeMap::new());
    store.set(&1, vec![flow(1, 1)]);
    store.set(&2, vec![flow(1, 2)]);
    send(&mut store, &mut switch);
    assert_eq!(switch.values().next(), Some(&flow(1, 1)));
    store.remove(&1);
    assert_eq!(send(&mut store, &mut switch), 1);
    assert_eq!(switch.values().next(), Some(&flow(1, 2)));
    store.remove(&2);
    send(&mut store, &mut switch);
    assert!(switch.is_empty());
}

proptest! {
    /// Whatever owners do, and whatever happens to the switch between audits, sending the changes makes the switch
    /// hold exactly one wanted flow for each wanted key.
    #[test]
    fn the_switch_converges(
        steps in prop::collection::vec((0..4u8, prop::collection::vec((0..6u32, 0..3u32), 0..5), any::<bool>(), 0..6u32), 1..40)
    ) {
        let (mut store, mut switch) = (Store::default(), BTreeMap::new());
        let mut model: BTreeMap<u8, BTreeMap<u32, u32>> = BTreeMap::new();
        for (owner, flows, vandal, victim) in steps {
            let flows: BTreeMap<u32, u32> = flows.into_iter().collect();
            store.set(&owner, flows.iter().map(|(&reg, &port)| flow(reg, port)).collect());
            model.insert(owner, flows);
            if vandal {
                switch.remove(&format!("{:?}", flow(victim, 0).key()));
                store.read_back(switch.values().cloned());
            }
            send(&mut store, &mut switch);
            let keys: std::collections::BTreeSet<u32> = model.values().flat_map(|m| m.keys().copied()).collect();
            prop_assert_eq!(switch.len(), keys.len());
            for reg in keys {
                let got = &switch[&format!("{:?}", flow(reg, 0).key())];
                prop_assert!(model.values().any(|m| m.get(&reg).is_some_and(|&port| *got == flow(reg, port))));
            }
            prop_assert_eq!(store.len(), switch.len());
        }
    }
}
