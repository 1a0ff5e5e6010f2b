//! k-vswitch on a real cluster: its manifest, applied as an operator applies it, and the pods that come of it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::RealError;
use crate::manifest::{self, Object};
use crate::plan;
use crate::protocol::Action;
use crate::spec::{LabSpec, OvsSite};

/// What every cluster has besides: a name server.
const NAME_SERVER: &str = include_str!("coredns.yaml");

/// The manifests of this version: itself, and Open vSwitch for nodes that have none.
const MANIFEST: &str = include_str!("../../../../deploy/k-vswitch.yaml");
const OVS_MANIFEST: &str = include_str!("../../../../deploy/k-vswitch-ovs.yaml");

/// Namespace of all that is in them.
const NAMESPACE: &str = "kube-system";
/// The Deployment.
const CONTROLLER: &str = "k-vswitch-controller";

/// A DaemonSet whose pods can be kept off single nodes.
pub(crate) struct NodePods {
    name: &'static str,
    /// What messages call one of them.
    what: &'static str,
    /// Their labels.
    labels: &'static str,
    /// A node with this label has none.
    stopped: &'static str,
}

/// `k-vswitchd`.
pub(crate) const AGENT: NodePods = NodePods {
    name: "k-vswitchd",
    what: "the agent",
    labels: "app.kubernetes.io/name=k-vswitch,app.kubernetes.io/component=agent",
    stopped: "lab.kvswitch.io/agent-stopped",
};

/// Open vSwitch.
pub(crate) const OVS: NodePods = NodePods {
    name: "k-vswitch-ovs",
    what: "Open vSwitch",
    labels: "app.kubernetes.io/name=k-vswitch,app.kubernetes.io/component=ovs",
    stopped: "lab.kvswitch.io/ovs-stopped",
};

/// How long pods may take to come and go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Applies the manifests, edited for this lab.
pub(crate) async fn apply(client: &Client, spec: &LabSpec, api: &str, netdev: bool) -> Result<(), RealError> {
    let failed = |error: &dyn std::fmt::Display| RealError::Manifest(error.to_string());
    let ovs = (spec.ovs == OvsSite::Pods).then_some(OVS_MANIFEST);
    let texts = ovs.into_iter().chain([MANIFEST, NAME_SERVER]);
    let values = texts.map(manifest::documents).collect::<Result<Vec<_>, _>>();
    for mut value in values.map_err(|error| failed(&error))?.into_iter().flatten() {
        edit(&mut value, spec, api, netdev);
        let object = Object::new(value).map_err(|error| failed(&error))?;
        manifest::apply(client, &object).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// What an operator edits; and a way to keep an agent off a node, which only a lab wants.
fn edit(value: &mut Value, spec: &LabSpec, api: &str, netdev: bool) {
    let is = |kind: &str, name: &str| {
        value.pointer("/kind").is_some_and(|found| found == kind)
            && value.pointer("/metadata/name").is_some_and(|found| found == name)
    };
    let (config, controller) = (is("ConfigMap", "k-vswitch"), is("Deployment", CONTROLLER));
    let on_nodes = [AGENT, OVS].into_iter().find(|pods| is("DaemonSet", pods.name));
    let is_name_server = is("Service", "kube-dns");
    let list = |nets: Vec<ipnet::IpNet>| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if config && let Some(data) = value.pointer_mut("/data").and_then(Value::as_object_mut) {
        let datapath = if netdev { "netdev" } else { "system" };
        for (key, text) in [
            ("clusterCIDR", list(plan::cluster_cidrs(&spec.families))),
            ("serviceCIDR", list(plan::service_cidrs(&spec.families))),
            ("overlayType", spec.overlay.to_string()),
            ("kubernetesAPI", api.to_owned()),
            ("datapath", datapath.to_owned()),
        ] {
            data.insert(key.to_owned(), text.into());
        }
    }
    if let Some(pods) = on_nodes
        && let Some(pod) = value.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut)
    {
        let absent = json!([{"matchExpressions": [{"key": pods.stopped, "operator": "DoesNotExist"}]}]);
        let nodes = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": absent}});
        pod.insert("affinity".to_owned(), json!({"nodeAffinity": nodes}));
        if let Some(container) =
            pod.get_mut("containers").and_then(|all| all.get_mut(0)).and_then(Value::as_object_mut)
            && pods.name == AGENT.name
            && !spec.agent_args.is_empty()
        {
            container.insert("args".to_owned(), json!(spec.agent_args));
        }
    }
    if is_name_server && let Some(service) = value.pointer_mut("/spec").and_then(Value::as_object_mut) {
        service.insert("clusterIP".to_owned(), json!(plan::name_server(&spec.families)));
        service.insert("ipFamilyPolicy".to_owned(), "PreferDualStack".into());
    }
    if controller
        && spec.nodes < 2
        && let Some(replicas) = value.pointer_mut("/spec/replicas")
    {
        *replicas = 1.into();
    }
}

impl NodePods {
    /// Starts, stops or restarts the one of a node.
    pub(crate) async fn control(&self, client: &Client, node: &str, action: Action) -> Result<(), String> {
        let nodes: Api<Node> = Api::all(client.clone());
        let nodes = &nodes;
        let label = |value: Value| async move {
            let patch = Patch::Merge(json!({"metadata": {"labels": {self.stopped: value}}}));
            let patched = nodes.patch_metadata(node, &PatchParams::default(), &patch).await;
            patched.map_err(|error| ops::reason(&error))
        };
        let fields = format!("spec.nodeName={node}");
        match action {
            Action::Stop => {
                label("true".into()).await?;
                let what = format!("{} to be gone", self.what);
                wait(client, self.labels, &fields, &what, <[Pod]>::is_empty).await
            }
            Action::Start => {
                label(Value::Null).await?;
                let what = format!("{} to be ready", self.what);
                wait(client, self.labels, &fields, &what, |pods| pods.iter().any(ready)).await
            }
            Action::Restart => replace(client, self.labels, &fields, self.what).await,
        }
    }
}

/// Starts, stops or restarts all replicas of the controller.
pub(crate) async fn control_controller(client: &Client, replicas: u16, action: Action) -> Result<(), String> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let scale = |replicas: u16| async move {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = deployments.patch_scale(CONTROLLER, &PatchParams::default(), &patch).await;
        scaled.map(drop).map_err(|error| ops::reason(&error))
    };
    let wanted = replicas.clamp(1, 2);
    match action {
        Action::Stop => {
            scale(0).await?;
            wait(client, CONTROLLER_LABEL, "", "the controller to be gone", <[Pod]>::is_empty).await
        }
        Action::Start => {
            scale(wanted).await?;
            wait(client, CONTROLLER_LABEL, "", "the controller to be ready", |pods| pods.iter().any(ready))
                .await
        }
        Action::Restart => replace(client, CONTROLLER_LABEL, "", "the controller").await,
    }
}

