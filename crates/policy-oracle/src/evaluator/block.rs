//! Blocks of addresses.

use std::net::IpAddr;

use policy::spec::IpBlock;

/// A CIDR: the family's width, the network's bits counted from the left, and how many of them count.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cidr {
    width: u32,
    bits: u128,
    length: u32,
}

pub(super) fn contains(block: &IpBlock, address: IpAddr) -> bool {
    let Some(cidr) = parse(&block.cidr) else { return false };
    let mut excepted = false;
    for except in block.except.iter().flatten() {
        match parse(except) {
            Some(except) if within(except, cidr) => excepted |= within(host(address), except),
            _ => return false,
        }
    }
    within(host(address), cidr) && !excepted
}

fn host(address: IpAddr) -> Cidr {
    match address {
        IpAddr::V4(v4) => Cidr { width: 32, bits: u128::from(v4.to_bits()) << 96, length: 32 },
        IpAddr::V6(v6) => Cidr { width: 128, bits: v6.to_bits(), length: 128 },
    }
}

fn parse(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    if length.is_empty() || !length.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let cidr = Cidr { length: length.parse().ok()?, ..host(address) };
    (cidr.length <= cidr.width).then_some(cidr)
}

/// Whether all of `inner` lies in `outer`.
fn within(inner: Cidr, outer: Cidr) -> bool {
    let network = |bits: u128| if outer.length == 0 { 0 } else { bits >> (128 - outer.length) };
    inner.width == outer.width && inner.length >= outer.length && network(inner.bits) == network(outer.bits)
}
