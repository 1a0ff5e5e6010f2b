//! From names to probes, and from verdicts to results.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::Api;

use super::cluster::Cluster;
use crate::plan;
use crate::probe::{Attempt, Outcome, ProbeResult, run};
use crate::protocol::{Ask, MatrixTargets, Source, Target};
use crate::spec::Family;

/// Namespace of the cluster's own pods, which nobody wants to see in a matrix without asking for them.
const CLUSTER: &str = "kube-system";

/// Probes one target from one source.
pub(super) async fn probe(
    cluster: &Cluster,
    from: &Source,
    to: &Target,
    ask: &Ask,
) -> Result<Vec<ProbeResult>, String> {
    let addresses = addresses(cluster, to).await?;
    let wanted =
        addresses.iter().any(|address| ask.family.is_none_or(|family| Family::of(*address) == family));
    if !wanted {
        return Err(match ask.family {
            Some(family) if !addresses.is_empty() => format!("{to} has no {family} address"),
            _ => format!("{to} has no address"),
        });
    }
    perform(cluster, std::slice::from_ref(from), &[(to.to_string(), addresses)], ask).await
}

/// Probes many targets from many sources.
pub(super) async fn matrix(
    cluster: &Cluster,
    from_nodes: bool,
    to: MatrixTargets,
    namespace: Option<&str>,
    ask: &Ask,
) -> Result<Vec<ProbeResult>, String> {
    let pods: Vec<_> = cluster
        .registry
        .all()
        .into_iter()
        .filter(|pod| match namespace {
            Some(namespace) => pod.namespace == namespace,
            None => pod.namespace != CLUSTER,
        })
        .collect();
    let source = |namespace: &str, name: &str| Source::Pod { namespace: namespace.into(), name: name.into() };
    let mut sources: Vec<Source> = pods.iter().map(|pod| source(&pod.namespace, &pod.name)).collect();
    if from_nodes {
        sources.extend(cluster.nodes.keys().cloned().map(Source::Node));
    }
    let mut targets = Vec::new();
    match to {
        MatrixTargets::Pods => {
            for pod in &pods {
                targets.push((source(&pod.namespace, &pod.name).to_string(), pod.addresses.clone()));
            }
        }
        MatrixTargets::Nodes => {
            for name in cluster.nodes.keys() {
                let node = Target::Place(Source::Node(name.clone()));
                targets.push((node.to_string(), addresses(cluster, &node).await?));
            }
        }
        MatrixTargets::Outside => {
            let outside = Target::Place(Source::Outside);
            targets.push((outside.to_string(), addresses(cluster, &outside).await?));
        }
    }
    perform(cluster, &sources, &targets, ask).await
}

async fn addresses(cluster: &Cluster, target: &Target) -> Result<Vec<IpAddr>, String> {
    match target {
        Target::Ip(address) => Ok(vec![*address]),
        Target::Place(Source::Pod { namespace, name }) => {
            let pod = cluster.registry.find(namespace, name);
            pod.map(|pod| pod.addresses).ok_or_else(|| no_pod(namespace, name))
        }
        Target::Place(Source::Node(name)) => Ok(cluster.node(name)?.lab.addresses.clone()),
        Target::Place(Source::Outside) => {
            Ok(cluster.families().iter().map(|family| plan::OUTSIDE.of(family)).collect())
        }
        Target::Service { name, namespace } => {
            let api: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
            let service = api.get_opt(name).await.map_err(|error| error.to_string())?;
            let service =
                service.ok_or_else(|| format!("there is no Service {name} in namespace {namespace}"))?;
            let ips = service.spec.and_then(|spec| spec.cluster_ips).unwrap_or_default();
            Ok(ips.iter().filter_map(|ip| ip.parse().ok()).collect())
        }
    }
}

/// What to say of a pod that is not there.
pub(super) fn no_pod(namespace: &str, name: &str) -> String {
    format!("no pod {namespace}/{name} runs in this lab: see `kubectl get pods -n {namespace}`")
}

async fn perform(
    cluster: &Cluster,
    sources: &[Source],
    targets: &[(String, Vec<IpAddr>)],
    ask: &Ask,
) -> Result<Vec<ProbeResult>, String> {
    let timeout = Duration::from_millis(ask.timeout_ms.max(1));
    let mut attempts = Vec::new();
    let mut names = Vec::new();
    for from in sources {
        let netns = cluster.netns_of(from)?;
        let from = from.to_string();
        for (to, addresses) in targets {
            for probe in &ask.probes {
                let wanted =
                    |address: &&IpAddr| ask.family.is_none_or(|family| Family::of(**address) == family);
                for target in addresses.iter().filter(wanted) {
                    attempts.push(Attempt {
                        netns: netns.clone(),
                        target: *target,
                        probe: *probe,
                        timeout,
                        listen: ask.answers,
                    });
                    names.push((from.clone(), to.clone()));
                }
            }
        }
    }
    let verdicts = run(&attempts).await;
    let rows = names.into_iter().zip(attempts).zip(verdicts);
    Ok(rows
        .map(|(((from, to), attempt), verdict)| ProbeResult {
            from,
            to,
            protocol: attempt.probe.protocol,
            port: attempt.probe.port,
            family: Family::of(attempt.target),
            result: verdict.outcome,
            latency_ms: milliseconds(verdict.latency),
            // The reason of an error is told in any case.
            answer: verdict.answer.filter(|_| ask.answers || verdict.outcome == Outcome::Error),
        })
        .collect())
}

/// In whole microseconds.
fn milliseconds(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 1e6).round() / 1e3
}
