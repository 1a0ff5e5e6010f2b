//! ADD and DEL of all contestants in turns: whatever disturbs the machine disturbs all of them.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use anyhow::Context as _;
use bench::{Interrupt, Interrupted, Report, Samples, Summary, Table, Target, ratio};
use serde::Serialize;
use serde_json::Value;

use crate::contestant::{BASELINE, Contestant, OURS, Variant, bridge, original, ours};
use crate::plugin::Call;
use crate::{Arguments, skip};
use bench::Place;

/// Pods that are there at the same time in a serial round.
const PER_ROUND: usize = 10;

/// What is aimed at, as parts of bridge + host-local's median, one by one.
const ADD_AT_MOST: f64 = 0.3;
const DEL_AT_MOST: f64 = 0.5;

/// The kernel takes namespaces apart in the background, and holds locks that the next round's pods need.
const SETTLE: Duration = Duration::from_millis(500);

/// Times of one contestant.
#[derive(Debug, Default)]
struct Times {
    add: Samples,
    del: Samples,
    crowd_add: Samples,
    crowd_del: Samples,
    /// From the first start to the last end.
    crowd_add_wall: Samples,
    crowd_del_wall: Samples,
}

/// What is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Figures {
    serial: Pair,
    at_once: Pair,
    at_once_wall: Pair,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Pair {
    add: Summary,
    del: Summary,
}

/// One who takes part until a call fails.
struct Runner {
    contestant: Contestant,
    times: Times,
    failed: Option<anyhow::Error>,
}

pub(crate) fn measure(
    arguments: &Arguments,
    interrupt: &Interrupt,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut runners = runners(arguments, interrupt, report)?;
    for round in 0..arguments.serial_rounds {
        serial(&mut runners, round, interrupt)?;
        std::thread::sleep(SETTLE);
    }
    for round in 0..arguments.crowd_rounds {
        for runner in in_turn(&mut runners, round) {
            interrupt.check()?;
            crowd(runner, arguments.crowd);
            std::thread::sleep(SETTLE);
        }
    }
    let mut all = BTreeMap::new();
    for runner in runners {
        let Runner { contestant, times, failed } = runner;
        match (failed, times.figures()) {
            (None, Some(figures)) => {
                all.insert(contestant.key, (contestant.title, figures));
            }
            (failed, _) => {
                let why = failed.map_or("no rounds".to_owned(), |error| format!("{error:#}"));
                skip(report, contestant.title, &why);
            }
        }
        // Whoever is taken down now disturbs nobody any more.
        drop(contestant);
    }
    tell(arguments.crowd, &all, report);
    Ok(())
}

fn runners(arguments: &Arguments, interrupt: &Interrupt, report: &mut Report) -> anyhow::Result<Vec<Runner>> {
    let Arguments { dist, debian, go_plugin, .. } = arguments;
    let mut candidates: Vec<(&str, anyhow::Result<Contestant>)> = vec![("k-vswitch-cni", ours(dist))];
    for variant in Variant::ALL {
        interrupt.check()?;
        candidates.push((variant.title(), bridge(debian, variant)));
    }
    let title = "the original plugin";
    match go_plugin {
        Some(build) => candidates.push((title, original(build, dist, debian))),
        None => skip(report, title, "KVSWITCH_GO_PLUGIN does not name a build of it"),
    }
    interrupt.check()?;
    let mut runners = Vec::new();
    for (title, candidate) in candidates {
        match candidate {
            Ok(contestant) => {
                runners.push(Runner { contestant, times: Times::default(), failed: None });
            }
            Err(error) => skip(report, title, &format!("{error:#}")),
        }
    }
    Ok(runners)
}

/// Those that have not failed; each round begins with another one.
fn in_turn(runners: &mut [Runner], round: usize) -> impl Iterator<Item = &mut Runner> {
    let middle = round % runners.len().max(1);
    let (later, sooner) = runners.split_at_mut(middle);
    sooner.iter_mut().chain(later).filter(|runner| runner.failed.is_none())
}

/// Pods come one after the other, and go one after the other; after each pod it is the next contestant's turn.
fn serial(runners: &mut [Runner], round: usize, interrupt: &Interrupt) -> Result<(), Interrupted> {
    let mut pods: BTreeMap<&'static str, Vec<(Place, Value)>> = BTreeMap::new();
    for turn in 0..PER_ROUND {
        for runner in in_turn(runners, round + turn) {
            interrupt.check()?;
            let added = runner.pods(1).and_then(|mut pods| {
                let pod = pods.pop().context("no namespace was made")?;
                let call = runner.call("ADD", &pod, None)?;
                Ok((pod, call))
            });
            match added {
                Ok((pod, call)) => {
                    runner.times.add.push(call.end - call.begin);
                    pods.entry(runner.contestant.key).or_default().push((pod, call.result));
                }
                Err(error) => runner.failed = Some(error),
            }
        }
    }
    for turn in 0..PER_ROUND {
        for runner in in_turn(runners, round + turn) {
            interrupt.check()?;
            let pod = pods.get(runner.contestant.key).and_then(|pods| pods.get(turn));
            let Some((pod, result)) = pod else { continue };
            match runner.call("DEL", pod, Some(result)) {
                Ok(call) => runner.times.del.push(call.end - call.begin),
                Err(error) => runner.failed = Some(error),
            }
        }
    }
    Ok(())
}

/// Pods come all at once, and go all at once.
fn crowd(runner: &mut Runner, size: usize) {
    if let Err(error) = try_crowd(runner, size) {
        runner.failed = Some(error);
    }
}

