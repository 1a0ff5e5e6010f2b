//! Tables, registers, desired state and its difference to the switch. Knows nothing of Kubernetes.
//!
//! ```text
//! Node, Port, Remote --pipeline--> flows --store--> changes --> a bundle to the switch
//!                                            ^
//!                                 what the switch has (read back at start and by the audit)
//! ```
//!
//! - [`fields`] names every register bit once; [`table`] numbers the tables; [`cookie`] says what a flow is for.
//! - [`topology`] is what the pipeline is made from: this node, its ports, the other nodes.
//! - [`pipeline`] turns each of these into flows. One thing's flows depend on that thing alone, so that one event
//!   touches a bounded number of flows.
//! - [`bundle`] puts changes into an order that the switch takes.
//! - [`store`] holds what the switch should have, by who wants it, and computes the smallest change.
//!
//! Nothing here does I/O. Nothing here floods, and no address is learned: a frame reaches a port only because a flow of
//! that port's address sent it there.

pub mod bundle;
pub mod cookie;
pub mod fields;
pub mod pipeline;
pub mod store;
pub mod table;
pub mod topology;

pub use bundle::Step;
pub use cookie::{Cookie, DropReason};
pub use store::{Change, Item, PackedGroup, Store};
pub use table::Table;
pub use topology::{Node, Port, Remote, ServiceNets, TUNNEL_KEY};
