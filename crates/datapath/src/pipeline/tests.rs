use openflow::{MacAddr, PortNo};

use super::*;

fn a_node() -> Node {
    Node {
        cluster_ipv4: Some("10.0.0.0/16".parse().unwrap()),
        cluster_ipv6: Some("fd00::/48".parse().unwrap()),
        pods_ipv4: Some("10.0.1.0/24".parse().unwrap()),
        pods_ipv6: Some("fd00:0:0:1::/64".parse().unwrap()),
        gateway_ipv4: Some("10.0.1.1".parse().unwrap()),
        gateway_ipv6: Some("fd00:0:0:1::1".parse().unwrap()),
    }
}

fn a_port() -> Port {
    Port {
        name: "kvs0123456789ab".into(),
        ofport: 5,
        mac: MacAddr([0x0a, 0x58, 10, 0, 1, 2]),
        ipv4: Some("10.0.1.2".parse().unwrap()),
        ipv6: Some("fd00:0:0:1::2".parse().unwrap()),
    }
}

fn a_remote(endpoint: &str) -> Remote {
    Remote {
        name: "node-2".into(),
        endpoint: endpoint.parse().unwrap(),
        pods: vec!["10.0.2.0/24".parse().unwrap(), "fd00:0:0:2::/64".parse().unwrap()],
        tunnel: PortNo::new(1),
    }
}

fn render(flows: &[Flow]) -> String {
    let mut lines: Vec<String> = flows.iter().map(ToString::to_string).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn the_flows_of_a_node() {
    insta::assert_snapshot!(render(&node(&a_node())));
}

#[test]
fn the_flows_of_a_port() {
    insta::assert_snapshot!(render(&port(&a_port())));
}

#[test]
fn the_flows_of_a_remote_node() {
    insta::assert_snapshot!(render(&remote(&a_remote("192.0.2.12"))));
    insta::assert_snapshot!("over_ipv6", render(&remote(&a_remote("2001:db8::12"))));
}

#[test]
fn a_family_that_is_off_has_no_flows() {
    let ipv4_only = Node { cluster_ipv6: None, pods_ipv6: None, gateway_ipv6: None, ..a_node() };
    let text = render(&node(&ipv4_only));
    assert!(!text.contains("fd00"), "{text}");
    let text = render(&port(&Port { ipv6: None, ..a_port() }));
    assert!(!text.contains("ipv6") && !text.contains("icmp6"), "{text}");
}

#[test]
fn no_two_flows_of_one_node_have_one_key() {
    // A cluster of one node, whose pod CIDR is the cluster's, is the case that could.
    for the_node in [a_node(), Node { pods_ipv4: a_node().cluster_ipv4, ..a_node() }] {
        let mut flows = node(&the_node);
        flows.extend(port(&a_port()));
        flows.extend(remote(&a_remote("192.0.2.12")));
        let keys: std::collections::HashSet<_> = flows.iter().map(Flow::key).collect();
        assert_eq!(keys.len(), flows.len());
    }
}

#[test]
fn packets_only_go_to_higher_tables() {
    let flows = [node(&a_node()), port(&a_port()), remote(&a_remote("192.0.2.12"))].concat();
    for flow in flows {
        if let Some(next) = flow.instructions.goto_table {
            assert!(next > flow.table, "{flow}");
            assert!(Table::ALL.iter().any(|table| table.number() == next), "{flow}");
        }
    }
}
