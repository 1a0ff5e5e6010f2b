//! Makes pods of Deployments and DaemonSets, without ReplicaSets in between.
//!
//! A changed template is rolled out: one pod more than wanted is started, and an old one goes for each new one that
//! is ready.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::json;

use super::mirror::{Mirror, whenever};
use super::{Mirrors, scheduler, unless_overtaken};

/// Label that tells pods of one template from those of another (as kube-controller-manager names it).
const HASH_LABEL: &str = "pod-template-hash";

/// Pods made at a time by one step for one workload; the rest follows as these are seen.
const BURST: usize = 100;

/// Runs until the lab goes down.
pub async fn run(
    client: Client,
    mirrors: Mirrors,
    deployments: Mirror<Deployment>,
    daemon_sets: Mirror<DaemonSet>,
) {
    mirrors.pods.ready().await;
    mirrors.nodes.ready().await;
    deployments.ready().await;
    daemon_sets.ready().await;
    let changes =
        vec![mirrors.pods.changes(), mirrors.nodes.changes(), deployments.changes(), daemon_sets.changes()];
    whenever("workloads", changes, || async {
        let pods = mirrors.pods.all();
        for deployment in deployments.all() {
            step_deployment(&client, &deployment, &pods).await?;
        }
        for daemon_set in daemon_sets.all() {
            let ready = mirrors.nodes.all().into_iter().filter(|node| scheduler::is_ready(node));
            let nodes: BTreeSet<String> = ready.map(|node| node.name_any()).collect();
            step_daemon_set(&client, &daemon_set, &nodes, &pods).await?;
        }
        collect_orphans(&client, &pods, &deployments.all(), &daemon_sets.all()).await
    })
    .await;
}

