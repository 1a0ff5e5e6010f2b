//! A policy as the engine keeps it: its selectors and CIDR sets are held elsewhere, once.

use super::ports::PortRange;
use super::strings::Sym;
use crate::rules::Direction;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compiled {
    /// Whom it selects; `None`: everybody in its namespace, since the selector is wrong.
    pub(crate) subjects: Option<u32>,
    /// The rules; `None`: it does not isolate in that direction.
    pub(crate) ingress: Option<Box<[Rule]>>,
    pub(crate) egress: Option<Box<[Rule]>>,
}

/// A rule that may allow something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) index: u16,
    pub(crate) peers: Peers,
    /// `None`: all.
    pub(crate) ports: Option<Box<Ports>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    Anyone,
    Some {
        selected: Box<[Selected]>,
        /// A CIDR set.
        cidrs: Option<u32>,
    },
}

/// Pods of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) namespaces: Namespaces,
    /// A selector; `None`: all pods.
    pub(crate) pods: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespaces {
    Any,
    /// The policy's.
    Own,
    /// A selector.
    Matching(u32),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// In ascending order; none touch.
    pub(crate) ranges: Box<[PortRange]>,
    pub(crate) named: Box<[Named]>,
}

/// A named port, under its key (see [`super::labels::port_key`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) key: Sym,
    pub(crate) protocol: crate::rules::Protocol,
}

/// What a rule uses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Uses {
    NamespaceSelector(u32),
    PodSelector(u32),
    Cidrs(u32),
    Port(Sym),
}

impl Compiled {
    pub(crate) fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }

    /// The directions in which it isolates.
    pub(crate) fn directions(&self) -> impl Iterator<Item = Direction> {
        Direction::ALL.into_iter().filter(|direction| self.rules(*direction).is_some())
    }

    /// What its rules of a direction use, as many times as they do.
    pub(crate) fn uses(&self, direction: Direction) -> impl Iterator<Item = Uses> {
        self.rules(direction).into_iter().flatten().flat_map(Rule::uses)
    }

    /// The names of ports that are those of whom it selects.
    pub(crate) fn own_ports(&self) -> impl Iterator<Item = Named> {
        let ports = self.ingress.iter().flatten().filter_map(|rule| rule.ports.as_deref());
        ports.flat_map(|ports| ports.named.iter().copied())
    }
}

impl Rule {
    /// Whether everything in it was wrong.
    pub(crate) fn allows_nothing(&self) -> bool {
        let nobody = match &self.peers {
            Peers::Anyone => false,
            Peers::Some { selected, cidrs } => selected.is_empty() && cidrs.is_none(),
        };
        nobody || self.ports.as_ref().is_some_and(|ports| ports.ranges.is_empty() && ports.named.is_empty())
    }

    pub(crate) fn uses(&self) -> impl Iterator<Item = Uses> {
        let (selected, cidrs) = match &self.peers {
            Peers::Anyone => (&[][..], None),
            Peers::Some { selected, cidrs } => (&selected[..], *cidrs),
        };
        let selected = selected.iter().flat_map(Selected::uses);
        let ports = self.ports.iter().flat_map(|ports| ports.named.iter().map(|port| Uses::Port(port.key)));
        selected.chain(cidrs.map(Uses::Cidrs)).chain(ports)
    }
}

impl Selected {
    pub(crate) fn uses(&self) -> impl Iterator<Item = Uses> + use<> {
        let namespaces = match self.namespaces {
            Namespaces::Matching(selector) => Some(Uses::NamespaceSelector(selector)),
            Namespaces::Any | Namespaces::Own => None,
        };
        namespaces.into_iter().chain(self.pods.map(Uses::PodSelector))
    }
}
