//! What the controller does: one `VSwitchConfig` per node, made from the `Node` and the cluster's parameters. Besides, it
//! tells authors of NetworkPolicies what is wrong in them.
//!
//! ```text
//! watch Nodes ----------+                    +-> create, patch, delete VSwitchConfigs
//!                       +-> plan (pure) --> reconcile
//! watch VSwitchConfigs -+                    +-> condition Accepted, Events
//!
//! watch NetworkPolicies ---> policies -----------> Events
//! ```
//!
//! - [`node`] is what is decoded of a Node.
//! - [`plan`] decides, without I/O: which node holds which pod CIDR, and what its `VSwitchConfig` must say.
//! - `reconcile` makes the API agree with the plan, one node at a time, and again whenever someone edits or deletes
//!   an object. It writes only the fields that are the controller's; `spec.mtu` is the operator's.
//! - `policies` publishes an Event on each invalid NetworkPolicy. Nodes enforce it on the safe side without that.
//! - [`leader`] lets one replica work while others stand by (a Lease).
//!
//! It must never route around a conflict by guessing: a node whose addresses cannot be used keeps a `VSwitchConfig`
//! without `podCIDR`, with the condition `Accepted` at `False`, and an Event that says what to do.

pub mod leader;
pub mod node;
pub mod plan;
mod policies;
mod reconcile;
mod run;

pub use plan::ClusterParams;
pub use run::{Options, RunError, run};
