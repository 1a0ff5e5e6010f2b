//! Figures that need a switch: from an event until ovs-vswitchd has acknowledged its flows, and what that costs its CPU.

use std::path::Path;

use anyhow::bail;
use bench::Report;

/// Measures with the programs in `dist`, and adds to the report.
pub(crate) fn measure(_dist: &Path, _report: &mut Report) -> anyhow::Result<()> {
    bail!("the agent does not program policies yet")
}
