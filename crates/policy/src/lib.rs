//! NetworkPolicy, compiled to identities, classes, chains and verdicts. Pure: no I/O, no clock, no Kubernetes client.
//!
//! ```text
//! namespaces, pods -----> engine -----> address -> identity (namespace id, labels id)
//! NetworkPolicies ------>   |           namespace id -> namespace class, labels id -> label class
//! pods of this node ---->   |           CIDR -> CIDR class
//!   (subjects)              +---------> subject -> chain of policy ids; policy id -> verdict
//! ```
//!
//! - [`engine`] does it; [`problems`] only checks a policy.
//! - [`spec`] is what is decoded of the API's objects; [`rules`] is what a switch enforces. Nothing in `rules` knows of
//!   Kubernetes.
//!
//! An event costs what it changes, not what the cluster has: a pod's identity depends on the pod alone, and a policy
//! over known selectors touches neither an identity nor a class.

pub mod engine;
pub mod rules;
pub mod spec;

pub use engine::problems;
