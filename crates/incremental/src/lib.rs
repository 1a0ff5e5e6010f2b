//! What the engines share that compile a cluster's objects bit by bit and tell of what has changed.
//!
//! - [`ids`] derives ids from what they stand for, so that a restarted daemon finds its entries in the switch.
//! - [`journal`] remembers what became of entries, so that only what differs in the end is told.

pub mod ids;
pub mod journal;

pub use ids::{Digest, Ids};
pub use journal::Journal;
