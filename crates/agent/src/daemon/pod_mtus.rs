//! Which pods' interfaces are known to have the MTU that they should. No I/O.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ovsdb::Uuid;
use tokio::time::Instant;

/// Longer than an ADD takes: a plugin that has read the MTU before it changed may write it until then.
const ADD: Duration = Duration::from_secs(30);

/// What is known of each port.
#[derive(Debug, Default)]
pub(super) struct PodMtus(HashMap<Uuid, Known>);

#[derive(Debug)]
struct Known {
    since: Instant,
    /// The MTU that both ends were found with or given, and when.
    right: Option<(u16, Instant)>,
    trouble: Option<String>,
}

impl PodMtus {
    /// The ports to look at: those that are not known to have this MTU, and young ones once more when their ADD is
    /// over.
    pub(super) fn due(&mut self, ports: &HashSet<Uuid>, mtu: u16, now: Instant) -> HashSet<Uuid> {
        self.0.retain(|uuid, _| ports.contains(uuid));
        let mut due = HashSet::new();
        for uuid in ports {
            let known = self.0.entry(*uuid).or_insert(Known { since: now, right: None, trouble: None });
            let over = known.since + ADD;
            let right = known.right.is_some_and(|(of, at)| of == mtu && (at >= over || now < over));
            if !right {
                due.insert(*uuid);
            }
        }
        due
    }

    /// What came of a look. `Some`: what to tell the operator, once for each new reason.
    pub(super) fn looked(
        &mut self,
        uuid: Uuid,
        mtu: u16,
        now: Instant,
        result: Result<(), String>,
    ) -> Option<String> {
        let known = self.0.get_mut(&uuid)?;
        match result {
            Ok(()) => {
                known.right = Some((mtu, now));
                known.trouble = None;
                None
            }
            Err(why) => {
                known.right = None;
                let old = known.trouble.replace(why.clone());
                (old.as_ref() != Some(&why)).then_some(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_looked_at_until_it_is_right_and_once_more_when_its_add_is_over() {
        let (mut mtus, begin, port) = (PodMtus::default(), Instant::now(), Uuid::from_bytes([1; 16]));
        let (all, none) = (HashSet::from([port]), HashSet::new());
        assert_eq!(mtus.due(&all, 1450, begin), all);
        assert_eq!(mtus.looked(port, 1450, begin, Err("gone".into())).as_deref(), Some("gone"));
        assert_eq!(mtus.due(&all, 1450, begin), all);
        assert_eq!(mtus.looked(port, 1450, begin, Err("gone".into())), None, "it was said");
        mtus.looked(port, 1450, begin, Ok(()));
        assert_eq!(mtus.due(&all, 1450, begin + ADD / 2), none);
        let later = begin + ADD;
        assert_eq!(mtus.due(&all, 1450, later), all);
        mtus.looked(port, 1450, later, Ok(()));
        assert_eq!(mtus.due(&all, 1450, later + ADD), none);
        assert_eq!(mtus.due(&all, 1350, later + ADD), all, "another MTU");
        assert_eq!(mtus.due(&none, 1350, later), none);
        assert_eq!(mtus.due(&all, 1450, later), all, "a port that is gone is forgotten");
    }
}
