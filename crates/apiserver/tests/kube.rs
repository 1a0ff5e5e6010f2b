//! kube-rs clients against the server.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;

use std::time::Duration;

use apiserver::{Fault, Gvr, Patch as ServerPatch, Requests, Server, Verb};
use common::{Cluster, deployment, pod};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::{Lease, LeaseSpec},
    core::v1::{ConfigMap, Node, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt, reflector,
        watcher::{self, Event, watcher},
    },
};
use serde_json::{Value, json};

const PODS: Gvr<'static> = Gvr::core("pods");

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": value}})).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it takes too long")
}

#[tokio::test]
async fn typed_objects_are_created_read_replaced_and_deleted() {
    let c = Cluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(c.client(), "default");
    let made = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());
    let mut changed = made.clone();
    changed.data.as_mut().unwrap().insert("k".to_owned(), "2".to_owned());
    let replaced = maps.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_ne!(made.resource_version(), replaced.resource_version());
    let stale = maps.replace("a", &PostParams::default(), &changed).await.unwrap_err();
    assert!(matches!(&stale, kube::Error::Api(e) if e.code == 409 && e.reason == "Conflict"), "{stale}");
    let again = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap_err();
    assert!(matches!(&again, kube::Error::Api(e) if e.code == 409 && e.reason == "AlreadyExists"), "{again}");
    assert!(maps.delete("a", &DeleteParams::default()).await.unwrap().is_right());
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn an_update_that_changes_nothing_makes_no_version() {
    let c = Cluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(c.client(), "default");
    let made = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let same = maps.replace("a", &PostParams::default(), &made).await.unwrap();
    assert_eq!(made.resource_version(), same.resource_version());
    let patch = Patch::Merge(json!({"data": {"k": "1"}}));
    let same = maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(made.resource_version(), same.resource_version());
}

#[tokio::test]
async fn generated_names_are_distinct() {
    let c = Cluster::start().await;
    let pods: Api<Pod> = Api::namespaced(c.client(), "default");
    let mut template = pod("x");
    template["metadata"] = json!({"generateName": "web-"});
    let template: Pod = serde_json::from_value(template).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..20 {
        names.insert(pods.create(&PostParams::default(), &template).await.unwrap().name_any());
    }
    assert_eq!(names.len(), 20);
    assert!(names.iter().all(|name| name.starts_with("web-") && name.len() == 9));
}

#[tokio::test]
async fn server_side_apply_of_kube_creates_and_changes() {
    let c = Cluster::start().await;
    let deployments: Api<Deployment> = Api::namespaced(c.client(), "default");
    let params = PatchParams::apply("kube-test").force();
    let made = deployments.patch("web", &params, &Patch::Apply(deployment("web", 1, "x:1"))).await.unwrap();
    assert_eq!(made.managed_fields()[0].manager.as_deref(), Some("kube-test"));
    let same = deployments.patch("web", &params, &Patch::Apply(deployment("web", 1, "x:1"))).await.unwrap();
    assert_eq!(made.resource_version(), same.resource_version());
    let changed =
        deployments.patch("web", &params, &Patch::Apply(deployment("web", 2, "x:2"))).await.unwrap();
    assert_eq!(changed.spec.unwrap().replicas, Some(2));
}

#[tokio::test]
async fn status_and_specification_are_written_apart() {
    let c = Cluster::start().await;
    let deployments: Api<Deployment> = Api::namespaced(c.client(), "default");
    let object: Deployment = serde_json::from_value(deployment("web", 1, "x:1")).unwrap();
    deployments.create(&PostParams::default(), &object).await.unwrap();
    let both = Patch::Merge(json!({"spec": {"replicas": 5}, "status": {"readyReplicas": 3}}));
    let after = deployments.patch_status("web", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((after.spec.unwrap().replicas, after.status.unwrap().ready_replicas), (Some(1), Some(3)));
    let both = Patch::Merge(json!({"spec": {"replicas": 5}, "status": {"readyReplicas": 4}}));
    let after = deployments.patch("web", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((after.spec.unwrap().replicas, after.status.unwrap().ready_replicas), (Some(5), Some(3)));
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    let scale = deployments.patch_scale("web", &PatchParams::default(), &two).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(2));
}

#[tokio::test]
async fn a_lease_is_taken_by_one_of_two() {
    let c = Cluster::start().await;
    let leases: Api<Lease> = Api::namespaced(c.client(), "kube-system");
    let lease = |holder: &str| Lease {
        metadata: kube::core::ObjectMeta { name: Some("leader".to_owned()), ..Default::default() },
        spec: Some(LeaseSpec { holder_identity: Some(holder.to_owned()), ..Default::default() }),
    };
    let seen = leases.create(&PostParams::default(), &lease("")).await.unwrap();
    let take = |holder: &'static str| {
        let (leases, mut mine) = (leases.clone(), seen.clone());
        mine.spec.as_mut().unwrap().holder_identity = Some(holder.to_owned());
        async move { leases.replace("leader", &PostParams::default(), &mine).await.is_ok() }
    };
    let (a, b) = tokio::join!(take("a"), take("b"));
    assert!(a ^ b, "exactly one replaces the version both saw");
    let unversioned = leases.replace("leader", &PostParams::default(), &lease("c")).await.unwrap_err();
    assert!(unversioned.to_string().contains("must be specified for an update"), "{unversioned}");
}

