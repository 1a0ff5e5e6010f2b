//! Gives pods to nodes: in turn, among those that are ready and that the pod's nodeSelector matches.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};

use super::mirror::whenever;
use super::{Mirrors, unless_overtaken};

/// Runs until the lab goes down.
pub async fn run(client: Client, mirrors: Mirrors) {
    mirrors.pods.ready().await;
    mirrors.nodes.ready().await;
    let changes = vec![mirrors.pods.changes(), mirrors.nodes.changes()];
    whenever("scheduler", changes, || async {
        for (pod, node) in plan(&mirrors.pods.all(), &mirrors.nodes.all()) {
            let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
            let binding = Binding {
                metadata: ObjectMeta {
                    name: Some(pod.name_any()),
                    namespace: pod.namespace(),
                    ..ObjectMeta::default()
                },
                target: ObjectReference {
                    kind: Some("Node".to_owned()),
                    name: Some(node),
                    ..ObjectReference::default()
                },
            };
            let bound: Result<serde_json::Value, _> =
                pods.create_subresource("binding", &pod.name_any(), &PostParams::default(), &binding).await;
            unless_overtaken(bound)?;
        }
        Ok(())
    })
    .await;
}

/// Which pods go where. The node with the fewest pods comes first, which over time is each in turn.
fn plan(pods: &[Arc<Pod>], nodes: &[Arc<Node>]) -> Vec<(Arc<Pod>, String)> {
    let mut load: BTreeMap<String, usize> =
        nodes.iter().filter(|node| takes_pods(node)).map(|node| (node.name_any(), 0)).collect();
    for node in pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_ref()) {
        load.entry(node.clone()).and_modify(|count| *count += 1);
    }
    let mut waiting: Vec<&Arc<Pod>> = pods.iter().filter(|pod| unscheduled(pod)).collect();
    waiting.sort_by_key(|pod| (pod.creation_timestamp(), pod.namespace(), pod.name_any()));
    let mut plan = Vec::new();
    for pod in waiting {
        let fits = |name: &String| nodes.iter().any(|node| node.name_any() == *name && selects(pod, node));
        let Some((name, count)) =
            load.iter_mut().filter(|(name, _)| fits(name)).min_by_key(|(_, count)| **count)
        else {
            continue;
        };
        *count += 1;
        plan.push((Arc::clone(pod), name.clone()));
    }
    plan
}

fn unscheduled(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let gated =
        spec.is_some_and(|spec| spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()));
    let placed = spec.is_none_or(|spec| spec.node_name.as_ref().is_some_and(|name| !name.is_empty()));
    !placed && !gated && pod.metadata.deletion_timestamp.is_none()
}

fn takes_pods(node: &Node) -> bool {
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    !cordoned && is_ready(node)
}

/// Whether the node's Ready condition holds.
#[must_use]
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

fn selects(pod: &Pod, node: &Node) -> bool {
    let wanted = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| node.labels().get(key) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, ready: bool, extra: &serde_json::Value) -> Arc<Node> {
        let status = if ready { "True" } else { "False" };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "spec": extra,
                "status": {"conditions": [{"type": "Ready", "status": status}]}
            }))
            .unwrap(),
        )
    }

    fn pod(name: &str, spec: serde_json::Value) -> Arc<Pod> {
        let mut spec = spec;
        spec["containers"] = json!([]);
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec}))
                .unwrap(),
        )
    }

    fn placed(plan: &[(Arc<Pod>, String)]) -> Vec<(String, String)> {
        plan.iter().map(|(pod, node)| (pod.name_any(), node.clone())).collect()
    }

    #[test]
    fn pods_go_to_ready_nodes_in_turn() {
        let nodes = [
            node("n1", true, &json!({})),
            node("n2", false, &json!({})),
            node("n3", true, &json!({})),
            node("n4", true, &json!({"unschedulable": true})),
        ];
        let pods = [
            pod("old", json!({"nodeName": "n1"})),
            pod("a", json!({})),
            pod("b", json!({})),
            pod("c", json!({})),
        ];
        let expected = [("a", "n3"), ("b", "n1"), ("c", "n3")].map(|(p, n)| (p.to_owned(), n.to_owned()));
        assert_eq!(placed(&plan(&pods, &nodes)), expected);
    }

    #[test]
    fn a_pod_waits_for_a_node_that_its_selector_matches() {
        let nodes = [node("n1", true, &json!({}))];
        let picky = pod("a", json!({"nodeSelector": {"kubernetes.io/hostname": "n2"}}));
        let gated = pod("b", json!({"schedulingGates": [{"name": "later"}]}));
        assert_eq!(placed(&plan(&[picky, gated], &nodes)), []);
    }
}
