//! Medians and ratios.

use bench::{Report, Table, Target};
use serde::Serialize;

use crate::contender::{BRIDGE, LOADED, NORMAL, OURS, TRACKED};
use crate::load::Measure;
use crate::rounds::Figures;

/// Of Open vSwitch with one flow.
const OF_NORMAL: f64 = 0.95;
/// Of our own without policies and Services.
const OF_OURS: f64 = 0.98;

/// A ratio of two contenders, round by round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Ratio {
    median: f64,
    /// A quarter of all rounds' is below, a quarter above.
    lower: f64,
    upper: f64,
}

impl Ratio {
    /// Of what was measured next to each other in the same round.
    fn of(measure: Measure, ours: &[f64], others: &[f64]) -> Option<Self> {
        let all = ours.iter().zip(others).filter_map(|(ours, other)| measure.ratio(*ours, *other));
        let all = sorted(all.collect());
        let last = all.len().checked_sub(1)?;
        let (lower, upper) = (*all.get(last / 4)?, *all.get((last * 3).div_ceil(4))?);
        Some(Self { median: median(&all)?, lower, upper })
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = |index: usize| sorted.get(index).copied();
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        Some(f64::midpoint(middle(half.checked_sub(1)?)?, middle(half)?))
    } else {
        middle(half)
    }
}

/// Prints a table of all, and adds it to the report.
pub(crate) fn tell(report: &mut Report, all: &[Figures]) {
    for figures in all {
        let what = format!("{}: {}", figures.path.name(), figures.measure.name());
        let rounds = figures.of.first().map_or(0, |(_, values)| values.len());
        let mut table = Table::new([
            what.as_str(),
            "median",
            "of NORMAL",
            "half of the rounds",
            "of tracked NORMAL",
            "of the first",
        ]);
        let values = |name: &str| {
            let found = figures.of.iter().find(|(key, _)| *key == name);
            found.map(|(_, values)| values.as_slice()).unwrap_or_default()
        };
        let ratio = |name: &str, to: &str| Ratio::of(figures.measure, values(name), values(to));
        for (name, values) in &figures.of {
            let of_normal = ratio(name, NORMAL).filter(|_| *name != NORMAL);
            let of_tracked = ratio(name, TRACKED).filter(|_| *name == OURS || *name == LOADED);
            let of_ours = ratio(name, OURS).filter(|_| *name == LOADED || *name == BRIDGE);
            let show =
                |ratio: Option<Ratio>| ratio.map_or(String::new(), |ratio| format!("{:.3}", ratio.median));
            let spread = of_normal.map(|ratio| format!("{:.3} to {:.3}", ratio.lower, ratio.upper));
            let digits = if figures.measure == Measure::Throughput { 3 } else { 0 };
            table.row([
                (*name).to_owned(),
                format!("{:.digits$}", median(&sorted(values.clone())).unwrap_or_default()),
                show(of_normal),
                spread.unwrap_or_default(),
                show(of_tracked),
                show(of_ours),
            ]);
            report.figures(&format!("{what}: {name}"), values);
            for (other, ratio) in [(NORMAL, of_normal), (TRACKED, of_tracked)] {
                if let Some(ratio) = ratio {
                    report.ratios(&format!("{what}: {name} of {other}"), &ratio);
                }
            }
        }
        println!("\n{table}");
        let goals = [(OURS, NORMAL, OF_NORMAL), (LOADED, NORMAL, OF_NORMAL), (LOADED, OURS, OF_OURS)];
        for (name, to, at_least) in goals {
            let Some(ratio) = ratio(name, to) else { continue };
            let target = Target::at_least(&format!("{what}: {name} of {to}"), ratio.median, at_least);
            let verdict = if target.met { "met" } else { "missed" };
            println!(
                "  target: {name} at least {at_least} of {to}: {verdict} ({:.3}, {rounds} rounds)",
                ratio.median
            );
            report.target(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round_and_more_is_better() {
        let ratio = Ratio::of(Measure::Throughput, &[1.0, 3.0, 8.0], &[2.0, 3.0, 4.0]).unwrap();
        assert_eq!((ratio.lower, ratio.median, ratio.upper), (0.5, 1.0, 2.0));
        let ratio = Ratio::of(Measure::Latency, &[10.0, 10.0], &[5.0, 20.0]).unwrap();
        assert_eq!(ratio.median, 1.25);
        assert!(Ratio::of(Measure::Latency, &[], &[1.0]).is_none());
    }
}
