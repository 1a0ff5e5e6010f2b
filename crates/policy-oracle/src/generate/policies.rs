//! Policies.

use ipnet::IpNet;
use policy::spec::{
    EgressRule, IngressRule, IntOrString, IpBlock, LabelSelector, NetworkPolicySpec, PolicyPeer, PolicyPort,
    Requirement,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::objects::{KEYS, PORT_NAMES, PORTS, VALUES};

/// Blocks that nest, and contain pods and others.
const CIDRS: [&str; 24] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/15",
    "10.0.0.0/24",
    "10.0.0.0/28",
    "10.0.0.0/29",
    "10.0.0.4/30",
    "10.0.0.4/31",
    "10.0.0.4/32",
    "10.0.0.2/32",
    "10.0.0.9/29",
    "10.0.1.0/24",
    "192.0.2.0/24",
    "192.0.2.128/25",
    "::/0",
    "fd00::/8",
    "fd00::/64",
    "fd00::/124",
    "fd00::/125",
    "fd00::4/126",
    "fd00::4/127",
    "fd00::4/128",
    "fd00::b/125",
    "2001:db8::/32",
];

const NO_CIDRS: [&str; 5] = ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0/8", ""];

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn requirements() -> impl Strategy<Value = Requirement> {
    let keys = || select(texts(&KEYS));
    let with = (keys(), select(texts(&["In", "NotIn"])), subsequence(texts(&VALUES), 1..3))
        .prop_map(|(key, operator, values)| Requirement { key, operator, values: Some(values) });
    let values = prop_oneof![2 => Just(None), 1 => Just(Some(vec![]))];
    let without = (keys(), select(texts(&["Exists", "DoesNotExist"])), values)
        .prop_map(|(key, operator, values)| Requirement { key, operator, values });
    let operators = select(texts(&["In", "NotIn", "Exists", "DoesNotExist", "Equals", "in", ""]));
    let any = (keys(), operators, option::of(subsequence(texts(&VALUES), 0..3)))
        .prop_map(|(key, operator, values)| Requirement { key, operator, values });
    prop_oneof![12 => with, 12 => without, 1 => any]
}

fn selectors() -> impl Strategy<Value = LabelSelector> {
    let some = (option::weighted(0.6, super::labels()), option::weighted(0.6, vec(requirements(), 0..3)));
    prop_oneof![
        2 => Just(LabelSelector::default()),
        5 => some.prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions }),
    ]
}

fn blocks() -> impl Strategy<Value = IpBlock> {
    let cidrs = || prop_oneof![30 => select(texts(&CIDRS)), 1 => select(texts(&NO_CIDRS))];
    let excepts = option::weighted(0.7, vec(cidrs(), 0..8));
    (cidrs(), excepts, prop::bool::weighted(0.1)).prop_map(|(cidr, mut except, anything)| {
        let net = |text: &str| text.parse::<IpNet>().ok();
        let inside = |text: &String| {
            net(&cidr).zip(net(text)).is_some_and(|(outer, inner)| outer.contains(&inner) && outer != inner)
        };
        if let Some(except) = except.as_mut().filter(|_| !anything) {
            except.retain(inside);
        }
        IpBlock { cidr, except }
    })
}

fn peers() -> impl Strategy<Value = PolicyPeer> {
    let peer = |pod_selector, namespace_selector, ip_block| PolicyPeer {
        pod_selector,
        namespace_selector,
        ip_block,
    };
    let any = (option::of(selectors()), option::of(selectors()), option::of(blocks()));
    prop_oneof![
        6 => selectors().prop_map(move |pods| peer(Some(pods), None, None)),
        4 => selectors().prop_map(move |namespaces| peer(None, Some(namespaces), None)),
        5 => (selectors(), selectors()).prop_map(move |(p, n)| peer(Some(p), Some(n), None)),
        8 => blocks().prop_map(move |block| peer(None, None, Some(block))),
        1 => any.prop_map(move |(p, n, b)| peer(p, n, b)),
    ]
}

fn ports() -> impl Strategy<Value = PolicyPort> {
    let protocols = || {
        prop_oneof![
            6 => Just(None),
            6 => Just(Some("TCP".to_owned())),
            4 => Just(Some("UDP".to_owned())),
            3 => Just(Some("SCTP".to_owned())),
            1 => select(texts(&["tcp", "ICMP", ""])).prop_map(Some),
        ]
    };
    let number = || select(&PORTS[..]).prop_map(|port| IntOrString::Int(port.into()));
    let name = || select(texts(&PORT_NAMES)).prop_map(IntOrString::String);
    let port = |protocol, port, end_port| PolicyPort { protocol, port, end_port };
    let odd = prop_oneof![
        Just(IntOrString::Int(0)),
        Just(IntOrString::Int(65536)),
        Just(IntOrString::Int(-1)),
        Just(IntOrString::String(String::new())),
        Just(IntOrString::String("80".to_owned())),
        number(),
        name(),
    ];
    let end = prop_oneof![Just(0), Just(79), Just(80), Just(90), Just(65535), Just(65536), Just(-1)];
    let ranges = (1..100_i64, prop_oneof![0..20_i32, Just(400), Just(65000), Just(65435)]).prop_map(
        |(first, more)| {
            (IntOrString::Int(first), i32::try_from(first).unwrap_or(0).saturating_add(more).min(65535))
        },
    );
    prop_oneof![
        3 => protocols().prop_map(move |p| port(p, None, None)),
        5 => (protocols(), number()).prop_map(move |(p, n)| port(p, Some(n), None)),
        5 => (protocols(), name()).prop_map(move |(p, n)| port(p, Some(n), None)),
        3 => (protocols(), ranges).prop_map(move |(p, (n, e))| port(p, Some(n), Some(e))),
        1 => (protocols(), option::of(odd), option::of(end)).prop_map(move |(p, n, e)| port(p, n, e)),
    ]
}

/// Absent, empty, or with some.
fn some<S: Strategy>(of: S, most: usize) -> impl Strategy<Value = Option<Vec<S::Value>>>
where
    S::Value: Clone,
{
    prop_oneof![1 => Just(None), 1 => Just(Some(vec![])), 6 => vec(of, 1..=most).prop_map(Some)]
}

/// A policy.
pub fn policies() -> impl Strategy<Value = NetworkPolicySpec> {
    let types = prop_oneof![
        4 => Just(None),
        4 => Just(Some(vec!["Ingress"])),
        4 => Just(Some(vec!["Egress"])),
        4 => Just(Some(vec!["Ingress", "Egress"])),
        1 => Just(Some(vec![])),
        1 => select(vec!["ingress", "Both", ""]).prop_map(|bad| Some(vec!["Ingress", bad])),
    ];
    let ingress = (some(peers(), 3), some(ports(), 3)).prop_map(|(from, ports)| IngressRule { from, ports });
    let egress = (some(peers(), 3), some(ports(), 3)).prop_map(|(to, ports)| EgressRule { to, ports });
    (selectors(), types, some(ingress, 3), some(egress, 3)).prop_map(
        |(pod_selector, types, ingress, egress)| NetworkPolicySpec {
            pod_selector,
            policy_types: types.map(|types| texts(&types)),
            ingress,
            egress,
        },
    )
}
