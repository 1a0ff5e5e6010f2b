use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use openflow::{Action, GroupMod, Message};
use service::lb::{Backends, Parts, Set};

use super::groups::FIRST_SET;
use super::slots::{MOST_SLOTS, PRECISION, weights};
use super::*;
use crate::{Item as _, PackedGroup};

fn endpoints(count: u16) -> Arc<[SocketAddr]> {
    (1..=count).map(|n| SocketAddr::from(([10, 0, 2, 1], n))).collect()
}

fn a_set(parts: Vec<Arc<[SocketAddr]>>) -> Set {
    let backends = Backends::Endpoints(Parts(parts));
    Set { protocol: Protocol::Tcp, affinity: None, keeps_client: false, backends }
}

fn render(items: &SetItems) -> String {
    let mut lines: Vec<String> = items.flows.iter().map(ToString::to_string).collect();
    lines.sort();
    lines.extend(items.groups.iter().map(ToString::to_string));
    lines.join("\n")
}

/// How many of the slots each bucket is dealt out, as Open vSwitch does it (`group_setup_dp_hash_table`).
fn deal(weights: &[u16]) -> Vec<usize> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let least = u64::from(*weights.iter().min().unwrap());
    let slots = total.div_ceil(least).next_power_of_two().max(16);
    assert!(slots <= 256, "the datapath would not hash: {weights:?}");
    let mut hits = vec![0_usize; weights.len()];
    for _ in 0..slots {
        let value = |index: &usize| f64::from(weights[*index]) / (2 * hits[*index] + 1) as f64;
        // The first of those that are equal.
        let winner = (0..weights.len()).rev().max_by(|a, b| value(a).total_cmp(&value(b))).unwrap();
        hits[winner] += 1;
    }
    hits
}

#[test]
fn endpoints_of_a_part_are_about_as_likely_as_each_other() {
    for count in 2..=Parts::SIZE {
        let (weight, rest) = weights(count);
        let all: Vec<u16> = vec![weight; count].into_iter().chain(rest).collect();
        let mut hits = deal(&all);
        let slots: usize = hits.iter().sum();
        if rest.is_some() {
            let extra = hits.pop().unwrap();
            *hits.last_mut().unwrap() += extra;
        }
        let (least, most) = (*hits.iter().min().unwrap(), *hits.iter().max().unwrap());
        assert!(most <= least + 1, "{count} endpoints get {hits:?} of {slots} slots");
        assert!(count.is_power_of_two() || slots >= PRECISION * count || slots == MOST_SLOTS);
    }
}

#[test]
fn one_endpoint_needs_no_group_and_few_need_one() {
    let one = set(SetId(0xabcd), &a_set(vec![endpoints(1)]), true);
    assert!(one.groups.is_empty());
    insta::assert_snapshot!("one_endpoint", render(&one));
    let three = set(SetId(0xabcd), &a_set(vec![endpoints(3)]), true);
    insta::assert_snapshot!("three_endpoints", render(&three));
}

