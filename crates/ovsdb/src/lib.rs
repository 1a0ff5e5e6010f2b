//! OVSDB: the protocol of Open vSwitch's configuration database (RFC 7047 and the extensions of `ovsdb-server(7)`),
//! without sockets, clocks or threads. Bytes come in, typed messages go out.
//!
//! # Parts
//!
//! Notation (RFC 7047 section 5.1):
//! - [`Uuid`], [`Atom`], [`Value`], [`Row`]: what a column holds, in one canonical form, so that equal means equal.
//! - [`Datum`]: the Rust types a column is read into, and how each applies a monitor's difference.
//!
//! Transactions (section 5.2):
//! - [`Operation`], [`Condition`], [`Mutation`]: what a transaction asks for.
//! - [`OpResult`], [`OpError`], [`check_results`]: what came of it, and which operation spoilt it.
//!
//! Monitoring (`monitor_cond_since`):
//! - [`MonitorRequests`], [`TableUpdates`], [`MonitorReply`]: what is asked for and what is sent.
//! - [`Replica`], [`Table`], [`RowChange`]: a copy of tables that applies updates and says what changed.
//!
//! Rows of the `Open_vSwitch` database:
//! - [`tables`]: one struct per table with the columns that k-vswitch uses.
//! - [`vswitch`]: operations that belong together, such as those that add a port.
//!
//! The wire (JSON-RPC 1.0 over a byte stream, section 4):
//! - [`Framer`] cuts the stream into messages; [`Message`], [`Request`], [`Notification`] give them a meaning.
//! - [`Session`] is one connection's state: requests in, bytes out; bytes in, [`Event`]s out.
//!
//! # How data flows
//!
//! A driver owns a socket and a [`Session`]. It calls [`Session::send`] for each request and writes what
//! [`Session::take_output`] returns; it hands what it reads to [`Session::receive`] and then calls [`Session::poll`]
//! until it returns `None`. Echo requests of the server are answered inside. The crates `ovsdb-blocking` and `ovs`
//! are two such drivers.
//!
//! # What it must never do
//!
//! Panic, recurse without bound or allocate without bound on what a peer sends; know what k-vswitch writes into
//! `external_ids`.

mod atom;
mod condition;
mod datum;
mod frame;
mod message;
mod monitor;
mod operation;
mod replica;
mod request;
mod result;
mod row;
mod schema;
mod session;
pub mod tables;
mod uuid;
mod value;
pub mod vswitch;

pub use atom::Atom;
pub use condition::{Condition, Function, Mutation, Mutator};
pub use datum::{Datum, TypeError};
pub use frame::{DEFAULT_MESSAGE_LIMIT, FrameError, Framer};
pub use message::{DecodeError, Message, Notification, RpcError};
pub use monitor::{MonitorReply, MonitorRequest, MonitorRequests, MonitorSelect, RowUpdate, TableUpdates};
pub use operation::{Operation, Until};
pub use replica::{Replica, ReplicaError, RowChange, Switch, SwitchChange, Table};
pub use request::{EncodeError, Request, RequestId};
pub use result::{ErrorKind, OpError, OpResult, TransactError, check_results};
pub use row::{ColumnError, Row, TableRow};
pub use schema::{BaseType, ColumnSchema, ColumnType, DatabaseSchema, TableSchema};
pub use session::{Event, Reply, ReplyError, Session, SessionError};
pub use uuid::{Uuid, UuidError};
pub use value::Value;
