use std::collections::HashSet;

use openflow::{MacAddr, PortNo};

use super::*;
use crate::ServiceNets;

fn a_node() -> Node {
    Node {
        cluster_ipv4: Some("10.0.0.0/16".parse().unwrap()),
        cluster_ipv6: Some("fd00::/48".parse().unwrap()),
        pods_ipv4: Some("10.0.1.0/24".parse().unwrap()),
        pods_ipv6: Some("fd00:0:0:1::/64".parse().unwrap()),
        gateway_ipv4: Some("10.0.1.1".parse().unwrap()),
        gateway_ipv6: Some("fd00:0:0:1::1".parse().unwrap()),
        tracks_sctp: false,
        answers_solicitations: true,
        services: None,
    }
}

fn a_proxy() -> Node {
    let services = ServiceNets {
        ipv4: Some("10.96.0.0/16".parse().unwrap()),
        ipv6: Some("fd00:10:96::/112".parse().unwrap()),
    };
    Node { services: Some(services), ..a_node() }
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
fn a_datapath_that_cannot_make_advertisements_is_not_asked_to() {
    let text = render(&node(&Node { answers_solicitations: false, ..a_node() }));
    assert!(!text.contains("nd_reserved") && !text.contains("nd_options_type"), "{text}");
    assert!(text.contains("arp_op"), "{text}");
}

#[test]
fn the_flows_of_a_node_that_is_the_proxy_of_services() {
    let without: HashSet<String> = node(&a_node()).iter().map(ToString::to_string).collect();
    let mut flows = node(&a_proxy());
    flows.retain(|flow| !without.contains(&flow.to_string()));
    insta::assert_snapshot!(render(&flows));
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
    for the_node in [a_node(), a_proxy(), Node { pods_ipv4: a_node().cluster_ipv4, ..a_node() }] {
        let mut flows = node(&the_node);
        flows.extend(port(&a_port()));
        flows.extend(remote(&a_remote("192.0.2.12")));
        let keys: HashSet<_> = flows.iter().map(Flow::key).collect();
        assert_eq!(keys.len(), flows.len());
    }
}

#[test]
fn packets_only_go_to_higher_tables() {
    let flows = [node(&a_proxy()), port(&a_port()), remote(&a_remote("192.0.2.12"))].concat();
    for flow in flows {
        if let Some(next) = flow.instructions.goto_table {
            assert!(next > flow.table, "{flow}");
            assert!(Table::ALL.iter().any(|table| table.number() == next), "{flow}");
        }
    }
}

mod policies {
    use std::collections::BTreeSet;

    use ::policy::rules::{
        CidrEntry, ClassId, Direction, Identity, LabelsId, NamespaceId, Namespaces, Peer, Peers, PolicyId,
        PortMatch, Ports, Protocol, Rule, Verdict,
    };

    use super::*;

    const BOTH: Families = Families { ipv4: true, ipv6: true, fragments: false };

    fn classes(ids: &[u32]) -> BTreeSet<ClassId> {
        ids.iter().copied().map(ClassId).collect()
    }

    fn peer() -> Peer {
        Peer { pods_only: false, namespaces: Namespaces::Any, labels: None, cidrs: None }
    }

    fn tcp(value: u16, mask: u16) -> PortMatch {
        PortMatch { protocol: Protocol::Tcp, value, mask }
    }

    fn a_verdict() -> Verdict {
        let of_namespaces = Peer {
            namespaces: Namespaces::Classes(classes(&[1, 2, 3])),
            labels: Some(classes(&[4, 5])),
            ..peer()
        };
        let of_own =
            Peer { namespaces: Namespaces::One(NamespaceId(7)), labels: Some(classes(&[4])), ..peer() };
        let block = Peer { cidrs: Some(classes(&[9])), ..peer() };
        let ports = Ports::Some(vec![tcp(80, 0xffff), tcp(8080, 0xfffe)]);
        let all_pods = Peer { pods_only: true, ..peer() };
        Verdict {
            rules: vec![
                Rule { index: 0, peers: Peers::Some(vec![of_namespaces, of_own, block]), ports },
                Rule { index: 1, peers: Peers::Some(vec![all_pods]), ports: Ports::All },
                Rule { index: 2, peers: Peers::Anyone, ports: Ports::Some(vec![tcp(0, 0)]) },
            ],
        }
    }

    #[test]
    fn the_flows_of_a_policy() {
        insta::assert_snapshot!(render(&verdict(PolicyId(0xabcd), &a_verdict(), BOTH)));
    }

    #[test]
    fn a_policy_without_rules_has_no_flow_and_one_that_allows_all_has_one() {
        assert_eq!(verdict(PolicyId(1), &Verdict { rules: vec![] }, BOTH), []);
        let everything = Verdict { rules: vec![Rule { index: 0, peers: Peers::Anyone, ports: Ports::All }] };
        assert_eq!(verdict(PolicyId(1), &everything, BOTH).len(), 1);
    }

    #[test]
    fn what_nothing_can_match_has_no_flow() {
        let nothing = [
            Rule { index: 0, peers: Peers::Anyone, ports: Ports::Some(vec![]) },
            Rule { index: 0, peers: Peers::Some(vec![]), ports: Ports::All },
            Rule {
                index: 0,
                peers: Peers::Some(vec![Peer { labels: Some(classes(&[])), ..peer() }]),
                ports: Ports::All,
            },
        ];
        assert_eq!(verdict(PolicyId(1), &Verdict { rules: nothing.into() }, BOTH), []);
    }

    #[test]
    fn later_fragments_pass_where_a_rule_allows_some_port_of_their_protocol() {
        let udp = PortMatch { protocol: Protocol::Udp, value: 53, mask: 0xffff };
        let rule = |ports| Rule { index: 0, peers: Peers::Anyone, ports };
        let rules = vec![rule(Ports::Some(vec![udp, tcp(0, 0)]))];
        let apart = Families { fragments: true, ..BOTH };
        insta::assert_snapshot!(render(&verdict(PolicyId(1), &Verdict { rules }, apart)));
    }

    #[test]
    fn the_flows_of_a_chain() {
        let short = chain(&a_port(), Direction::Ingress, &[PolicyId(3), PolicyId(4)]);
        insta::assert_snapshot!(render(&short));
        let denied = chain(&a_port(), Direction::Egress, &[]);
        insta::assert_snapshot!("of_no_policy", render(&denied));
    }

    #[test]
    fn a_long_chain_goes_on_in_further_flows() {
        let ids: Vec<PolicyId> = (1..=1200).map(PolicyId).collect();
        let flows = chain(&a_port(), Direction::Egress, &ids);
        assert_eq!(flows.len(), 4);
        let asked = flows.iter().flat_map(|flow| &flow.instructions.apply);
        let verdicts = asked.filter(|action| **action == Action::resubmit(Table::Verdict.number()));
        assert_eq!(verdicts.count(), 1200);
        let keys: HashSet<_> = flows.iter().map(Flow::key).collect();
        assert_eq!(keys.len(), flows.len());
    }

    #[test]
    fn the_flows_of_peers() {
        let id = Identity { namespace: NamespaceId(1), labels: LabelsId(2) };
        let entry = |class| CidrEntry { class };
        let flows = [
            identity("10.0.1.2".parse().unwrap(), id),
            identity("fd00::2".parse().unwrap(), id),
            namespace_class(NamespaceId(1), ClassId(3)),
            labels_class(LabelsId(2), ClassId(4)),
            cidr_class(Direction::Egress, "0.0.0.0/0".parse().unwrap(), entry(Some(ClassId(5)))),
            cidr_class(Direction::Ingress, "2001:db8::/32".parse().unwrap(), entry(None)),
            own_node("192.0.2.1".parse().unwrap()),
        ];
        insta::assert_snapshot!(render(&flows));
    }
}
