//! Sets of addresses: what the ipBlocks of one rule contain together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::selectors::Wrong;
use crate::spec::IpBlock;
use incremental::Digest;

/// A prefix; its bits are those of the address, from the left. In this order a prefix stands before all it covers, and
/// what it covers stands together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Prefix {
    family: Family,
    bits: u128,
    length: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

/// The bits of all addresses that a prefix of this length leaves open.
fn open(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

impl Prefix {
    /// The prefix of an address, of which host bits do not count.
    fn new(address: IpAddr, length: u8) -> Self {
        let (family, bits) = match address {
            IpAddr::V4(v4) => (Family::V4, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (Family::V6, v6.to_bits()),
        };
        Self { family, bits: bits & !open(length), length }
    }

    /// What is written as a CIDR. IPv4 that is mapped into IPv6 (`::ffff:10.0.0.0/104`) is IPv4.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        if !length.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let length: u8 = length.parse().ok()?;
        let mapped = match address {
            IpAddr::V6(v6) if length >= 96 => v6.to_ipv4_mapped(),
            _ => None,
        };
        match mapped {
            Some(v4) if length <= 128 => Some(Self::new(v4.into(), length - 96)),
            _ => (length <= if address.is_ipv4() { 32 } else { 128 }).then(|| Self::new(address, length)),
        }
    }

    fn last(self) -> u128 {
        self.bits | open(self.length)
    }

    /// Whether all of `other` lies in it.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.family == other.family
            && self.length <= other.length
            && other.bits & !open(self.length) == self.bits
    }

    /// The first `length` bits of it.
    pub(crate) fn shortened(self, length: u8) -> Self {
        Self { bits: self.bits & !open(length), length, ..self }
    }

    pub(crate) fn length(self) -> u8 {
        self.length
    }

    /// The last one in its order that it covers.
    pub(crate) fn end(self) -> Self {
        Self { bits: self.last(), length: 128, ..self }
    }

    fn halves(self) -> [Self; 2] {
        let length = self.length + 1;
        let bit = open(self.length) & !open(length);
        [Self { length, ..self }, Self { bits: self.bits | bit, length, ..self }]
    }
}

impl From<Prefix> for IpNet {
    fn from(prefix: Prefix) -> Self {
        let address: IpAddr = match prefix.family {
            Family::V4 => Ipv4Addr::from_bits(u32::try_from(prefix.bits >> 96).unwrap_or(0)).into(),
            Family::V6 => Ipv6Addr::from_bits(prefix.bits).into(),
        };
        Self::new(address, prefix.length).unwrap_or_else(|_| address.into())
    }
}

/// Addresses, as ranges in ascending order, none of which touch. So one set is written in one way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CidrSet {
    ranges: [Box<[Range]>; 2],
}

type Range = (u128, u128);

impl CidrSet {
    /// What any of the blocks contains. A block that is wrong contains nothing.
    pub(crate) fn new<'a>(blocks: impl Iterator<Item = &'a IpBlock>) -> (Self, Vec<Option<Vec<Wrong>>>) {
        let mut ranges = [Vec::new(), Vec::new()];
        let mut wrongs = Vec::new();
        for block in blocks {
            wrongs.push(match parse(block) {
                Ok((cidr, excepts)) => {
                    let [v4, v6] = &mut ranges;
                    let ranges = if cidr.family == Family::V4 { v4 } else { v6 };
                    ranges.extend(without(cidr, excepts));
                    None
                }
                Err(wrong) => Some(wrong),
            });
        }
        (Self { ranges: ranges.map(union) }, wrongs)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.iter().all(|ranges| ranges.is_empty())
    }

    pub(crate) fn digest(&self) -> u64 {
        let halves = |number: u128| [number >> 64, number & u128::from(u64::MAX)];
        self.ranges
            .iter()
            .fold(Digest::new("cidrs"), |digest, ranges| {
                let numbers = ranges.iter().flat_map(|(first, last)| [*first, *last]).flat_map(halves);
                let digest = digest.number(u64::try_from(ranges.len()).unwrap_or(u64::MAX));
                numbers.fold(digest, |digest, half| digest.number(u64::try_from(half).unwrap_or(u64::MAX)))
            })
            .finish()
    }

    /// The fewest prefixes that say which addresses belong to it, where the longest counts and none means no; in
    /// ascending order.
    pub(crate) fn marks(&self) -> Vec<(Prefix, bool)> {
        let [v4, v6] = &self.ranges;
        let mut marks = Vec::new();
        for (family, ranges) in [(Family::V4, v4), (Family::V6, v6)] {
            let root = Prefix { family, bits: 0, length: 0 };
            mark(root, &tree(root, ranges), false, &mut marks);
        }
        marks
    }
}

