//! The addresses of one family that pods can have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// A range of addresses, numbered, without the gateway, the first and the last one: these two are reserved for what the
/// node itself does, and are the network's own and the broadcast address of an IPv4 CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    ipv6: bool,
    first: u128,
    last: u128,
    gateway: u128,
}

impl Pool {
    /// The pool of an IPv4 pod CIDR.
    #[must_use]
    pub fn ipv4(cidr: Ipv4Net, gateway: Ipv4Addr) -> Self {
        Self {
            ipv6: false,
            first: u128::from(cidr.network().to_bits()) + 1,
            last: u128::from(cidr.broadcast().to_bits()).saturating_sub(1),
            gateway: gateway.to_bits().into(),
        }
    }

    /// The pool of an IPv6 pod CIDR. The first address is also the subnet routers' anycast address (RFC 4291 section
    /// 2.6.1).
    #[must_use]
    pub fn ipv6(cidr: Ipv6Net, gateway: Ipv6Addr) -> Self {
        Self {
            ipv6: true,
            first: cidr.network().to_bits().saturating_add(1),
            last: cidr.broadcast().to_bits().saturating_sub(1),
            gateway: gateway.to_bits(),
        }
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    /// How many addresses pods can have.
    #[must_use]
    pub fn size(&self) -> u128 {
        let all = (self.last + 1).saturating_sub(self.first);
        all - u128::from(all > 0 && (self.first..=self.last).contains(&self.gateway))
    }

    /// Whether a pod can have `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.number(address).is_some_and(|n| (self.first..=self.last).contains(&n) && n != self.gateway)
    }

    /// The address after `last`, going round; the first one when there is no last, or it is not of this pool.
    #[must_use]
    pub fn after(&self, last: Option<IpAddr>) -> Option<IpAddr> {
        if self.size() == 0 {
            return None;
        }
        let next = last
            .and_then(|last| self.number(last))
            .filter(|n| (self.first..self.last).contains(n))
            .map_or(self.first, |n| n + 1);
        let address = self.address(next)?;
        if next == self.gateway { self.after(Some(address)) } else { Some(address) }
    }

    fn number(&self, address: IpAddr) -> Option<u128> {
        match address {
            IpAddr::V4(a) if !self.ipv6 => Some(a.to_bits().into()),
            IpAddr::V6(a) if self.ipv6 => Some(a.to_bits()),
            _ => None,
        }
    }

    fn address(&self, number: u128) -> Option<IpAddr> {
        if self.ipv6 {
            Some(IpAddr::V6(number.into()))
        } else {
            u32::try_from(number).ok().map(|n| IpAddr::V4(n.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_left_out_and_it_goes_round() {
        let pool = Pool::ipv4("10.0.1.0/29".parse().unwrap(), "10.0.1.1".parse().unwrap());
        let mut all = Vec::new();
        let mut last = None;
        for _ in 0..6 {
            last = pool.after(last);
            all.push(last.unwrap().to_string());
        }
        assert_eq!(all, ["10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.2"]);
        assert_eq!(pool.size(), 5);
        assert!(!pool.contains("10.0.1.1".parse().unwrap()));
        assert!(!pool.contains("10.0.1.7".parse().unwrap()));
    }

    #[test]
    fn a_gateway_anywhere_is_stepped_over() {
        let pool = Pool::ipv4("10.0.1.0/29".parse().unwrap(), "10.0.1.6".parse().unwrap());
        assert_eq!(pool.after(Some("10.0.1.5".parse().unwrap())), Some("10.0.1.1".parse().unwrap()));
    }

    #[test]
    fn large_ipv6_pools_cost_nothing() {
        let pool = Pool::ipv6("fd00::/64".parse().unwrap(), "fd00::1".parse().unwrap());
        assert_eq!(pool.after(None), Some("fd00::2".parse().unwrap()));
        assert_eq!(
            pool.after(Some("fd00::ffff:ffff:ffff:fffe".parse().unwrap())),
            Some("fd00::2".parse().unwrap())
        );
        assert!(!pool.contains("fd00::".parse().unwrap()));
        assert!(!pool.contains("fd00::ffff:ffff:ffff:ffff".parse().unwrap()));
        assert_eq!(pool.size(), (1 << 64) - 3);
    }

    #[test]
    fn a_pool_without_room_has_no_address() {
        let pool = Pool::ipv4("10.0.1.0/32".parse().unwrap(), "10.0.1.1".parse().unwrap());
        assert_eq!((pool.size(), pool.after(None)), (0, None));
    }
}
