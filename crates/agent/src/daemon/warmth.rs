//! Which tunnel ends the host is to look for next, and how many at once. No I/O.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

/// Tunnel ends looked for between two ticks. Each is a broadcast, and all nodes send them.
const AT_ONCE: usize = 64;

/// The ends of tunnels, in the order in which the host looks for their MACs.
#[derive(Debug)]
pub(super) struct Warmth {
    /// Ends that were looked for or wait in the queue.
    known: HashSet<IpAddr>,
    queue: VecDeque<IpAddr>,
    left: usize,
}

impl Default for Warmth {
    fn default() -> Self {
        Self { known: HashSet::new(), queue: VecDeque::new(), left: AT_ONCE }
    }
}

impl Warmth {
    /// Time has passed: as many as that may be looked for.
    pub(super) fn tick(&mut self) {
        self.left = AT_ONCE;
    }

    /// All are to be looked for once more, if the last round is over.
    pub(super) fn again(&mut self) {
        if self.queue.is_empty() {
            self.known.clear();
        }
    }

    /// Whether all ends are to be met, old ones too.
    pub(super) fn is_cold(&self) -> bool {
        self.known.is_empty()
    }

    /// The ends that there are. New ones go before those that are looked for once more.
    pub(super) fn meet(&mut self, ends: impl Iterator<Item = IpAddr>) {
        for end in ends {
            if self.known.insert(end) {
                self.queue.push_front(end);
            }
        }
    }

    /// The ends to look for now.
    pub(super) fn next(&mut self) -> Vec<IpAddr> {
        let count = self.left.min(self.queue.len());
        self.left -= count;
        self.queue.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(from: u16, to: u16) -> impl Iterator<Item = IpAddr> {
        (from..to).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]))
    }

    #[test]
    fn thousands_of_nodes_are_looked_for_bit_by_bit_and_each_once_a_round() {
        let mut warmth = Warmth::default();
        for _ in 0..2 {
            assert!(warmth.is_cold());
            warmth.meet(ends(0, 1000));
            let mut found = HashSet::new();
            let mut ticks = 0;
            while found.len() < 1000 {
                let next = warmth.next();
                assert!(!next.is_empty() && next.len() <= AT_ONCE);
                assert!(next.iter().all(|end| found.insert(*end)), "twice in one round");
                assert_eq!(warmth.next(), Vec::<IpAddr>::new(), "the tick's share is used up");
                warmth.tick();
                ticks += 1;
                // An audit does not begin a new round before the last is over.
                if found.len() < 1000 {
                    warmth.again();
                    assert!(!warmth.is_cold());
                }
            }
            assert_eq!(ticks, 1000_usize.div_ceil(AT_ONCE));
            warmth.again();
        }
    }

    #[test]
    fn a_new_node_is_looked_for_before_old_ones_once_more() {
        let mut warmth = Warmth::default();
        warmth.meet(ends(0, 1000));
        warmth.next();
        warmth.meet(ends(0, 1001));
        warmth.tick();
        assert!(warmth.next().contains(&ends(1000, 1001).next().unwrap()));
    }
}
