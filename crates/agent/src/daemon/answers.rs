//! What is known, for those who ask.

use inspection::services::Problem;
use service::lb::Name;

use super::Daemon;
use crate::balancing::Balancing;
use crate::inspect::{Request, ServiceSnapshot, ServicesSnapshot, Snapshot};

impl Daemon {
    /// Answers. Who asked may have gone.
    pub(super) fn answer(&self, request: Request) {
        match request {
            Request::Policies(to) => {
                let _ = to.send(self.snapshot());
            }
            Request::Services(to) => {
                let _ = to.send(self.services());
            }
            Request::Lines(names, to) => {
                let line = |name| self.state.balancing()?.line(name);
                let _ = to.send(names.iter().filter_map(line).collect());
            }
            Request::Service(name, to) => {
                let _ = to.send(self.service(&name));
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut inspection = self.state.inspection();
        inspection.tracks_sctp = self.sctp_known();
        Snapshot { inspection, session: self.session.clone() }
    }

    fn services(&self) -> ServicesSnapshot {
        let balancing = self.state.balancing();
        ServicesSnapshot {
            node: self.state.node().to_owned(),
            names: balancing.map(Balancing::names),
            problems: balancing.map(|balancing| self.all_problems(balancing)).unwrap_or_default(),
            tracks_sctp: self.sctp_known(),
        }
    }

    /// What is wrong in objects, and health-check node ports that this node cannot open.
    fn all_problems(&self, balancing: &Balancing) -> Vec<Problem> {
        let unopened = balancing.checks().iter().filter_map(|(port, check)| {
            let why = self.health_checks.failure(*port)?;
            let node = self.state.node();
            Some(Problem {
                namespace: check.service.namespace.to_string(),
                service: check.service.name.to_string(),
                slice: None,
                path: "spec.healthCheckNodePort".to_owned(),
                message: format!(
                    "{port} cannot be opened on {node}, to which load balancers will not send: {why}"
                ),
            })
        });
        balancing.wrong().into_iter().chain(unopened).collect()
    }

    fn service(&self, name: &Name) -> ServiceSnapshot {
        let balancing = self.state.balancing();
        let view = balancing.and_then(|balancing| balancing.view(name));
        let is_its_own = |problem: &Problem| {
            (problem.namespace.as_str(), problem.service.as_str()) == (&*name.namespace, &*name.name)
        };
        let problems = balancing.map(Balancing::wrong).unwrap_or_default();
        let check = view.as_ref().and_then(|view| view.health_check.as_ref());
        ServiceSnapshot {
            node: self.state.node().to_owned(),
            proxy: balancing.is_some(),
            problems: problems.into_iter().filter(is_its_own).collect(),
            check_failure: check.and_then(|(port, _)| self.health_checks.failure(*port)).map(str::to_owned),
            view,
            sctp: self.state.tracks_sctp(),
            session: self.session.clone(),
        }
    }

    /// Whether the datapath tells SCTP associations apart, once the switch has been asked.
    fn sctp_known(&self) -> Option<bool> {
        (!self.unread).then(|| self.state.tracks_sctp())
    }
}
