//! The engine: news of the cluster in, changes of a switch's tables out.
//!
//! ```text
//! namespace, pod ---> strings, label sets ----> address -> identity            whatever policies there are
//!                           |
//!                           v
//! policy -> compiled    classifiers  --------> id -> class, CIDR -> class      for active policies: those that select
//!   (kept small)            |                                                  a pod of this node
//!      |                    v
//! subject ----------> renderer --------------> policy id -> verdict, subject -> chain
//! ```
//!
//! An event is worked in at once, and its consequences for verdicts when they are asked for: [`Engine::changes`] tells
//! the difference since it was last called. What it tells is a function of what is known, however that came about; only
//! which of two pods has an address that both claim depends on who came last, and who has an id when two contents want
//! the same one.
//!
//! # Parts
//!
//! - `strings`, `selectors`, `labels`, `cidrs`: contents, each held once, counted by their users (`pool`). `text`: labels as
//!   bytes.
//! - `classifier` finds the class of everything that has labels, with indexes over both sides (`postings`); `cidr_table`
//!   that of prefixes. `classes` are sets of tags, a tag being a selector in use.
//! - `compile` turns a specification into `compiled`, and says what is wrong with it.
//! - `policies`, `subjects`: who selects whom, and under which id. `render` makes verdicts.

mod addresses;
mod check;
mod cidr_table;
mod cidrs;
mod classes;
mod classifier;
mod compile;
mod compiled;
mod labels;
mod named;
mod namespaces;
mod pods;
mod policies;
mod pool;
mod ports;
mod postings;
mod render;
mod selectors;
mod strings;
mod subjects;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

pub use check::problems;
pub use compile::Problem;

use crate::rules::{Change, Direction, LabelsId, NamespaceId, PolicyId, SubjectId, Verdict};
use crate::spec::{Labels, Name, NetworkPolicySpec, Pod};
use cidr_table::CidrTable;
use classes::User;
use compile::{CidrSets, Compiler};
use compiled::{Compiled, Uses};
use labels::LabelSets;
use namespaces::Namespaces;
use pods::{Pods, World};
use policies::{Known, Policies};
use render::Renderer;
use selectors::Selectors;
use strings::Strings;
use subjects::Subjects;

/// Compiles policies for one node. See the [module](self).
#[derive(Default)]
pub struct Engine {
    strings: Strings,
    selectors: Selectors,
    cidr_sets: CidrSets,
    namespaces: Namespaces,
    labels: LabelSets,
    pods: Pods,
    cidrs: Cidrs,
    policies: Policies,
    subjects: Subjects,
    problems: BTreeMap<Name, Vec<Problem>>,
}

/// The CIDR tables.
#[derive(Default)]
struct Cidrs {
    ingress: CidrTable,
    egress: CidrTable,
}

impl Cidrs {
    fn of(&self, direction: Direction) -> &CidrTable {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    fn of_mut(&mut self, direction: Direction) -> &mut CidrTable {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }
}

impl Engine {
    /// Of an empty cluster.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A namespace has come, or its labels are others.
    pub fn namespace(&mut self, name: &str, labels: &Labels) {
        self.namespaces.set(&self.selectors, &mut self.strings, name, labels);
    }

    /// A namespace has gone.
    pub fn namespace_gone(&mut self, name: &str) {
        self.namespaces.unset(&mut self.strings, name);
    }

    /// A pod that can be a peer has come, anywhere in the cluster, or is different.
    pub fn pod(&mut self, name: &Name, pod: &Pod) {
        let (pods, mut world) = self.world();
        pods.set(&mut world, name, pod);
    }

    /// A pod has gone.
    pub fn pod_gone(&mut self, name: &Name) {
        let (pods, mut world) = self.world();
        pods.remove(&mut world, name);
    }

    /// A policy has come or is different. Returns what is wrong with it.
    pub fn policy(&mut self, name: &Name, spec: &NetworkPolicySpec) -> Vec<Problem> {
        let (compiled, problems) = self.compiler().compile(spec);
        if problems.is_empty() {
            self.problems.remove(name);
        } else {
            self.problems.insert(name.clone(), problems.clone());
        }
        let namespace = self.namespaces.acquire(&name.namespace);
        if let Some(policy) = self.policies.known.find(namespace, &name.name) {
            self.namespaces.release(namespace);
            if self.policies.known.get(policy).is_some_and(|known| known.compiled == compiled) {
                self.compiler().release(&compiled);
            } else {
                self.replace(policy, compiled);
            }
        } else {
            let known = Known { compiled: Compiled::default(), active: None };
            let policy = self.policies.known.insert(namespace, &name.name, known);
            self.namespaces.add_policy(namespace, policy);
            self.replace(policy, compiled);
        }
        problems
    }

