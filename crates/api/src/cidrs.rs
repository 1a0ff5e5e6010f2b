//! CIDR lists with at most one member of each address family.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// At most one CIDR of each family, at least one in all: `10.0.0.0/16`, `10.0.0.0/16,fd00::/56`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DualStack {
    ipv4: Option<Ipv4Net>,
    ipv6: Option<Ipv6Net>,
}

/// What is wrong with a list of CIDRs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrsError {
    /// No CIDR at all.
    #[error("no CIDR given: write one, or one of each family separated by a comma")]
    Empty,
    /// Not a CIDR.
    #[error("{0:?} is not a CIDR such as 10.0.0.0/16 or fd00::/56")]
    Syntax(String),
    /// The address has bits set behind the prefix.
    #[error("{0} has host bits set: write {1}")]
    HostBits(IpNet, IpNet),
    /// Two CIDRs of one family.
    #[error("{0} and {1} are of one family: at most one IPv4 and one IPv6 CIDR")]
    SameFamily(IpNet, IpNet),
}

impl DualStack {
    /// From at least one CIDR, at most one of each family.
    ///
    /// # Errors
    /// When there is none, two of a family, or one with host bits.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Result<Self, CidrsError> {
        let mut all = Self { ipv4: None, ipv6: None };
        for net in nets {
            if net.addr() != net.network() {
                return Err(CidrsError::HostBits(net, net.trunc()));
            }
            let earlier = match net {
                IpNet::V4(n) => all.ipv4.replace(n).map(IpNet::V4),
                IpNet::V6(n) => all.ipv6.replace(n).map(IpNet::V6),
            };
            if let Some(earlier) = earlier {
                return Err(CidrsError::SameFamily(earlier, net));
            }
        }
        if all.ipv4.is_none() && all.ipv6.is_none() { Err(CidrsError::Empty) } else { Ok(all) }
    }

    /// From strings such as a Node's `spec.podCIDRs`.
    ///
    /// # Errors
    /// As [`DualStack::new`], and for a string that is no CIDR.
    pub fn parse<S: AsRef<str>>(cidrs: impl IntoIterator<Item = S>) -> Result<Self, CidrsError> {
        let nets = cidrs
            .into_iter()
            .map(|s| {
                let s = s.as_ref().trim();
                s.parse().map_err(|_| CidrsError::Syntax(s.to_owned()))
            })
            .collect::<Result<Vec<IpNet>, _>>()?;
        Self::new(nets)
    }

    /// The IPv4 CIDR.
    #[must_use]
    pub const fn ipv4(&self) -> Option<Ipv4Net> {
        self.ipv4
    }

    /// The IPv6 CIDR.
    #[must_use]
    pub const fn ipv6(&self) -> Option<Ipv6Net> {
        self.ipv6
    }

    /// The CIDRs, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.ipv4.map(IpNet::V4).into_iter().chain(self.ipv6.map(IpNet::V6))
    }

    /// Whether one of the CIDRs holds `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.ipv4.is_some_and(|n| n.contains(&a)),
            IpAddr::V6(a) => self.ipv6.is_some_and(|n| n.contains(&a)),
        }
    }

    /// The first CIDR of `inner` that does not lie inside the one of its family here.
    #[must_use]
    pub fn first_outside(&self, inner: &Self) -> Option<IpNet> {
        inner.iter().find(|net| match net {
            IpNet::V4(n) => !self.ipv4.is_some_and(|all| all.contains(n)),
            IpNet::V6(n) => !self.ipv6.is_some_and(|all| all.contains(n)),
        })
    }

    /// The first pair of CIDRs, one from each side, that share addresses.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<(IpNet, IpNet)> {
        self.iter().find_map(|a| other.iter().find(|b| a.contains(b) || b.contains(&a)).map(|b| (a, b)))
    }
}

impl FromStr for DualStack {
    type Err = CidrsError;

    fn from_str(s: &str) -> Result<Self, CidrsError> {
        Self::parse(s.split(',').filter(|part| !part.trim().is_empty()))
    }
}

impl fmt::Display for DualStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, net) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{net}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(s: &str) -> Result<DualStack, CidrsError> {
        s.parse()
    }

    #[test]
    fn one_or_both_families_in_any_order() {
        assert_eq!(parse("10.0.0.0/16").unwrap().to_string(), "10.0.0.0/16");
        assert_eq!(parse("fd00::/56").unwrap().to_string(), "fd00::/56");
        assert_eq!(parse("fd00::/56, 10.0.0.0/16").unwrap().to_string(), "10.0.0.0/16,fd00::/56");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse(" , "), Err(CidrsError::Empty));
        assert_eq!(parse("10.0.0.0"), Err(CidrsError::Syntax("10.0.0.0".into())));
        assert_eq!(
            parse("10.0.0.1/16").unwrap_err().to_string(),
            "10.0.0.1/16 has host bits set: write 10.0.0.0/16"
        );
        assert!(matches!(parse("10.0.0.0/16,10.1.0.0/16"), Err(CidrsError::SameFamily(..))));
    }

    #[test]
    fn inside_and_overlap() {
        let cluster = parse("10.0.0.0/16,fd00::/56").unwrap();
        let node = parse("10.0.1.0/24,fd00:0:0:1::/64").unwrap();
        assert_eq!(cluster.first_outside(&node), None);
        assert_eq!(
            cluster.first_outside(&parse("10.1.0.0/24").unwrap()),
            Some("10.1.0.0/24".parse().unwrap())
        );
        assert_eq!(
            parse("10.0.0.0/16").unwrap().first_outside(&node),
            Some("fd00:0:0:1::/64".parse().unwrap())
        );
        assert!(cluster.overlap(&node).is_some());
        assert_eq!(node.overlap(&parse("10.0.2.0/24,fd00:0:0:2::/64").unwrap()), None);
        assert!(cluster.contains("10.0.3.4".parse().unwrap()));
        assert!(!cluster.contains("10.1.3.4".parse().unwrap()));
    }
}
