//! The `VSwitchConfig` custom resource, and the names k-vswitch uses in the Kubernetes API.
//!
//! One `VSwitchConfig` stands for one node and carries its name. The controller writes it from the `Node` and the
//! cluster's parameters; every daemon watches all of them: its own says how to set this node up, the others say
//! where remote pods are. Nothing else tells daemons of each other.
//!
//! - [`VSwitchConfigSpec`] is what the API stores: strings, validated by the schema and by CEL rules.
//! - [`NodeConfig`] is the same, parsed and checked: what programs work with.
//! - [`cidrs`] has the two-family lists that both use.
//! - [`crds`] renders the definitions under `deploy/crds/`, which a test holds equal to these types.

pub mod cidrs;
pub mod condition;
mod node_config;
mod overlay;
mod vswitchconfig;

pub use cidrs::{CidrsError, DualStack};
pub use node_config::{NodeConfig, NodeConfigError};
pub use overlay::{LEAST_MTU, OverlayType};
pub use vswitchconfig::{VSwitchConfig, VSwitchConfigSpec, VSwitchConfigStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// API group of every resource of this project.
pub const GROUP: &str = "kvswitch.io";

/// The custom resource definitions that `deploy/crds/` holds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![VSwitchConfig::crd()]
}
