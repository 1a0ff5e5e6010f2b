//! Ports of a rule: ranges, and the fewest masks that match them.

use super::selectors::Wrong;
use crate::rules::{PortMatch, Protocol};
use crate::spec::{IntOrString, PolicyPort};

/// Ports from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortRange {
    pub(crate) protocol: Protocol,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// What one entry of a rule's ports means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Port<'a> {
    Range(PortRange),
    Named(Protocol, &'a str),
}

impl<'a> Port<'a> {
    pub(crate) fn parse(port: &'a PolicyPort) -> Result<Self, Wrong> {
        let wrong = |field: &str, message: String| Err((format!(".{field}"), message));
        let protocol = match port.protocol.as_deref() {
            None | Some("TCP") => Protocol::Tcp,
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            Some(other) => {
                return wrong("protocol", format!("{other:?} is no protocol: use TCP, UDP or SCTP"));
            }
        };
        let range = |first, last| Ok(Self::Range(PortRange { protocol, first, last }));
        match (&port.port, port.end_port) {
            (None, None) => range(0, u16::MAX),
            (None, Some(_)) => wrong("endPort", "endPort needs port, the first one of the range".to_owned()),
            (Some(IntOrString::String(_)), Some(_)) => {
                wrong("endPort", "a range goes from number to number: remove endPort or the name".to_owned())
            }
            (Some(IntOrString::String(name)), None) => {
                if name.bytes().all(|byte| byte.is_ascii_digit()) {
                    let message = format!("{name:?} is no name of a port: write a number without quotes");
                    return wrong("port", message);
                }
                Ok(Self::Named(protocol, name))
            }
            (Some(IntOrString::Int(first)), last) => {
                let (Some(first), Some(last)) = (number(*first), number(last.map_or(*first, i64::from)))
                else {
                    return wrong("port", "ports are numbers from 1 to 65535".to_owned());
                };
                if last < first {
                    return wrong("endPort", format!("{last} comes before {first}, where the range begins"));
                }
                range(first, last)
            }
        }
    }
}

fn number(port: i64) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// Joins ranges of one protocol that overlap or touch.
pub(crate) fn union(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let joins = next.protocol == before.protocol && u32::from(next.first) <= u32::from(before.last) + 1;
        if joins {
            before.last = before.last.max(next.last);
        }
        joins
    });
    ranges
}

/// The fewest matches for ranges that do not touch.
pub(crate) fn matches(ranges: &[PortRange]) -> Vec<PortMatch> {
    let mut matches = Vec::new();
    for PortRange { protocol, first, last } in ranges.iter().copied() {
        let mut next = u32::from(first);
        let end = u32::from(last) + 1;
        while next < end {
            // The largest block that begins here and does not go too far.
            let aligned = if next == 0 { 16 } else { next.trailing_zeros() };
            let bits = (0..=aligned.min(16)).rev().find(|bits| next + (1 << bits) <= end).unwrap_or(0);
            let mask = u16::try_from(0xffff_u32 << bits & 0xffff).unwrap_or(0);
            matches.push(PortMatch { protocol, value: u16::try_from(next).unwrap_or(0), mask });
            next += 1 << bits;
        }
    }
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(ranges: &[(u16, u16)]) -> Vec<(u16, u16)> {
        let range =
            |(first, last): &(u16, u16)| PortRange { protocol: Protocol::Tcp, first: *first, last: *last };
        let ranges = union(ranges.iter().map(range).collect());
        matches(&ranges).into_iter().map(|found| (found.value, found.mask)).collect()
    }

    #[test]
    fn ranges_become_the_fewest_masks() {
        assert_eq!(masks(&[(0, 65535)]), [(0, 0)]);
        assert_eq!(masks(&[(80, 80)]), [(80, 0xffff)]);
        assert_eq!(masks(&[(80, 80), (81, 81)]), [(80, 0xfffe)]);
        assert_eq!(masks(&[(1, 65535)]).len(), 16);
        assert_eq!(masks(&[(65535, 65535)]), [(65535, 0xffff)]);
        assert_eq!(masks(&[(32768, 65535)]), [(32768, 0x8000)]);
        assert_eq!(masks(&[(80, 90), (80, 80), (85, 100)]), masks(&[(80, 100)]));
    }

    #[test]
    fn masks_match_the_range_and_nothing_else() {
        for (first, last) in [(1, 1000), (999, 1001), (1024, 65535), (0, 0), (30000, 32767), (5, 40000)] {
            let masks = masks(&[(first, last)]);
            for port in 0..=u16::MAX {
                let hits = masks.iter().filter(|(value, mask)| port & mask == *value).count();
                assert_eq!(hits, usize::from(first <= port && port <= last), "{port} in {first}-{last}");
            }
        }
    }

    #[test]
    fn protocols_stay_apart() {
        let range = |protocol, first, last| PortRange { protocol, first, last };
        let ranges = vec![range(Protocol::Udp, 1, 5), range(Protocol::Tcp, 1, 5), range(Protocol::Udp, 6, 9)];
        assert_eq!(union(ranges), [range(Protocol::Tcp, 1, 5), range(Protocol::Udp, 1, 9)]);
    }
}
