//! Services, compiled to frontends and sets of endpoints. Pure: no I/O, no clock, no Kubernetes client.
//!
//! ```text
//! Services --------+--> engine --> frontend (address or node port, protocol, port) -> set, inside and outside
//! EndpointSlices --+       |       set -> its endpoints, in parts of bounded size
//! this node's name --------+       what the host has to send to the bridge; health-check node ports
//! ```
//!
//! - [`engine`] does it; [`placement`] puts a set's endpoints into parts.
//! - [`spec`] is what is decoded of the API's objects; [`lb`] is what a switch does. Nothing in `lb` knows of Kubernetes.
//! - [`view`] is for people: what became of one Service. [`problems`] says what is wrong.
//!
//! An event costs what it changes: one endpoint that comes or goes changes at most two parts of each set it is in, and
//! makes work for its own Service only.

pub mod engine;
pub mod lb;
pub mod placement;
pub mod problems;
pub mod spec;
pub mod view;
