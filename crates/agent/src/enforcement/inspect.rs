//! What there is to tell of policies.

use std::collections::{BTreeMap, BTreeSet};

use inspection::{Invalid, Isolation, Policy, Problem, Reference, Rule};
use ovsdb::Uuid;
use policy::rules::{Direction, PolicyId};

use super::{Enforcement, index};

/// Rules have numbers from 1 to this one, which stands for all further ones: so their cookies have them.
const LAST_RULE: u16 = 255;

impl Enforcement {
    /// One direction of a port, without counters.
    #[must_use]
    pub fn isolation(&self, port: Uuid, direction: Direction) -> Isolation {
        // A port whose pod is not known is allowed nothing.
        let Some(subject) = self.subjects.get(&port) else {
            return Isolation { isolated: true, ..Isolation::default() };
        };
        let chain = subject.chains.get(index(direction)).and_then(Option::as_deref);
        let mut policies: Vec<Reference> =
            chain.into_iter().flatten().filter_map(|id| self.reference(*id)).collect();
        policies.sort_unstable();
        Isolation { isolated: chain.is_some(), policies, dropped: None }
    }

    fn reference(&self, id: PolicyId) -> Option<Reference> {
        let name = &self.verdicts.get(id)?.name;
        Some(Reference { namespace: name.namespace.clone(), name: name.name.clone(), id: id.0 })
    }

    /// The policies in force, without counters.
    #[must_use]
    pub fn in_force(&self) -> Vec<Policy> {
        let policy = |(id, entry): (PolicyId, &super::in_force::Entry)| {
            let number = |index: u16| index.saturating_add(1).min(LAST_RULE);
            let numbers: BTreeSet<u16> = entry.verdict.rules.iter().map(|rule| number(rule.index)).collect();
            Policy {
                id: id.0,
                namespace: entry.name.namespace.clone(),
                name: entry.name.name.clone(),
                direction: match entry.direction {
                    Direction::Ingress => inspection::Direction::Ingress,
                    Direction::Egress => inspection::Direction::Egress,
                },
                rules: numbers.into_iter().map(|number| Rule { number, packets: None }).collect(),
            }
        };
        let mut policies: Vec<Policy> = self.verdicts.iter().map(policy).collect();
        policies.sort_unstable_by(|a, b| {
            let key = |policy: &Policy| (policy.direction, policy.id);
            (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)).then_with(|| key(a).cmp(&key(b)))
        });
        policies
    }

    /// The policies in which something is wrong.
    #[must_use]
    pub fn invalid(&self) -> Vec<Invalid> {
        let mut invalid: BTreeMap<_, Vec<Problem>> = BTreeMap::new();
        for (name, problem) in self.engine.problems() {
            let problem = Problem { path: problem.path.clone(), message: problem.message.clone() };
            invalid.entry(name).or_default().push(problem);
        }
        let invalid = invalid.into_iter().map(|(name, problems)| Invalid {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            problems,
        });
        invalid.collect()
    }
}
