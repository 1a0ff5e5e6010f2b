//! A policy's specification to what the engine keeps of it, and what is wrong with it.
//!
//! What is wrong allows nothing: the API server would have refused it, and nobody knows what was meant. The policy
//! isolates all the same.

use super::cidrs::CidrSet;
use super::compiled::{Compiled, Named, Namespaces, Peers, Ports, Rule, Selected, Uses};
use super::labels::port_key;
use super::pool::Pool;
use super::ports::{Port, union};
use super::selectors::Selectors;
use super::strings::Strings;
use crate::rules::Direction;
use crate::spec::{LabelSelector, NetworkPolicySpec, PolicyPeer, PolicyPort};

/// Something in a policy that allows nothing because it cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as in `spec.ingress[0].ports[1].endPort`.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The sets of CIDRs of known policies.
pub(crate) type CidrSets = Pool<CidrSet, ()>;

pub(crate) struct Compiler<'a> {
    strings: &'a mut Strings,
    selectors: &'a mut Selectors,
    cidrs: &'a mut CidrSets,
    problems: Vec<Problem>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(
        strings: &'a mut Strings,
        selectors: &'a mut Selectors,
        cidrs: &'a mut CidrSets,
    ) -> Self {
        Self { strings, selectors, cidrs, problems: Vec::new() }
    }

    /// Compiles a specification. What it uses has one user more, until [`Compiler::release`].
    pub(crate) fn compile(mut self, spec: &NetworkPolicySpec) -> (Compiled, Vec<Problem>) {
        let subjects = self.selector("spec.podSelector", &spec.pod_selector);
        let mut compiled = Compiled { subjects, ingress: None, egress: None };
        let [ingress, egress] = self.isolates(spec);
        if ingress {
            let rules = spec.ingress.iter().flatten();
            compiled.ingress =
                Some(self.rules(Direction::Ingress, rules.map(|rule| (&rule.from, &rule.ports))));
        }
        if egress {
            let rules = spec.egress.iter().flatten();
            compiled.egress = Some(self.rules(Direction::Egress, rules.map(|rule| (&rule.to, &rule.ports))));
        }
        if compiled.subjects.is_none() {
            for direction in Direction::ALL {
                compiled.uses(direction).for_each(|uses| self.release_one(uses));
            }
            compiled.ingress = compiled.ingress.map(|_| Box::default());
            compiled.egress = compiled.egress.map(|_| Box::default());
        }
        (compiled, self.problems)
    }

    /// What a policy uses has one user less.
    pub(crate) fn release(mut self, compiled: &Compiled) {
        if let Some(selector) = compiled.subjects {
            self.selectors.release(self.strings, selector);
        }
        for direction in Direction::ALL {
            compiled.uses(direction).for_each(|uses| self.release_one(uses));
        }
    }

    fn release_one(&mut self, uses: Uses) {
        match uses {
            Uses::NamespaceSelector(selector) | Uses::PodSelector(selector) => {
                self.selectors.release(self.strings, selector);
            }
            Uses::Cidrs(set) => drop(self.cidrs.release(set)),
            Uses::Port(key) => self.strings.release(key),
        }
    }

    /// Ingress and egress. A type that is wrong may have been meant as either.
    fn isolates(&mut self, spec: &NetworkPolicySpec) -> [bool; 2] {
        let has_egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
        let types = spec.policy_types.as_deref().unwrap_or_default();
        if types.is_empty() {
            return [true, has_egress];
        }
        let mut isolates = [false, false];
        for (index, listed) in types.iter().enumerate() {
            let [ingress, egress] = &mut isolates;
            match listed.as_str() {
                "Ingress" => *ingress = true,
                "Egress" => *egress = true,
                other => {
                    isolates = [true, true];
                    let message = format!(
                        "{other:?} is no policy type, so the policy isolates in both directions: \
                         use Ingress or Egress"
                    );
                    self.problem(format!("spec.policyTypes[{index}]"), message);
                }
            }
        }
        isolates
    }

    fn rules<'s>(
        &mut self,
        direction: Direction,
        rules: impl Iterator<Item = (&'s Option<Vec<PolicyPeer>>, &'s Option<Vec<PolicyPort>>)>,
    ) -> Box<[Rule]> {
        let mut compiled = Vec::new();
        for (index, (peers, ports)) in rules.enumerate() {
            let (direction, of) = match direction {
                Direction::Ingress => ("ingress", "from"),
                Direction::Egress => ("egress", "to"),
            };
            let path = format!("spec.{direction}[{index}]");
            let peers = self.peers(&format!("{path}.{of}"), peers.as_deref().unwrap_or_default());
            let ports = self.ports(&path, ports.as_deref().unwrap_or_default());
            let rule = Rule { index: u16::try_from(index).unwrap_or(u16::MAX), peers, ports };
            if rule.allows_nothing() {
                rule.uses().for_each(|uses| self.release_one(uses));
            } else {
                compiled.push(rule);
            }
        }
        compiled.into()
    }

    fn peers(&mut self, path: &str, peers: &[PolicyPeer]) -> Peers {
        if peers.is_empty() {
            return Peers::Anyone;
        }
        let (mut selected, mut blocks) = (Vec::new(), Vec::new());
        for (index, peer) in peers.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match (&peer.ip_block, &peer.namespace_selector, &peer.pod_selector) {
                (Some(block), None, None) => blocks.push((path, block)),
                (Some(_), _, _) => {
                    self.problem(path, "ipBlock stands beside a selector: make two peers of them".to_owned());
                }
                (None, None, None) => {
                    let message = "nothing is selected: set podSelector, namespaceSelector or ipBlock";
                    self.problem(path, message.to_owned());
                }
                (None, namespaces, pods) => {
                    let peer = self.selected(&path, namespaces.as_ref(), pods.as_ref());
                    if let Some(peer) = peer {
                        if selected.contains(&peer) {
                            peer.uses().for_each(|uses| self.release_one(uses));
                        } else {
                            selected.push(peer);
                        }
                    }
                }
            }
        }
        let (set, wrongs) = CidrSet::new(blocks.iter().map(|(_, block)| *block));
        for ((path, _), wrong) in blocks.iter().zip(wrongs) {
            for (at, message) in wrong.into_iter().flatten() {
                self.problem(format!("{path}.ipBlock{at}"), message);
            }
        }
        let cidrs = (!set.is_empty()).then(|| self.cidrs.acquire(&set, || (set.clone(), ())).0);
        Peers::Some { selected: selected.into(), cidrs }
    }

    fn selected(
        &mut self,
        path: &str,
        namespaces: Option<&LabelSelector>,
        pods: Option<&LabelSelector>,
    ) -> Option<Selected> {
        let namespaces = match namespaces {
            None => Some(Namespaces::Own),
            Some(selector) => {
                let selector = self.condition(&format!("{path}.namespaceSelector"), selector);
                selector.map(|selector| selector.map_or(Namespaces::Any, Namespaces::Matching))
            }
        };
        let pods = match pods {
            None => Some(None),
            Some(selector) => self.condition(&format!("{path}.podSelector"), selector),
        };
        if let (Some(namespaces), Some(pods)) = (namespaces, pods) {
            return Some(Selected { namespaces, pods });
        }
        if let Some(Namespaces::Matching(selector)) = namespaces {
            self.selectors.release(self.strings, selector);
        }
        if let Some(Some(selector)) = pods {
            self.selectors.release(self.strings, selector);
        }
        None
    }

    /// `None`: the selector is wrong. `Some(None)`: it selects everything.
    fn condition(&mut self, path: &str, selector: &LabelSelector) -> Option<Option<u32>> {
        if selector.match_labels.iter().flatten().next().is_none()
            && selector.match_expressions.iter().flatten().next().is_none()
        {
            return Some(None);
        }
        self.selector(path, selector).map(Some)
    }

    fn selector(&mut self, path: &str, selector: &LabelSelector) -> Option<u32> {
        match self.selectors.intern(self.strings, selector) {
            Ok(selector) => Some(selector),
            Err(wrong) => {
                for (at, message) in wrong {
                    self.problem(format!("{path}{at}"), message);
                }
                None
            }
        }
    }

    fn ports(&mut self, path: &str, ports: &[PolicyPort]) -> Option<Box<Ports>> {
        if ports.is_empty() {
            return None;
        }
        let (mut ranges, mut named) = (Vec::new(), Vec::new());
        for (index, port) in ports.iter().enumerate() {
            match Port::parse(port) {
                Ok(Port::Range(range)) => ranges.push(range),
                Ok(Port::Named(protocol, name)) => {
                    let port = Named { key: self.strings.intern(&port_key(name, protocol)), protocol };
                    if named.contains(&port) {
                        self.strings.release(port.key);
                    } else {
                        named.push(port);
                    }
                }
                Err((at, message)) => self.problem(format!("{path}.ports[{index}]{at}"), message),
            }
        }
        named.sort_unstable();
        Some(Box::new(Ports { ranges: union(ranges).into(), named: named.into() }))
    }

    fn problem(&mut self, path: String, message: String) {
        self.problems.push(Problem { path, message });
    }
}
