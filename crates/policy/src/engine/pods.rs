//! Pods as peers: their addresses and what their labels make of them.

use super::addresses::{Address, Addresses};
use super::labels::{LabelSets, PodLabels};
use super::named::Named;
use super::namespaces::Namespaces;
use super::selectors::Selectors;
use super::strings::Strings;
use crate::rules::Identity;
use crate::spec::{Name, Pod};

#[derive(Default)]
pub(crate) struct Pods {
    pods: Named<Known>,
    pub(crate) addresses: Addresses,
}

struct Known {
    labels: PodLabels,
    addresses: Box<[Address]>,
    identity: Option<Identity>,
}

/// What pods are described with.
pub(crate) struct World<'a> {
    pub(crate) strings: &'a mut Strings,
    pub(crate) selectors: &'a Selectors,
    pub(crate) namespaces: &'a mut Namespaces,
    pub(crate) labels: &'a mut LabelSets,
}

impl Pods {
    /// A pod has come or is different.
    pub(crate) fn set(&mut self, world: &mut World<'_>, name: &Name, pod: &Pod) {
        let namespace = world.namespaces.acquire(&name.namespace);
        let labels = world.labels.add(world.selectors, world.strings, pod);
        let addresses = addresses_of(pod);
        let index = if let Some(index) = self.pods.find(namespace, &name.name) {
            world.namespaces.release(namespace);
            index
        } else {
            let none = PodLabels { set: u32::MAX, own: Box::default() };
            self.pods.insert(
                namespace,
                &name.name,
                Known { labels: none, addresses: Box::default(), identity: None },
            )
        };
        self.relabel(world, index, labels);
        let Some(known) = self.pods.get_mut(index) else { return };
        let old = std::mem::replace(&mut known.addresses, addresses.clone());
        let identity = known.identity;
        for address in addresses.iter().filter(|address| !old.contains(address)) {
            let before = self.addresses.claim(*address, index);
            let before = self.identity(before);
            self.addresses.record(*address, before, identity);
        }
        for address in old.iter().filter(|address| !addresses.contains(address)) {
            self.unclaim(*address, index, identity);
        }
    }

    /// A pod has gone.
    pub(crate) fn remove(&mut self, world: &mut World<'_>, name: &Name) {
        let Some(namespace) = world.namespaces.find(&name.namespace) else { return };
        let Some(index) = self.pods.find(namespace, &name.name) else { return };
        let Some(known) = self.pods.remove(index) else { return };
        for address in &known.addresses {
            self.unclaim(*address, index, known.identity);
        }
        world.labels.remove(world.strings, &known.labels);
        world.namespaces.release(namespace);
    }

    /// Divides the labels of pods that have a label with this key once more.
    pub(crate) fn divide(&mut self, world: &mut World<'_>, key: &str) {
        let affected = self.pods.iter().filter(|(_, known)| world.labels.has(&known.labels, key));
        for index in affected.map(|(index, _)| index).collect::<Vec<_>>() {
            let Some(known) = self.pods.get(index) else { continue };
            let labels = world.labels.add_again(world.selectors, world.strings, &known.labels);
            self.relabel(world, index, labels);
        }
    }

    fn relabel(&mut self, world: &mut World<'_>, index: u32, labels: PodLabels) {
        let Some(namespace) = self.pods.namespace(index).and_then(|index| world.namespaces.id(index)) else {
            return;
        };
        let identity = world.labels.id(labels.set).map(|labels| Identity { namespace, labels });
        let Some(known) = self.pods.get_mut(index) else { return };
        let old = std::mem::replace(&mut known.labels, labels);
        world.labels.remove(world.strings, &old);
        let before = std::mem::replace(&mut known.identity, identity);
        if before != identity {
            for address in &known.addresses {
                if self.addresses.is_of(*address, index) {
                    self.addresses.record(*address, before, identity);
                }
            }
        }
    }

    fn unclaim(&mut self, address: Address, pod: u32, identity: Option<Identity>) {
        let counted = self.addresses.is_of(address, pod);
        let winner = self.addresses.unclaim(address, pod);
        if counted {
            let after = self.identity(winner);
            self.addresses.record(address, identity, after);
        }
    }

    fn identity(&self, pod: Option<u32>) -> Option<Identity> {
        self.pods.get(pod?)?.identity
    }
}

fn addresses_of(pod: &Pod) -> Box<[Address]> {
    let mut addresses: Vec<Address> = Vec::with_capacity(pod.addresses.len());
    for address in pod.addresses.iter().map(|address| Address::from(*address)) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.into()
}
