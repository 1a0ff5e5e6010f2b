//! Which address next.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::net::IpAddr;

use crate::Pool;

/// Free addresses among which the first retry chooses; each further one doubles it.
const WINDOW: u64 = 16;

/// Every address of a pool is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {size} addresses of the node's {} pod CIDR are taken", if *ipv6 { "IPv6" } else { "IPv4" })]
pub struct Exhausted {
    /// The family.
    pub ipv6: bool,
    /// How many addresses there are.
    pub size: u128,
}

/// The address to try. The first attempt (0) takes the next free one after `last`, so that an address that was given
/// up is not soon used again. Whoever loses a race tries at random within a window of free ones that grows with each
/// attempt: fifty plugins that start at once do not fight for one address fifty times.
///
/// # Errors
/// When there is no free address.
pub fn pick(
    pool: &Pool,
    taken: &HashSet<IpAddr>,
    last: Option<IpAddr>,
    attempt: u32,
) -> Result<IpAddr, Exhausted> {
    let exhausted = Exhausted { ipv6: pool.is_ipv6(), size: pool.size() };
    let used = taken.iter().filter(|address| pool.contains(**address)).count();
    let free = u64::try_from(pool.size().saturating_sub(u128::try_from(used).unwrap_or(u128::MAX)))
        .unwrap_or(u64::MAX);
    if free == 0 {
        return Err(exhausted);
    }
    let skip = match attempt {
        0 => 0,
        n => random() % WINDOW.saturating_mul(1 << n.min(16)).min(free),
    };
    let mut candidate = last;
    let mut skipped = 0;
    // Between two free addresses there are at most `used` taken ones.
    loop {
        candidate = pool.after(candidate);
        match candidate {
            None => return Err(exhausted),
            Some(address) if taken.contains(&address) => {}
            Some(address) if skipped == skip => return Ok(address),
            Some(_) => skipped += 1,
        }
    }
}

/// A new `RandomState` has new keys each time.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::ipv4("10.0.1.0/28".parse().unwrap(), "10.0.1.1".parse().unwrap())
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 1, last])
    }

    #[test]
    fn the_first_attempt_goes_round() {
        let taken = HashSet::from([ip(4), ip(5)]);
        assert_eq!(pick(&pool(), &taken, Some(ip(3)), 0), Ok(ip(6)));
        assert_eq!(pick(&pool(), &taken, Some(ip(14)), 0), Ok(ip(2)));
        assert_eq!(pick(&pool(), &taken, None, 0), Ok(ip(2)));
    }

    #[test]
    fn retries_spread_over_what_is_free() {
        let taken = HashSet::from([ip(4), ip(5)]);
        let seen: HashSet<IpAddr> =
            (0..200).map(|_| pick(&pool(), &taken, Some(ip(3)), 1).unwrap()).collect();
        assert!(seen.len() > 5, "{seen:?}");
        assert!(seen.is_disjoint(&taken) && seen.iter().all(|a| pool().contains(*a)));
    }

    #[test]
    fn the_last_free_address_is_found_and_then_it_is_over() {
        let mut taken: HashSet<IpAddr> = (2..=13).map(ip).collect();
        // Addresses of another pool do not count.
        taken.insert("10.9.9.9".parse().unwrap());
        for attempt in 0..4 {
            assert_eq!(pick(&pool(), &taken, Some(ip(7)), attempt), Ok(ip(14)));
        }
        taken.insert(ip(14));
        let error = pick(&pool(), &taken, None, 0).unwrap_err();
        assert_eq!(error.to_string(), "all 13 addresses of the node's IPv4 pod CIDR are taken");
    }
}
