//! Ids derived from what they stand for.
//!
//! The same content gives the same id in every process and every release, so that a restarted daemon finds its entries
//! in the switch. Should two contents that exist at one time want one id, the later one takes the next free one.

use std::collections::HashSet;

/// A digest of content, 64 bits: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), its bits mixed at the end. The
/// standard library's hashes promise nothing across releases.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Digest {
    /// Of nothing yet; `kind` keeps the contents of different tables apart.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self(OFFSET).text(kind)
    }

    /// Adds a text. No UTF-8 contains the byte that ends it here.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        text.bytes().fold(self, Self::byte).byte(0xff)
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        number.to_be_bytes().into_iter().fold(self, Self::byte)
    }

    /// Adds digests whose order does not count.
    #[must_use]
    pub fn set(self, members: impl Iterator<Item = u64>) -> Self {
        self.number(members.fold(0, u64::wrapping_add))
    }

    fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ u64::from(byte)).wrapping_mul(PRIME))
    }

    /// The digest. FNV alone leaves the last bytes in the low bits; these are the finalising steps of `SplitMix64`.
    #[must_use]
    pub fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The ids of one table that are taken: of so many bits, at most 32, and never zero.
#[derive(Debug, Default)]
pub struct Ids<const BITS: u32> {
    taken: HashSet<u32>,
}

impl<const BITS: u32> Ids<BITS> {
    const MAX: u32 = u32::MAX >> (32 - BITS);

    /// Takes the id for a digest, or the next one that is free. There must be one.
    pub fn take(&mut self, digest: u64) -> u32 {
        let mut id = u32::try_from(digest >> (64 - BITS)).unwrap_or_default();
        while id == 0 || !self.taken.insert(id) {
            id = if id >= Self::MAX { 1 } else { id + 1 };
        }
        id
    }

    /// Gives an id back.
    pub fn release(&mut self, id: u32) {
        self.taken.remove(&id);
    }

    /// Whether none is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_same_id_for_ever() {
        let digest = Digest::new("namespace").text("kube-system").number(7).finish();
        assert_eq!(digest, 0x81b4_fe40_ecf6_542e);
        assert_eq!(Ids::<32>::default().take(digest), 0x81b4_fe40);
        assert_eq!(Ids::<24>::default().take(digest), 0x0081_b4fe);
    }

    #[test]
    fn texts_do_not_run_together() {
        let (a, b) = (Digest::new("k").text("ab").text("c"), Digest::new("k").text("a").text("bc"));
        assert_ne!(a.finish(), b.finish());
    }

    #[test]
    fn an_id_that_is_taken_or_zero_is_passed_over() {
        let mut ids = Ids::<32>::default();
        assert_eq!(ids.take(5 << 32), 5);
        assert_eq!(ids.take(5 << 32 | 1), 6);
        assert_eq!(ids.take(0), 1);
        assert_eq!(ids.take(u64::MAX), u32::MAX);
        assert_eq!(ids.take(u64::MAX), 2);
        ids.release(5);
        assert_eq!(ids.take(5 << 32), 5);
    }

    #[test]
    fn ids_of_fewer_bits_go_round_earlier() {
        let mut ids = Ids::<24>::default();
        assert_eq!(ids.take(u64::MAX), 0x00ff_ffff);
        assert_eq!(ids.take(u64::MAX), 1);
        assert!(!ids.is_empty());
        ids.release(1);
        ids.release(0x00ff_ffff);
        assert!(ids.is_empty());
    }
}
