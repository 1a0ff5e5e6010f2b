//! Clusters of the shapes that real ones have: namespaces with their name and little else; services of a few
//! components in Deployments, StatefulSets and Jobs, with the labels that controllers add; system namespaces that
//! everybody talks to; policies that deny by default, and allow DNS, the ingress controller, monitoring, one component
//! to the next, and the outside without the inside.

use policy::rules::Protocol;
use policy::spec::{
    EgressRule, IngressRule, LabelSelector, NamedPort, NetworkPolicySpec, Pod, PolicyPeer, PolicyPort,
    Requirement,
};

use crate::cluster::{Cluster, Size, block, labels, named_port, namespaces, pods, pods_in, port, selector};
use crate::random::Random;

const NAME: &str = "kubernetes.io/metadata.name";
const APP: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";
const COMPONENTS: [&str; 5] = ["web", "api", "worker", "db", "report"];

pub(crate) fn cluster(seed: u64, size: Size) -> Cluster {
    let (mut random, mut cluster) = (Random::new(seed), Cluster::default());
    system(&mut cluster, &mut random, size);
    for n in 0..size.namespaces {
        let namespace = format!("team-{}-{n}", n % 40);
        let mut own = labels([(NAME, &namespace), ("team", &format!("team-{}", n % 40))]);
        if n % 3 == 0 {
            own.extend(labels([("env", if n % 2 == 0 { "prod" } else { "test" })]));
        }
        cluster.namespaces.push((namespace.clone(), own));
        for p in 0..size.pods_per_namespace {
            let (pod, name) = workload(&mut random, n, p);
            let node = random.below(size.nodes);
            cluster.add_pod(&namespace, name, pod, node);
        }
        for k in 0..size.policies_per_namespace {
            let spec = policy(&mut random, n, k);
            cluster.add_policy(&namespace, &format!("policy-{k}"), spec);
        }
    }
    cluster
}

/// What every cluster has: DNS, an ingress controller, monitoring.
fn system(cluster: &mut Cluster, random: &mut Random, size: Size) {
    for (namespace, key, value, count) in [
        ("kube-system", "k8s-app", "kube-dns", 2 + size.nodes / 50),
        ("ingress-nginx", APP, "ingress-nginx", 3),
        ("monitoring", APP, "prometheus", 2),
    ] {
        cluster.namespaces.push((namespace.to_owned(), labels([(NAME, namespace)])));
        for p in 0..count {
            let mut pod =
                Pod { labels: labels([(key, value), ("pod-template-hash", "5d78c")]), ..Pod::default() };
            pod.ports.push(NamedPort { name: "dns".to_owned(), protocol: Protocol::Udp, port: 53 });
            // No subject is among them: they have no policies.
            let node = 1 + random.below(size.nodes - 1);
            cluster.add_pod(namespace, format!("{value}-{p}"), pod, node);
        }
    }
}

/// One replica of one component.
fn workload(random: &mut Random, namespace: usize, p: usize) -> (Pod, String) {
    let app = format!("service-{}", (namespace * 3 + p / 20) % 500);
    let component = COMPONENTS.get(p % 5).copied().unwrap_or("web");
    let version = format!("v{}", random.below(3));
    let own =
        labels([(APP, &app), (COMPONENT, component), ("version", &version), ("helm.sh/chart", "base-1.4")]);
    let mut pod = Pod { labels: own, ..Pod::default() };
    let hash = format!("{:x}", namespace * 7919 + p / 5);
    let mut name = format!("{app}-{component}-{hash}-{p}");
    match component {
        "db" => {
            name = format!("{app}-db-{p}");
            let index = p.to_string();
            pod.labels.extend(labels([
                ("statefulset.kubernetes.io/pod-name", &name),
                ("apps.kubernetes.io/pod-index", &index),
                ("controller-revision-hash", &hash),
            ]));
        }
        "report" => {
            let job = format!("{app}-report-{hash}");
            pod.labels.extend(labels([
                ("job-name", &job),
                ("batch.kubernetes.io/job-name", &job),
                ("controller-uid", &format!("{hash}-{p}")),
                ("batch.kubernetes.io/controller-uid", &format!("{hash}-{p}")),
            ]));
        }
        _ => pod.labels.extend(labels([("pod-template-hash", &hash)])),
    }
    let http = if version == "v2" { 8443 } else { 8080 };
    pod.ports.push(NamedPort { name: "http".to_owned(), protocol: Protocol::Tcp, port: http });
    pod.ports.push(NamedPort { name: "metrics".to_owned(), protocol: Protocol::Tcp, port: 9090 });
    (pod, name)
}

