//! What a check found, and what to do about it.

use serde::Serialize;

use crate::output::line;
use crate::style::{bold, dim, green, red, yellow};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or cannot be told from here, and is worth knowing.
    Note,
    /// It does not work, or will not.
    Problem,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check: one word, such as `mtu`.
    pub(super) check: &'static str,
    /// How it is.
    pub(super) result: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) todo: Option<String>,
}

/// A check, which makes findings of its name.
#[derive(Clone, Copy)]
pub(super) struct Check(pub(super) &'static str);

impl Check {
    /// It is as it should be.
    pub(super) fn ok(self, found: impl Into<String>) -> Finding {
        Finding { check: self.0, result: Verdict::Ok, found: found.into(), todo: None }
    }

    /// Something that is worth knowing.
    pub(super) fn note(self, found: impl Into<String>, todo: impl Into<String>) -> Finding {
        Finding { check: self.0, result: Verdict::Note, found: found.into(), todo: Some(todo.into()) }
    }

    /// Something that has to be put right. There is always something to do.
    pub(super) fn problem(self, found: impl Into<String>, todo: impl Into<String>) -> Finding {
        Finding { check: self.0, result: Verdict::Problem, found: found.into(), todo: Some(todo.into()) }
    }

    /// These findings, or that all is well if there are none.
    pub(super) fn or_ok(self, findings: Vec<Finding>, found: impl Into<String>) -> Vec<Finding> {
        if findings.is_empty() { vec![self.ok(found)] } else { findings }
    }
}

/// Findings about one node, or about the cluster.
#[derive(Debug, Serialize)]
pub(super) struct About {
    /// The node, or `cluster`.
    pub(super) about: String,
    /// What was found.
    pub(super) findings: Vec<Finding>,
}

/// A finding as programs get it: a flat list is easier to filter.
#[derive(Serialize)]
struct Flat<'a> {
    about: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

impl About {
    /// How the worst of its findings is.
    pub(super) fn worst(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.result).max().unwrap_or(Verdict::Ok)
    }
}

/// Shows findings as JSON.
pub(super) fn json(all: &[About]) -> anyhow::Result<()> {
    let flat = all
        .iter()
        .flat_map(|about| about.findings.iter().map(|finding| Flat { about: &about.about, finding }));
    crate::output::json(&flat.collect::<Vec<_>>())
}

/// Shows findings for people: a line for each, and below those that ask for it, what to do.
pub(super) fn text(all: &[About]) -> anyhow::Result<()> {
    let width = all.iter().flat_map(|about| &about.findings).map(|finding| finding.check.len()).max();
    let width = width.unwrap_or(0);
    for about in all {
        line(&bold(&about.about))?;
        for finding in &about.findings {
            let verdict = match finding.result {
                Verdict::Ok => green("ok     "),
                Verdict::Note => yellow("note   "),
                Verdict::Problem => red("problem"),
            };
            line(&format!("  {verdict}  {:width$}  {}", finding.check, finding.found))?;
            if let Some(todo) = &finding.todo {
                line(&format!("           {:width$}  {} {todo}", "", dim("to do:")))?;
            }
        }
    }
    let count = |wanted| {
        all.iter().flat_map(|about| &about.findings).filter(|finding| finding.result == wanted).count()
    };
    let (problems, notes) = (count(Verdict::Problem), count(Verdict::Note));
    let summary = match problems {
        0 => green("no problem"),
        1 => red("1 problem"),
        _ => red(&format!("{problems} problems")),
    };
    Ok(line(&match notes {
        0 => summary,
        1 => format!("{summary}, 1 note"),
        _ => format!("{summary}, {notes} notes"),
    })?)
}
