//! Keeps EndpointSlices: which pods stand behind each Service, and on which ports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};

use super::mirror::{Mirror, whenever};
use super::unless_overtaken;
use crate::spec::Family;

/// Endpoints per slice: kube-controller-manager's default (--max-endpoints-per-slice).
const PER_SLICE: usize = 100;

const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "kvs-lab";

/// Each Service port's name and its number in a pod, where the pod has it.
type Numbers = Vec<(String, Option<i32>)>;

/// Runs until the lab goes down.
pub async fn run(
    client: Client,
    pods: Mirror<Pod>,
    services: Mirror<Service>,
    slices: Mirror<EndpointSlice>,
) {
    pods.ready().await;
    services.ready().await;
    slices.ready().await;
    let changes = vec![pods.changes(), services.changes(), slices.changes()];
    whenever("endpoints", changes, || async {
        let mut wanted = BTreeMap::new();
        let all_pods = pods.all();
        for service in services.all() {
            for slice in slices_of(&service, &all_pods) {
                wanted.insert((slice.namespace(), slice.name_any()), slice);
            }
        }
        let ours = |slice: &EndpointSlice| slice.labels().get(MANAGER_LABEL).is_some_and(|by| by == MANAGER);
        for held in slices.all().into_iter().filter(|slice| ours(slice)) {
            let api: Api<EndpointSlice> =
                Api::namespaced(client.clone(), &held.namespace().unwrap_or_default());
            match wanted.remove(&(held.namespace(), held.name_any())) {
                None => {
                    unless_overtaken(api.delete(&held.name_any(), &DeleteParams::default()).await)?;
                }
                Some(slice) if same(&slice, &held) => {}
                Some(mut slice) => {
                    slice.metadata.resource_version = held.resource_version();
                    let replaced = api.replace(&slice.name_any(), &PostParams::default(), &slice).await;
                    unless_overtaken(replaced)?;
                }
            }
        }
        for ((namespace, _), slice) in wanted {
            let api: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace.unwrap_or_default());
            unless_overtaken(api.create(&PostParams::default(), &slice).await)?;
        }
        Ok(())
    })
    .await;
}

fn same(wanted: &EndpointSlice, held: &EndpointSlice) -> bool {
    wanted.endpoints == held.endpoints
        && wanted.ports == held.ports
        && wanted.address_type == held.address_type
        && wanted.labels().iter().all(|(key, value)| held.labels().get(key) == Some(value))
}

/// The slices that a Service wants: by family, and by the numbers that its named ports have in the pods.
fn slices_of(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSlice> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
        return Vec::new();
    };
    if spec.type_.as_deref() == Some("ExternalName") || service.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let families: Vec<Family> =
        spec.ip_families.iter().flatten().filter_map(|name| name.parse().ok()).collect();
    let mut groups: BTreeMap<(Family, Numbers), Vec<Endpoint>> = BTreeMap::new();
    let mut members: Vec<&Arc<Pod>> = pods.iter().filter(|pod| is_member(service, selector, pod)).collect();
    members.sort_by_key(|pod| pod.name_any());
    for pod in members {
        let numbers: Numbers = spec
            .ports
            .iter()
            .flatten()
            .map(|port| (port.name.clone().unwrap_or_default(), number(port, pod)))
            .collect();
        for address in addresses(pod) {
            let family = Family::of(address);
            // Headless Services without families take what the pods have.
            if families.is_empty() || families.contains(&family) {
                let endpoint = endpoint(service, pod, address);
                groups.entry((family, numbers.clone())).or_default().push(endpoint);
            }
        }
    }
    let mut slices = Vec::new();
    let mut count: BTreeMap<Family, usize> = BTreeMap::new();
    for ((family, numbers), endpoints) in groups {
        for chunk in endpoints.chunks(PER_SLICE) {
            let index = count.entry(family).or_default();
            slices.push(slice(service, family, *index, &numbers, chunk.to_vec()));
            *index += 1;
        }
    }
    slices
}

fn is_member(service: &Service, selector: &BTreeMap<String, String>, pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    pod.namespace() == service.namespace()
        && selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value))
        && !matches!(phase, "Succeeded" | "Failed")
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let listed = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    listed.filter_map(|address| address.ip.parse().ok()).collect()
}

/// The port number behind a Service's port in this pod; `None` when the pod has no container port of that name.
fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            containers
                .flat_map(|container| container.ports.iter().flatten())
                .find(|port| {
                    port.name.as_ref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol
                })
                .map(|port| port.container_port)
        }
    }
}

fn endpoint(service: &Service, pod: &Pod, address: IpAddr) -> Endpoint {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let serving = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let anyway = service.spec.as_ref().is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    Endpoint {
        addresses: vec![address.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(anyway || (serving && !terminating)),
            serving: Some(anyway || serving),
            terminating: Some(terminating),
        }),
        node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            namespace: pod.namespace(),
            uid: pod.uid(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

fn slice(
    service: &Service,
    family: Family,
    index: usize,
    numbers: &Numbers,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    let protocols: BTreeMap<String, Option<String>> = service
        .spec
        .iter()
        .flat_map(|spec| spec.ports.iter().flatten())
        .map(|port| (port.name.clone().unwrap_or_default(), port.protocol.clone()))
        .collect();
    let ports = numbers.iter().filter_map(|(name, number)| {
        Some(EndpointPort {
            name: Some(name.clone()),
            port: Some((*number)?),
            protocol: Some(protocols.get(name).cloned().flatten().unwrap_or_else(|| "TCP".to_owned())),
            ..EndpointPort::default()
        })
    });
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: service.name_any(),
        uid: service.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let labels = [(SERVICE_LABEL, service.name_any()), (MANAGER_LABEL, MANAGER.to_owned())];
    EndpointSlice {
        address_type: if family == Family::Ipv4 { "IPv4" } else { "IPv6" }.to_owned(),
        metadata: ObjectMeta {
            name: Some(format!("{}-{family}-{index}", service.name_any())),
            namespace: service.namespace(),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        endpoints,
        ports: Some(ports.collect()),
    }
}

#[cfg(test)]
mod tests;