/// The `k`th policy of a namespace: those that all have come first.
pub(crate) fn policy(random: &mut Random, namespace: usize, k: usize) -> NetworkPolicySpec {
    let by_name = |name: &str| selector([(NAME, name)]);
    let component = |name: &str| selector([(COMPONENT, name)]);
    match k {
        0 => NetworkPolicySpec {
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ..NetworkPolicySpec::default()
        },
        1 => egress(
            LabelSelector::default(),
            vec![pods_in(by_name("kube-system"), selector([("k8s-app", "kube-dns")]))],
            vec![port("UDP", 53), port("TCP", 53)],
        ),
        2 => ingress(
            component("web"),
            vec![pods_in(by_name("ingress-nginx"), selector([(APP, "ingress-nginx")]))],
            vec![named_port("http")],
        ),
        3 => ingress(
            LabelSelector::default(),
            vec![namespaces(by_name("monitoring"))],
            vec![named_port("metrics")],
        ),
        4 => ingress(
            component("api"),
            vec![pods(component("web")), pods(component("worker"))],
            vec![named_port("http")],
        ),
        5 => ingress(
            component("db"),
            vec![pods(component("api")), pods(component("worker"))],
            vec![port("TCP", 5432)],
        ),
        6 => egress(
            component("worker"),
            vec![block(
                "0.0.0.0/0",
                &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.169.254/32"],
            )],
            vec![port("TCP", 443)],
        ),
        7 => {
            let office = |n: usize| block(&format!("198.51.{}.{}/30", namespace % 8, n * 8), &[]);
            ingress(component("web"), (0..12).map(office).collect(), vec![port("TCP", 443)])
        }
        8 => egress(
            component("api"),
            vec![pods_in(LabelSelector::default(), component("api"))],
            vec![named_port("http")],
        ),
        _ => {
            let team = format!("team-{}", random.below(40));
            let not_reports = LabelSelector {
                match_labels: None,
                match_expressions: Some(vec![Requirement {
                    key: COMPONENT.to_owned(),
                    operator: "NotIn".to_owned(),
                    values: Some(vec!["report".to_owned(), "db".to_owned()]),
                }]),
            };
            let app = format!("service-{}", (namespace * 3 + random.below(3)) % 500);
            ingress(
                selector([(APP, &app)]),
                vec![pods_in(selector([("team", &team)]), not_reports)],
                vec![port("TCP", 8080)],
            )
        }
    }
}

fn ingress(pods: LabelSelector, from: Vec<PolicyPeer>, ports: Vec<PolicyPort>) -> NetworkPolicySpec {
    let rule = IngressRule { from: Some(from), ports: Some(ports) };
    NetworkPolicySpec {
        pod_selector: pods,
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(vec![rule]),
        egress: None,
    }
}

fn egress(pods: LabelSelector, to: Vec<PolicyPeer>, ports: Vec<PolicyPort>) -> NetworkPolicySpec {
    let rule = EgressRule { to: Some(to), ports: Some(ports) };
    NetworkPolicySpec {
        pod_selector: pods,
        policy_types: Some(vec!["Egress".to_owned()]),
        ingress: None,
        egress: Some(vec![rule]),
    }
}