#[tokio::test]
async fn watches_resume_after_the_version_they_know() {
    let c = Cluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(c.client(), "default");
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let list = maps.list(&ListParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("b", "1")).await.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}}))).await.unwrap();
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    let events = maps.watch(&WatchParams::default().timeout(1), &version).await.unwrap();
    let events: Vec<String> = events
        .map_ok(|event| match event {
            WatchEvent::Added(o) => format!("added {}", o.name_any()),
            WatchEvent::Modified(o) => format!("modified {}", o.name_any()),
            WatchEvent::Deleted(o) => {
                assert!(o.resource_version().unwrap().parse::<u64>().unwrap() > version.parse().unwrap());
                format!("deleted {}", o.name_any())
            }
            WatchEvent::Bookmark(_) => "bookmark".to_owned(),
            WatchEvent::Error(e) => panic!("{e}"),
        })
        .try_collect()
        .await
        .unwrap();
    let last = events.iter().position(|e| e == "bookmark").unwrap();
    assert_eq!(events[..last], ["added b", "modified a", "deleted b"]);
}

#[tokio::test]
async fn selectors_turn_changes_into_additions_and_removals() {
    let c = Cluster::start().await;
    let pods: Api<Pod> = Api::namespaced(c.client(), "default");
    let params = WatchParams::default().labels("app in (a, b), !gone").fields("spec.nodeName=n1").timeout(2);
    let stream = pods.watch(&params, "0").await.unwrap();
    let mut stream = Box::pin(stream);
    c.handle.create(PODS, "default", &pod("a")).unwrap();
    c.handle.create(PODS, "default", &pod("z")).unwrap();
    c.handle.bind("default", "z", "n1").unwrap();
    c.handle.bind("default", "a", "n1").unwrap();
    let label = |value: Value| ServerPatch::Merge(json!({"metadata": {"labels": {"gone": value}}}));
    let _: Value = c.handle.patch(PODS, "default", "a", &label(json!("x"))).unwrap();
    let _: Value = c.handle.patch(PODS, "default", "a", &label(Value::Null)).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = soon(stream.try_next()).await.unwrap() {
        match event {
            WatchEvent::Added(o) => seen.push(format!("+{}", o.name_any())),
            WatchEvent::Deleted(o) => seen.push(format!("-{}", o.name_any())),
            WatchEvent::Modified(o) => seen.push(format!("~{}", o.name_any())),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(e) => panic!("{e}"),
        }
    }
    assert_eq!(seen, ["+a", "-a", "+a"]);
    let none = pods.list(&ListParams::default().fields("spec.nodeName!=n1")).await.unwrap();
    assert!(none.items.is_empty());
    let error = pods.list(&ListParams::default().fields("spec.nonsense=1")).await.unwrap_err();
    assert!(error.to_string().contains("field label not supported: spec.nonsense"));
}

#[tokio::test]
async fn lists_come_in_consistent_chunks_until_history_is_forgotten() {
    let c = Cluster::start().await;
    let pods: Api<Pod> = Api::namespaced(c.client(), "default");
    for i in 0..10 {
        c.handle.create(PODS, "default", &pod(&format!("p{i}"))).unwrap();
    }
    let first = pods.list(&ListParams::default().limit(4)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(6));
    // What happens between chunks is not seen by them.
    c.handle.delete(PODS, "default", "p5", &apiserver::DeleteOptions::default()).unwrap();
    c.handle.create(PODS, "default", &pod("p55")).unwrap();
    let token = first.metadata.continue_.unwrap();
    let second = pods.list(&ListParams::default().limit(4).continue_token(&token)).await.unwrap();
    let names: Vec<String> = second.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["p4", "p5", "p6", "p7"]);
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
    c.server.faults().forget_history(Some(PODS));
    let expired = pods.list(&ListParams::default().limit(4).continue_token(&token)).await.unwrap_err();
    assert!(matches!(&expired, kube::Error::Api(e) if e.code == 410), "{expired}");
}

#[tokio::test]
async fn bookmarks_tell_idle_watches_the_version() {
    let c = Cluster::start().await;
    let pods: Api<Pod> = Api::namespaced(c.client(), "default");
    let stream = pods.watch(&WatchParams::default().timeout(5), "0").await.unwrap();
    let mut stream = Box::pin(stream);
    let maps: Api<ConfigMap> = Api::namespaced(c.client(), "default");
    let other = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let wanted: u64 = other.resource_version().unwrap().parse().unwrap();
    loop {
        // The version moves on although no pod changes.
        if let WatchEvent::Bookmark(b) = soon(stream.try_next()).await.unwrap().unwrap()
            && b.metadata.resource_version.parse::<u64>().unwrap() >= wanted
        {
            break;
        }
    }
}

async fn next_applied<S>(stream: &mut S) -> Event<Pod>
where
    S: futures::Stream<Item = Result<Event<Pod>, watcher::Error>> + Unpin,
{
    loop {
        match soon(stream.next()).await.unwrap() {
            Ok(event) => return event,
            Err(error) => println!("the watcher recovers from: {error}"),
        }
    }
}

