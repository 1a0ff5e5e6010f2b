//! A `VSwitchConfig`, parsed and checked.

use std::net::IpAddr;

use ipnet::IpNet;
use kube::ResourceExt as _;

use crate::{CidrsError, DualStack, OverlayType, VSwitchConfig, condition};

/// What a `VSwitchConfig` says, in types that can only hold what makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name.
    pub name: String,
    /// Addresses of all pods of the cluster.
    pub cluster_cidr: DualStack,
    /// Addresses of this node's pods, inside `cluster_cidr`.
    pub pod_cidr: DualStack,
    /// Addresses of Services.
    pub service_cidr: DualStack,
    /// Encapsulation between nodes.
    pub overlay_type: OverlayType,
    /// The node's address on the underlay.
    pub overlay_ip: IpAddr,
    /// MTU of pod interfaces in bytes; `None`: from the uplink.
    pub mtu: Option<u16>,
    /// The generation of the object this was read from.
    pub generation: Option<i64>,
}

/// Why a `VSwitchConfig` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeConfigError {
    /// The controller has marked it as unusable.
    #[error("VSwitchConfig {name} is not accepted: {message}")]
    NotAccepted {
        /// The object's name.
        name: String,
        /// The condition's message.
        message: String,
    },
    /// A field that the controller fills in is still absent.
    #[error("VSwitchConfig {name} has no {field} yet: see its condition Accepted and the Node {name}")]
    Missing {
        /// The object's name.
        name: String,
        /// The field.
        field: &'static str,
    },
    /// A field does not parse.
    #[error("VSwitchConfig {name}: spec.{field}: {source}")]
    Cidrs {
        /// The object's name.
        name: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: CidrsError,
    },
    /// `overlayIP` is no address.
    #[error("VSwitchConfig {name}: spec.overlayIP: {value:?} is not an IP address")]
    OverlayIp {
        /// The object's name.
        name: String,
        /// The field's value.
        value: String,
    },
    /// The pod CIDR is not part of the cluster's.
    #[error("VSwitchConfig {name}: spec.podCIDR: {outside} lies outside the cluster CIDR {cluster}")]
    Outside {
        /// The object's name.
        name: String,
        /// The pod CIDR that lies outside.
        outside: IpNet,
        /// The cluster's CIDRs.
        cluster: DualStack,
    },
    /// The pod CIDR has no room for a gateway and a pod.
    #[error(
        "VSwitchConfig {name}: spec.podCIDR: {net} is too small: it must hold a gateway and at least one pod"
    )]
    TooSmall {
        /// The object's name.
        name: String,
        /// The CIDR.
        net: IpNet,
    },
}

impl TryFrom<&VSwitchConfig> for NodeConfig {
    type Error = NodeConfigError;

    fn try_from(object: &VSwitchConfig) -> Result<Self, NodeConfigError> {
        let name = object.name_any();
        let spec = &object.spec;
        let missing = |field| NodeConfigError::Missing { name: name.clone(), field };
        let parse = |field, value: &str| {
            value.parse::<DualStack>().map_err(|source| NodeConfigError::Cidrs {
                name: name.clone(),
                field,
                source,
            })
        };
        let conditions = object.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        if condition::is_false(conditions, condition::ACCEPTED) {
            let message = conditions
                .iter()
                .find(|c| c.type_ == condition::ACCEPTED)
                .map(|c| c.message.clone())
                .unwrap_or_default();
            return Err(NodeConfigError::NotAccepted { name, message });
        }
        let cluster_cidr = parse("clusterCIDR", &spec.cluster_cidr)?;
        let service_cidr = parse("serviceCIDR", &spec.service_cidr)?;
        let pod_cidr = parse("podCIDR", spec.pod_cidr.as_deref().ok_or_else(|| missing("spec.podCIDR"))?)?;
        let overlay_ip = spec.overlay_ip.as_deref().ok_or_else(|| missing("spec.overlayIP"))?;
        let overlay_ip = overlay_ip
            .parse()
            .map_err(|_| NodeConfigError::OverlayIp { name: name.clone(), value: overlay_ip.to_owned() })?;
        if let Some(outside) = cluster_cidr.first_outside(&pod_cidr) {
            return Err(NodeConfigError::Outside { name, outside, cluster: cluster_cidr });
        }
        // The first address, the gateway, a pod, and the last address.
        if let Some(net) = pod_cidr.iter().find(|net| net.prefix_len() + 2 > net.max_prefix_len()) {
            return Err(NodeConfigError::TooSmall { name, net });
        }
        Ok(Self {
            name,
            cluster_cidr,
            pod_cidr,
            service_cidr,
            overlay_type: spec.overlay_type,
            overlay_ip,
            mtu: spec.mtu,
            generation: object.metadata.generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VSwitchConfigSpec;

    fn object(change: impl FnOnce(&mut VSwitchConfigSpec)) -> VSwitchConfig {
        let mut spec = VSwitchConfigSpec {
            cluster_cidr: "10.0.0.0/16,fd00::/56".into(),
            pod_cidr: Some("10.0.1.0/24,fd00:0:0:1::/64".into()),
            service_cidr: "10.96.0.0/16".into(),
            overlay_type: OverlayType::Vxlan,
            overlay_ip: Some("192.0.2.1".into()),
            mtu: None,
        };
        change(&mut spec);
        VSwitchConfig::new("node-1", spec)
    }

    fn error(change: impl FnOnce(&mut VSwitchConfigSpec)) -> String {
        NodeConfig::try_from(&object(change)).unwrap_err().to_string()
    }

    #[test]
    fn a_complete_one_is_read() {
        let config = NodeConfig::try_from(&object(|_| ())).unwrap();
        assert_eq!(config.name, "node-1");
        assert_eq!(config.overlay_ip, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(config.pod_cidr.to_string(), "10.0.1.0/24,fd00:0:0:1::/64");
    }

    #[test]
    fn each_error_names_the_object_and_the_field() {
        assert_eq!(
            error(|s| s.pod_cidr = None),
            "VSwitchConfig node-1 has no spec.podCIDR yet: see its condition Accepted and the Node node-1"
        );
        assert_eq!(
            error(|s| s.pod_cidr = Some("10.1.0.0/24".into())),
            "VSwitchConfig node-1: spec.podCIDR: 10.1.0.0/24 lies outside the cluster CIDR 10.0.0.0/16,fd00::/56"
        );
        assert_eq!(
            error(|s| s.overlay_ip = Some("node-1".into())),
            "VSwitchConfig node-1: spec.overlayIP: \"node-1\" is not an IP address"
        );
        assert!(
            error(|s| s.cluster_cidr = "10.0.0.0".into())
                .contains("spec.clusterCIDR: \"10.0.0.0\" is not a CIDR")
        );
        assert!(error(|s| s.pod_cidr = Some("10.0.1.0/31".into())).contains("too small"));
    }
}
