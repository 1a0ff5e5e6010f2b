//! What a proxy of Services decodes of the API's objects: these fields and no others.

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use service::spec;

/// The label that names a slice's Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that names a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What is watched of Services and EndpointSlices: not those that need no proxy, or have another one.
pub(super) const LABELS: &str = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name";

/// A Service.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Service)]
pub(super) struct ServiceView {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: spec::ServiceSpec,
    #[serde(default)]
    status: spec::ServiceStatus,
}

impl ServiceView {
    pub(super) fn into_service(self) -> spec::Service {
        let labels = self.metadata.labels.unwrap_or_default();
        spec::Service { labels, spec: self.spec, status: self.status }
    }
}

/// An EndpointSlice.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = EndpointSlice)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceView {
    metadata: ObjectMeta,
    #[serde(default)]
    address_type: String,
    // An empty list is written as null.
    #[serde(default)]
    endpoints: Option<Vec<spec::Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<spec::EndpointPort>>,
}

impl SliceView {
    pub(super) fn into_slice(self) -> spec::Slice {
        let mut labels = self.metadata.labels.unwrap_or_default();
        spec::Slice {
            service: labels.remove(SERVICE_NAME).unwrap_or_default(),
            address_type: self.address_type,
            endpoints: self.endpoints.unwrap_or_default(),
            ports: self.ports,
        }
    }
}

/// A node.
#[derive(Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Node)]
pub(super) struct NodeMeta {
    metadata: ObjectMeta,
}

impl NodeMeta {
    pub(super) fn into_zone(self) -> Option<String> {
        self.metadata.labels.unwrap_or_default().remove(ZONE)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_without_endpoints_decodes() {
        let slice: SliceView = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {SERVICE_NAME: "web"}},
            "addressType": "IPv4", "endpoints": null, "ports": null,
        }))
        .unwrap();
        let slice = slice.into_slice();
        assert_eq!((slice.service.as_str(), slice.address_type.as_str()), ("web", "IPv4"));
        assert!(slice.endpoints.is_empty());
    }

    #[test]
    fn a_service_and_its_slice_are_what_a_proxy_looks_at() {
        let service: ServiceView = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}},
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20", "fd00::20"],
                "ports": [{"name": "http", "port": 80, "nodePort": 30080, "targetPort": "http"}],
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000,
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9", "ipMode": "VIP"}]}},
        }))
        .unwrap();
        let service = service.into_service();
        assert_eq!(service.spec.kind.as_deref(), Some("LoadBalancer"));
        assert_eq!(service.spec.cluster_ips.as_ref().map(Vec::len), Some(2));
        assert_eq!(service.spec.ports.as_ref().and_then(|ports| ports.first()?.node_port), Some(30080));
        assert_eq!(service.spec.health_check_node_port, Some(31000));
        assert_eq!(service.status.load_balancer.ingress.as_ref().map(Vec::len), Some(1));
        let affinity =
            service.spec.session_affinity_config.and_then(|config| config.client_ip?.timeout_seconds);
        assert_eq!(affinity, Some(60));
        let slice: SliceView = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop"}, "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["10.0.0.9"], "conditions": {"ready": false, "serving": true, "terminating": true},
                "nodeName": "node-1", "hints": {"forZones": [{"name": "a"}], "forNodes": [{"name": "node-1"}]},
                "targetRef": {"kind": "Pod", "name": "web-0", "namespace": "shop"},
            }],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }))
        .unwrap();
        let slice = slice.into_slice();
        let endpoint = slice.endpoints.first().unwrap();
        assert_eq!((endpoint.conditions.ready, endpoint.conditions.terminating), (Some(false), Some(true)));
        let hints = endpoint.hints.as_ref().unwrap();
        assert_eq!(
            hints.for_nodes.as_ref().and_then(|nodes| Some(nodes.first()?.name.as_str())),
            Some("node-1")
        );
    }
}
