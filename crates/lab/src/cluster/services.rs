//! Allocates what the API server of a cluster would: cluster addresses and node ports.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::mirror::{Mirror, whenever};
use super::unless_overtaken;
use crate::spec::Family;

/// The node ports that Kubernetes hands out by default (kube-apiserver --service-node-port-range).
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30000..=32767;

/// First addresses of a Service network that are not handed out: the network's own, and the API server's and DNS's
/// by convention.
const KEPT: usize = 16;

/// Runs until the lab goes down.
pub async fn run(client: Client, services: Mirror<Service>, cidrs: Vec<IpNet>) {
    services.ready().await;
    let taken = Arc::new(Mutex::new(Taken::default()));
    whenever("services", vec![services.changes()], || async {
        let all = services.all();
        let patches = taken.lock().unwrap_or_else(PoisonError::into_inner).allocate(&all, &cidrs);
        for (service, patch) in patches {
            let api: Api<Service> = Api::namespaced(client.clone(), &service.namespace().unwrap_or_default());
            let patched =
                api.patch(&service.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
            if patched.is_err() {
                // Not decided after all; a change that was faster brings the next look.
                let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
                taken.recent.remove(&service.uid().unwrap_or_default());
            }
            unless_overtaken(patched)?;
        }
        Ok(())
    })
    .await;
}

/// What Services hold, by the API's word and by our own latest decisions, which the API may not show yet.
#[derive(Debug, Default)]
struct Taken {
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<i32>,
    recent: BTreeSet<String>,
}

impl Taken {
    /// Patches for the Services that lack something.
    fn allocate(&mut self, services: &[Arc<Service>], cidrs: &[IpNet]) -> Vec<(Arc<Service>, Value)> {
        let specs = || services.iter().filter_map(|service| service.spec.as_ref());
        let shown: BTreeSet<String> =
            services.iter().filter(|s| complete(s)).filter_map(|s| s.uid()).collect();
        // Once everything decided is shown, the API's word is the whole truth, and what deleted Services held is free.
        self.recent
            .retain(|uid| !shown.contains(uid) && services.iter().any(|s| s.uid().as_ref() == Some(uid)));
        if self.recent.is_empty() {
            self.addresses.clear();
            self.ports.clear();
        }
        let addresses = specs().flat_map(|spec| spec.cluster_ips.iter().flatten());
        self.addresses.extend(addresses.filter_map(|address| address.parse::<IpAddr>().ok()));
        let ports = specs().flat_map(|spec| spec.ports.iter().flatten().filter_map(|port| port.node_port));
        self.ports.extend(ports.filter(|port| *port != 0));

        let mut patches = Vec::new();
        for service in services {
            let (Some(spec), Some(uid)) = (&service.spec, service.uid()) else { continue };
            if complete(service) || self.recent.contains(&uid) {
                continue;
            }
            let mut patch = json!({});
            if lacks_address(spec)
                && let Some(addresses) = self.addresses_for(spec, cidrs)
            {
                merge(&mut patch, addresses);
            }
            if lacks_ports(spec) {
                merge(&mut patch, self.ports_for(spec));
            }
            if patch != json!({}) {
                self.recent.insert(uid);
                // The port list is replaced as a whole: only in the version it was read from.
                let version = service.resource_version();
                patches.push((
                    Arc::clone(service),
                    json!({"metadata": {"resourceVersion": version}, "spec": patch}),
                ));
            }
        }
        patches
    }

    /// Cluster addresses of the families the Service asks for (ipFamilies, ipFamilyPolicy).
    fn addresses_for(&mut self, spec: &ServiceSpec, cidrs: &[IpNet]) -> Option<Value> {
        let mut families: Vec<Family> =
            spec.ip_families.iter().flatten().filter_map(|name| name.parse().ok()).collect();
        for cidr in cidrs {
            let family = Family::of(cidr.addr());
            if !families.contains(&family) {
                families.push(family);
            }
        }
        let policy = spec.ip_family_policy.as_deref().unwrap_or("SingleStack");
        let listed = spec.ip_families.as_ref().map_or(1, |listed| listed.len().max(1));
        families.truncate(if policy == "SingleStack" { listed } else { 2 });
        let mut addresses = Vec::new();
        for family in &families {
            let cidr = cidrs.iter().find(|cidr| Family::of(cidr.addr()) == *family)?;
            let free = cidr.hosts().skip(KEPT).find(|address| !self.addresses.contains(address))?;
            self.addresses.insert(free);
            addresses.push(free.to_string());
        }
        let names: Vec<&str> =
            families.iter().map(|family| if *family == Family::Ipv4 { "IPv4" } else { "IPv6" }).collect();
        Some(json!({
            "clusterIP": addresses.first(),
            "clusterIPs": addresses,
            "ipFamilies": names,
            "ipFamilyPolicy": policy,
        }))
    }

    fn ports_for(&mut self, spec: &ServiceSpec) -> Value {
        let mut ports = spec.ports.clone().unwrap_or_default();
        for port in ports.iter_mut().filter(|port| port.node_port.unwrap_or(0) == 0) {
            let free = NODE_PORTS.into_iter().find(|number| !self.ports.contains(number));
            self.ports.extend(free);
            port.node_port = free;
        }
        json!({"ports": ports})
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn complete(service: &Service) -> bool {
    service.spec.as_ref().is_none_or(|spec| !lacks_address(spec) && !lacks_ports(spec))
}

fn lacks_address(spec: &ServiceSpec) -> bool {
    let external = spec.type_.as_deref() == Some("ExternalName");
    !external && spec.cluster_ip.as_deref().unwrap_or_default().is_empty()
}

fn lacks_ports(spec: &ServiceSpec) -> bool {
    let wanted = match spec.type_.as_deref() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec.allocate_load_balancer_node_ports != Some(false),
        _ => false,
    };
    wanted && spec.ports.iter().flatten().any(|port| port.node_port.unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::service_cidrs;
    use crate::spec::Families;

    fn service(name: &str, spec: &Value) -> Arc<Service> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "d", "uid": name, "resourceVersion": "1"},
                "spec": spec,
            }))
            .unwrap(),
        )
    }

    fn allocate(services: &[Arc<Service>]) -> Vec<Value> {
        let cidrs = service_cidrs(&Families::dual());
        let patches = Taken::default().allocate(services, &cidrs);
        patches.into_iter().map(|(_, mut patch)| patch["spec"].take()).collect()
    }

    #[test]
    fn services_get_addresses_of_the_families_they_ask_for() {
        let patches = allocate(&[
            service("held", &json!({"clusterIP": "10.96.0.17", "clusterIPs": ["10.96.0.17"]})),
            service("single", &json!({})),
            service("dual", &json!({"ipFamilyPolicy": "PreferDualStack"})),
            service("six", &json!({"ipFamilies": ["IPv6"]})),
            service("headless", &json!({"clusterIP": "None"})),
            service("external", &json!({"type": "ExternalName"})),
        ]);
        let addresses: Vec<_> = patches.iter().map(|patch| patch["clusterIPs"].clone()).collect();
        assert_eq!(
            addresses,
            [json!(["10.96.0.18"]), json!(["10.96.0.19", "fd00:10:96::10"]), json!(["fd00:10:96::11"]),]
        );
        assert_eq!(patches[1]["ipFamilies"], json!(["IPv4", "IPv6"]));
    }

    #[test]
    fn node_ports_are_filled_in_around_those_that_are_held() {
        let patches = allocate(&[
            service("held", &json!({"clusterIP": "None", "ports": [{"port": 1, "nodePort": 30000}]})),
            service(
                "two",
                &json!({"type": "NodePort", "clusterIP": "10.96.0.20",
                       "ports": [{"port": 80}, {"port": 81, "nodePort": 31000}]}),
            ),
            service(
                "plain",
                &json!({"type": "ClusterIP", "clusterIP": "10.96.0.21", "ports": [{"port": 80}]}),
            ),
        ]);
        assert_eq!(patches.len(), 1);
        assert_eq!(patches[0]["ports"][0]["nodePort"], 30001);
        assert_eq!(patches[0]["ports"][1]["nodePort"], 31000);
    }

    #[test]
    fn what_was_decided_is_not_given_away_before_the_api_shows_it() {
        let cidrs = service_cidrs(&Families::dual());
        let mut taken = Taken::default();
        let first = service("a", &json!({}));
        let one = taken.allocate(&[Arc::clone(&first)], &cidrs);
        let two = taken.allocate(&[first, service("b", &json!({}))], &cidrs);
        assert_eq!(two.len(), 1, "the first is not patched twice");
        assert_ne!(one[0].1["spec"]["clusterIP"], two[0].1["spec"]["clusterIP"]);
    }
}
