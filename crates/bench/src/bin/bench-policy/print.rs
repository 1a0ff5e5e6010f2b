//! Figures for people, and how far they are from what is aimed at.

use std::collections::BTreeMap;

use bench::{Report, Table, Target, ratio};

use crate::case::{Case, Figures};
use crate::events::KINDS;

type All<'a> = [(&'a Case, Figures)];

pub(crate) fn tables(all: &All<'_>) {
    println!("\none node's view from nothing");
    let header = [
        "",
        "pods",
        "namespaces",
        "policies",
        "local pods",
        "local rules",
        "s",
        "MiB",
        "peak MiB",
        "bytes/pod",
        "bytes/policy",
    ];
    let mut table = Table::new(header);
    for (case, figures) in all {
        let f = &figures.from_nothing;
        let counts = [f.pods, f.namespaces, f.policies, f.subjects, f.rules].map(|count| count.to_string());
        let cells = [
            format!("{:.3}", f.seconds),
            format!("{:.0}", f.resident_mib),
            format!("{:.0}", f.peak_mib),
            format!("{:.0}", f.bytes_per_pod),
            format!("{:.0}", f.bytes_per_policy),
        ];
        table.row([case.name.to_owned()].into_iter().chain(counts).chain(cells));
    }
    print!("{table}");

    println!("\nentries per rule (a pod more changes so many entries)");
    let mut table =
        Table::new(["", "k-vswitch", "with chains", "lists", "", "product", "", "lists s", "product s"]);
    for (case, figures) in all {
        let (ours, others) = (&figures.from_nothing, &figures.baselines);
        let pod = figures.events.get("pod added").map_or(0.0, |event| event.changes);
        table.row([
            case.name.to_owned(),
            format!("{:.1} ({pod:.1})", ours.entries_per_rule),
            format!("{:.1}", ours.entries_and_steps_per_rule),
            format!("{:.0}", others.lists.entries_per_rule),
            format!("({:.1})", others.lists.entries_per_pod),
            format!("{:.0}", others.product.entries_per_rule),
            format!("({:.1})", others.product.entries_per_pod),
            format!("{:.3}", others.lists.seconds),
            format!("{:.3}", others.product.seconds),
        ]);
    }
    print!("{table}");

    println!("\none event, us: p50/p99 (changes told)");
    let mut table = Table::new([""].into_iter().chain(KINDS));
    for (case, figures) in all {
        let cells = KINDS.iter().map(|kind| match figures.events.get(*kind) {
            Some(event) => {
                format!("{:.1}/{:.1} ({:.1})", event.times.p50_us, event.times.p99_us, event.changes)
            }
            None => String::new(),
        });
        table.row([case.name.to_owned()].into_iter().chain(cells));
    }
    print!("{table}");
}

pub(crate) fn judge(all: &All<'_>, report: &mut Report) {
    let mut targets = Vec::new();
    let find = |name: &str| all.iter().find(|(case, _)| case.name == name).map(|(_, figures)| figures);
    for kind in ["plain", "shaped"] {
        if let Some(large) = find(&format!("{kind} 100k in 25k namespaces")) {
            let f = &large.from_nothing;
            targets.push(Target::new(
                &format!("{kind}: 100,000 pods, 75,000 policies from nothing, s"),
                f.seconds,
                2.0,
            ));
            targets.push(Target::new(&format!("{kind}: the most memory that takes, MiB"), f.peak_mib, 300.0));
        }
        let (Some(small), Some(tenfold)) = (find(&format!("{kind} 10k")), find(&format!("{kind} 100k")))
        else {
            continue;
        };
        let mut ratios = BTreeMap::new();
        for event in KINDS {
            let (Some(a), Some(b)) = (small.events.get(event), tenfold.events.get(event)) else { continue };
            if let Some(ratio) = ratio(b.times.p50_us, a.times.p50_us) {
                targets.push(Target::new(
                    &format!("{kind}: {event}, p50 in ten times the cluster"),
                    ratio,
                    1.5,
                ));
                ratios.insert(event, ratio);
            }
        }
        report.ratios(&format!("{kind}: p50 of an event, 100k pods / 10k pods"), &ratios);
    }
    for (case, figures) in all {
        let (ours, others) = (&figures.from_nothing, &figures.baselines);
        let per_rule = |other: f64| ratio(ours.entries_per_rule, other);
        let ratios = BTreeMap::from([
            ("product", per_rule(others.product.entries_per_rule)),
            ("lists", per_rule(others.lists.entries_per_rule)),
        ]);
        report.ratios(&format!("{}: entries per rule, k-vswitch / others", case.name), &ratios);
    }
    println!("\naimed at");
    let mut table = Table::new(["", "measured", "at most", ""]);
    for target in targets {
        let verdict = if target.met { "met" } else { "missed" };
        table.row([
            target.what.clone(),
            format!("{:.2}", target.ratio),
            format!("{:.1}", target.at_most.unwrap_or_default()),
            verdict.to_owned(),
        ]);
        report.target(target);
    }
    print!("{table}");
}