async fn survives_faults(config: watcher::Config) {
    let c = Cluster::start().await;
    let faults = c.server.faults();
    c.handle.create(PODS, "default", &pod("a")).unwrap();
    let api: Api<Pod> = Api::all(c.client());
    let mut stream = Box::pin(watcher(api, config).default_backoff());
    assert!(matches!(next_applied(&mut stream).await, Event::Init));
    assert!(matches!(next_applied(&mut stream).await, Event::InitApply(p) if p.name_any() == "a"));
    assert!(matches!(next_applied(&mut stream).await, Event::InitDone));
    // A dropped watch resumes without a new list.
    faults.drop_watches(Some(PODS));
    c.handle.create(PODS, "default", &pod("b")).unwrap();
    assert!(matches!(next_applied(&mut stream).await, Event::Apply(p) if p.name_any() == "b"));
    // One that comes back to forgotten history lists again.
    faults.inject(
        Requests::all().verb(Verb::Watch).resource("pods"),
        Fault::Delay(Duration::from_millis(300)),
        1,
    );
    faults.drop_watches(Some(PODS));
    tokio::time::sleep(Duration::from_millis(100)).await;
    c.handle.create(PODS, "default", &pod("c")).unwrap();
    faults.forget_history(Some(PODS));
    let mut names = Vec::new();
    loop {
        match next_applied(&mut stream).await {
            Event::InitApply(p) => names.push(p.name_any()),
            Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
    // Nor does it mind a server that is away or busy.
    faults.set_available(false);
    c.handle.create(PODS, "default", &pod("d")).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    faults.inject(Requests::all(), Fault::TooManyRequests(Duration::from_secs(1)), 1);
    faults.set_available(true);
    loop {
        match next_applied(&mut stream).await {
            Event::Apply(p) | Event::InitApply(p) if p.name_any() == "d" => break,
            _ => {}
        }
    }
    assert_eq!(faults.pending(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_lists_survives_every_fault() {
    survives_faults(watcher::Config::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_streams_its_list_survives_every_fault() {
    survives_faults(watcher::Config::default().streaming_lists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_watchers_get_metadata_alone() {
    let c = Cluster::start().await;
    c.handle.create(PODS, "default", &pod("a")).unwrap();
    let api: Api<Pod> = Api::all(c.client());
    let partial = api.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(partial.items[0].name_any(), "a");
    let api: Api<PartialObjectMeta<Pod>> = Api::all(c.client());
    let mut stream = Box::pin(watcher(api, watcher::Config::default()).applied_objects());
    assert_eq!(soon(stream.try_next()).await.unwrap().unwrap().name_any(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_holds_what_the_server_holds() {
    let c = Cluster::start().await;
    let (reader, writer) = reflector::store();
    // With a pause between attempts: when the test is over, the server ends before the watcher does, and one that tries again
    // without ever waiting would keep the runtime from ending.
    let stream = watcher(Api::<Node>::all(c.client()), watcher::Config::default()).default_backoff();
    let stream = reflector(writer, stream).applied_objects();
    let following = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    soon(reader.wait_until_ready()).await.unwrap();
    for i in 0..50 {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{i}")}});
        c.handle.create(Gvr::core("nodes"), "", &node).unwrap();
    }
    soon(async {
        while reader.len() != 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    following.abort();
}

#[tokio::test]
async fn faults_strike_the_requests_they_are_meant_for() {
    let c = Cluster::start().await;
    let faults = c.server.faults();
    let maps: Api<ConfigMap> = Api::namespaced(c.client(), "default");
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let code = |result: Result<ConfigMap, kube::Error>| match result {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
    };
    faults.inject(Requests::all().verb(Verb::Patch).resource("configmaps").name("a"), Fault::Conflict, 2);
    let patch = |n: u32| {
        let maps = maps.clone();
        async move {
            maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"n": n.to_string()}})))
                .await
        }
    };
    assert_eq!(code(maps.get("a").await), 200);
    assert_eq!(code(patch(1).await), 409);
    assert_eq!(code(patch(2).await), 409);
    assert_eq!(code(patch(3).await), 200);
    faults.inject_always(Requests::all().verb(Verb::Get), Fault::Gone);
    assert_eq!(code(maps.get("a").await), 410);
    assert_eq!(code(maps.get("a").await), 410);
    faults.clear();
    assert_eq!(code(maps.get("a").await), 200);
    faults.inject(Requests::all(), Fault::Delay(Duration::from_millis(150)), 1);
    let start = std::time::Instant::now();
    assert_eq!(code(maps.get("a").await), 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn shutdown_ends_watches_and_serving() {
    let server = Server::builder().build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let pods: Api<Pod> = Api::all(kube::Client::try_from(config).unwrap());
    let stream = pods.watch(&WatchParams::default(), "0").await.unwrap();
    server.shutdown();
    soon(stream.for_each(|_| std::future::ready(()))).await;
    drop(pods);
    soon(serving).await.unwrap().unwrap();
}
