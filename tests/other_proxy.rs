//! A Service proxy on the node, as kube-proxy is, works beside k-vswitch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::IpAddr;

use system_tests::{Lab, Node, Port, connects, pods, possible};

/// Addresses of Services, in the lab's Service networks; nobody has them.
const FAR: [&str; 2] = ["10.96.0.50", "fd00:10:96::50"];
const NEAR: [&str; 2] = ["10.96.0.51", "fd00:10:96::51"];

/// What kube-proxy writes for a Service with one endpoint, less what does not matter here: destination NAT for what
/// comes to the node and for what the node itself sends.
fn proxy(node: &Node<'_>, services: &[([&str; 2], &Port)]) {
    node.exec(&["nft", "add table inet proxy"]);
    for hook in ["prerouting", "output"] {
        let chain =
            format!("add chain inet proxy {hook} {{ type nat hook {hook} priority -100; policy accept; }}");
        node.exec(&["nft", &chain]);
        for (addresses, backend) in services {
            let (ipv4, ipv6) = (backend.ipv4, backend.ipv6);
            for rule in [
                format!("ip daddr {} tcp dport 80 dnat ip to {ipv4}:80", addresses[0]),
                format!("ip6 daddr {} tcp dport 80 dnat ip6 to [{ipv6}]:80", addresses[1]),
            ] {
                node.exec(&["nft", &format!("add rule inet proxy {hook} {rule}")]);
            }
        }
    }
}

fn a_pod_reaches_services(overlay: &str) {
    if !possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2", "--overlay", overlay, "--agent-arg=--service-proxy=off"]);
    lab.apply(&pods([("client", 1), ("near", 1), ("far", 2)]));
    lab.wait_for_pods(3);
    let node = lab.node(1);
    let (client, near, far) = (node.port("client"), node.port("near"), lab.node(2).port("far"));
    for to in ["near", "far"] {
        lab.reaches("default/client", &format!("default/{to}"));
    }
    let reaches = |from: &Port, service: &str| {
        let service: IpAddr = service.parse().unwrap();
        connects(&from.open(), service, 80)
    };
    for service in FAR.into_iter().chain(NEAR) {
        assert!(!reaches(&client, service), "somebody answers for {service} already");
    }
    proxy(&node, &[(FAR, &far), (NEAR, &near)]);
    for service in FAR.into_iter().chain(NEAR) {
        lab.until(&format!("the client to reach {service}"), || reaches(&client, service));
    }
    // A Service's only endpoint is its own client: the answer must come from the Service's address all the same.
    for service in NEAR {
        lab.until(&format!("near to reach itself by {service}"), || reaches(&near, service));
    }
    // What needs no proxy is not changed by it.
    lab.reaches("default/client", "default/far");
}

#[test]
fn a_pod_reaches_services_by_the_nodes_proxy_over_vxlan() {
    a_pod_reaches_services("vxlan");
}

#[test]
fn a_pod_reaches_services_by_the_nodes_proxy_over_gre() {
    a_pod_reaches_services("gre");
}
