//! The plugin's binary against a real Open vSwitch, a node per test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod attachments;
mod crowd;
mod failures;
mod node;
