//! The clusters that are measured.

use serde::{Deserialize, Serialize};

use crate::baselines::{self, Baselines};
use crate::cluster::{Cluster, Size};
use crate::compile::{self, FromNothing};
use crate::events::{self, MakePolicy, PerKind};
use crate::{plain, shapes};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    size: Size,
    make: fn(u64, Size) -> Cluster,
    policy: MakePolicy,
}

/// Everything that is said of one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) from_nothing: FromNothing,
    pub(crate) events: PerKind,
    pub(crate) baselines: Baselines,
}

const fn size(namespaces: usize, pods: usize, nodes: usize, policies: usize) -> Size {
    Size { namespaces, pods_per_namespace: pods, nodes, policies_per_namespace: policies }
}

const SMALL: Size = size(100, 100, 100, 10);
const MIDDLE: Size = size(600, 100, 200, 10);
/// Ten times the small one.
const TENFOLD: Size = size(1000, 100, 1000, 10);
const LARGE: Size = size(25_000, 4, 1000, 3);

fn plain_policy(
    random: &mut crate::random::Random,
    _namespace: usize,
    k: usize,
) -> policy::spec::NetworkPolicySpec {
    plain::policy(random, k)
}

const fn plain(name: &'static str, size: Size) -> Case {
    Case { name, size, make: plain::cluster, policy: plain_policy }
}

const fn shaped(name: &'static str, size: Size) -> Case {
    Case { name, size, make: shapes::cluster, policy: shapes::policy }
}

pub(crate) const CASES: [Case; 8] = [
    plain("plain 10k", SMALL),
    plain("plain 60k", MIDDLE),
    plain("plain 100k", TENFOLD),
    plain("plain 100k in 25k namespaces", LARGE),
    shaped("shaped 10k", SMALL),
    shaped("shaped 60k", MIDDLE),
    shaped("shaped 100k", TENFOLD),
    shaped("shaped 100k in 25k namespaces", LARGE),
];

impl Case {
    pub(crate) fn measure(&self, events: usize) -> anyhow::Result<Figures> {
        let cluster = (self.make)(1, self.size);
        let (from_nothing, mut engine, mut tables) = compile::measure(&cluster)?;
        let events = events::measure(&cluster, &mut engine, &mut tables, self.policy, events);
        let baselines = baselines::measure(&cluster);
        Ok(Figures { from_nothing, events, baselines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_case_has_all_figures_and_the_same_ones_again() {
        for mut case in CASES {
            case.size = size(10, 20, 4, 5);
            let (a, b) = (case.measure(20).unwrap(), case.measure(0).unwrap());
            let entries = |figures: &Figures| figures.from_nothing.entries_and_steps_per_rule.to_bits();
            assert_eq!(entries(&a), entries(&b), "{}", case.name);
            assert!(a.from_nothing.rules > 0 && a.from_nothing.rules == a.baselines.rules, "{}", case.name);
            assert_eq!(a.events.len(), events::KINDS.len());
        }
    }
}