async fn step_deployment(client: &Client, owner: &Deployment, pods: &[Arc<Pod>]) -> Result<(), kube::Error> {
    let Some(spec) = &owner.spec else { return Ok(()) };
    if owner.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let namespace = owner.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let hash = hash(&spec.template);
    let owned: Vec<&Pod> = owned_by(pods, owner);
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    let plan = roll(&owned, &hash, wanted);
    for name in plan.delete {
        unless_overtaken(api.delete(&name, &DeleteParams::default()).await)?;
    }
    let used: BTreeSet<String> = owned.iter().map(|pod| pod.name_any()).collect();
    let names = (0..).map(|index| format!("{}-{hash}-{index}", owner.name_any()));
    for name in names.filter(|name| !used.contains(name)).take(plan.create.min(BURST)) {
        let pod = make_pod(owner, "Deployment", &spec.template, &hash, name);
        unless_overtaken(api.create(&PostParams::default(), &pod).await)?;
    }

    let new = owned.iter().filter(|pod| has_hash(pod, &hash)).count();
    let ready = owned.iter().filter(|pod| is_ready(pod)).count();
    let available = ready >= wanted;
    let (verdict, reason) = if available {
        ("True", "MinimumReplicasAvailable")
    } else {
        ("False", "MinimumReplicasUnavailable")
    };
    let held = owner.status.as_ref().and_then(|status| status.conditions.as_ref());
    let since = held
        .and_then(|all| all.iter().find(|c| c.type_ == "Available" && c.status == verdict))
        .and_then(|condition| condition.last_transition_time.clone())
        .map_or_else(Timestamp::now, |time| time.0);
    let complete = available && new == wanted && owned.len() == wanted;
    let progress = if complete { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" };
    let status = json!({
        "observedGeneration": owner.metadata.generation,
        "replicas": owned.len(),
        "updatedReplicas": new,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": wanted.saturating_sub(ready),
        "conditions": [
            {"type": "Available", "status": verdict, "reason": reason, "message": reason,
             "lastTransitionTime": since.to_string(), "lastUpdateTime": since.to_string()},
            {"type": "Progressing", "status": "True", "reason": progress, "message": progress,
             "lastTransitionTime": since.to_string(), "lastUpdateTime": since.to_string()},
        ],
    });
    patch_status(client, owner, &status).await
}

async fn step_daemon_set(
    client: &Client,
    owner: &DaemonSet,
    nodes: &BTreeSet<String>,
    pods: &[Arc<Pod>],
) -> Result<(), kube::Error> {
    let Some(spec) = &owner.spec else { return Ok(()) };
    if owner.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let namespace = owner.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let hash = hash(&spec.template);
    let owned: Vec<&Pod> = owned_by(pods, owner);
    let node_of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    for pod in &owned {
        let stale = !has_hash(pod, &hash) || !nodes.contains(&node_of(pod));
        if stale && pod.metadata.deletion_timestamp.is_none() {
            unless_overtaken(api.delete(&pod.name_any(), &DeleteParams::default()).await)?;
        }
    }
    for node in nodes.iter().filter(|node| !owned.iter().any(|pod| node_of(pod) == **node)) {
        let name = format!("{}-{hash}-{node}", owner.name_any());
        let mut pod = make_pod(owner, "DaemonSet", &spec.template, &hash, name);
        if let Some(spec) = &mut pod.spec {
            spec.node_name = Some(node.clone());
        }
        unless_overtaken(api.create(&PostParams::default(), &pod).await)?;
    }
    let ready = owned.iter().filter(|pod| is_ready(pod)).count();
    let status = json!({
        "observedGeneration": owner.metadata.generation,
        "desiredNumberScheduled": nodes.len(),
        "currentNumberScheduled": owned.len(),
        "updatedNumberScheduled": owned.iter().filter(|pod| has_hash(pod, &hash)).count(),
        "numberReady": ready,
        "numberAvailable": ready,
        "numberMisscheduled": 0,
    });
    patch_status(client, owner, &status).await
}

/// Deletes pods whose workload is gone, for APIs that collect no garbage.
async fn collect_orphans(
    client: &Client,
    pods: &[Arc<Pod>],
    deployments: &[Arc<Deployment>],
    daemon_sets: &[Arc<DaemonSet>],
) -> Result<(), kube::Error> {
    let uids: BTreeSet<String> = deployments
        .iter()
        .filter_map(|d| d.uid())
        .chain(daemon_sets.iter().filter_map(|d| d.uid()))
        .collect();
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let orphan = pod.owner_references().iter().any(|owner| {
            owner.controller == Some(true)
                && matches!(owner.kind.as_str(), "Deployment" | "DaemonSet")
                && !uids.contains(&owner.uid)
        });
        if orphan {
            let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
            unless_overtaken(api.delete(&pod.name_any(), &DeleteParams::default()).await)?;
        }
    }
    Ok(())
}

/// What one step of a rollout does.
#[derive(Debug, PartialEq, Eq)]
struct Roll {
    create: usize,
    delete: Vec<String>,
}

fn roll(owned: &[&Pod], hash: &str, wanted: usize) -> Roll {
    let living: Vec<&&Pod> = owned.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    let (new, old): (Vec<&&Pod>, Vec<&&Pod>) = living.iter().partition(|pod| has_hash(pod, hash));
    // One pod more than wanted while there are old ones.
    let room = (wanted + usize::from(!old.is_empty())).saturating_sub(living.len());
    let create = wanted.saturating_sub(new.len()).min(room);
    let ready_new = new.iter().filter(|pod| is_ready(pod)).count();
    let keep_old = wanted.saturating_sub(ready_new);
    let mut surplus = new.clone();
    // Those that are not ready go first, then the latest.
    surplus.sort_by_key(|pod| (is_ready(pod), std::cmp::Reverse(pod.name_any())));
    surplus.truncate(new.len().saturating_sub(wanted));
    let delete =
        surplus.into_iter().chain(old.into_iter().skip(keep_old)).map(|pod| pod.name_any()).collect();
    Roll { create, delete }
}

