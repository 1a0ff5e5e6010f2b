//! Endpoints in parts.
//!
//! What [`place`] makes of endpoints depends on what they were before, so that one that comes or goes changes one part, or
//! two where another endpoint has to move for the sake of balance. Only when the number of parts changes, everything is
//! placed anew. Placed from nothing, the parts depend on the endpoints alone; then they may be others than those that came
//! about bit by bit, though as many or fewer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::lb::Parts;

/// Puts endpoints (in ascending order, each once) into parts that differ in size by at most one. Parts that stay as they
/// were are the same allocations.
#[must_use]
pub fn place(before: Option<&Parts>, endpoints: &[SocketAddr]) -> Parts {
    let before = before.map_or(&[][..], |parts| &parts.0);
    let count = count(before.len(), endpoints.len());
    if count != before.len() {
        return anew(count, endpoints);
    }
    let mut sizes = Vec::with_capacity(count);
    let mut parts: Vec<Vec<SocketAddr>> = Vec::with_capacity(count);
    let mut known = Vec::with_capacity(endpoints.len());
    for part in before {
        let stay = part.iter().filter(|endpoint| endpoints.binary_search(endpoint).is_ok());
        let stay: Vec<_> = stay.copied().collect();
        known.extend_from_slice(&stay);
        sizes.push(stay.len());
        parts.push(stay);
    }
    known.sort_unstable();
    let mut order = Order::new(&sizes);
    for endpoint in endpoints.iter().filter(|endpoint| known.binary_search(endpoint).is_err()) {
        let Some(smallest) = order.grow_smallest() else { break };
        if let Some(part) = parts.get_mut(smallest) {
            part.push(*endpoint);
        }
    }
    while let Some((largest, smallest)) = order.level() {
        let moved = parts.get_mut(largest).and_then(Vec::pop);
        if let (Some(moved), Some(part)) = (moved, parts.get_mut(smallest)) {
            part.push(moved);
        }
    }
    let parts = parts.into_iter().zip(before).map(|(mut part, before)| {
        part.sort_unstable();
        if part[..] == before[..] { Arc::clone(before) } else { part.into() }
    });
    Parts(parts.collect())
}

/// How many parts there are: more when they would be too large, fewer only when a quarter would do.
fn count(before: usize, endpoints: usize) -> usize {
    if endpoints == 0 {
        return 0;
    }
    let enough = endpoints.div_ceil(Parts::SIZE).next_power_of_two().min(Parts::MOST);
    if enough >= before {
        return enough;
    }
    let mut count = before;
    while count > 1 && endpoints <= count * Parts::SIZE / 4 {
        count /= 2;
    }
    count
}

fn anew(count: usize, endpoints: &[SocketAddr]) -> Parts {
    let part = |index| endpoints.iter().skip(index).step_by(count).copied().collect();
    Parts((0..count).map(part).collect())
}

/// Parts in the order of their sizes.
struct Order(BTreeSet<(usize, usize)>);

impl Order {
    fn new(sizes: &[usize]) -> Self {
        Self(sizes.iter().enumerate().map(|(index, size)| (*size, index)).collect())
    }

    /// The smallest part, the first of several, has one more.
    fn grow_smallest(&mut self) -> Option<usize> {
        let (size, index) = self.0.pop_first()?;
        self.0.insert((size + 1, index));
        Some(index)
    }

