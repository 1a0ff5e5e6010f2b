use policy::rules::Direction;
use policy::spec::{IntOrString, PolicyPeer, PolicyPort};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

/// How often what is asked for is told of the clusters: of 120 of them, made from one seed.
fn share(of: impl Fn(&Cluster) -> (usize, usize)) -> f64 {
    let mut runner = TestRunner::deterministic();
    let counts = (0..120).map(|_| of(&clusters().new_tree(&mut runner).unwrap().current()));
    let (hits, all) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    f64::from(u32::try_from(hits).unwrap()) / f64::from(u32::try_from(all).unwrap())
}

/// Of all that could pass where something isolates, how much does.
fn passing(cluster: &Cluster) -> (usize, usize) {
    let (mut hits, mut all) = (0, 0);
    let open = Cluster { policies: Default::default(), ..cluster.clone() };
    for subject in cluster.subjects.values() {
        for direction in Direction::ALL {
            let peers: Vec<_> = addresses(cluster).into_iter().flat_map(|ip| cluster.claimants(ip)).collect();
            let mut of = 0;
            for peer in &peers {
                of += TRAFFIC.iter().filter(|what| cluster.judge(direction, subject, peer, **what)).count();
                assert!(open.judge(direction, subject, peer, Traffic::Other));
            }
            // Everything passes where nothing isolates.
            if of < peers.len() * TRAFFIC.len() {
                hits += of;
                all += peers.len() * TRAFFIC.len();
            }
        }
    }
    (hits, all)
}

#[test]
fn much_passes_and_much_does_not() {
    let share = share(passing);
    assert!((0.1..0.8).contains(&share), "{share}");
}

/// Clusters that become different when one kind of thing is taken out of their policies.
fn matters(change: impl Fn(&mut PolicyPeer, &mut Vec<PolicyPort>)) -> f64 {
    share(|cluster| {
        let mut other = cluster.clone();
        for spec in other.policies.values_mut() {
            let ingress = spec.ingress.iter_mut().flatten().map(|rule| (&mut rule.from, &mut rule.ports));
            let egress = spec.egress.iter_mut().flatten().map(|rule| (&mut rule.to, &mut rule.ports));
            for (peers, ports) in ingress.chain(egress) {
                let mut none = vec![];
                let ports = ports.as_mut().unwrap_or(&mut none);
                peers.iter_mut().flatten().for_each(|peer| change(peer, ports));
                change(&mut PolicyPeer::default(), ports);
            }
        }
        (usize::from(passing(cluster) != passing(&other)), 1)
    })
}

#[test]
fn everything_that_policies_can_say_matters_often() {
    let without = [
        ("exceptions", matters(|peer, _| peer.ip_block.iter_mut().for_each(|block| block.except = None))),
        ("namespaces", matters(|peer, _| peer.namespace_selector = None)),
        ("pods", matters(|peer, _| peer.pod_selector = None)),
        ("blocks", matters(|peer, _| peer.ip_block = None)),
        ("ranges", matters(|_, ports| ports.iter_mut().for_each(|port| port.end_port = None))),
        (
            "names",
            matters(|_, ports| ports.retain(|port| !matches!(port.port, Some(IntOrString::String(_))))),
        ),
        (
            "expressions",
            matters(|peer, _| {
                let selectors = peer.pod_selector.iter_mut().chain(&mut peer.namespace_selector);
                selectors.for_each(|selector| selector.match_expressions = None);
            }),
        ),
    ];
    for (what, share) in without {
        assert!(share > 0.02, "{what}: {share}");
    }
}