fn try_crowd(runner: &mut Runner, size: usize) -> anyhow::Result<()> {
    let pods = runner.pods(size)?;
    std::thread::sleep(SETTLE);
    let added = runner.at_once("ADD", pods.iter().map(|pod| (pod, None)).collect())?;
    runner.times.crowd_add.extend(added.iter().map(|call| call.end - call.begin));
    runner.times.crowd_add_wall.extend(wall(&added));
    let deleted = pods.iter().zip(&added).map(|(pod, call)| (pod, Some(&call.result)));
    let deleted = runner.at_once("DEL", deleted.collect())?;
    runner.times.crowd_del.extend(deleted.iter().map(|call| call.end - call.begin));
    runner.times.crowd_del_wall.extend(wall(&deleted));
    Ok(())
}

fn wall(calls: &[Call]) -> Option<Duration> {
    let begin = calls.iter().map(|call| call.begin).min()?;
    let end = calls.iter().map(|call| call.end).max()?;
    Some(end - begin)
}

impl Runner {
    /// Namespaces for this many pods, which the cluster knows.
    fn pods(&self, number: usize) -> anyhow::Result<Vec<Place>> {
        let pods = (0..number).map(|_| Place::new()).collect::<host::Result<Vec<_>>>()?;
        self.contestant.announce(&pods.iter().map(Place::name).collect::<Vec<_>>())?;
        Ok(pods)
    }

    fn call(&self, command: &str, pod: &Place, previous: Option<&Value>) -> anyhow::Result<Call> {
        self.contestant.netns.run(|| self.contestant.plugin.call(command, Some(pod), previous))?
    }

    /// A thread for each, all of which start when the last one is there.
    fn at_once(&self, command: &str, pods: Vec<(&Place, Option<&Value>)>) -> anyhow::Result<Vec<Call>> {
        let plugin = &self.contestant.plugin;
        let start = Barrier::new(pods.len());
        self.contestant.netns.run(|| {
            std::thread::scope(|scope| {
                // Threads are born into the namespace of the one that makes them.
                let threads: Vec<_> = pods
                    .into_iter()
                    .map(|(pod, previous)| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            plugin.call(command, Some(pod), previous)
                        })
                    })
                    .collect();
                let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                threads.into_iter().map(join).collect()
            })
        })?
    }
}

impl Times {
    fn figures(&self) -> Option<Figures> {
        let pair = |add: &Samples, del: &Samples| Some(Pair { add: add.summary()?, del: del.summary()? });
        Some(Figures {
            serial: pair(&self.add, &self.del)?,
            at_once: pair(&self.crowd_add, &self.crowd_del)?,
            at_once_wall: pair(&self.crowd_add_wall, &self.crowd_del_wall)?,
        })
    }
}

/// A column of figures: its name, and where it is found.
type Column = (&'static str, fn(&Figures) -> f64);

const ADD: [Column; 5] = [
    ("serial_p50", |figures| figures.serial.add.p50_ms),
    ("serial_p99", |figures| figures.serial.add.p99_ms),
    ("at_once_p50", |figures| figures.at_once.add.p50_ms),
    ("at_once_p99", |figures| figures.at_once.add.p99_ms),
    ("at_once_wall", |figures| figures.at_once_wall.add.p50_ms),
];
const DEL: [Column; 5] = [
    ("serial_p50", |figures| figures.serial.del.p50_ms),
    ("serial_p99", |figures| figures.serial.del.p99_ms),
    ("at_once_p50", |figures| figures.at_once.del.p50_ms),
    ("at_once_p99", |figures| figures.at_once.del.p99_ms),
    ("at_once_wall", |figures| figures.at_once_wall.del.p50_ms),
];

fn tell(crowd: usize, all: &BTreeMap<&'static str, (&'static str, Figures)>, report: &mut Report) {
    for (key, (_, figures)) in all {
        report.figures(key, figures);
    }
    let baseline = all.get(BASELINE).map(|(_, figures)| figures);
    for (command, columns, at_most) in [("ADD", ADD, ADD_AT_MOST), ("DEL", DEL, DEL_AT_MOST)] {
        let (name, together) = (format!("{command}, ms"), format!("{crowd} at once: p50"));
        let header = [name.as_str(), "one by one: p50", "p99", together.as_str(), "p99", "wall"];
        let mut table = Table::new(header);
        for (title, figures) in all.values() {
            let cells = columns.iter().map(|(_, of)| format!("{:.1}", of(figures)));
            table.row([(*title).to_owned()].into_iter().chain(cells));
        }
        let ours = all.get(OURS).map(|(_, figures)| figures);
        for (key, (title, other)) in all.iter().filter(|(key, _)| **key != OURS) {
            let Some(ours) = ours else { continue };
            let parts = columns.map(|(name, of)| (name, ratio(of(ours), of(other))));
            let cell = |(_, ratio): &(&str, Option<f64>)| ratio.map_or("-".to_owned(), |r| format!("{r:.2}"));
            table.row([format!("{OURS} / {title}")].into_iter().chain(parts.iter().map(cell)));
            report.ratios(&format!("{command} {OURS} / {key}"), &BTreeMap::from(parts));
        }
        print!("{table}");
        if let (Some(ours), Some(baseline)) = (ours, baseline)
            && let Some(ratio) = ratio(of_serial(&columns, ours), of_serial(&columns, baseline))
        {
            let target = Target::new(command, ratio, at_most);
            let verdict = if target.met { "met" } else { "missed" };
            println!("  target: at most {at_most} of bridge + host-local: {verdict} ({ratio:.2})\n");
            report.target(target);
        }
    }
}

/// The column that targets are about: the median of calls one by one.
fn of_serial(columns: &[Column], figures: &Figures) -> f64 {
    columns.first().map_or(0.0, |(_, of)| of(figures))
}
