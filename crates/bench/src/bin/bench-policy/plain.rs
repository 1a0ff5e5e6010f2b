//! Clusters of evenly spread labels: ten teams, three environments; ten apps per namespace in three tiers and two
//! versions; one pod in twenty marked. Policies of the kinds people write: peers in the own namespace, by team, by
//! environment and tier, by team and app, cluster-wide by a label; ports; CIDRs.

use policy::spec::{IngressRule, LabelSelector, NetworkPolicySpec, Pod, PolicyPeer};

use crate::cluster::{Cluster, Size, block, labels, namespaces, pods, pods_in, port, selector};
use crate::random::Random;

pub(crate) fn cluster(seed: u64, size: Size) -> Cluster {
    let (mut random, mut cluster) = (Random::new(seed), Cluster::default());
    for n in 0..size.namespaces {
        let namespace = format!("ns-{n}");
        let (team, env) = (random.below(10).to_string(), random.below(3).to_string());
        cluster.namespaces.push((namespace.clone(), labels([("team", &team), ("env", &env)])));
        for p in 0..size.pods_per_namespace {
            let (app, ver) = (p % 10, random.below(2).to_string());
            let labels_of_app =
                labels([("app", &app.to_string()), ("tier", &(app % 3).to_string()), ("ver", &ver)]);
            let mut pod = Pod { labels: labels_of_app, ..Pod::default() };
            if random.percent(5) {
                pod.labels.extend(labels([("pci", "true")]));
            }
            let node = random.below(size.nodes);
            cluster.add_pod(&namespace, format!("pod-{p}"), pod, node);
        }
        for k in 0..size.policies_per_namespace {
            let spec = policy(&mut random, k);
            cluster.add_policy(&namespace, &format!("policy-{k}"), spec);
        }
    }
    cluster
}

/// The first selects the whole namespace, the others an app each.
pub(crate) fn policy(random: &mut Random, k: usize) -> NetworkPolicySpec {
    let pod_selector = match k {
        0 => LabelSelector::default(),
        k => selector([("app", &(k % 10).to_string())]),
    };
    let rules = 1 + random.below(3);
    let ingress = (0..rules).map(|_| rule(random)).collect();
    NetworkPolicySpec { pod_selector, ingress: Some(ingress), ..NetworkPolicySpec::default() }
}

fn rule(random: &mut Random) -> IngressRule {
    let count = 1 + random.below(3);
    let mut from: Vec<PolicyPeer> = (0..count).map(|_| peer(random)).collect();
    let ports =
        (0..random.below(3)).map(|_| port("TCP", 1 + i64::try_from(random.below(60000)).unwrap_or(0)));
    let ports = ports.collect();
    for _ in 0..random.below(3) {
        from.push(block(&format!("192.0.{}.0/24", random.below(256)), &[]));
    }
    IngressRule { from: Some(from), ports: Some(ports) }
}

fn peer(random: &mut Random) -> PolicyPeer {
    let kind = random.below(6);
    let mut one_of = |limit: usize| random.below(limit).to_string();
    match kind {
        0 => pods(selector([("app", &one_of(10))])),
        1 => namespaces(selector([("team", &one_of(10))])),
        2 => pods_in(selector([("env", &one_of(3))]), selector([("tier", &one_of(3))])),
        3 => pods_in(selector([("team", &one_of(10))]), selector([("app", &one_of(10))])),
        4 => pods_in(LabelSelector::default(), selector([("pci", "true")])),
        _ => pods(selector([("app", &one_of(10)), ("ver", &one_of(2))])),
    }
}
