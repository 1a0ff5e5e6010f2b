//! What there is to tell of Services.

use std::collections::BTreeMap;

use inspection::services::{Kind, Line, LinePort, Problem, Protocol, Skipped, Tally};
use service::lb::{self, At, Name};
use service::{problems, view};

use super::Balancing;

impl Balancing {
    /// The Services that are told of.
    #[must_use]
    pub fn names(&self) -> Vec<Name> {
        self.engine.services().cloned().collect()
    }

    /// What became of a Service.
    #[must_use]
    pub fn view(&self, name: &Name) -> Option<view::Service> {
        self.engine.view(name)
    }

    /// A Service in short, without its problems.
    #[must_use]
    pub fn line(&self, name: &Name) -> Option<Line> {
        self.engine.view(name).map(|view| line(name, &view))
    }

    /// What is wrong in Services and EndpointSlices.
    #[must_use]
    pub fn wrong(&self) -> Vec<Problem> {
        let problems = self.engine.problems();
        problems.map(|(object, problem)| self.problem(&object, problem)).collect()
    }

    fn problem(&self, object: &problems::Object, problem: problems::Problem) -> Problem {
        let (service, slice) = match object {
            problems::Object::Service(name) => (Some(name), None),
            problems::Object::Slice(name) => (self.engine.service_of(name), Some(name)),
        };
        let text = |name: &Name| (name.namespace.to_string(), name.name.to_string());
        let (namespace, service) = service.map(text).unwrap_or_default();
        let slice = slice.map(|name| name.name.to_string());
        Problem { namespace, service, slice, path: problem.path, message: problem.message }
    }
}

fn line(name: &Name, view: &view::Service) -> Line {
    let frontends = || view.ports.iter().flat_map(|port| &port.frontends);
    // Stand-ins are the host's and the bridge's own affair.
    let asked_for = || frontends().filter(|frontend| frontend.kind != view::Kind::StandIn);
    let mut addresses = Vec::new();
    for frontend in frontends().filter(|frontend| frontend.kind == view::Kind::Cluster) {
        if let At::Address(address) = frontend.place.at
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    let port = |port: &view::Port| LinePort {
        protocol: protocol(port.protocol),
        port: port.port,
        node_port: port
            .frontends
            .iter()
            .find(|one| one.kind == view::Kind::NodePort)
            .map(|one| one.place.port),
    };
    Line {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        skipped: view.skipped.map(skipped),
        kinds: asked_for().map(|frontend| kind(frontend.kind)).collect(),
        addresses,
        ports: view.ports.iter().map(port).collect(),
        frontends: asked_for().count(),
        endpoints: tally(view),
        problems: 0,
    }
}

/// An endpoint is what its target is, or else its address; its best state counts.
fn tally(view: &view::Service) -> Tally {
    let mut states: BTreeMap<_, (bool, bool)> = BTreeMap::new();
    for one in view.ports.iter().flat_map(|port| &port.endpoints) {
        let key = match &one.target {
            Some(target) => (Some(target), None),
            None => (None, Some(one.address.ip())),
        };
        let (ready, lingers) = states.entry(key).or_default();
        *ready |= one.ready;
        *lingers |= one.serving && one.terminating;
    }
    let count = |which: fn(&&(bool, bool)) -> bool| states.values().filter(which).count();
    Tally {
        total: states.len(),
        ready: count(|(ready, _)| *ready),
        terminating: count(|(ready, lingers)| !ready && *lingers),
    }
}

pub(crate) fn kind(kind: view::Kind) -> Kind {
    match kind {
        view::Kind::Cluster => Kind::Cluster,
        view::Kind::LoadBalancer => Kind::LoadBalancer,
        view::Kind::External => Kind::External,
        view::Kind::NodePort => Kind::NodePort,
        view::Kind::StandIn => Kind::StandIn,
    }
}

pub(crate) fn protocol(protocol: lb::Protocol) -> Protocol {
    match protocol {
        lb::Protocol::Tcp => Protocol::Tcp,
        lb::Protocol::Udp => Protocol::Udp,
        lb::Protocol::Sctp => Protocol::Sctp,
    }
}

pub(crate) fn skipped(skipped: view::Skipped) -> Skipped {
    match skipped {
        view::Skipped::OtherProxy => Skipped::OtherProxy,
        view::Skipped::ExternalName => Skipped::ExternalName,
        view::Skipped::Headless => Skipped::Headless,
        view::Skipped::NoAddress => Skipped::NoAddress,
    }
}