/// Which addresses under a prefix belong to a set.
enum Tree {
    All(bool),
    /// The halves, and what the prefix had best say; `None`: one is as good as the other.
    Halves(Option<bool>, Box<[Tree; 2]>),
}

impl Tree {
    fn best(&self) -> Option<bool> {
        match self {
            Self::All(belongs) => Some(*belongs),
            Self::Halves(best, _) => *best,
        }
    }
}

fn tree(prefix: Prefix, ranges: &[Range]) -> Tree {
    let begin = ranges.partition_point(|(_, last)| *last < prefix.bits);
    let end = ranges.partition_point(|(first, _)| *first <= prefix.last());
    match ranges.get(begin..end).unwrap_or_default() {
        [] => Tree::All(false),
        [(first, last)] if *first <= prefix.bits && prefix.last() <= *last => Tree::All(true),
        ranges => {
            let halves = Box::new(prefix.halves().map(|half| tree(half, ranges)));
            let [a, b] = &*halves;
            let best = match (a.best(), b.best()) {
                (Some(a), Some(b)) if a != b => None,
                (a, b) => a.or(b),
            };
            Tree::Halves(best, halves)
        }
    }
}

fn mark(prefix: Prefix, tree: &Tree, covering: bool, marks: &mut Vec<(Prefix, bool)>) {
    let says = tree.best().unwrap_or(covering);
    if says != covering {
        marks.push((prefix, says));
    }
    if let Tree::Halves(_, trees) = tree {
        for (half, tree) in prefix.halves().into_iter().zip(&**trees) {
            mark(half, tree, says, marks);
        }
    }
}

fn parse(block: &IpBlock) -> Result<(Prefix, Vec<Prefix>), Vec<Wrong>> {
    let not_a_cidr = |path: String, text: &str| {
        let message = format!("{text:?} is no CIDR: write an address, a slash and the length of the prefix");
        (path, message)
    };
    let Some(cidr) = Prefix::parse(&block.cidr) else {
        return Err(vec![not_a_cidr(".cidr".to_owned(), &block.cidr)]);
    };
    let (mut excepts, mut wrong) = (Vec::new(), Vec::new());
    for (index, text) in block.except.iter().flatten().enumerate() {
        let path = format!(".except[{index}]");
        match Prefix::parse(text) {
            Some(except) if cidr.covers(except) && cidr != except => excepts.push(except),
            Some(_) => wrong.push((
                path,
                format!("{text} is no part of {}: the whole block allows nothing until it is", block.cidr),
            )),
            None => wrong.push(not_a_cidr(path, text)),
        }
    }
    if wrong.is_empty() { Ok((cidr, excepts)) } else { Err(wrong) }
}

fn without(cidr: Prefix, excepts: Vec<Prefix>) -> Vec<Range> {
    let (mut next, mut ranges) = (Some(cidr.bits), Vec::new());
    for (first, last) in union(excepts.into_iter().map(|except| (except.bits, except.last())).collect()) {
        if let Some(begin) = next
            && begin < first
        {
            ranges.push((begin, first - 1));
        }
        next = last.checked_add(1);
    }
    if let Some(begin) = next
        && begin <= cidr.last()
    {
        ranges.push((begin, cidr.last()));
    }
    ranges
}