#[test]
fn many_endpoints_are_groups_of_bounded_size() {
    let parts: Vec<_> = (0..4).map(|_| endpoints(25)).collect();
    let items = set(SetId(7), &a_set(parts), true);
    assert_eq!((items.flows.len(), items.groups.len()), (5, 4));
    assert!(items.groups.iter().all(|group| group.buckets.len() <= Parts::SIZE + 1));
    let first = items.flows.iter().find(|flow| flow.table == Table::Select.number()).unwrap();
    assert_eq!(first.instructions.apply, [Action::Group(2)], "four parts are named by two bits");
    let hashes = hashes();
    let ids: HashSet<u32> = hashes.iter().chain(&items.groups).map(|group| group.id).collect();
    assert_eq!(ids.len(), hashes.len() + items.groups.len());
    insta::assert_snapshot!(hashes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn groups_of_all_sets_are_different() {
    let ids = [SetId(1), SetId(2), SetId(SetId::MAX)];
    let all: HashSet<u32> = ids.iter().flat_map(|id| (0..256).map(|part| group_id(*id, part))).collect();
    assert_eq!(all.len(), ids.len() * 256);
    assert!(all.iter().all(|id| (FIRST_SET..=0xffff_ff00 + 0xff).contains(id)));
}

#[test]
fn a_client_keeps_its_endpoint() {
    let affine = Set { affinity: Some(100_000), keeps_client: true, ..a_set(vec![endpoints(2)]) };
    insta::assert_snapshot!(render(&set(SetId(9), &affine, true)));
}

#[test]
fn what_has_no_endpoints_is_refused_or_dropped() {
    let with = |backends: Backends| Set { backends, ..a_set(vec![]) };
    let lines: Vec<String> = [
        set(SetId(1), &with(Backends::Refuse), true),
        set(SetId(2), &with(Backends::Drop), true),
        set(SetId(3), &a_set(vec![endpoints(1)]), false),
    ]
    .iter()
    .map(render)
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_flows_of_frontends() {
    let address =
        Frontend { at: At::Address("10.96.0.20".parse().unwrap()), protocol: Protocol::Tcp, port: 80 };
    let node = Frontend { at: At::Node { ipv6: true }, protocol: Protocol::Udp, port: 30_053 };
    let stand_in = Frontend { at: At::StandIn { ipv6: false }, protocol: Protocol::Tcp, port: 1080 };
    let same = Target { inside: SetId(1), outside: SetId(1), sources: [].into() };
    let local = Target { outside: SetId(2), ..same.clone() };
    let sources: Arc<[IpNet]> = ["192.0.2.0/24".parse().unwrap(), "198.51.100.0/24".parse().unwrap()].into();
    let limited = Target { sources, ..local.clone() };
    let cases = BTreeMap::from([
        ("a", (&address, &same)),
        ("b", (&node, &local)),
        ("c", (&address, &limited)),
        ("d", (&stand_in, &same)),
    ]);
    let lines: Vec<String> = cases
        .values()
        .flat_map(|(at, target)| frontend(at, target))
        .chain([node_address("192.0.2.1".parse().unwrap())])
        .map(|flow| flow.to_string())
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn nothing_comes_under_a_loopback_address() {
    let at = At::Address("127.0.0.1".parse().unwrap());
    let target = Target { inside: SetId(1), outside: SetId(2), sources: [].into() };
    assert_eq!(frontend(&Frontend { at, protocol: Protocol::Tcp, port: 80 }, &target), []);
}

#[test]
fn buckets_lead_back_to_endpoints() {
    let part = endpoints(3);
    assert_eq!(bucket_endpoint(&part, 2), Some(part[1]));
    assert_eq!(bucket_endpoint(&part, 4), Some(part[2]), "the one for the weights");
    assert_eq!((bucket_endpoint(&part, 0), bucket_endpoint(&part, 5)), (None, None));
}

#[test]
fn parts_are_read_back_from_groups() {
    let parts = |base: u16| -> Vec<Arc<[SocketAddr]>> {
        (0..2)
            .map(|part| (1..=20).map(|n| SocketAddr::from(([10, 0, 2, part], base + n))).collect())
            .collect()
    };
    let (plain, affine) = (a_set(parts(0)), Set { affinity: Some(60), ..a_set(parts(100)) });
    let mut groups = hashes();
    groups.extend(set(SetId(5), &plain, true).groups);
    groups.extend(set(SetId(6), &affine, true).groups);
    groups.extend(set(SetId(7), &a_set(vec![endpoints(3)]), true).groups);
    let mut lacking = set(SetId(8), &plain, true).groups;
    lacking.remove(0);
    groups.extend(lacking);
    let recalled = recall(&groups);
    let expected = [(SetId(5), Parts(parts(0))), (SetId(6), Parts(parts(100)))];
    assert_eq!(recalled, BTreeMap::from(expected), "only sets of several parts, and only whole ones");
}

#[test]
fn packed_groups_are_sent_as_they_were() {
    let affine = Set { affinity: Some(60), keeps_client: true, ..a_set(vec![endpoints(32)]) };
    let mut groups = hashes();
    groups.extend(set(SetId(SetId::MAX), &affine, true).groups);
    groups.extend(set(SetId(3), &a_set(vec![endpoints(31)]), true).groups);
    for group in groups {
        let packed = PackedGroup::from(group.clone());
        assert_eq!(packed.key(), group.id);
        assert_eq!(packed.put(), Message::GroupMod(GroupMod::add_or_modify(group)));
    }
}
