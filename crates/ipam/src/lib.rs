//! The OVS port is the address lease.
//!
//! What the plugin and the daemon tell each other stands in `external_ids` of rows of the node's database, and this
//! crate is the one place that knows the keys. There is no file, no server and no second state: an address is taken
//! exactly when an `Interface` row carries it.
//!
//! - [`PodPort`] is what a pod's `Interface` row says; [`NodeFacts`] what the `Bridge` row says of the node.
//! - [`names`] derives a port's name and a pod's MAC.
//! - [`Pool`] and [`pick`] choose an address: round-robin, and after a conflict at random near by.
//! - [`lease`] builds the transaction that creates port and lease at once, guarded by `wait` operations (RFC 7047
//!   section 5.2.6), and reads its result.
//!
//! It builds and reads operations; sending them is the caller's business, blocking or not.

mod facts;
pub mod keys;
pub mod lease;
pub mod names;
mod pick;
mod pool;
mod snapshot;

pub use facts::{FactsError, NodeFacts, PodPort};
pub use lease::{Lease, LeaseError};
pub use pick::{Exhausted, pick};
pub use pool::Pool;
pub use snapshot::{Snapshot, SnapshotError};
