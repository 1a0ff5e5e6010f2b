//! The daemon's binary on a node with a real switch and the embedded API.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "../node/mod.rs"]
mod node;

macro_rules! node {
    () => {
        match Node::start().await {
            Some(node) => node,
            None => return,
        }
    };
}

mod configuration;
mod pods;
mod restarts;
