//! `kvsctl service show`.

use anyhow::{bail, ensure};
use clap::Args;
use inspection::Counters;
use inspection::services::{HealthCheck, Kind, Leads, Outcome, Scope, Set, Shown};

use super::merge::{self, MergedEndpoint, MergedFrontend, MergedPort, MergedSet, OnNode};
use super::{of_node, text};
use crate::agents::{Ask, answers};
use crate::output;
use crate::style::{bold, dim, green, red, yellow};

/// A Service.
#[derive(Args)]
pub(super) struct Which {
    /// The Service's namespace, if its name does not say it
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// As this node has it, and connections through this node alone
    #[arg(long)]
    node: Option<String>,
    /// The Service: NAME, or NAMESPACE/NAME
    service: String,
}

/// Shows the Service. Returns how many daemons did not answer.
pub(super) fn run(ask: &Ask, which: &Which) -> anyhow::Result<usize> {
    let (namespace, name) = which.service.split_once('/').unwrap_or((&which.namespace, &which.service));
    let valid =
        // The last two are of host ports' names.
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || ".-:@".contains(c));
    ensure!(valid(namespace) && valid(name), "{namespace}/{name} is no name of a Service");
    let page = format!("/services/{namespace}/{name}");
    let (answers, silent) = answers(&ask.agents()?, |agent| agent.value::<Shown>(&page, "Services"));
    let answers = of_node(answers, which.node.as_deref(), |answer| &answer.node)?;
    if ask.json() {
        output::json(&answers)?;
        return Ok(silent);
    }
    for answer in answers.iter().filter(|answer| !answer.proxy) {
        output::line(&yellow(&text::no_proxy(&answer.node)))?;
    }
    let known = |answer: &&Shown| answer.proxy && answer.service.is_none();
    let without: Vec<&str> = answers.iter().filter(known).map(|answer| answer.node.as_str()).collect();
    let shown = lines(&answers);
    if shown.is_empty() {
        if !without.is_empty() {
            bail!("no Service {namespace}/{name} on {}", without.join(", "));
        }
        return Ok(silent);
    }
    shown.iter().try_for_each(|text| output::line(text))?;
    if !without.is_empty() {
        output::line(&yellow(&format!("not known on {}", without.join(", "))))?;
    }
    Ok(silent)
}

/// Everything, or nothing where no node has the Service.
fn lines(answers: &[Shown]) -> Vec<String> {
    let nodes: Vec<OnNode<'_>> =
        answers.iter().filter_map(|answer| Some((answer.node.as_str(), answer.service.as_ref()?))).collect();
    let Some((_, first)) = nodes.first() else { return Vec::new() };
    let names: Vec<&str> = nodes.iter().map(|(node, _)| *node).collect();
    let name = bold(&format!("{}/{}", first.namespace, first.name));
    let mut lines = vec![format!("Service {name} on {}", names.join(", "))];
    if let Some(skipped) = first.skipped {
        lines.push(yellow(text::skipped(skipped)));
    }
    if let Some(seconds) = first.affinity {
        lines.push(format!("clients keep their endpoint until they have made no connection for {seconds} s"));
    }
    let mut seen = Vec::new();
    for problem in nodes.iter().flat_map(|(_, service)| &service.problems) {
        if !seen.contains(&problem) {
            seen.push(problem);
            lines.push(yellow(&format!("wrong: {}", text::place(problem))));
        }
    }
    // Who skips a Service has nothing to count.
    let counted = first.skipped.is_none();
    for answer in answers.iter().filter(|answer| counted && answer.service.is_some()) {
        if let Counters::Unavailable { why } = &answer.counters {
            lines.push(yellow(&format!("{}: no counters: {why}", answer.node)));
        }
    }
    let merged = merge::ports(&nodes);
    lines.extend(merged.iter().flat_map(|port| self::port(port, nodes.len(), counted)));
    for (port, on) in merge::health_checks(&nodes) {
        lines.push(format!("{} {port}: {}", bold("health-check node port"), health_check(&on)));
    }
    if counted {
        let through = if nodes.len() > 1 { "all these nodes" } else { "this node" };
        let note = format!(
            "Connections through {through}, since what counts them was last changed. A first packet that is sent again \
             counts again."
        );
        lines.push(dim(&note));
    }
    lines
}

fn port(port: &MergedPort<'_>, nodes: usize, served: bool) -> Vec<String> {
    let MergedPort { name, protocol, port: number, frontends, sets, endpoints } = port;
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    let mut lines = vec![bold(&format!("port{name} {number}/{protocol}"))];
    let header = |cells: &[&str]| cells.iter().map(|cell| dim(cell)).collect::<Vec<_>>();
    if !frontends.is_empty() {
        let mut table = vec![header(&["  FRONTEND", "KIND", "LEADS TO", "CONNECTIONS"])];
        table.extend(frontends.iter().map(frontend));
        lines.extend(output::columns(&table));
        lines.extend(elsewhere(frontends));
    }
    if !sets.is_empty() {
        let mut table = vec![header(&["  LEADS TO", "FAMILY", "ON", "THAT IS", "CONNECTIONS"])];
        table.extend(sets.iter().flat_map(|one| set(one, nodes)));
        lines.extend(output::columns(&table));
    }
    if endpoints.is_empty() {
        lines.push(format!(
            "  {}",
            yellow(
                "no endpoints: does the selector match pods that run, and do they have the targetPort? Without a \
                 selector: is there an EndpointSlice with the label kubernetes.io/service-name?"
            )
        ));
    } else {
        let mut table = vec![header(&["  ENDPOINT", "NODE", "STATE", "TARGET", "CONNECTIONS"])];
        table.extend(endpoints.iter().map(|one| endpoint(one, served)));
        lines.extend(output::columns(&table));
    }
    lines
}

