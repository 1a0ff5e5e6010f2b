//! The CNI side of a container runtime (CNI specification 1.1.0, section 3): finds the node's configuration, and
//! executes its plugins as containerd or CRI-O would.

mod config;
mod plugin;

pub use config::{ConfigError, NetworkConfig};
pub use plugin::{Attachment, CniError, CniResult, Runtime};
