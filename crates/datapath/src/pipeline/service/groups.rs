//! Groups: their numbers, those that only hash, and what can be read back from them.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use openflow::{Action, Bucket, Field, Group, Nat, SelectionMethod, Subfield};
use service::lb::{Parts, SetId};

use crate::{Table, fields};

/// Group ids below this are those that only hash, by the number of bits that they copy.
pub(super) const FIRST_SET: u32 = 1 << 8;
/// The first bit of the hash that names a part; those below number slots.
const PART_BITS: u16 = 16;

/// The group of a part of a set.
#[must_use]
pub fn group_id(id: SetId, part: u32) -> u32 {
    // 24 bits of the set, 8 of the part; sets are never zero.
    FIRST_SET.saturating_mul(id.0) | part & (FIRST_SET - 1)
}

/// The groups that only have the datapath hash packets, and copy as many bits of the hash as there may be parts.
#[must_use]
pub fn hashes() -> Vec<Group> {
    let most = Parts::MOST.ilog2();
    let bits = (1..).zip(1..=most);
    bits.map(|(bits, id): (u16, u32)| {
        let hash = Subfield::new(Field::DpHash, PART_BITS, bits);
        let part = Subfield::new(fields::PART.field, 0, bits);
        let actions = vec![Action::move_field(hash, part), Action::resubmit(Table::Part.number())];
        Group::select(id, Some(SelectionMethod::dp_hash())).bucket(Bucket::weighted(1, 1, actions))
    })
    .collect()
}

/// How many packets, of new connections, went to which endpoint, from the counters of the buckets of a set's group: the
/// buckets of [`Parts`]' part, in its order, and the one that is there for the weights and leads to the last endpoint.
#[must_use]
pub fn bucket_endpoint(part: &[SocketAddr], bucket: u32) -> Option<SocketAddr> {
    let index = usize::try_from(bucket).ok()?.checked_sub(1)?;
    part.get(index).or_else(|| part.last().filter(|_| index == part.len())).copied()
}

/// The parts of large sets, as the groups of a switch have them: an endpoint stays in its part when a daemon is started anew.
#[must_use]
pub fn recall(groups: &[Group]) -> BTreeMap<SetId, Parts> {
    let mut found: BTreeMap<SetId, BTreeMap<u32, Vec<SocketAddr>>> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.id >= FIRST_SET) {
        let (set, part) = (SetId(group.id / FIRST_SET), group.id % FIRST_SET);
        let mut endpoints: Vec<_> =
            group.buckets.iter().filter_map(|bucket| endpoint_of(&bucket.actions)).collect();
        endpoints.sort_unstable();
        // The bucket that is there for the weights leads to one of them again.
        endpoints.dedup();
        found.entry(set).or_default().insert(part, endpoints);
    }
    // Part by part, from the first: what lacks one is not ours to go on from.
    found.retain(|_, parts| parts.len() > 1 && (0..).zip(parts.keys()).all(|(number, part)| number == *part));
    let parts = |parts: BTreeMap<u32, Vec<SocketAddr>>| Parts(parts.into_values().map(Into::into).collect());
    found.into_iter().map(|(set, of_set)| (set, parts(of_set))).collect()
}

/// Where a bucket leads to.
fn endpoint_of(actions: &[Action]) -> Option<SocketAddr> {
    let kept = |wanted: Field| {
        actions.iter().find_map(|action| match action {
            Action::SetField { field, value, .. } if *field == wanted => Some(*value),
            _ => None,
        })
    };
    let translated = actions.iter().find_map(|action| match action {
        Action::Ct(ct) => ct.actions.iter().find_map(|action| match action {
            Action::Nat(Nat { range: Some(range), .. }) => Some(SocketAddr::new(range.min, range.port_min)),
            _ => None,
        }),
        _ => None,
    });
    translated.or_else(|| {
        let port = u16::try_from(kept(fields::ENDPOINT)? & 0xffff).ok()?;
        Some(SocketAddr::new(Ipv6Addr::from_bits(kept(fields::ADDRESS)?).to_canonical(), port))
    })
}
