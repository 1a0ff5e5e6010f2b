//! Rounds: in each one every contender is measured once in everything, and each round begins with another one. The switches
//! of all others rest meanwhile: on few processors they would be measured, too.

use std::time::Duration;

use anyhow::Context as _;
use bench::Interrupt;

use crate::contender::{Contender, Path};
use crate::load::Measure;

/// How long a contender's switches have to do what became due while they rested.
const SETTLE: Duration = Duration::from_secs(1);

/// What was measured of all contenders on a path.
pub(crate) struct Figures {
    pub(crate) path: Path,
    pub(crate) measure: Measure,
    /// A contender's name, and what was measured in each round.
    pub(crate) of: Vec<(&'static str, Vec<f64>)>,
}

pub(crate) fn play(
    contenders: &[Contender],
    paths: &[Path],
    measures: &[Measure],
    rounds: usize,
    time: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Figures>> {
    let names = || contenders.iter().map(|contender| (contender.key, Vec::new())).collect();
    let kinds = paths.iter().flat_map(|path| measures.iter().map(|measure| (*path, *measure)));
    let mut all: Vec<Figures> = kinds.map(|(path, measure)| Figures { path, measure, of: names() }).collect();
    contenders.iter().try_for_each(Contender::rest)?;
    for round in 0..rounds {
        for figures in &mut all {
            for place in 0..contenders.len() {
                interrupt.check()?;
                // Every other round goes the other way: who comes after whom changes too.
                let turn = if round % 2 == 0 { place } else { contenders.len() - 1 - place };
                let index = (turn + round / 2) % contenders.len();
                let (Some(contender), Some((name, values))) =
                    (contenders.get(index), figures.of.get_mut(index))
                else {
                    continue;
                };
                let server = contender.server(figures.path);
                contender.wake()?;
                std::thread::sleep(SETTLE);
                let value = figures.measure.run(&contender.client, server, time);
                let what = || format!("{name}, {}, {}", figures.path.name(), figures.measure.name());
                values.push(value.with_context(what)?);
                contender.rest()?;
            }
        }
    }
    Ok(all)
}