    /// A policy has gone.
    pub fn policy_gone(&mut self, name: &Name) {
        let Some(namespace) = self.namespaces.find(&name.namespace) else { return };
        let Some(policy) = self.policies.known.find(namespace, &name.name) else { return };
        self.namespaces.remove_policy(namespace, policy);
        self.dismiss_all(policy);
        if let Some(known) = self.policies.known.remove(policy) {
            self.discard(&known.compiled, Vec::new());
        }
        self.namespaces.release(namespace);
        self.problems.remove(name);
    }

    /// A pod of this node has come or is different. Its addresses do not count here. It is a subject until
    /// [`Engine::subject_gone`], whether or not it is among the cluster's pods.
    pub fn subject(&mut self, id: SubjectId, pod: &Pod) {
        self.set_subject(id, pod);
    }

    /// A pod of this node has gone.
    pub fn subject_gone(&mut self, id: SubjectId) {
        self.remove_subject(id);
    }

    /// How the tables differ since the last call, table by table, each in ascending order.
    pub fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        changes.extend(self.pods.addresses.drain().map(|(address, to)| Change::Address(address, to)));
        let namespaces = self.namespaces.classifier.drain();
        changes.extend(namespaces.map(|(id, class)| Change::Namespace(NamespaceId(id), class)));
        let labels = self.labels.classifier.drain();
        changes.extend(labels.map(|(id, class)| Change::Labels(LabelsId(id), class)));
        for direction in Direction::ALL {
            let entries = self.cidrs.of_mut(direction).drain().into_iter();
            changes.extend(entries.map(|(cidr, entry)| Change::Cidr(direction, cidr, entry)));
        }
        self.touch_stale();
        let Self { strings, namespaces, labels, cidrs, policies, .. } = self;
        let verdicts = policies.drain(|own, known, direction, resolution| {
            let Some(own) = namespaces.id(own) else { return Verdict { rules: Vec::new() } };
            let cidrs = cidrs.of(direction);
            let renderer = Renderer { strings, namespaces, labels, cidrs, own };
            renderer.verdict(direction, known.compiled.rules(direction).unwrap_or_default(), resolution)
        });
        changes.extend(verdicts.into_iter().map(|(id, verdict)| Change::Policy(id, verdict)));
        changes.extend(self.drain_subjects());
        changes
    }

    /// The policies that select a pod of this node.
    pub fn selecting(&self, id: SubjectId) -> impl Iterator<Item = (&Name, Direction, PolicyId)> {
        self.policies_of(id).flat_map(move |(known, active)| {
            let directions = known.compiled.directions();
            directions.filter_map(move |direction| Some((&active.name, direction, active.id(direction, id)?)))
        })
    }

    /// The policy that an id stands for.
    #[must_use]
    pub fn policy_of(&self, id: PolicyId) -> Option<(&Name, Direction)> {
        self.policies.of(id)
    }

    /// What is wrong with policies.
    pub fn problems(&self) -> impl Iterator<Item = (&Name, &Problem)> {
        self.problems.iter().flat_map(|(name, problems)| problems.iter().map(move |problem| (name, problem)))
    }

