//! What a benchmark found, for programs.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Machine;

/// Everything a benchmark found; becomes `NAME.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    benchmark: String,
    machine: Machine,
    figures: Map<String, Value>,
    ratios: Map<String, Value>,
    targets: Vec<Target>,
    /// What could not be measured here, and why.
    skipped: Vec<String>,
}

/// How far a ratio may go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// Of what.
    pub what: String,
    /// What was measured.
    pub ratio: f64,
    /// What was aimed at, if it is a limit from above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// What was aimed at, if it is a limit from below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Whether it was reached.
    pub met: bool,
}

impl Target {
    /// Compares what was measured with what was aimed at.
    #[must_use]
    pub fn new(what: &str, ratio: f64, at_most: f64) -> Self {
        Self { what: what.to_owned(), ratio, at_most: Some(at_most), at_least: None, met: ratio <= at_most }
    }

    /// As [`Self::new`], where more is better.
    #[must_use]
    pub fn at_least(what: &str, ratio: f64, at_least: f64) -> Self {
        Self { what: what.to_owned(), ratio, at_most: None, at_least: Some(at_least), met: ratio >= at_least }
    }
}

impl Report {
    /// Nothing yet.
    #[must_use]
    pub fn new(benchmark: &str, machine: Machine) -> Self {
        Self {
            benchmark: benchmark.to_owned(),
            machine,
            figures: Map::new(),
            ratios: Map::new(),
            targets: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds figures under a name.
    pub fn figures(&mut self, name: &str, figures: &impl Serialize) {
        self.figures.insert(name.to_owned(), value(figures));
    }

    /// Adds ratios under a name.
    pub fn ratios(&mut self, name: &str, ratios: &impl Serialize) {
        self.ratios.insert(name.to_owned(), value(ratios));
    }

    /// Adds a target.
    pub fn target(&mut self, target: Target) {
        self.targets.push(target);
    }

    /// Adds something that could not be measured here, with its reason.
    pub fn skip(&mut self, what_and_why: impl Into<String>) {
        self.skipped.push(what_and_why.into());
    }

    /// Writes `NAME.json` into `folder`, which is made if it is missing, and returns the file's path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.benchmark));
        std::fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }
}

/// Figures are numbers, texts, and maps of these, which all have a value.
fn value(figures: &impl Serialize) -> Value {
    serde_json::to_value(figures).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_with_figures_ratios_and_targets() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::new("sample", Machine::this());
        report.figures("add", &serde_json::json!({"p50_ms": 1.5}));
        report.ratios("add", &0.25);
        report.target(Target::new("ADD", 0.25, 0.3));
        report.target(Target::new("DEL", 0.6, 0.5));
        report.target(Target::at_least("throughput", 0.97, 0.95));
        report.skip("memory: not root");
        let path = report.write(&folder.path().join("bench")).unwrap();
        assert_eq!(path.file_name().unwrap(), "sample.json");
        let written: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(written["figures"]["add"]["p50_ms"], 1.5);
        assert_eq!(written["ratios"]["add"], 0.25);
        assert_eq!(
            (&written["targets"][0]["met"], &written["targets"][1]["met"]),
            (&true.into(), &false.into())
        );
        assert_eq!(
            (&written["targets"][0]["at_most"], &written["targets"][0]["at_least"]),
            (&0.3.into(), &Value::Null)
        );
        assert_eq!(
            (&written["targets"][2]["at_least"], &written["targets"][2]["met"]),
            (&0.95.into(), &true.into())
        );
        assert_eq!(written["skipped"][0], "memory: not root");
    }
}
