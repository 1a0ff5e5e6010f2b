//! Services, compiled to frontends and sets of endpoints. Pure: no I/O, no clock, no Kubernetes client.
//!
//! ```text
//! Services --------+--> engine --> frontend (address or node port, protocol, port) -> set, inside and outside
//! EndpointSlices --+       |       set -> its endpoints, in parts of bounded size
//! this node's name --------+       what the host has to send to the bridge; health-check node ports
//! ```
//!
//! - [`spec`] is what is decoded of the API's objects; [`lb`] is what a switch does. Nothing in `lb` knows of Kubernetes.
//!
//! An event costs what it changes: one endpoint that comes or goes changes one part of each set it is in.

pub mod lb;
pub mod spec;
