//! `VSwitchConfig` as the API stores it.
// The derive macros wrap copies of the types in private scopes.
#![allow(unreachable_pub)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OverlayType;

/// The longest list of CIDRs: two, written in full. Bounds the cost that the API server counts for the rules.
const MAX_CIDRS: u32 = 128;

fn cidr_list() -> Rule {
    Rule::new(
        "self.split(',').size() <= 2 && self.split(',').all(c, isCIDR(c) && cidr(c) == cidr(c).masked())",
    )
    .message("must be one CIDR, or one of each family separated by a comma, without host bits")
}

fn one_per_family() -> Rule {
    Rule::new(
        "self.split(',').size() != 2 || !self.split(',').all(c, isCIDR(c)) \
         || cidr(self.split(',')[0]).ip().family() != cidr(self.split(',')[1]).ip().family()",
    )
    .message("two CIDRs must be of different families")
}

fn pod_cidr_in_cluster_cidr() -> Rule {
    Rule::new(
        "!has(self.spec.podCIDR) || self.spec.podCIDR.split(',').all(p, \
         self.spec.clusterCIDR.split(',').exists(c, isCIDR(c) && isCIDR(p) && cidr(c).containsCIDR(cidr(p))))",
    )
    .message("podCIDR must lie inside clusterCIDR")
}

/// What a node's daemon needs to know, and what other nodes need to know of it.
///
/// A field that names CIDRs holds one, or one of each family separated by a comma, as
/// `kube-controller-manager --cluster-cidr` has it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "kvswitch.io",
    version = "v1alpha1",
    kind = "VSwitchConfig",
    plural = "vswitchconfigs",
    singular = "vswitchconfig",
    shortname = "vsc",
    category = "kvswitch",
    status = "VSwitchConfigStatus",
    derive = "PartialEq",
    validation = pod_cidr_in_cluster_cidr(),
    doc = "How one node takes part in the pod network. Written by k-vswitch-controller from the Node of the same name; only `mtu` is the operator's.",
    printcolumn(name = "Pod-CIDR", type_ = "string", json_path = ".spec.podCIDR"),
    printcolumn(name = "Overlay", type_ = "string", json_path = ".spec.overlayType"),
    printcolumn(name = "Overlay-IP", type_ = "string", json_path = ".spec.overlayIP"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "MTU", type_ = "integer", json_path = ".status.mtu", priority = 1),
    printcolumn(name = "Datapath", type_ = "string", json_path = ".status.datapath", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct VSwitchConfigSpec {
    /// The addresses of all pods of the cluster: one CIDR, or one of each family separated by a comma.
    #[serde(rename = "clusterCIDR")]
    #[schemars(length(min = 1, max = MAX_CIDRS))]
    #[x_kube(validation = cidr_list(), validation = one_per_family())]
    pub cluster_cidr: String,

    /// The addresses of this node's pods, inside `clusterCIDR`. Absent while the node has none that can be used;
    /// the condition `Accepted` then says why, and the node's daemon waits.
    #[serde(rename = "podCIDR", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_CIDRS))]
    #[x_kube(validation = cidr_list(), validation = one_per_family())]
    pub pod_cidr: Option<String>,

    /// The addresses of Services: one CIDR, or one of each family separated by a comma.
    #[serde(rename = "serviceCIDR")]
    #[schemars(length(min = 1, max = MAX_CIDRS))]
    #[x_kube(validation = cidr_list(), validation = one_per_family())]
    pub service_cidr: String,

    /// Encapsulation between nodes.
    pub overlay_type: OverlayType,

    /// The node's address on the underlay, IPv4 or IPv6: the tunnels' end point. Absent while the node has no
    /// InternalIP.
    #[serde(rename = "overlayIP", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)").message("must be an IPv4 or IPv6 address"))]
    pub overlay_ip: Option<String>,

    /// MTU of pod interfaces, bytes. Absent: the uplink's less what the overlay adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1280, max = 65535), extend("format" = "int32"))]
    pub mtu: Option<u16>,
}

/// What the controller and the node's daemon say of the object.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VSwitchConfigStatus {
    /// The generation of the spec that the node's daemon has programmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `Accepted`, by the controller: the node's addresses can be used. `Ready`, by the node's daemon: the spec is
    /// in the switch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// MTU of the node's pod interfaces, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int32"))]
    pub mtu: Option<u16>,

    /// OVS datapath in use: `system` (the kernel's) or `netdev` (userspace).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datapath: Option<String>,
}
