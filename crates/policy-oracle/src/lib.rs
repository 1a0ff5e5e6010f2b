//! What NetworkPolicies mean, said so simply that it is seen to be right. Tests compare everything else with it.
//!
//! ```text
//!                generate: clusters and events
//!                   |                     |
//!                   v                     v
//!     evaluator (scans everything)    policy::engine
//!                   |                     | changes
//!                   |                     v
//!                   |               tables (interprets policy::rules)
//!                   v                     v
//!                 may it pass?    =   may it pass?    =   does it pass, in a lab?
//! ```
//!
//! - [`evaluator`] answers from the API's objects. It has no index, no cache and no state, and shares no code with what
//!   it is compared with, parsing included.
//! - [`tables`] does with compiled rules what their documentation says a switch does.
//! - [`generate`] makes small clusters in which selectors hit, address blocks nest and numbers differ, and events on
//!   them.
//!
//! Nothing that is shipped may depend on this crate.

pub mod evaluator;
pub mod generate;
pub mod tables;

pub use evaluator::{Cluster, End, Traffic};
pub use tables::Tables;
