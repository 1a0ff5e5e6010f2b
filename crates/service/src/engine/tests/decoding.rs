//! Objects as the API has them.

use super::build::*;
use crate::lb::*;

#[test]
fn objects_of_the_api_are_read() {
    let web = serde_json::from_str(
        r#"{
            "labels": {"app": "web"},
            "spec": {
                "type": "LoadBalancer",
                "clusterIP": "10.96.0.1",
                "clusterIPs": ["10.96.0.1", "fd00:96::1"],
                "ipFamilies": ["IPv4", "IPv6"],
                "externalIPs": ["192.0.2.9"],
                "ports": [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353, "nodePort": 30053}],
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "externalTrafficPolicy": "Local",
                "internalTrafficPolicy": "Cluster",
                "healthCheckNodePort": 31000,
                "loadBalancerSourceRanges": ["198.51.100.0/24"]
            },
            "status": {"loadBalancer": {"ingress": [
                {"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}, {"hostname": "x"}
            ]}}
        }"#,
    );
    let slice = serde_json::from_str(
        r#"{
            "service": "web",
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
                 "nodeName": "here", "zone": "z1", "hints": {"forZones": [{"name": "z1"}]},
                 "targetRef": {"kind": "Pod", "name": "web-0", "namespace": "shop"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}, "nodeName": "there",
                 "hints": {"forZones": [{"name": "z2"}], "forNodes": [{"name": "there"}]}}
            ],
            "ports": [{"name": "dns", "protocol": "UDP", "port": 5353}]
        }"#,
    );
    let mut node = Node::new();
    node.zone(Some("z1"));
    node.service("web", &web.unwrap());
    node.slice("web-1", &slice.unwrap());
    let one = endpoints(&["10.0.0.1:5353"]);
    let leads = node.leads(at("192.0.2.1", Protocol::Udp, 53));
    assert_eq!((&leads.inside.answer, &leads.outside.answer), (&one, &one));
    assert_eq!((leads.inside.affinity, leads.outside.keeps_client), (Some(60), true));
    assert_eq!(leads.sources, ["198.51.100.0/24".parse().unwrap()].into());
    let addresses: Vec<_> =
        node.tables.externals.iter().map(|(one, number)| (one.address, *number)).collect();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[1], (ip("192.0.2.9"), 30053));
    assert!(node.frontends().contains(&node_port(true, Protocol::Udp, 30053)));
    assert_eq!(node.tables.health_checks[&31000].local_endpoints, 1);
    assert_eq!(node.problems(), [""; 0]);
}
