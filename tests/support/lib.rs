//! What the tests of whole labs share.
//!
//! Each test brings up a lab of its own with `kvsctl lab up`: a cluster with real switches and the programs as they
//! are shipped, under a name that no other test uses. Then it lets traffic run, breaks something, and compares.
//!
//! * [`Lab`] is a lab that is up; dropping it takes it down. [`Node`] is one of its nodes: its ports, links and flows,
//!   and its daemon.
//! * [`Ping`] and [`Stream`] are traffic that runs meanwhile and tells what was lost.
//! * [`Api`] is the lab's Kubernetes API, for what `kvsctl lab apply` cannot write.
//! * [`kube`] is a lab with a real Kubernetes, used by `kubectl`; [`real`] makes any lab one.
//! * [`service`] makes Services and asks who answers for them; [`sctp`] asks in SCTP.
//! * [`megaflow`] reads what the datapath has made of the flows.
//! * [`stage`] is a lab that the policy oracle knows too, and compares with it.
//! * [`patience`] is how long all this may take where the tests are.
//! * [`frame`] makes packets that no kernel would send; [`Capture`] and [`send`] are raw sockets.
//!
//! Nothing here looks into a program of the project: what is asked, an operator could ask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stdout)]

pub mod agreement;
mod api;
pub mod frame;
pub mod kube;
mod lab;
pub mod megaflow;
mod node;
mod overflow;
mod packet;
mod patience;
mod ping;
mod pods;
mod possible;
pub mod real;
mod sandboxes;
pub mod sctp;
pub mod service;
pub mod stage;
mod traffic;

pub use api::{Api, gate};
pub use lab::{Lab, kill, until};
pub use node::{Node, Port};
pub use overflow::Overflows;
pub use packet::{Capture, send};
pub use patience::patience;
pub use ping::Ping;
pub use pods::{IMAGE, pod, pods};
pub use possible::{bin_dir, possible};
pub use sandboxes::Sandboxes;
pub use traffic::{Stream, connects};
