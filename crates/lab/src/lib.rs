//! Whole clusters in network namespaces on one machine.
//!
//! A lab is a cluster without containers: a network namespace per node with its own Open vSwitch, a network namespace
//! per pod, a Kubernetes API, and the programs of this project exactly as a cluster runs them. What is simulated is
//! only what Kubernetes would bring.
//!
//! # Parts
//!
//! - Asked: [`spec`], what a lab is to be. Given: [`plan`], its addresses; [`layout`], its files and namespaces.
//! - The machines: [`topology`] wires namespaces, [`switch`] runs a node's Open vSwitch, [`program`] keeps any program
//!   running, [`netns`] does things inside a namespace.
//! - What Kubernetes brings: [`api`], embedded or real; [`cluster`], the controllers of a control plane; [`kubelet`], the
//!   life of pods, through [`runtime`], a container runtime's side of CNI.
//! - A real Kubernetes instead of all that: [`real`]. Its pods run containers; where those do nothing, [`serve`] opens their ports all the same.
//! - What pods run: [`serve`]. Asking them: [`probe`], with [`sctp`] for kernels without SCTP sockets.
//! - Holding it together: [`supervisor`], one process per lab. Using it: [`client`] and [`protocol`], [`manifest`].
//!   Removing it: [`sweep`]. How long all this may take: [`patience`].
//!
//! A pod's way: [`manifest`] or `kubectl` write it to the API; [`cluster::scheduler`] gives it to a node; [`kubelet`] makes
//! a namespace and has [`runtime`] execute the plugin that the node's daemon installed; [`serve`] opens its ports; a
//! status goes to the API, from which [`cluster::endpoints`] and the daemons learn its address.
//!
//! # What it must never do
//!
//! Touch the machine it runs on: everything happens in named network namespaces and below one folder, apart from
//! listeners on loopback. Leave something behind: what a lab made can be found from its name alone, and is removed by
//! `down` and by the next `up` even when the supervisor died. Help the programs under test: it gives them what a
//! cluster gives them and nothing else.

pub mod api;
pub mod client;
pub mod cluster;
pub mod kubelet;
pub mod layout;
pub mod manifest;
pub mod netns;
pub mod patience;
pub mod plan;
pub mod probe;
pub mod program;
pub mod protocol;
mod raw;
pub mod real;
pub mod runtime;
pub mod sctp;
mod sctp_socket;
pub mod serve;
pub mod spec;
pub mod supervisor;
pub mod sweep;
pub mod switch;
pub mod topology;