    /// One moves from the largest part to the smallest, if they differ by more than one.
    fn level(&mut self) -> Option<(usize, usize)> {
        let ((least, smallest), (most, largest)) = (*self.0.first()?, *self.0.last()?);
        if most <= least + 1 {
            return None;
        }
        self.0.pop_first();
        self.0.pop_last();
        self.0.extend([(least + 1, smallest), (most - 1, largest)]);
        Some((largest, smallest))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn endpoint(number: u32) -> SocketAddr {
        (Ipv4Addr::from_bits(0x0a00_0000 + number), 80).into()
    }

    fn endpoints(numbers: impl IntoIterator<Item = u32>) -> Vec<SocketAddr> {
        numbers.into_iter().map(endpoint).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What holds of all placements.
    fn check(parts: &Parts, endpoints: &[SocketAddr]) {
        let mut placed: Vec<_> = parts.iter().collect();
        placed.sort_unstable();
        assert_eq!(placed, endpoints);
        let sizes = || parts.0.iter().map(|part| part.len());
        let (Some(least), Some(most)) = (sizes().min(), sizes().max()) else { return };
        assert!(least > 0 && most - least <= 1, "{least} and {most}");
        assert!(most <= Parts::SIZE || parts.0.len() == Parts::MOST);
        assert!(parts.0.len().is_power_of_two() && parts.0.len() <= Parts::MOST);
        assert!(parts.0.iter().all(|part| part.is_sorted()));
    }

    /// How many parts are others; those that are not must be the same allocations.
    fn changed(before: &Parts, after: &Parts) -> usize {
        let both = before.0.iter().zip(&after.0);
        both.filter(|(before, after)| {
            assert_eq!(before == after, Arc::ptr_eq(before, after));
            before != after
        })
        .count()
    }

    #[test]
    fn there_are_more_parts_when_they_are_full_and_fewer_when_a_quarter_would_do() {
        let mut parts = Parts(Vec::new());
        let mut count = |number: u32| {
            let all = endpoints(0..number);
            parts = place(Some(&parts), &all);
            check(&parts, &all);
            parts.0.len()
        };
        let sizes = [0, 1, 32, 33, 64, 65, 33, 32, 17, 16, 9, 8192, 9000, 2048, 300, 0];
        let expected = [0, 1, 1, 2, 2, 4, 4, 2, 2, 1, 1, 256, 256, 128, 32, 0];
        assert_eq!(sizes.map(&mut count), expected);
    }

    #[test]
    fn from_nothing_it_depends_on_the_endpoints_alone() {
        let all = endpoints(0..100);
        let parts = place(None, &all);
        assert_eq!(parts, place(Some(&Parts(Vec::new())), &all));
        assert_eq!(parts.0.len(), 4);
        check(&parts, &all);
    }

    #[test]
    fn a_part_that_stays_is_the_same_allocation() {
        let parts = place(None, &endpoints(0..64));
        assert_eq!(changed(&parts, &place(Some(&parts), &endpoints(0..64))), 0);
        assert_eq!(changed(&parts, &place(Some(&parts), &endpoints(0..63))), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// One at a time, around numbers where parts become more or fewer.
        #[test]
        fn one_endpoint_changes_at_most_two_parts(
            start in prop::sample::select(&[5_u32, 30, 66, 120, 300, 1030][..]),
            steps in prop::collection::vec((0..1500_u32, any::<bool>()), 1..150),
        ) {
            let mut all: BTreeSet<u32> = (0..start).collect();
            let mut parts = place(None, &endpoints(all.iter().copied()));
            for (number, comes) in steps {
                if comes {
                    all.insert(number);
                } else {
                    let gone = all.range(number % 400..).next().copied();
                    gone.map(|gone| all.remove(&gone));
                }
                let endpoints = endpoints(all.iter().copied());
                let next = place(Some(&parts), &endpoints);
                check(&next, &endpoints);
                if next.0.len() == parts.0.len() {
                    prop_assert!(changed(&parts, &next) <= 2);
                }
                parts = next;
            }
        }

        /// Many at a time.
        #[test]
        fn what_stays_is_placed_with_what_comes(
            sets in prop::collection::vec(prop::collection::btree_set(0..2000_u32, 0..700), 1..6),
        ) {
            let mut parts = Parts(Vec::new());
            for set in sets {
                let endpoints = endpoints(set);
                let next = place(Some(&parts), &endpoints);
                check(&next, &endpoints);
                prop_assert_eq!(&next, &place(Some(&parts), &endpoints));
                parts = next;
            }
        }

        /// More than all parts should have.
        #[test]
        fn too_many_are_placed_all_the_same(number in 8190..8300_u32, gone in 0..8190_u32) {
            let mut all = endpoints(0..number);
            let parts = place(None, &all);
            check(&parts, &all);
            all.retain(|one| *one != endpoint(gone));
            let next = place(Some(&parts), &all);
            check(&next, &all);
            prop_assert!(changed(&parts, &next) <= 2);
        }
    }
}
