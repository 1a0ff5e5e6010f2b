//! Numbers on the bridge that stand for addresses outside: where no node port leads to the same endpoints with the same
//! sources, a number that is no node port does.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::claims::Claims;
use crate::lb::{Name, Protocol};
use incremental::Digest;

/// What needs a number: all addresses outside of one port that lead to the same endpoints with the same sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StandIn {
    pub(crate) service: Name,
    pub(crate) port: Arc<str>,
    pub(crate) protocol: Protocol,
    pub(crate) ipv6: bool,
    /// Only some sources count.
    pub(crate) restricted: bool,
}

impl StandIn {
    fn digest(&self) -> u64 {
        let digest = Digest::new("stand-in").text(&self.service.namespace).text(&self.service.name);
        let flags = u64::from(self.ipv6) << 1 | u64::from(self.restricted);
        digest.text(&self.port).text(self.protocol.name()).number(flags).finish()
    }
}

#[derive(Default)]
pub(crate) struct StandIns {
    numbers: HashMap<StandIn, u16>,
    taken: HashMap<(Protocol, u16), StandIn>,
    /// Those for whom no number is left.
    without: BTreeSet<StandIn>,
}

/// Where API servers choose node ports by default.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

impl StandIns {
    /// Its number; `None`: none is left.
    pub(crate) fn take(&mut self, stand_in: &StandIn, claims: &Claims) -> Option<u16> {
        if let Some(number) = self.numbers.get(stand_in) {
            return Some(*number);
        }
        let protocol = stand_in.protocol;
        let start = u16::try_from(stand_in.digest() >> 48).unwrap_or_default();
        let all = || (start..=u16::MAX).chain(0..start).filter(|number| *number != 0);
        let unlike = all().filter(|number| !NODE_PORTS.contains(number));
        let mut candidates = unlike.chain(all().filter(|number| NODE_PORTS.contains(number)));
        let free = |number: &u16| {
            !self.taken.contains_key(&(protocol, *number)) && !claims.has_node_port(protocol, *number)
        };
        let Some(number) = candidates.find(free) else {
            self.without.insert(stand_in.clone());
            return None;
        };
        self.without.remove(stand_in);
        self.numbers.insert(stand_in.clone(), number);
        self.taken.insert((protocol, number), stand_in.clone());
        Some(number)
    }

    /// Its number, if it has one.
    pub(crate) fn number(&self, stand_in: &StandIn) -> Option<u16> {
        self.numbers.get(stand_in).copied()
    }

    /// It needs no number any more.
    pub(crate) fn release(&mut self, stand_in: &StandIn) {
        self.without.remove(stand_in);
        if let Some(number) = self.numbers.remove(stand_in) {
            self.taken.remove(&(stand_in.protocol, number));
        }
    }

    /// A number is a node port now. Returns the Service that has to take another one.
    pub(crate) fn evict(&mut self, protocol: Protocol, number: u16) -> Option<Name> {
        let stand_in = self.taken.remove(&(protocol, number))?;
        self.numbers.remove(&stand_in);
        Some(stand_in.service)
    }

    /// Those for whom no number is left.
    pub(crate) fn without(&self) -> impl Iterator<Item = &StandIn> {
        self.without.iter()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.taken.is_empty() && self.without.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_in(port: &str) -> StandIn {
        let service = Name { namespace: "x".into(), name: "web".into() };
        StandIn { service, port: port.into(), protocol: Protocol::Tcp, ipv6: false, restricted: false }
    }

    /// All numbers but these are taken.
    fn with_free(free: &[u16]) -> StandIns {
        let taken = (1..=u16::MAX).filter(|number| !free.contains(number));
        let taken = taken.map(|number| ((Protocol::Tcp, number), stand_in("other"))).collect();
        StandIns { taken, ..StandIns::default() }
    }

    #[test]
    fn numbers_that_look_like_node_ports_come_last() {
        let claims = Claims::default();
        let mut stand_ins = with_free(&[30000, 32768]);
        assert_eq!(stand_ins.take(&stand_in("a"), &claims), Some(32768));
        assert_eq!(stand_ins.take(&stand_in("b"), &claims), Some(30000));
        assert_eq!(stand_ins.take(&stand_in("a"), &claims), Some(32768));
    }

    #[test]
    fn who_gets_no_number_is_known_until_there_is_one() {
        let claims = Claims::default();
        let mut stand_ins = with_free(&[7]);
        assert_eq!(stand_ins.take(&stand_in("a"), &claims), Some(7));
        assert_eq!(stand_ins.take(&stand_in("b"), &claims), None);
        assert!(stand_ins.without().eq([&stand_in("b")]));
        let udp = StandIn { protocol: Protocol::Udp, ..stand_in("b") };
        assert!(stand_ins.take(&udp, &claims).is_some(), "of another protocol all are free");
        stand_ins.release(&stand_in("a"));
        assert_eq!(stand_ins.take(&stand_in("b"), &claims), Some(7));
        assert_eq!(stand_ins.without().count(), 0);
        assert_eq!(stand_ins.evict(Protocol::Tcp, 7), Some(stand_in("b").service));
        assert_eq!(stand_ins.number(&stand_in("b")), None);
    }
}
