//! Ids: 24 bits derived from what they stand for.
//!
//! The same content gives the same id in every process and every release, so that a restarted daemon finds its entries
//! in the switch. Should two contents that exist at one time want one id, the later one takes the next free one.

use std::collections::HashSet;

use crate::lb::SetId;

/// A digest of content, 64 bits: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), its bits mixed at the end. The
/// standard library's hashes promise nothing across releases.
#[derive(Clone, Copy)]
pub(crate) struct Digest(u64);

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Digest {
    /// Of nothing yet; `kind` keeps different kinds of content apart.
    pub(crate) fn new(kind: &str) -> Self {
        Self(OFFSET).text(kind)
    }

    /// Adds a text. No UTF-8 contains the byte that ends it here.
    pub(crate) fn text(self, text: &str) -> Self {
        text.bytes().fold(self, Self::byte).byte(0xff)
    }

    /// Adds a number.
    pub(crate) fn number(self, number: u64) -> Self {
        number.to_be_bytes().into_iter().fold(self, Self::byte)
    }

    fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ u64::from(byte)).wrapping_mul(PRIME))
    }

    /// The digest. FNV alone leaves the last bytes in the low bits; these are the finalising steps of `SplitMix64`.
    pub(crate) fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The ids of sets that are taken. There are 2^24: more than a node could hold sets.
#[derive(Default)]
pub(crate) struct Ids {
    taken: HashSet<u32>,
}

impl Ids {
    /// Takes the id for a digest, or the next one that is free.
    pub(crate) fn take(&mut self, digest: u64) -> SetId {
        let mut id = u32::try_from(digest >> 40).unwrap_or_default();
        while id == 0 || !self.taken.insert(id) {
            id = if id >= SetId::MAX { 1 } else { id + 1 };
        }
        SetId(id)
    }

    /// Gives an id back.
    pub(crate) fn release(&mut self, id: SetId) {
        self.taken.remove(&id.0);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_same_id_for_ever() {
        let digest = Digest::new("set").text("kube-system").text("kube-dns").number(7).finish();
        assert_eq!(Ids::default().take(digest), SetId(12_021_511));
    }

    #[test]
    fn texts_do_not_run_together() {
        let (a, b) = (Digest::new("k").text("ab").text("c"), Digest::new("k").text("a").text("bc"));
        assert_ne!(a.finish(), b.finish());
    }

    #[test]
    fn an_id_that_is_taken_or_zero_is_passed_over() {
        let mut ids = Ids::default();
        assert_eq!(ids.take(5 << 40), SetId(5));
        assert_eq!(ids.take(5 << 40 | 1), SetId(6));
        assert_eq!(ids.take(0), SetId(1));
        assert_eq!(ids.take(u64::MAX), SetId(SetId::MAX));
        assert_eq!(ids.take(u64::MAX), SetId(2));
        ids.release(SetId(5));
        assert_eq!(ids.take(5 << 40), SetId(5));
    }
}
