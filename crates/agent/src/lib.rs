//! What the node daemon does.
//!
//! ```text
//! Kubernetes API --view--+                               +--> OVSDB: bridge, tunnel, stamps
//! OVSDB ---------monitor-+--> state --> store of flows --+--> OpenFlow: one bundle of differences
//! switch, kernel --------+                               +--> host: addresses, routes, sysctls, nftables
//! ```
//!
//! - [`view`] is the one seam through which the cluster is seen; [`state`] is what is known, and the flows that follow
//!   from it, without any I/O; [`enforcement`] is its part about policies, [`members`] tells our bridge's interfaces
//!   from others'.
//! - [`bridge`], [`host_setup`], [`mtu`] and [`install`] say what the database, the host and the runtime's directories
//!   should hold; [`published`] is the part of the host's side that follows Services.
//! - [`daemon`] is the loop that takes events in and then settles one thing after the other; [`sweep`] finds ports
//!   whose pods are gone; [`status`], [`metrics`] and [`inspect`] tell the operator.
//!
//! - [`cleanup`] takes everything away when the operator says so.
//!
//! It must never take away on its own failure: without the API, without the database, on its way out, what is
//! programmed stays.

pub mod balancing;
pub mod bridge;
pub mod cleanup;
pub mod daemon;
pub mod enforcement;
pub mod health_checks;
pub mod host_ports;
pub mod host_setup;
pub mod inspect;
pub mod install;
pub mod members;
pub mod metrics;
pub mod mtu;
pub mod published;
pub mod state;
pub mod status;
pub mod sweep;
pub mod uplink;
pub mod view;

pub use bridge::Datapath;
pub use daemon::{DaemonError, Options, run};
pub use host::sysctl::Sysctls;
pub use host_setup::Services;
pub use install::InstallOptions;
pub use metrics::Metrics;
