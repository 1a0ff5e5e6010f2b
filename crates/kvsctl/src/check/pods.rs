//! Whether pods reach each other: one on every node asks one on every node, and a Service, over TCP and UDP.
//!
//! [`objects`] says what is deployed, [`judge`] what it means. What was deployed is removed again, whatever came of it.

mod judge;
mod objects;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod, Service};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use tokio::time::{Instant, sleep};

use self::judge::{Asked, Place};
use super::finding::{Check, Finding};
use crate::in_pod::Message;

const CHECK: Check = Check("pods");

/// Time for pods to run, and to be done.
const PATIENCE: Duration = Duration::from_secs(90);

/// Time between looks.
const LOOK: Duration = Duration::from_millis(500);

/// Where k-vswitch is.
const NAMESPACE: &str = "kube-system";
const DAEMON: &str = "k-vswitchd";

/// Deploys, waits, removes. `image` is that of the daemon's pods if none is given.
pub(super) fn check(
    kubeconfig: Option<&Path>,
    server: Option<&str>,
    image: Option<&str>,
) -> anyhow::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = ops::client(kubeconfig, server).await?;
        let image = match image {
            Some(image) => image.to_owned(),
            None => image_of_daemon(&client).await?,
        };
        let namespaces = Api::<Namespace>::all(client.clone());
        let made = namespaces.create(&PostParams::default(), &objects::namespace()?).await;
        let namespace =
            made.context("cannot create a namespace: this needs an administrator's kubeconfig")?.name_any();
        let result = tokio::select! {
            result = deploy(&client, &namespace, &image) => result,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let removed = namespaces.delete(&namespace, &DeleteParams::default()).await;
        let Err(error) = removed else { return result };
        let (found, todo) = (
            format!("the namespace {namespace} was not removed: {}", ops::reason(&error)),
            format!("kubectl delete namespace {namespace}"),
        );
        match result {
            Ok(mut findings) => {
                findings.push(CHECK.note(found, todo));
                Ok(findings)
            }
            Err(error) => Err(error.context(format!("{found} ({todo})"))),
        }
    })
}

async fn image_of_daemon(client: &Client) -> anyhow::Result<String> {
    let daemon = Api::<DaemonSet>::namespaced(client.clone(), NAMESPACE).get(DAEMON).await;
    let daemon = daemon.with_context(|| {
        format!("cannot look up the image of DaemonSet {NAMESPACE}/{DAEMON}: is k-vswitch installed? --image names one")
    })?;
    let pod = daemon.spec.and_then(|spec| spec.template.spec);
    pod.and_then(|pod| pod.containers.into_iter().next()?.image).context("the daemon's pods have no image")
}

async fn deploy(client: &Client, namespace: &str, image: &str) -> anyhow::Result<Vec<Finding>> {
    let nodes =
        Api::<Node>::all(client.clone()).list(&ListParams::default()).await.context("cannot list Nodes")?;
    let (ready, not_ready): (Vec<Node>, Vec<Node>) = nodes.items.into_iter().partition(is_ready);
    let mut findings: Vec<Finding> =
        not_ready.iter().map(|node| judge::not_ready(&node.name_any())).collect();
    let nodes: Vec<String> = ready.iter().map(Node::name_any).collect();

    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let service = services
        .create(&PostParams::default(), &objects::service()?)
        .await
        .context("cannot create a Service")?;
    let service: Vec<IpAddr> = service
        .spec
        .and_then(|spec| spec.cluster_ips)
        .into_iter()
        .flatten()
        .flat_map(|ip| ip.parse())
        .collect();

    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    for (number, node) in nodes.iter().enumerate() {
        create(&pods, &objects::server(number, node, image)?).await?;
    }
    let servers = wait(&pods, objects::SERVER, nodes.len(), |pod| {
        !addresses(pod).is_empty() && phase(pod) == "Running"
    })
    .await?;
    let mut places = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let pod = servers.get(&format!("{}-{number}", objects::SERVER));
        match pod.filter(|pod| phase(pod) == "Running").map(addresses).filter(|all| !all.is_empty()) {
            Some(addresses) => places.push(Place { node: node.clone(), addresses }),
            None => findings.push(judge::not_started(node, &why(client, namespace, pod).await)),
        }
    }

    let mut targets: Vec<IpAddr> = places.iter().flat_map(|place| place.addresses.clone()).collect();
    targets.extend(&service);
    for (number, place) in places.iter().enumerate() {
        create(&pods, &objects::client(number, &place.node, image, &targets)?).await?;
    }
    let clients =
        wait(&pods, objects::CLIENT, places.len(), |pod| ["Succeeded", "Failed"].contains(&phase(pod)))
            .await?;
    let mut asked = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let pod = clients.get(&format!("{}-{number}", objects::CLIENT));
        match pod.and_then(message) {
            Some(message) => asked.push(Asked { from: place.node.clone(), message }),
            None => findings.push(judge::not_done(&place.node, &why(client, namespace, pod).await)),
        }
    }
    findings.extend(judge::all(&places, &service, &asked));
    Ok(CHECK.or_ok(findings, judge::well(places.len(), &service)))
}

/// A namespace's service account, which pods want, comes a moment after it.
async fn create(pods: &Api<Pod>, pod: &Pod) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match pods.create(&PostParams::default(), pod).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status))
                if status.code == 403
                    && status.message.contains("serviceaccount")
                    && begin.elapsed() < PATIENCE =>
            {
                sleep(LOOK).await;
            }
            Err(error) => return Err(error).context("cannot create a pod"),
        }
    }
}

/// The pods of a role by name, when all are as wanted, or have had their time.
async fn wait(
    pods: &Api<Pod>,
    role: &str,
    count: usize,
    done: impl Fn(&Pod) -> bool,
) -> anyhow::Result<BTreeMap<String, Pod>> {
    let begin = Instant::now();
    let labels = ListParams::default().labels(&format!("app={role}"));
    loop {
        let found = pods.list(&labels).await.context("cannot list pods")?.items;
        if found.iter().filter(|pod| done(pod)).count() >= count || begin.elapsed() > PATIENCE {
            return Ok(found.into_iter().map(|pod| (pod.name_any(), pod)).collect());
        }
        sleep(LOOK).await;
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let ips = pod.status.as_ref().and_then(|status| status.pod_ips.as_ref());
    ips.into_iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect()
}

/// The last words of a pod that has asked.
fn message(pod: &Pod) -> Option<Message> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    serde_json::from_str(ended.message.as_ref()?).ok()
}

/// Why a pod does not do what it should: the newest warning about it, or the state it is in.
async fn why(client: &Client, namespace: &str, pod: Option<&Pod>) -> String {
    let Some(pod) = pod else { return "it is gone".to_owned() };
    let about = ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any()));
    let events = Api::<Event>::namespaced(client.clone(), namespace).list(&about).await;
    let warnings = events.map(|events| events.items).unwrap_or_default().into_iter();
    let last = warnings
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .filter_map(|event| event.message)
        .next_back();
    let waiting = || {
        let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.message.clone().or_else(|| waiting.reason.clone())
    };
    last.or_else(waiting).unwrap_or_else(|| format!("it is {}", phase(pod)))
}
