//! Who has an address.
//!
//! While the news of a change is half told, two pods can claim one. The later claim counts, and the earlier one again
//! when that is gone.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::rules::Identity;
use incremental::Journal;

/// 16 bytes instead of the 17 of an [`IpAddr`]; IPv4 as it is mapped into IPv6 (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address([u8; 16]);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        Self::from(address.0).to_canonical()
    }
}

#[derive(Default)]
pub(crate) struct Addresses {
    /// The pod whose claim counts.
    claims: HashMap<Address, u32>,
    /// All claims on an address that has several, in the order of their arrival.
    contested: HashMap<Address, Vec<u32>>,
    journal: Journal<Address, Identity>,
}

impl Addresses {
    /// A pod claims an address. Returns the pod whose claim counted so far.
    pub(crate) fn claim(&mut self, address: Address, pod: u32) -> Option<u32> {
        let before = self.claims.insert(address, pod)?;
        self.contested.entry(address).or_insert_with(|| vec![before]).push(pod);
        Some(before)
    }

    /// A pod claims an address no longer. Returns the pod whose claim counts now.
    pub(crate) fn unclaim(&mut self, address: Address, pod: u32) -> Option<u32> {
        let Some(claims) = self.contested.get_mut(&address) else {
            self.claims.remove(&address);
            return None;
        };
        claims.retain(|other| *other != pod);
        let winner = claims.last().copied();
        if claims.len() < 2 {
            self.contested.remove(&address);
        }
        if let Some(winner) = winner {
            self.claims.insert(address, winner);
        }
        winner
    }

    /// Whether a pod's claim counts.
    pub(crate) fn is_of(&self, address: Address, pod: u32) -> bool {
        self.claims.get(&address) == Some(&pod)
    }

    pub(crate) fn record(&mut self, address: Address, before: Option<Identity>, after: Option<Identity>) {
        self.journal.record(address, before, after);
    }

    /// The entries that differ since the last call.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (IpAddr, Option<Identity>)> + use<> {
        self.journal.drain().map(|(address, identity)| (address.into(), identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_claims_counts() {
        let mut addresses = Addresses::default();
        let address = Address::from(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(addresses.claim(address, 1), None);
        assert_eq!(addresses.claim(address, 2), Some(1));
        assert_eq!(addresses.claim(address, 3), Some(2));
        assert_eq!(addresses.unclaim(address, 2), Some(3));
        assert_eq!(addresses.unclaim(address, 3), Some(1));
        assert!(addresses.is_of(address, 1) && addresses.contested.is_empty());
        assert_eq!(addresses.unclaim(address, 1), None);
        assert!(addresses.claims.is_empty());
    }

    #[test]
    fn an_address_is_the_same_again() {
        for text in ["10.1.2.3", "fd00::1", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
        }
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        assert_eq!(IpAddr::from(Address::from(mapped)).to_string(), "10.1.2.3");
    }
}
