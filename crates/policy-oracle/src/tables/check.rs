//! What is wrong with tables, whatever they are to mean.

use std::collections::BTreeSet;

use policy::rules::{ClassId, Direction, Namespaces, Peer, Peers, PolicyId, Ports, Verdict};

use super::Tables;

/// Something no switch should be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A change that changes nothing.
    Idle(String),
    /// An id that is zero, which stands for nothing.
    Zero(String),
    /// Something that refers to an entry that is not there.
    Dangling(String),
    /// An entry that nothing refers to, or that could not make a difference.
    Useless(String),
    /// Something not in its one form: a chain out of order, bits outside a mask or a prefix.
    Form(String),
}

impl Tables {
    /// Everything that is wrong.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.check_identities(&mut faults);
        self.check_chains(&mut faults);
        self.check_cidrs(&mut faults);
        for (id, verdict) in &self.policies {
            if id.0 == 0 {
                faults.push(Fault::Zero(format!("{id:?}")));
            }
            self.check_verdict(&format!("{id:?}"), verdict, &mut faults);
        }
        faults
    }

    fn check_identities(&self, faults: &mut Vec<Fault>) {
        for (address, identity) in &self.addresses {
            if identity.namespace.0 == 0 || identity.labels.0 == 0 {
                faults.push(Fault::Zero(format!("{address}: {identity:?}")));
            }
        }
        for (id, class) in &self.namespaces {
            if id.0 == 0 || class.0 == 0 {
                faults.push(Fault::Zero(format!("{id:?}: {class:?}")));
            }
        }
        for (id, class) in &self.labels {
            if id.0 == 0 || class.0 == 0 {
                faults.push(Fault::Zero(format!("{id:?}: {class:?}")));
            }
        }
    }

    fn check_chains(&self, faults: &mut Vec<Fault>) {
        let mut chained: BTreeSet<PolicyId> = BTreeSet::new();
        for ((subject, direction), chain) in &self.chains {
            let said = format!("{direction:?} chain of {subject:?}: {chain:?}");
            if chain.is_empty() || !chain.is_sorted_by(|a, b| a < b) {
                faults.push(Fault::Form(said.clone()));
            }
            if chain.iter().any(|id| !self.policies.contains_key(id)) {
                faults.push(Fault::Dangling(said));
            }
            chained.extend(chain.iter().copied());
        }
        for id in self.policies.keys().filter(|id| !chained.contains(id)) {
            faults.push(Fault::Useless(format!("{id:?} is in no chain")));
        }
    }

    fn check_cidrs(&self, faults: &mut Vec<Fault>) {
        for ((direction, cidr), entry) in &self.cidrs {
            let said = format!("{direction:?} {cidr}: {entry:?}");
            if *cidr != cidr.trunc() {
                faults.push(Fault::Form(said.clone()));
            }
            if entry.class.is_some_and(|class| class.0 == 0) {
                faults.push(Fault::Zero(said.clone()));
            }
            let around = self
                .cidrs
                .iter()
                .filter(|((of, outer), _)| of == direction && outer != cidr && outer.contains(cidr));
            let around = around.max_by_key(|((_, outer), _)| outer.prefix_len());
            if around.and_then(|(_, entry)| entry.class) == entry.class {
                faults.push(Fault::Useless(said));
            }
        }
    }

    fn check_verdict(&self, id: &str, verdict: &Verdict, faults: &mut Vec<Fault>) {
        for rule in &verdict.rules {
            if let Peers::Some(peers) = &rule.peers {
                if peers.is_empty() {
                    faults.push(Fault::Useless(format!("{id}: a rule for nobody: {rule:?}")));
                }
                for peer in peers {
                    self.check_peer(id, peer, faults);
                }
            }
            if let Ports::Some(matches) = &rule.ports {
                if matches.is_empty() {
                    faults.push(Fault::Useless(format!("{id}: a rule for no port: {rule:?}")));
                }
                let stray = matches.iter().filter(|port| port.value & !port.mask != 0);
                faults.extend(stray.map(|port| Fault::Form(format!("{id}: {port:?}"))));
            }
        }
    }

    fn check_peer(&self, id: &str, peer: &Peer, faults: &mut Vec<Fault>) {
        let said = || format!("{id}: {peer:?}");
        let any = peer.namespaces == Namespaces::Any;
        if any && !peer.pods_only && peer.labels.is_none() && peer.cidrs.is_none() {
            faults.push(Fault::Form(said()));
        }
        let mut known = |classes: &BTreeSet<ClassId>, present: BTreeSet<ClassId>| {
            if classes.is_empty() {
                faults.push(Fault::Useless(said()));
            }
            if !classes.is_subset(&present) {
                faults.push(Fault::Dangling(said()));
            }
        };
        if let Namespaces::Classes(classes) = &peer.namespaces {
            known(classes, self.namespaces.values().copied().collect());
        }
        if let Some(classes) = &peer.labels {
            known(classes, self.labels.values().copied().collect());
        }
        if let Some(classes) = &peer.cidrs {
            let mut present = BTreeSet::new();
            for direction in Direction::ALL {
                let of = self.cidrs.iter().filter(|((of, _), _)| *of == direction);
                present.extend(of.filter_map(|(_, entry)| entry.class));
            }
            known(classes, present);
        }
    }
}
