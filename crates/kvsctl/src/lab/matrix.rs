//! `kvsctl lab matrix`.

use std::collections::BTreeMap;

use ::lab::probe::{Outcome, Probe, ProbeResult};
use ::lab::protocol::{MatrixTargets, Request};
use clap::Args;

use super::probe::{How, coloured, results};
use super::{Common, output};
use crate::style::{bold, dim, green, red};

/// Many sources, many targets.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    how: How,
    /// Probe from the nodes as well
    #[arg(long)]
    from_nodes: bool,
    /// Whom to probe: pods, nodes or outside
    #[arg(long, default_value = "pods")]
    to: MatrixTargets,
    /// Only pods of this namespace; without, of all but kube-system
    #[arg(long, short)]
    namespace: Option<String>,
}

/// Probes all from all and shows what became of it.
pub(super) fn run(common: &Common, arguments: &Arguments) -> anyhow::Result<()> {
    let request = Request::Matrix {
        from_nodes: arguments.from_nodes,
        to: arguments.to,
        namespace: arguments.namespace.clone(),
        ask: arguments.how.ask(arguments.how.answers),
    };
    let results = results(common, &request)?;
    if common.json() { output::json(&results) } else { Ok(show(&results)?) }
}

/// A cell for each source and target: one sign per probe and family.
pub(super) fn show(results: &[ProbeResult]) -> std::io::Result<()> {
    if results.is_empty() {
        return output::line("no pods run that could be probed");
    }
    let mut columns: Vec<&str> = Vec::new();
    let mut rows: Vec<&str> = Vec::new();
    let mut asked: Vec<String> = Vec::new();
    let mut cells: BTreeMap<(&str, &str), Vec<&ProbeResult>> = BTreeMap::new();
    for result in results {
        let asks = ask_of(result);
        push_new(&mut columns, &result.to);
        push_new(&mut rows, &result.from);
        if !asked.contains(&asks) {
            asked.push(asks);
        }
        cells.entry((&result.from, &result.to)).or_default().push(result);
    }
    // Columns are numbered, since names are long; rows that are columns too show their number.
    let number = |name: &str| columns.iter().position(|column| *column == name).map(|index| index + 1);
    let mut table = vec![vec![bold("FROM"), bold("TO")]];
    if let Some(header) = table.first_mut() {
        header.extend((1..=columns.len()).map(|index| bold(&index.to_string())));
    }
    for row in &rows {
        let mut line = vec![(*row).to_owned(), number(row).map(|n| n.to_string()).unwrap_or_default()];
        for column in &columns {
            line.push(cells.get(&(*row, *column)).map(|found| signs(found)).unwrap_or_default());
        }
        table.push(line);
    }
    output::table(&table)?;
    let others: Vec<String> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !rows.contains(*column))
        .map(|(index, column)| format!("{} {column}", index + 1))
        .collect();
    if !others.is_empty() {
        output::line(&others.join("   "))?;
    }
    output::line(&dim(&format!(
        "each cell: {}; {} connected  {} refused  {} dropped  {} error",
        asked.join(", "),
        sign(Outcome::Connected),
        sign(Outcome::Refused),
        sign(Outcome::Dropped),
        sign(Outcome::Error),
    )))?;
    let connected = results.iter().filter(|result| result.result == Outcome::Connected).count();
    let summary = format!("{connected} of {} connected", results.len());
    output::line(&if connected == results.len() { green(&summary) } else { red(&summary) })
}

fn ask_of(result: &ProbeResult) -> String {
    let probe = Probe { protocol: result.protocol, port: result.port };
    format!("{probe} {}", result.family)
}

fn push_new<'a>(names: &mut Vec<&'a str>, name: &'a str) {
    if !names.contains(&name) {
        names.push(name);
    }
}

fn signs(results: &[&ProbeResult]) -> String {
    results.iter().map(|result| coloured(result.result, sign(result.result))).collect()
}

const fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Connected => "●",
        Outcome::Refused => "◌",
        Outcome::Dropped => "×",
        Outcome::Error => "!",
    }
}
