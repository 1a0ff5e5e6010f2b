//! OpenFlow 1.5 to one bridge.
//!
//! [`frame`] cuts the byte stream into messages, [`connection`] matches replies and errors to requests by their
//! transaction id and hands asynchronous messages on, [`session`] speaks in types of the `openflow` crate, and
//! [`reconnect`] keeps a session up.
//!
//! Two tasks serve a connection. The reader never waits for the writer, so that a switch that stops reading until we
//! read cannot deadlock with us. Callers wait for room in a bounded queue: that is the backpressure.

pub mod connection;
pub mod frame;
pub mod reconnect;
pub mod session;

pub use connection::{Asynchronous, Closed, Connection, RequestError};
pub use frame::Frame;
pub use reconnect::{Connected, keep_up};
pub use session::{BundleError, Session, SessionError, decode};
