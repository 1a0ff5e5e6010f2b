//! What a switch and a host would hold, and whether it can be right at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::engine::Engine;
use crate::lb::*;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) frontends: BTreeMap<Frontend, Target>,
    pub(super) sets: BTreeMap<SetId, Set>,
    pub(super) externals: BTreeMap<External, u16>,
    pub(super) health_checks: BTreeMap<u16, HealthCheck>,
}

/// What becomes of packets to a frontend, without ids and parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leads {
    pub(super) inside: Seen,
    pub(super) outside: Seen,
    pub(super) sources: BTreeSet<IpNet>,
}

/// What a set does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) affinity: Option<u32>,
    pub(super) keeps_client: bool,
    pub(super) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Endpoints(BTreeSet<SocketAddr>),
    Refuse,
    Drop,
}

/// Every change must change something.
fn set<K, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>)
where
    K: Ord + std::fmt::Debug,
    V: PartialEq + std::fmt::Debug,
{
    let text = format!("{key:?} to {value:?}");
    assert_ne!(map.get(&key), value.as_ref(), "{text} is no change");
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Tables {
    /// Brings the tables up to date, and returns what it took.
    pub(super) fn follow(&mut self, engine: &mut Engine) -> Vec<Change> {
        let before = self.clone();
        let changes = engine.changes();
        let mut once = BTreeSet::new();
        let mut forgotten = BTreeSet::new();
        for change in &changes {
            let key = match change {
                Change::Frontend(frontend, _) => format!("{frontend:?}"),
                Change::Set(id, _) => format!("{id:?}"),
                Change::External(external, _) => format!("{external:?}"),
                Change::HealthCheck(port, _) => format!("{port}"),
                Change::Forget(frontend, endpoint) => {
                    assert!(forgotten.insert((*frontend, *endpoint)), "{change:?} comes twice");
                    continue;
                }
            };
            assert!(once.insert(key), "{change:?} is not the only one of its entry");
            assert!(forgotten.is_empty(), "{change:?} comes after what must be forgotten");
            self.apply(change.clone());
        }
        self.check();
        assert_eq!(forgotten, self.to_forget(&before));
        assert_eq!(engine.changes(), [], "nothing has happened");
        changes
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Frontend(frontend, target) => {
                for id in target.iter().flat_map(|target| [target.inside, target.outside]) {
                    assert!(
                        self.sets.contains_key(&id),
                        "{frontend:?} leads to {id:?}, which is not there yet"
                    );
                }
                set(&mut self.frontends, frontend, target);
            }
            Change::Set(id, to) => {
                let named = |target: &Target| target.inside == id || target.outside == id;
                let named = self.frontends.values().any(named);
                assert!(to.is_some() || !named, "{id:?} goes while it is named");
                set(&mut self.sets, id, to);
            }
            Change::External(external, number) => set(&mut self.externals, external, number),
            Change::HealthCheck(port, check) => set(&mut self.health_checks, port, check),
            Change::Forget(..) => {}
        }
    }

    /// What holds at any time.
    fn check(&self) {
        let mut named = BTreeSet::new();
        for (frontend, target) in &self.frontends {
            named.extend([target.inside, target.outside]);
            for id in [target.inside, target.outside] {
                assert_eq!(self.sets[&id].protocol, frontend.protocol);
            }
        }
        assert!(named.iter().eq(self.sets.keys()), "sets are named, and those that are named are there");
        for (id, set) in &self.sets {
            assert!((1..=SetId::MAX).contains(&id.0));
            if let Backends::Endpoints(parts) = &set.backends {
                check_parts(parts);
            }
        }
        for (external, number) in &self.externals {
            let External { address, protocol, port } = *external;
            let own = Frontend { at: At::Address(address), protocol, port };
            let ipv6 = address.is_ipv6();
            let via = |at| self.frontends.get(&Frontend { at, protocol, port: *number });
            let via = via(At::Node { ipv6 }).or_else(|| via(At::StandIn { ipv6 }));
            assert_eq!(Some(&self.frontends[&own]), via, "{external:?} by {number}");
        }
    }

    /// What must be forgotten, these tables having been others.
    fn to_forget(&self, before: &Self) -> BTreeSet<(Frontend, Option<SocketAddr>)> {
        let mut all = BTreeSet::new();
        let frontends: BTreeSet<_> = before.frontends.keys().chain(self.frontends.keys()).collect();
        for frontend in frontends.into_iter().filter(|frontend| frontend.protocol == Protocol::Udp) {
            let (old, new) = (before.leads(*frontend), self.leads(*frontend));
            let reached = |leads: &Option<Leads>| -> BTreeSet<SocketAddr> {
                let both = leads.iter().flat_map(|leads| [&leads.inside.answer, &leads.outside.answer]);
                both.filter_map(|answer| answer.endpoints()).flatten().copied().collect()
            };
            all.extend(reached(&old).difference(&reached(&new)).map(|gone| (*frontend, Some(*gone))));
            let begins =
                |old: &Seen, new: &Seen| old.answer.endpoints().is_none() && new.answer.endpoints().is_some();
            let in_vain = match (&old, &new) {
                (None, Some(_)) => true,
                (Some(old), Some(new)) => {
                    begins(&old.inside, &new.inside) || begins(&old.outside, &new.outside)
                }
                (_, None) => false,
            };
            if in_vain {
                all.insert((*frontend, None));
            }
        }
        all
    }

    pub(super) fn leads(&self, frontend: Frontend) -> Option<Leads> {
        let target = self.frontends.get(&frontend)?;
        let sources = target.sources.iter().copied().collect();
        Some(Leads { inside: self.seen(target.inside), outside: self.seen(target.outside), sources })
    }

    fn seen(&self, id: SetId) -> Seen {
        let set = &self.sets[&id];
        let answer = match &set.backends {
            Backends::Endpoints(parts) => Answer::Endpoints(parts.iter().collect()),
            Backends::Refuse => Answer::Refuse,
            Backends::Drop => Answer::Drop,
        };
        Seen { affinity: set.affinity, keeps_client: set.keeps_client, answer }
    }
}

impl Answer {
    pub(super) fn endpoints(&self) -> Option<&BTreeSet<SocketAddr>> {
        match self {
            Self::Endpoints(endpoints) => Some(endpoints),
            Self::Refuse | Self::Drop => None,
        }
    }
}

fn check_parts(parts: &Parts) {
    assert!(parts.0.len().is_power_of_two() && parts.0.len() <= Parts::MOST);
    let sizes = || parts.0.iter().map(|part| part.len());
    let (least, most) = (sizes().min().unwrap(), sizes().max().unwrap());
    assert!(least > 0 && most - least <= 1);
    assert!(most <= Parts::SIZE || parts.0.len() == Parts::MOST);
    assert!(parts.0.iter().all(|part| part.is_sorted()));
    let all: BTreeSet<_> = parts.iter().collect();
    assert_eq!(all.len(), parts.len());
    assert!(all.iter().all(|one| one.is_ipv6() == all.first().unwrap().is_ipv6()));
}