fn owned_by<'a, K: Resource>(pods: &'a [Arc<Pod>], owner: &K) -> Vec<&'a Pod> {
    let uid = owner.meta().uid.as_ref();
    let is_owner =
        |reference: &OwnerReference| reference.controller == Some(true) && Some(&reference.uid) == uid;
    pods.iter().map(AsRef::as_ref).filter(|pod: &&Pod| pod.owner_references().iter().any(is_owner)).collect()
}

fn has_hash(pod: &Pod, hash: &str) -> bool {
    pod.labels().get(HASH_LABEL).is_some_and(|label| label == hash)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        && pod.metadata.deletion_timestamp.is_none()
}

/// Ten hexadecimal digits that change with the template.
fn hash(template: &PodTemplateSpec) -> String {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(template).unwrap_or_default().hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}

fn make_pod<K>(owner: &K, kind: &str, template: &PodTemplateSpec, hash: &str, name: String) -> Pod
where
    K: Resource,
{
    let given = template.metadata.clone().unwrap_or_default();
    let mut labels = given.labels.unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), hash.to_owned());
    let reference = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        name: owner.name_any(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: owner.namespace(),
            labels: Some(labels),
            annotations: given.annotations,
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// Writes the status where it differs from what the object has.
async fn patch_status<K>(client: &Client, owner: &K, status: &serde_json::Value) -> Result<(), kube::Error>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::Serialize
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let held = serde_json::to_value(owner).map_err(kube::Error::SerdeError)?;
    let held = held.get("status").cloned().unwrap_or_default();
    let wanted = status.as_object();
    let zero = json!(0);
    if wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| held.get(key).unwrap_or(&zero) == value))
    {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace().unwrap_or_default());
    let patch = Patch::Merge(json!({"status": status}));
    unless_overtaken(api.patch_status(&owner.name_any(), &PatchParams::default(), &patch).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, hash: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {HASH_LABEL: hash}},
            "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
        .unwrap()
    }

    fn rolled(pods: &[Pod], wanted: usize) -> (usize, Vec<String>) {
        let plan = roll(&pods.iter().collect::<Vec<_>>(), "new", wanted);
        (plan.create, plan.delete)
    }

    #[test]
    fn missing_pods_are_made_and_surplus_ones_go() {
        assert_eq!(rolled(&[], 3), (3, vec![]));
        let pods = [pod("a", "new", true), pod("b", "new", false), pod("c", "new", true)];
        assert_eq!(rolled(&pods, 3), (0, vec![]));
        assert_eq!(rolled(&pods, 2), (0, vec!["b".to_owned()]), "the one that is not ready");
        assert_eq!(rolled(&pods, 1), (0, vec!["b".to_owned(), "c".to_owned()]), "then the latest");
    }

    #[test]
    fn a_new_template_is_rolled_out_one_by_one() {
        let old = |name| pod(name, "old", true);
        assert_eq!(rolled(&[old("a"), old("b")], 2), (1, vec![]), "one more than wanted");
        let starting = [old("a"), old("b"), pod("c", "new", false)];
        assert_eq!(rolled(&starting, 2), (0, vec![]), "old ones stay until new ones are ready");
        let started = [old("a"), old("b"), pod("c", "new", true)];
        assert_eq!(rolled(&started, 2), (0, vec!["b".to_owned()]));
        assert_eq!(rolled(&[old("a"), pod("c", "new", true)], 2), (1, vec![]));
        let done = [old("a"), pod("c", "new", true), pod("d", "new", true)];
        assert_eq!(rolled(&done, 2), (0, vec!["a".to_owned()]));
    }

    #[test]
    fn a_template_has_one_hash_and_another_template_another() {
        let one = PodTemplateSpec::default();
        let mut two = one.clone();
        two.metadata = Some(ObjectMeta { name: Some("x".into()), ..ObjectMeta::default() });
        assert_eq!(hash(&one), hash(&one.clone()));
        assert_ne!(hash(&one), hash(&two));
        assert_eq!(hash(&one).len(), 10);
    }
}
