//! OVSDB to one database server.
//!
//! A [`Client`] is a handle on a task that keeps one connection up: it connects, comes back with backoff when the
//! connection breaks, and asks for everything again that is meant to last. Handles are cheap to clone.
//!
//! - [`Client::transact`] runs a transaction. Many can be under way. What is asked while there is no connection waits
//!   for one; what was under way when it broke fails with [`RequestError::Disconnected`], since nobody knows whether
//!   it has happened.
//! - [`Client::monitor`] gives a [`Monitor`]: a copy of rows, and what changes in it, across reconnects.
//! - [`Client::lock`] gives a [`Lock`]: asked for again on every connection until it is dropped.
//! - [`Client::state`] says whether there is a connection, for readiness and messages.
//!
//! `client` holds the handle, `driver` the task that reconnects, `wire` one connection, `monitor` and `lock` what
//! outlives it.
//!
//! # Queues
//!
//! Transactions wait in a bounded queue, and callers with them. Changes of monitored rows wait in an unbounded one:
//! if the task waited for a monitor's reader, that reader could not await a transaction without a deadlock. What
//! waits there is bounded by what happens in the database while its reader is busy.

mod client;
mod driver;
mod lock;
mod monitor;
mod wire;

pub use client::{Client, RequestError, Settings, State};
pub use lock::Lock;
pub use monitor::{Monitor, MonitorError, MonitorUpdate};
