//! Whole clusters in network namespaces on one machine.
//!
//! A lab is a cluster without containers: a network namespace per node with its own Open vSwitch, a network namespace
//! per pod, a Kubernetes API, and the programs of this project exactly as a cluster runs them. What is simulated is
//! only what Kubernetes would bring.
//!
//! # Parts
//!
//! - [`spec`]: what a lab is asked to be; [`layout`]: where it keeps its files and namespaces; [`plan`]: its addresses.
//! - [`netns`]: doing things inside a namespace; [`program`]: keeping a program running in one.
//! - [`cluster`]: the controllers of a control plane.
//! - [`serve`]: what pods run instead of containers; [`probe`]: asking them; [`sctp`]: packets for kernels without
//!   SCTP sockets.
//!
//! # What it must never do
//!
//! Touch the machine it runs on: everything happens in named network namespaces and below one folder, apart from
//! listeners on loopback. Leave something behind: what a lab made can be found from its name alone, and is removed by
//! `down` and by the next `up` even when the supervisor died. Help the programs under test: it gives them what a
//! cluster gives them and nothing else.

pub mod cluster;
pub mod kubelet;
pub mod layout;
pub mod netns;
pub mod plan;
pub mod probe;
pub mod program;
mod raw;
pub mod runtime;
pub mod sctp;
pub mod serve;
pub mod spec;
pub mod switch;
pub mod topology;
