//! `kvsctl service list`.

use std::collections::BTreeMap;

use clap::Args;
use inspection::services::{Kind, Line, LinePort, Listing, Protocol, Skipped};
use serde::Serialize;

use super::{of_node, text};
use crate::agents::{Ask, answers};
use crate::output;
use crate::style::{bold, dim, green, red, yellow};

/// Which Services.
#[derive(Args)]
pub(super) struct Which {
    /// Those of this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// As this node has them
    #[arg(long)]
    node: Option<String>,
}

/// A Service on all nodes that were asked.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    /// As the first node has it.
    #[serde(flatten)]
    line: Line,
    /// How it is.
    states: Vec<State>,
    /// Nodes that have it otherwise, or not at all.
    differs: Vec<String>,
}

/// How a Service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Skipped,
    Problems,
    NoPorts,
    NoEndpoints,
    OnlyTerminating,
    SctpRefused,
}

/// Shows the Services. Returns how many daemons did not answer.
pub(super) fn run(ask: &Ask, which: &Which) -> anyhow::Result<usize> {
    let (listings, silent) = answers(&ask.agents()?, |agent| agent.value::<Listing>("/services", "Services"));
    let mut listings = of_node(listings, which.node.as_deref(), |listing| &listing.node)?;
    if let Some(namespace) = &which.namespace {
        for listing in &mut listings {
            listing.services.retain(|line| line.namespace == *namespace);
            listing.problems.retain(|problem| problem.namespace == *namespace);
        }
    }
    let rows = rows(&listings);
    if ask.json() {
        output::json(&rows)?;
    } else if !listings.is_empty() {
        lines(&rows, &listings).iter().try_for_each(|text| output::line(text))?;
    }
    Ok(silent)
}

/// Every node that is their proxy knows of all Services.
fn rows(listings: &[Listing]) -> Vec<Row> {
    let proxies: Vec<&Listing> = listings.iter().filter(|listing| listing.proxy).collect();
    let key = |line: &Line| (line.namespace.clone(), line.name.clone());
    let mut all: BTreeMap<_, Vec<(&Listing, &Line)>> = BTreeMap::new();
    for &listing in &proxies {
        for line in &listing.services {
            all.entry(key(line)).or_default().push((listing, line));
        }
    }
    let row = |of_nodes: Vec<(&Listing, &Line)>| {
        let (_, line) = of_nodes.first()?;
        let same =
            |node: &Listing| of_nodes.iter().any(|(other, one)| other.node == node.node && one == line);
        let differs = proxies.iter().filter(|listing| !same(listing)).map(|listing| listing.node.clone());
        let no_sctp = of_nodes.iter().any(|(listing, _)| listing.tracks_sctp == Some(false));
        Some(Row { line: (*line).clone(), states: states(line, no_sctp), differs: differs.collect() })
    };
    all.into_values().filter_map(row).collect()
}

fn states(line: &Line, no_sctp: bool) -> Vec<State> {
    let problems = (line.problems > 0).then_some(State::Problems);
    let serving = match (line.skipped, line.endpoints.ready, line.endpoints.terminating) {
        (Some(_), ..) => Some(State::Skipped),
        _ if line.ports.is_empty() => Some(State::NoPorts),
        (None, 0, 0) => Some(State::NoEndpoints),
        (None, 0, _) => Some(State::OnlyTerminating),
        _ => None,
    };
    let by_sctp = line.skipped.is_none() && line.ports.iter().any(|port| port.protocol == Protocol::Sctp);
    let sctp = (by_sctp && no_sctp).then_some(State::SctpRefused);
    let found: Vec<State> = [serving, sctp, problems].into_iter().flatten().collect();
    if found.is_empty() { vec![State::Ok] } else { found }
}

fn lines(rows: &[Row], listings: &[Listing]) -> Vec<String> {
    let header = ["NAMESPACE", "NAME", "KINDS", "CLUSTER-IPS", "PORTS", "ENDPOINTS", "STATE"];
    let mut table = vec![header.map(bold).to_vec()];
    table.extend(rows.iter().map(cells));
    let proxies = listings.iter().filter(|listing| listing.proxy).count();
    let mut lines = match rows.len() {
        0 if proxies > 0 => vec!["no Services".to_owned()],
        0 => Vec::new(),
        _ => output::columns(&table),
    };
    // Each node has the same ones, mostly.
    let mut seen = Vec::new();
    for problem in listings.iter().flat_map(|listing| &listing.problems) {
        if !seen.contains(&problem) {
            seen.push(problem);
            lines.push(yellow(&text::problem(problem)));
        }
    }
    for listing in listings.iter().filter(|listing| !listing.proxy) {
        lines.push(yellow(&text::no_proxy(&listing.node)));
    }
    lines
}

fn cells(row: &Row) -> Vec<String> {
    let line = &row.line;
    let or_none = |texts: Vec<String>| if texts.is_empty() { dim("-") } else { texts.join(",") };
    let endpoints = match line.endpoints {
        tally if line.skipped.is_some() && tally.total == 0 => dim("-"),
        tally => format!("{}/{}", tally.ready, tally.total),
    };
    vec![
        line.namespace.clone(),
        line.name.clone(),
        or_none(line.kinds.iter().map(|kind: &Kind| kind.as_str().to_owned()).collect()),
        or_none(line.addresses.iter().map(ToString::to_string).collect()),
        or_none(line.ports.iter().map(port).collect()),
        endpoints,
        state(row),
    ]
}

/// As `kubectl get services` has it.
fn port(port: &LinePort) -> String {
    match port.node_port {
        Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol),
        None => format!("{}/{}", port.port, port.protocol),
    }
}

fn state(row: &Row) -> String {
    let one = |state: &State| match state {
        State::Ok => green("ok"),
        State::Skipped => dim(row.line.skipped.map_or("", skipped)),
        State::Problems if row.line.problems == 1 => red("1 problem"),
        State::Problems => red(&format!("{} problems", row.line.problems)),
        State::NoPorts => yellow("no ports"),
        State::NoEndpoints => yellow("no endpoints"),
        State::OnlyTerminating => yellow("terminating endpoints only"),
        State::SctpRefused => yellow("SCTP refused"),
    };
    let mut states: Vec<String> = row.states.iter().map(one).collect();
    if !row.differs.is_empty() {
        states.push(yellow(&format!("otherwise on {}", row.differs.join(" "))));
    }
    states.join(", ")
}

/// Why nothing is done, in a word.
const fn skipped(skipped: Skipped) -> &'static str {
    match skipped {
        Skipped::OtherProxy => "other proxy",
        Skipped::ExternalName => "ExternalName",
        Skipped::Headless => "headless",
        Skipped::NoAddress => "no address",
    }
}

#[cfg(test)]
mod tests;