/// Joins ranges that overlap or touch.
fn union(mut ranges: Vec<Range>) -> Box<[Range]> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(blocks: &[(&str, &[&str])]) -> CidrSet {
        let block = |(cidr, except): &(&str, &[&str])| IpBlock {
            cidr: (*cidr).to_owned(),
            except: Some(except.iter().map(|text| (*text).to_owned()).collect()),
        };
        let blocks: Vec<_> = blocks.iter().map(block).collect();
        CidrSet::new(blocks.iter()).0
    }

    fn marks(blocks: &[(&str, &[&str])]) -> String {
        let marks = set(blocks).marks().into_iter();
        let text = |(prefix, belongs)| format!("{}{}", if belongs { "+" } else { "-" }, IpNet::from(prefix));
        marks.map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_set_is_told_with_the_fewest_prefixes() {
        assert_eq!(marks(&[("0.0.0.0/0", &["10.0.0.0/8", "10.1.0.0/16"])]), "+0.0.0.0/0 -10.0.0.0/8");
        assert_eq!(marks(&[("10.0.0.0/9", &[]), ("10.128.0.0/9", &[])]), "+10.0.0.0/8");
        assert_eq!(marks(&[("::/0", &["fd00::/8"]), ("10.0.0.7/8", &[])]), "+10.0.0.0/8 +::/0 -fd00::/8");
        assert_eq!(marks(&[("10.0.0.1/32", &[])]), "+10.0.0.1/32");
        assert_eq!(
            marks(&[("255.255.255.255/32", &[]), ("ffff::/16", &["ffff:ffff::/32"])]),
            "+255.255.255.255/32 +ffff::/16 -ffff:ffff::/32"
        );
    }

    #[test]
    fn an_exception_counts_only_in_its_own_block() {
        assert_eq!(
            marks(&[("10.0.0.0/8", &["10.1.0.0/16"]), ("10.1.2.0/24", &[])]),
            "+10.0.0.0/8 -10.1.0.0/16 +10.1.2.0/24"
        );
        assert_eq!(marks(&[("10.0.0.0/8", &["10.1.0.0/16"]), ("10.1.0.0/16", &[])]), "+10.0.0.0/8");
    }

    #[test]
    fn equal_sets_are_equal_however_they_are_written() {
        let a = set(&[("10.0.0.0/8", &["10.128.0.0/9"])]);
        let b = set(&[("10.64.0.0/10", &[]), ("10.0.0.5/10", &[]), ("10.0.0.0/16", &[])]);
        assert_eq!((&a, a.digest()), (&b, b.digest()));
        assert!(set(&[("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/9"])]).is_empty());
    }

    #[test]
    fn a_block_that_is_wrong_contains_nothing() {
        for (cidr, except) in [
            ("10.0.0.0", ""),
            ("10.0.0.0/33", ""),
            ("10.0.0.0/+8", ""),
            ("", ""),
            ("x/8", ""),
            ("10.0.0.0/8", "11.0.0.0/16"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8", "0.0.0.0/0"),
            ("10.0.0.0/8", "fd00::/64"),
            ("10.0.0.0/8", "10"),
            ("::/129", ""),
            ("::1/", ""),
        ] {
            let except = (!except.is_empty()).then(|| vec![except.to_owned()]);
            let block = IpBlock { cidr: cidr.to_owned(), except };
            let (set, wrong) = CidrSet::new([&block].into_iter());
            assert!(set.is_empty() && matches!(&wrong[..], [Some(_)]), "{block:?}");
        }
    }

    #[test]
    fn mapped_ipv4_is_ipv4() {
        assert_eq!(Prefix::parse("::ffff:10.1.0.0/104"), Prefix::parse("10.0.0.0/8"));
        assert_eq!(Prefix::parse("::ffff:10.1.0.0/129"), None);
    }
}
