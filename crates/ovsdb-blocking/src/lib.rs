//! A blocking OVSDB client over a Unix socket, for programs without an async runtime: the CNI plugin above all.
//!
//! [`Client`] drives an [`ovsdb::Session`] over one connection. Every call takes the [`std::time::Instant`] by which
//! it must be done, so that a caller with one budget for several steps passes one deadline through all of them.
//!
//! Round trips are what costs. Requests can therefore be put on the wire together ([`Client::send`],
//! [`Client::monitor`]) before the first answer is awaited ([`Client::reply`], [`Client::wait_until`]): the server
//! works on them in the order in which they were sent.
//!
//! It must never reconnect by itself: whether a transaction whose connection broke has happened is a question that
//! only the caller can answer.

mod client;
mod connect;
mod error;

pub use client::{Client, Monitor};
pub use error::{Error, Step};