    /// Whether nothing is held any more, as far as contents are counted.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        let cidrs = Direction::ALL.iter().all(|direction| self.cidrs.of(*direction).is_empty());
        let world = self.strings.is_empty() && self.selectors.is_empty() && self.labels.is_empty();
        world && cidrs && self.namespaces.is_empty() && self.cidr_sets.is_empty() && self.problems.is_empty()
    }

    fn world(&mut self) -> (&mut Pods, World<'_>) {
        let Self { strings, selectors, namespaces, labels, pods, .. } = self;
        (pods, World { strings, selectors, namespaces, labels })
    }

    fn compiler(&mut self) -> Compiler<'_> {
        Compiler::new(&mut self.strings, &mut self.selectors, &mut self.cidr_sets)
    }

    /// Puts something else in a policy's place. The new uses begin before the old ones end, so that nothing is
    /// forgotten in between.
    fn replace(&mut self, policy: u32, compiled: Compiled) {
        let asked = self.ask(&compiled);
        let uses = all_uses(&compiled);
        let Some(known) = self.policies.known.get_mut(policy) else { return };
        let old = std::mem::replace(&mut known.compiled, compiled);
        if known.active.is_some() {
            uses.into_iter().for_each(|(direction, uses)| self.begin(User { policy, direction }, uses));
            for (direction, uses) in all_uses(&old) {
                self.end(User { policy, direction }, uses);
            }
        }
        self.select_all(policy);
        for direction in Direction::ALL {
            self.policies.touch(User { policy, direction });
        }
        self.discard(&old, asked);
    }

    /// Nobody needs what a policy was compiled to any more. Then labels with these keys are divided once more.
    fn discard(&mut self, compiled: &Compiled, mut keys: Vec<String>) {
        keys.extend(self.unask(compiled));
        let (pods, mut world) = self.world();
        for key in keys {
            pods.divide(&mut world, &key);
        }
        self.compiler().release(compiled);
    }

    fn ask(&mut self, compiled: &Compiled) -> Vec<String> {
        let Self { labels, selectors, strings, .. } = self;
        let selectors_used = pod_selectors(compiled);
        selectors_used.flat_map(|selector| labels.ask(selectors, strings, selector)).collect()
    }

    fn unask(&mut self, compiled: &Compiled) -> Vec<String> {
        let Self { labels, selectors, strings, .. } = self;
        let selectors_used = pod_selectors(compiled);
        selectors_used.flat_map(|selector| labels.unask(selectors, strings, selector)).collect()
    }

    /// An active policy uses something.
    fn begin(&mut self, user: User, uses: Uses) {
        match (uses, user.direction) {
            (Uses::NamespaceSelector(one), _) => self.namespaces.add_selector(&self.selectors, one, user),
            (Uses::PodSelector(one), _) => self.labels.add_selector(&self.selectors, one, user),
            (Uses::Cidrs(index), direction) => {
                if let Some(set) = self.cidr_sets.key(index) {
                    self.cidrs.of_mut(direction).add(index, set, user);
                }
            }
            (Uses::Port(name), Direction::Egress) => self.labels.add_port(&self.strings, name, user),
            (Uses::Port(_), Direction::Ingress) => {}
        }
    }

    /// An active policy no longer uses something.
    fn end(&mut self, user: User, uses: Uses) {
        match (uses, user.direction) {
            (Uses::NamespaceSelector(one), _) => {
                self.namespaces.remove_selector(&self.selectors, one, user);
            }
            (Uses::PodSelector(one), _) => self.labels.remove_selector(&self.selectors, one, user),
            (Uses::Cidrs(index), direction) => {
                if let Some(set) = self.cidr_sets.key(index) {
                    self.cidrs.of_mut(direction).remove(index, set, user);
                }
            }
            (Uses::Port(name), Direction::Egress) => self.labels.remove_port(name, user),
            (Uses::Port(_), Direction::Ingress) => {}
        }
    }

    /// Policies whose selectors match other classes than before have other verdicts.
    fn touch_stale(&mut self) {
        let Self { namespaces, labels, cidrs, policies, .. } = self;
        namespaces.classifier.drain_stale().for_each(|user| policies.touch(user));
        labels.classifier.drain_stale().for_each(|user| policies.touch(user));
        for direction in Direction::ALL {
            cidrs.of_mut(direction).drain_stale().for_each(|user| policies.touch(user));
        }
    }
}

fn all_uses(compiled: &Compiled) -> Vec<(Direction, Uses)> {
    let both = Direction::ALL.into_iter();
    both.flat_map(|direction| compiled.uses(direction).map(move |uses| (direction, uses))).collect()
}

fn pod_selectors(compiled: &Compiled) -> impl Iterator<Item = u32> {
    let uses = Direction::ALL.into_iter().flat_map(|direction| compiled.uses(direction));
    uses.filter_map(|uses| match uses {
        Uses::PodSelector(selector) => Some(selector),
        _ => None,
    })
}
