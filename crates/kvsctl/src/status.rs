//! `kvsctl status`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;
use inspection::{Counters, Inspection};
use serde::Serialize;

use crate::agents::{Agent, Ask, each};
use crate::output::{self, line};
use crate::style::{bold, green, red, yellow};

/// What datapaths that track SCTP by addresses alone cannot do, and what is done about it.
const SCTP: &str = "SCTP is tracked by learned flows: the userspace datapath before Open vSwitch 3.2 tracks SCTP by \
                    addresses alone";

/// And what else.
const SCTP_SERVICES: &str =
    "connections to Services by SCTP are refused: this datapath cannot translate them";

/// Nodes: whether they are in order, what is on them, what they cannot do.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    ask: Ask,
}

/// A node.
#[derive(Debug, Serialize)]
struct NodeStatus {
    node: String,
    ready: bool,
    checks: Vec<Check>,
    /// `None`: the daemon does not answer; then `error` says why.
    #[serde(flatten)]
    contents: Option<Contents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One of the daemon's conditions.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) met: bool,
    /// What is missing.
    pub(crate) message: String,
}

/// What is on a node.
#[derive(Debug, Serialize)]
struct Contents {
    pods: usize,
    policies: usize,
    invalid_policies: usize,
    flows: usize,
    identities: usize,
    /// Services that the node's bridge is the proxy of; `None`: of none.
    services: Option<usize>,
    counters: Counters,
    tracks_sctp: Option<bool>,
    /// What the datapath cannot do.
    limits: Vec<&'static str>,
}

/// Shows all nodes. It fails if one is not in order.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let agents = arguments.ask.agents()?;
    let answers = each(&agents, |agent| Ok(status(agent)));
    let failed = |agent: &Agent, error: &anyhow::Error| NodeStatus::silent(&agent.name, error);
    let statuses: Vec<NodeStatus> = agents
        .iter()
        .zip(answers)
        .map(|(agent, answer)| answer.unwrap_or_else(|error| failed(agent, &error)))
        .collect();
    if arguments.ask.json() {
        output::json(&statuses)?;
    } else {
        statuses.iter().try_for_each(show)?;
    }
    let well = statuses.iter().all(|status| status.ready && status.error.is_none());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn status(agent: &Agent) -> NodeStatus {
    let page = match agent.get("/readyz") {
        Ok(page) => page,
        Err(error) => return NodeStatus::silent(&agent.name, &error),
    };
    let (ready, checks) = (page.status == 200, checks(&page.body));
    match agent.inspection() {
        Ok(inspection) => {
            let node = inspection.node.clone();
            NodeStatus { node, ready, checks, contents: Some(Contents::of(inspection)), error: None }
        }
        Err(error) => NodeStatus { ready, checks, ..NodeStatus::silent(&agent.name, &error) },
    }
}

/// Lines of `/readyz`: `[+] name`, `[-] name: what is missing`.
pub(crate) fn checks(page: &str) -> Vec<Check> {
    let check = |line: &str| {
        let (met, rest) = match (line.strip_prefix("[+] "), line.strip_prefix("[-] ")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return None,
        };
        let (name, message) = rest.split_once(": ").unwrap_or((rest, ""));
        Some(Check { name: name.to_owned(), met, message: message.to_owned() })
    };
    page.lines().filter_map(check).collect()
}

impl NodeStatus {
    fn silent(node: &str, error: &anyhow::Error) -> Self {
        let error = Some(crate::describe(error));
        Self { node: node.to_owned(), ready: false, checks: Vec::new(), contents: None, error }
    }
}

impl Contents {
    fn of(inspection: Inspection) -> Self {
        let names = inspection.policies.iter().map(|policy| (&policy.namespace, &policy.name));
        Self {
            pods: inspection.pods.len(),
            policies: names.collect::<BTreeSet<_>>().len(),
            invalid_policies: inspection.invalid.len(),
            flows: inspection.flows,
            identities: inspection.identities,
            services: inspection.services,
            limits: limits(&inspection),
            tracks_sctp: inspection.tracks_sctp,
            counters: inspection.counters,
        }
    }
}

fn limits(inspection: &Inspection) -> Vec<&'static str> {
    match (inspection.tracks_sctp, inspection.services) {
        (Some(false), Some(_)) => vec![SCTP, SCTP_SERVICES],
        (Some(false), None) => vec![SCTP],
        _ => Vec::new(),
    }
}

fn show(status: &NodeStatus) -> anyhow::Result<()> {
    let ready = if status.ready { green("ready") } else { red("not ready") };
    line(&format!("{}: {ready}", bold(&status.node)))?;
    for check in &status.checks {
        line(&match check.met {
            true => format!("  {} {}", green("[+]"), check.name),
            false => format!("  {} {}: {}", red("[-]"), check.name, check.message),
        })?;
    }
    if let Some(error) = &status.error {
        line(&format!("  {}", red(error)))?;
    }
    let Some(contents) = &status.contents else { return Ok(()) };
    let Contents { pods, policies, flows, identities, .. } = contents;
    line(&format!(
        "  pods {pods}, policies in force {policies}, flows {flows}, addresses of pods in the cluster {identities}"
    ))?;
    line(&match contents.services {
        Some(services) => format!("  proxy of Services: {services}"),
        None => format!("  proxy of Services: {}, that is kube-proxy's work here", yellow("off")),
    })?;
    if contents.invalid_policies > 0 {
        let invalid = contents.invalid_policies;
        line(&yellow(&format!("  invalid policies in the cluster: {invalid}; see `kvsctl policy list`")))?;
    }
    if let Counters::Unavailable { why } = &contents.counters {
        line(&yellow(&format!("  no counters: {why}")))?;
    }
    for limit in &contents.limits {
        line(&yellow(&format!("  {limit}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_daemons_readiness_are_its_conditions() {
        let checks = checks("[-] api: lost: try again\n[+] switch\n[-] starting\nelse\n");
        let check =
            |name: &str, met, message: &str| Check { name: name.into(), met, message: message.into() };
        let wanted =
            [check("api", false, "lost: try again"), check("switch", true, ""), check("starting", false, "")];
        assert_eq!(checks, wanted);
    }
}
