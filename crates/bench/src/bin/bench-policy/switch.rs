//! Figures that need a switch: from an event until ovs-vswitchd has acknowledged its flows, and what policies cost its CPU
//! per new flow of the datapath.
//!
//! The daemon's own state, store and bundles are used, on an Open vSwitch of this benchmark's own.

mod acknowledged;
mod node;
mod price;

use bench::Report;

/// Measures, and adds to the report. What cannot be measured says why.
pub(crate) fn measure(report: &mut Report, events: usize) {
    let parts = [
        ("until the switch has it", acknowledged::measure(report, events)),
        ("CPU per new datapath flow", price::measure(report)),
    ];
    for (what, result) in parts {
        if let Err(error) = result {
            println!("\n  not measured: {what}: {error:#}");
            report.skip(format!("{what}: {error:#}"));
        }
    }
}