const CONTROLLER_LABEL: &str = "app.kubernetes.io/name=k-vswitch,app.kubernetes.io/component=controller";

/// Deletes pods, and waits until others are ready in their place.
async fn replace(client: &Client, labels: &str, fields: &str, what: &str) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let list = ListParams::default().labels(labels).fields(fields);
    let old = pods.list(&list).await.map_err(|error| ops::reason(&error))?;
    let old: BTreeSet<_> = old.items.iter().filter_map(kube::ResourceExt::uid).collect();
    let deleted = pods.delete_collection(&DeleteParams::default(), &list).await;
    deleted.map_err(|error| ops::reason(&error))?;
    let is_new = |pod: &&Pod| pod.uid().is_some_and(|uid| !old.contains(&uid));
    let done = |pods: &[Pod]| pods.iter().all(|pod| is_new(&pod)) && pods.iter().filter(is_new).any(ready);
    wait(client, labels, fields, &format!("{what} to be ready again"), done).await
}

async fn wait(
    client: &Client,
    labels: &str,
    fields: &str,
    what: &str,
    done: impl Fn(&[Pod]) -> bool,
) -> Result<(), String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let list = ListParams::default().labels(labels).fields(fields);
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let found = pods.list(&list).await.map_err(|error| ops::reason(&error))?;
        if done(&found.items) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!(
        "waited {} s in vain for {what}: see `kubectl -n {NAMESPACE} get pods -o wide`",
        PATIENCE.as_secs()
    ))
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ApiSource, Datapath, Families, Overlay, OvsSite};

    #[test]
    fn the_manifest_is_edited_where_an_operator_would() {
        let spec = LabSpec {
            name: "lab".parse().unwrap(),
            nodes: 1,
            overlay: Overlay::Gre,
            families: Families::dual(),
            api: ApiSource::Embedded,
            bin_dir: "/".into(),
            datapath: Datapath::Netdev,
            ovs: OvsSite::Pods,
            agent_args: vec!["--log=debug".to_owned()],
        };
        let mut values = [MANIFEST, OVS_MANIFEST].map(|text| manifest::documents(text).unwrap()).concat();
        for value in &mut values {
            edit(value, &spec, "https://192.0.2.1:6443", true);
        }
        let find = |kind: &str, name: &str| {
            values.iter().find(|value| value["kind"] == kind && value["metadata"]["name"] == name).unwrap()
        };
        let data = &find("ConfigMap", "k-vswitch")["data"];
        assert_eq!(data["clusterCIDR"], "10.244.0.0/16,fd00:10:244::/48");
        assert_eq!(data["kubernetesAPI"], "https://192.0.2.1:6443");
        assert_eq!(data["overlayType"], "gre");
        assert_eq!(data["datapath"], "netdev");
        let agent = &find("DaemonSet", AGENT.name)["spec"]["template"];
        assert_eq!(agent["spec"]["containers"][0]["args"], json!(["--log=debug"]));
        assert!(agent["spec"]["affinity"]["nodeAffinity"].is_object());
        assert_eq!(find("Deployment", CONTROLLER)["spec"]["replicas"], 1);
        let ovs = &find("DaemonSet", OVS.name)["spec"]["template"];
        assert!(ovs["spec"]["affinity"]["nodeAffinity"].is_object());
        assert_eq!(ovs["spec"]["containers"][0]["args"], Value::Null);
        let controller = &find("Deployment", CONTROLLER)["spec"]["template"];
        for (label, workload) in [(AGENT.labels, agent), (OVS.labels, ovs), (CONTROLLER_LABEL, controller)] {
            for part in label.split(',') {
                let (key, value) = part.split_once('=').unwrap();
                assert_eq!(workload["metadata"]["labels"][key], value);
            }
        }
    }
}
