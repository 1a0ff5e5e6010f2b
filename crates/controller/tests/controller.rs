//! The controller on the embedded API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::{Duration, Instant};

use api::{OverlayType, VSwitchConfig};
use apiserver::{Fault, Gvr, Requests, Server, Verb};
use controller::leader::Elector;
use controller::{ClusterParams, Options};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Config, ResourceExt as _};
use ops::Health;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

struct Cluster {
    api: Server,
    client: Client,
}

impl Cluster {
    async fn start() -> Self {
        let api = Server::builder().build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = api.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in api::crds() {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        Self { api, client }
    }

    fn configs(&self) -> Api<VSwitchConfig> {
        Api::all(self.client.clone())
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// Starts a replica.
    fn controller(&self, identity: &str) -> JoinHandle<()> {
        let options = Options {
            params: ClusterParams {
                cluster_cidr: "10.0.0.0/16,fd00::/48".parse().unwrap(),
                service_cidr: "10.96.0.0/16".parse().unwrap(),
                overlay_type: OverlayType::Vxlan,
            },
            lease_namespace: "kube-system".into(),
            identity: identity.into(),
        };
        let client = self.client.clone();
        tokio::spawn(async move {
            let health = Health::default();
            let check = health.check("controller", "starting");
            let elector = Elector::new(client.clone(), "kube-system", options.identity.clone());
            let _ = controller::run(client, &elector, &options, &check).await;
        })
    }

    async fn node(&self, name: &str, pod_cidrs: &[&str], ip: &str) {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {"podCIDRs": pod_cidrs, "podCIDR": pod_cidrs.first()},
        }))
        .unwrap();
        self.nodes().create(&PostParams::default(), &node).await.unwrap();
        self.address(name, ip).await;
    }

    async fn address(&self, name: &str, ip: &str) {
        let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": ip}]}});
        self.nodes().patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    async fn until(&self, name: &str, what: &str, done: impl Fn(Option<&VSwitchConfig>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let object = self.configs().get_opt(name).await.unwrap();
            if done(object.as_ref()) {
                return;
            }
            assert!(Instant::now() < deadline, "{what} never came true: {object:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn edit(&self, name: &str, spec: Value) {
        let patch = json!({ "spec": spec });
        self.configs().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }
}

fn accepted(object: &VSwitchConfig) -> Option<(&str, &str)> {
    let conditions = &object.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == "Accepted").map(|c| (c.status.as_str(), c.reason.as_str()))
}

fn is_valid(object: Option<&VSwitchConfig>) -> bool {
    object.and_then(accepted) == Some(("True", "Valid"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_one_config_from_its_birth_to_its_end() {
    let cluster = Cluster::start().await;
    let _controller = cluster.controller("a");
    cluster.node("node-1.example.com", &["10.0.1.0/24", "fd00:0:0:1::/64"], "192.0.2.1").await;
    cluster
        .until("node-1.example.com", "the config is complete", |object| {
            object.is_some_and(|o| {
                o.spec.pod_cidr.as_deref() == Some("10.0.1.0/24,fd00:0:0:1::/64")
                    && o.spec.overlay_ip.as_deref() == Some("192.0.2.1")
                    && o.spec.overlay_type == OverlayType::Vxlan
                    && !o.owner_references().is_empty()
            }) && is_valid(object)
        })
        .await;
    cluster.address("node-1.example.com", "2001:db8::1").await;
    cluster
        .until("node-1.example.com", "the address is followed", |object| {
            object.is_some_and(|o| o.spec.overlay_ip.as_deref() == Some("2001:db8::1"))
        })
        .await;
    cluster.nodes().delete("node-1.example.com", &DeleteParams::default()).await.unwrap();
    cluster.until("node-1.example.com", "the config goes with its node", |object| object.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_put_right_and_what_is_theirs_is_left() {
    let cluster = Cluster::start().await;
    let _controller = cluster.controller("a");
    cluster.node("node-1", &["10.0.1.0/24"], "192.0.2.1").await;
    cluster.until("node-1", "valid", is_valid).await;
    cluster.edit("node-1", json!({"podCIDR": "10.0.9.0/24", "overlayType": "gre", "mtu": 1400})).await;
    cluster
        .until("node-1", "the spec is corrected but for the MTU", |object| {
            object.is_some_and(|o| {
                o.spec.pod_cidr.as_deref() == Some("10.0.1.0/24")
                    && o.spec.overlay_type == OverlayType::Vxlan
                    && o.spec.mtu == Some(1400)
            })
        })
        .await;
    cluster.configs().delete("node-1", &DeleteParams::default()).await.unwrap();
    cluster.until("node-1", "it is made anew", is_valid).await;
    // One that stands for no node.
    let mut stray = cluster.configs().get("node-1").await.unwrap();
    stray.metadata = kube::core::ObjectMeta { name: Some("stray".into()), ..Default::default() };
    cluster.configs().create(&PostParams::default(), &stray).await.unwrap();
    cluster.until("stray", "a config without a node is deleted", |object| object.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_addresses_cannot_be_used_is_told_why() {
    let cluster = Cluster::start().await;
    let _controller = cluster.controller("a");
    cluster.node("first", &["10.0.1.0/24"], "192.0.2.1").await;
    cluster.until("first", "valid", is_valid).await;
    for (name, cidrs, reason) in [
        ("none", &[][..], "NoPodCIDR"),
        ("outside", &["10.9.0.0/24"][..], "PodCIDROutsideClusterCIDR"),
        ("second", &["10.0.1.128/25"][..], "PodCIDROverlap"),
    ] {
        cluster.node(name, cidrs, "192.0.2.2").await;
        cluster
            .until(name, "it is rejected", |object| {
                object.is_some_and(|o| accepted(o) == Some(("False", reason)) && o.spec.pod_cidr.is_none())
            })
            .await;
    }
    let events: Api<Event> = Api::all(cluster.client.clone());
    // Each is told after the condition is set.
    for (reason, text) in [
        ("NoPodCIDR", "--allocate-node-cidrs"),
        ("PodCIDROutsideClusterCIDR", "10.9.0.0/24"),
        ("PodCIDROverlap", "Node first"),
    ] {
        let told = |event: &Event| {
            event.reason.as_deref() == Some(reason)
                && event.note.as_deref().is_some_and(|note| note.contains(text))
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !events.list(&ListParams::default()).await.unwrap().iter().any(told) {
            assert!(Instant::now() < deadline, "no Event {reason} says {text}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // When the first one goes, the second may have it.
    cluster.nodes().delete("first", &DeleteParams::default()).await.unwrap();
    cluster.until("second", "it is accepted", is_valid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_refuses_what_no_controller_wrote() {
    let cluster = Cluster::start().await;
    let object = |spec: Value| -> VSwitchConfig {
        serde_json::from_value(json!({
            "apiVersion": "kvswitch.io/v1alpha1", "kind": "VSwitchConfig", "metadata": {"name": "x"}, "spec": spec,
        }))
        .unwrap()
    };
    let spec = |field: &str, value: &str| {
        let mut spec = json!({
            "clusterCIDR": "10.0.0.0/16,fd00::/48", "podCIDR": "10.0.1.0/24", "serviceCIDR": "10.96.0.0/16",
            "overlayType": "vxlan", "overlayIP": "192.0.2.1",
        });
        spec[field] = json!(value);
        spec
    };
    for (field, value, why) in [
        ("clusterCIDR", "10.0.0.0", "must be one CIDR"),
        ("clusterCIDR", "10.0.0.1/16", "without host bits"),
        ("clusterCIDR", "10.0.0.0/16,10.1.0.0/16", "different families"),
        ("podCIDR", "10.7.0.0/24", "must lie inside clusterCIDR"),
        ("overlayIP", "node-1", "must be an IPv4 or IPv6 address"),
    ] {
        let refused = cluster.configs().create(&PostParams::default(), &object(spec(field, value))).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(why), "{field}={value}: {text}");
    }
    cluster.configs().create(&PostParams::default(), &object(spec("overlayType", "gre"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_api_delay_and_change_nothing_else() {
    let cluster = Cluster::start().await;
    let _controller = cluster.controller("a");
    let faults = cluster.api.faults();
    cluster.node("node-1", &["10.0.1.0/24"], "192.0.2.1").await;
    cluster.until("node-1", "valid", is_valid).await;
    faults.inject(Requests::all().verb(Verb::Create).resource("vswitchconfigs"), Fault::Unavailable, 2);
    faults.inject(Requests::all().verb(Verb::Patch).resource("vswitchconfigs"), Fault::Conflict, 2);
    cluster.node("node-2", &["10.0.2.0/24"], "192.0.2.2").await;
    cluster.until("node-2", "made despite refusals", is_valid).await;
    faults.forget_history(None);
    faults.drop_watches(None);
    cluster.node("node-3", &["10.0.3.0/24"], "192.0.2.3").await;
    cluster.until("node-3", "made after the watches broke", is_valid).await;
    assert_eq!(cluster.configs().list(&ListParams::default()).await.unwrap().items.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_leads_and_another_takes_over() {
    let cluster = Cluster::start().await;
    let first = cluster.controller("first");
    cluster.node("node-1", &["10.0.1.0/24"], "192.0.2.1").await;
    cluster.until("node-1", "valid", is_valid).await;
    let _second = cluster.controller("second");
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "kube-system");
    let holder = async || {
        let spec = leases.get("k-vswitch-controller").await.unwrap().spec.unwrap();
        (spec.holder_identity.unwrap_or_default(), spec.lease_transitions.unwrap_or(0))
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(holder().await, ("first".to_owned(), 0));
    first.abort();
    // Handed over, as on SIGTERM; without it the Lease would have to run out first.
    Elector::new(cluster.client.clone(), "kube-system", "first".into()).release().await;
    cluster.node("node-2", &["10.0.2.0/24"], "192.0.2.2").await;
    cluster.until("node-2", "the second one works", is_valid).await;
    assert_eq!(holder().await.0, "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_network_policy_has_one_event_for_each_of_its_generations() {
    let cluster = Cluster::start().await;
    let resource = Gvr::new("networking.k8s.io", "v1", "networkpolicies");
    let policy = |name: &str, label: &str, end: u16| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "default", "labels": {"x": label}},
            "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": end}]}]},
        })
    };
    let store = |policy: &Value| cluster.api.handle().store_unchecked(resource, "default", policy).unwrap();
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    let told = async || -> Vec<(String, String)> {
        let all = events.list(&ListParams::default()).await.unwrap();
        let of = |event: Event| (event.regarding.unwrap().name.unwrap(), event.note.unwrap());
        all.into_iter()
            .filter(|event| event.reason.as_deref() == Some("InvalidNetworkPolicy"))
            .map(of)
            .collect()
    };
    let until = async |count: usize| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while told().await.len() != count {
            assert!(Instant::now() < deadline, "{count} events were waited for: {:#?}", told().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        told().await
    };
    store(&policy("good", "1", 90));
    store(&policy("bad", "1", 70));
    // The first attempts fail; that delays and no more.
    cluster.api.faults().inject(Requests::all().verb(Verb::Create).resource("events"), Fault::Unavailable, 1);
    let first = cluster.controller("first");
    let all = until(1).await;
    assert_eq!(all[0].0, "bad");
    assert!(all[0].1.contains("spec.ingress[0].ports[0].endPort"), "{all:?}");
    // Neither a change of something else nor another controller tells it again.
    store(&policy("bad", "2", 70));
    first.abort();
    Elector::new(cluster.client.clone(), "kube-system", "first".into()).release().await;
    let _second = cluster.controller("second");
    store(&policy("worse", "1", 60));
    let all = until(2).await;
    assert_eq!(all.iter().filter(|(name, _)| name == "bad").count(), 1, "{all:?}");
    // Another mistake is another Event.
    store(&policy("bad", "2", 60));
    until(3).await;
    store(&policy("bad", "2", 90));
    cluster.node("node-1", &["10.0.1.0/24"], "192.0.2.1").await;
    cluster.until("node-1", "the controller does its other work", is_valid).await;
    assert_eq!(told().await.len(), 3);
}