/// Where connections from outside are counted, which the host has sent to the bridge as if they were for another port.
fn elsewhere(frontends: &[MergedFrontend<'_>]) -> Option<String> {
    let by = |one: &MergedFrontend<'_>| {
        let address = std::net::SocketAddr::new(one.first.address?, one.first.port);
        Some(format!("{address} at port {}", one.first.outside_by?))
    };
    let all: Vec<String> = frontends.iter().filter_map(by).collect();
    (!all.is_empty())
        .then(|| dim(&format!("  from outside, connections are counted elsewhere: to {}", all.join(", to "))))
}

fn frontend(frontend: &MergedFrontend<'_>) -> Vec<String> {
    let first = frontend.first;
    let family = if first.ipv6 { "IPv6" } else { "IPv4" };
    let at = match (first.kind, first.address) {
        (Kind::StandIn, _) => format!("{family}:{}", first.port),
        (_, Some(address)) => std::net::SocketAddr::new(address, first.port).to_string(),
        (_, None) => format!("nodes' {family}:{}", first.port),
    };
    let to = match frontend.differs.as_slice() {
        [] => leads(&first.leads),
        differs => {
            let one = |(node, to): &(&str, &Leads)| format!("{node}: {}", leads(to));
            differs.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    };
    let mut connections = number(frontend.connections);
    if let Some(not_allowed) = frontend.not_allowed.filter(|packets| *packets > 0) {
        connections.push_str(&red(&format!(", {not_allowed} not allowed")));
    }
    vec![format!("  {at}"), first.kind.as_str().to_owned(), to, connections]
}

fn leads(leads: &Leads) -> String {
    match leads {
        Leads::To { inside, outside, sources } => {
            let mut text = match (inside, outside) {
                (Scope::Cluster, Scope::Cluster) => "all endpoints".to_owned(),
                (Scope::Cluster, _) => "all endpoints; the node's, from outside".to_owned(),
                _ => "the node's endpoints".to_owned(),
            };
            if !sources.is_empty() {
                text.push_str(&format!("; for {} alone", sources.join(", ")));
            }
            text
        }
        Leads::Taken { namespace, name } => red(&format!("Service {namespace}/{name}, which had it first")),
        Leads::Untold => yellow("nothing yet"),
    }
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Cluster => "all endpoints",
        Scope::LocalInside => "the node's endpoints",
        Scope::LocalOutside => "the node's, from outside",
    }
}

/// A line, or one for each node where that is not the same.
fn set(set: &MergedSet<'_>, nodes: usize) -> Vec<Vec<String>> {
    let row = |of: &str, becomes: String, connections: Option<u64>| {
        let family = if set.ipv6 { "IPv6" } else { "IPv4" };
        vec![
            format!("  {}", scope(set.scope)),
            family.to_owned(),
            of.to_owned(),
            becomes,
            number(connections),
        ]
    };
    let same = set.on.windows(2).all(|two| match two {
        [(_, a), (_, b)] => becomes(a) == becomes(b),
        _ => true,
    });
    match set.on.as_slice() {
        [(node, first), ..] if same && (set.scope == Scope::Cluster || nodes == 1) => {
            vec![row(
                if nodes == 1 { node } else { "all nodes" },
                becomes(first),
                merge::sum(set.on.iter().map(|(_, one)| one.connections)),
            )]
        }
        on => on.iter().map(|(node, one)| row(node, becomes(one), one.connections)).collect(),
    }
}

fn becomes(set: &Set) -> String {
    match set.outcome {
        Outcome::Endpoints => {
            let endpoints = match set.endpoints.len() {
                1 => "1 endpoint".to_owned(),
                some => format!("one of {some} endpoints"),
            };
            let keeps = if set.keeps_client { "; clients outside keep their address" } else { "" };
            format!("{}{keeps}", green(&endpoints))
        }
        Outcome::Refused => yellow("nobody: refused, there is no endpoint"),
        Outcome::RefusedSctp => yellow("nobody: refused, the datapath cannot translate SCTP"),
        Outcome::Dropped => yellow("nobody: dropped, no endpoint is on the node"),
    }
}

fn endpoint(endpoint: &MergedEndpoint<'_>, served: bool) -> Vec<String> {
    let first = endpoint.first;
    let state = match (first.ready, first.serving, first.terminating) {
        (true, ..) => green("ready"),
        (false, true, true) => yellow("terminating, serving"),
        (false, false, true) => dim("terminating"),
        (false, ..) => yellow("not ready"),
    };
    let state =
        if served && first.ready && !endpoint.used { format!("{state}{}", dim(", not used")) } else { state };
    let target = first.target.as_ref().map(|target| format!("{} {}", target.kind, target.name));
    vec![
        format!("  {}", first.address),
        first.node.clone().unwrap_or_else(|| dim("-")),
        state,
        target.unwrap_or_else(|| dim("-")),
        number(endpoint.connections),
    ]
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(|| dim("-"), |count| count.to_string())
}

fn health_check(on: &[(&str, &HealthCheck)]) -> String {
    let one = |(node, check): &(&str, &HealthCheck)| {
        let endpoints = text::count(check.local_endpoints, "endpoint", "endpoints");
        match (&check.error, check.status) {
            (Some(error), _) => red(&format!("{node} does not answer: {error}")),
            (None, 200) => format!("{node} answers {} ({endpoints})", green("200")),
            (None, status) => format!("{node} answers {} ({endpoints})", yellow(&status.to_string())),
        }
    };
    on.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
