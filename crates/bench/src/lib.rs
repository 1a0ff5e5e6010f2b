//! Benchmarks: what the programs cost, beside others' in the same run.
//!
//! A benchmark is a program of this crate, `src/bin/bench-NAME`; `scripts/bench NAME` builds and runs it. It measures the
//! programs as they are shipped, and next to them what somebody would use instead, in turns within one run: a machine
//! that is slow today is slow for all, so that ratios can be compared where times cannot.
//!
//! # Parts
//!
//! What all benchmarks share: [`Samples`] become a [`Summary`], these a [`Table`] for people and a [`Report`] for
//! programs, `target/bench/NAME.json`. [`switch`] is an Open vSwitch of a benchmark's own, [`labs`] are
//! labs of its own, and a [`Place`] is a network namespace. A [`Background`] is what rests while others are measured.
//! [`Interrupt`] lets Ctrl-C end a run in good order.
//!
//! # What it must never do
//!
//! - Leave something behind: namespaces, processes and folders have guards that remove them, also after an error and
//!   after Ctrl-C.
//! - Fail because a figure is bad. Targets are printed as met or missed; a slow machine is no broken program.
//! - Give up the whole for a part: what cannot run here says why, and the rest goes on.

mod background;
mod interrupt;
pub mod labs;
mod machine;
mod place;
mod process;
mod report;
mod stats;
pub mod switch;
mod table;

pub use background::Background;
pub use interrupt::{Interrupt, Interrupted, ended};
pub use machine::Machine;
pub use place::Place;
pub use process::processor_time;
pub use report::{Report, Target};
pub use stats::{Samples, Summary, ratio};
pub use table::Table;
