//! The Linux host: network namespaces, links, addresses, routes, sysctls, nftables, connection tracking.
//!
//! Everything the programs of this project do to a Linux machine goes through this crate, and it is the only one
//! with `unsafe` code (each block says why it is sound). It is blocking: asynchronous callers use
//! `spawn_blocking`. It executes no program but `nft` (in [`nft`]) and, as a last resort, `modprobe` (in
//! [`kernel`]).
//!
//! # Parts
//!
//! * [`Netns`] is a handle on a network namespace: by path, by process, by name, or the current one. Its
//!   [`Netns::run`] runs a closure inside.
//! * [`Netlink`] is a socket to one namespace's routing netlink. Links, addresses, routes and neighbours are methods
//!   on it, each a single request and its answer: [`link`], [`address`], [`route`], [`neighbour`].
//! * [`Conntrack`] is a socket to one namespace's connection tracking.
//! * [`ethtool`] (offloads), [`sysctl`] and [`nft`] act on the namespace of the *calling thread*, because that is
//!   what the kernel looks at: call them inside [`Netns::run`].
//! * [`kernel`] answers whether this kernel has the Open vSwitch datapath; [`file`] installs files atomically.
//!
//! # What it must never do
//!
//! * Leave a thread in another namespace than it was in: a namespace is only entered by a thread that exists for
//!   that and ends afterwards.
//! * Return an error that does not name the interface, the namespace and what was attempted. [`Error`] also says
//!   what to look at for the errnos an operator meets (no privileges, no such device, address in use).
#![deny(unsafe_code)]

pub mod address;
mod conntrack;
mod error;
pub mod ethtool;
pub mod file;
pub mod kernel;
pub mod link;
pub mod neighbour;
mod netlink;
mod netns;
pub mod nft;
pub mod route;
pub mod rule;
pub mod sysctl;

pub use address::Address;
pub use conntrack::{Conntrack, UdpConnection};
pub use error::{Error, Result};
pub use link::{Link, Mac, Veth};
pub use neighbour::Neighbour;
pub use netlink::Netlink;
pub use netns::{Netns, NetnsId};
pub use route::Route;
pub use rule::OwnPacketsRule;
