//! Async connections to one Open vSwitch: OpenFlow to a bridge, OVSDB to the database server.
//!
//! The codecs are sans-IO crates of their own (`openflow`, `ovsdb`); this crate gives them sockets, time and tasks.
//! Both kinds of connection keep many requests in flight, notice a peer that went away, and come back with
//! exponential backoff. Neither knows what k-vswitch writes into the switch.
//!
//! - [`Address`]: where a switch listens, in OVS's own notation.
//! - [`backoff`]: how long to wait before the next try.
//! - [`openflow`]: requests, bundles and asynchronous messages of a bridge.
//! - [`ovsdb`]: transactions, monitors and locks of the database server.

pub mod address;
pub mod backoff;
pub mod openflow;
pub mod ovsdb;

pub use address::{Address, AddressError};
