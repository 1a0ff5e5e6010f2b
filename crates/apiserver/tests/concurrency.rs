//! Many writers and many watchers at once.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;

use std::{collections::BTreeMap, time::Duration};

use apiserver::{Gvr, Patch, Select, Server, WatchEvent};
use common::{Cluster, pod};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

const MAPS: Gvr<'static> = Gvr::core("configmaps");
const PODS: Gvr<'static> = Gvr::core("pods");

fn counter(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": {"n": "0"}})
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn optimistic_writers_lose_no_count_and_watchers_see_each_in_order() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 40;
    let c = Cluster::start().await;
    c.handle.create(MAPS, "default", &counter("n")).unwrap();
    let mut watchers = Vec::new();
    for _ in 0..10 {
        let mut watch = c.handle.watch::<Value>(MAPS, &Select::default()).unwrap();
        watchers.push(tokio::spawn(async move {
            let (mut counts, mut versions) = (Vec::new(), Vec::new());
            loop {
                let (WatchEvent::Added(o) | WatchEvent::Modified(o)) = watch.next().await.unwrap().unwrap()
                else {
                    panic!("nothing is deleted");
                };
                counts.push(o["data"]["n"].as_str().unwrap().parse::<u64>().unwrap());
                versions.push(version(&o));
                if counts.last() == Some(&(WRITERS * EACH)) {
                    return (counts, versions);
                }
            }
        }));
    }
    let mut writers = Vec::new();
    for i in 0..WRITERS {
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(c.client(), "default");
        let handle = c.handle.clone();
        writers.push(tokio::spawn(async move {
            let mut conflicts = 0;
            for _ in 0..EACH {
                loop {
                    // Half of them through HTTP, half in the process.
                    let done = if i % 2 == 0 {
                        let mut map = api.get("n").await.unwrap();
                        let n: u64 = map.data.as_ref().unwrap()["n"].parse().unwrap();
                        map.data.as_mut().unwrap().insert("n".to_owned(), (n + 1).to_string());
                        match api.replace("n", &PostParams::default(), &map).await {
                            Ok(_) => true,
                            Err(kube::Error::Api(e)) if e.code == 409 => false,
                            Err(e) => panic!("{e}"),
                        }
                    } else {
                        let mut map: Value = handle.get(MAPS, "default", "n").unwrap();
                        let n: u64 = map["data"]["n"].as_str().unwrap().parse().unwrap();
                        map["data"]["n"] = json!((n + 1).to_string());
                        tokio::task::yield_now().await;
                        match handle.update(MAPS, &map) {
                            Ok(_) => true,
                            Err(e) if e.is_conflict() => false,
                            Err(e) => panic!("{e}"),
                        }
                    };
                    if done {
                        break;
                    }
                    conflicts += 1;
                }
            }
            conflicts
        }));
    }
    let mut conflicts = 0;
    for writer in writers {
        conflicts += writer.await.unwrap();
    }
    assert!(conflicts > 0, "the writers never met");
    let last: Value = c.handle.get(MAPS, "default", "n").unwrap();
    assert_eq!(last["data"]["n"], (WRITERS * EACH).to_string());
    for watcher in watchers {
        let (counts, versions) =
            tokio::time::timeout(Duration::from_secs(10), watcher).await.unwrap().unwrap();
        let first = counts[0];
        assert!(counts.iter().copied().eq(first..=WRITERS * EACH), "each count once and in order");
        assert!(versions.is_sorted_by(|a, b| a < b));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn patches_without_a_version_never_conflict() {
    let c = Cluster::start().await;
    c.handle.create(MAPS, "default", &counter("n")).unwrap();
    let mut tasks = Vec::new();
    for i in 0..8 {
        let handle = c.handle.clone();
        tasks.push(tokio::task::spawn_blocking(move || {
            for j in 0..50 {
                let patch = Patch::Merge(json!({"data": {format!("k{i}-{j}"): "x"}}));
                let _: Value = handle.patch(MAPS, "default", "n", &patch).unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let map: Value = c.handle.get(MAPS, "default", "n").unwrap();
    assert_eq!(map["data"].as_object().unwrap().len(), 401);
}

/// What a watcher has put together is what the server has, whenever it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_watcher_begun_at_any_time_ends_with_the_same_state() {
    let c = Cluster::start().await;
    let churn = {
        let handle = c.handle.clone();
        tokio::task::spawn_blocking(move || {
            for round in 0..20 {
                for i in 0..10 {
                    let name = format!("p{i}");
                    match round % 3 {
                        0 => drop(handle.create(PODS, "default", &pod(&name))),
                        1 => {
                            let patch =
                                Patch::Merge(json!({"metadata": {"labels": {"round": round.to_string()}}}));
                            drop(handle.patch::<Value>(PODS, "default", &name, &patch));
                        }
                        _ if i % 2 == 0 => drop(handle.delete(PODS, "default", &name, &Default::default())),
                        _ => {}
                    }
                }
            }
            // Its name is the last one too, for watchers that begin when all is over and are sent a list.
            handle.create(PODS, "default", &pod("z-last")).unwrap();
        })
    };
    let mut watchers = Vec::new();
    for _ in 0..20 {
        let mut watch = c.handle.watch::<Value>(PODS, &Select::default()).unwrap();
        watchers.push(tokio::spawn(async move {
            let mut state = BTreeMap::new();
            loop {
                match watch.next().await.unwrap().unwrap() {
                    WatchEvent::Added(o) | WatchEvent::Modified(o) => {
                        let name = o["metadata"]["name"].as_str().unwrap().to_owned();
                        let last = name == "z-last";
                        state.insert(name, version(&o));
                        if last {
                            return state;
                        }
                    }
                    WatchEvent::Deleted(o) => {
                        assert!(state.remove(o["metadata"]["name"].as_str().unwrap()).is_some());
                    }
                }
            }
        }));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    churn.await.unwrap();
    let list = c.handle.list::<Value>(PODS, &Select::default()).unwrap();
    let truth: BTreeMap<String, u64> =
        list.items.iter().map(|o| (o["metadata"]["name"].as_str().unwrap().to_owned(), version(o))).collect();
    for watcher in watchers {
        let state = tokio::time::timeout(Duration::from_secs(10), watcher).await.unwrap().unwrap();
        assert_eq!(state, truth);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_pods_and_a_hundred_watchers_are_comfortable() {
    let server = Server::builder().history(20_000).build();
    let handle = server.handle();
    for i in 0..1_000 {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{i}")}});
        handle.create(Gvr::core("nodes"), "", &node).unwrap();
    }
    let mut watchers = Vec::new();
    for _ in 0..100 {
        let mut watch = handle
            .watch::<Value>(PODS, &Select { fields: "spec.nodeName=n7".to_owned(), ..Select::default() })
            .unwrap();
        watchers.push(tokio::spawn(async move {
            let mut seen = 0;
            while seen < 10 {
                assert!(matches!(watch.next().await.unwrap().unwrap(), WatchEvent::Added(_)));
                seen += 1;
            }
        }));
    }
    let start = std::time::Instant::now();
    for i in 0..10_000 {
        let mut object = pod(&format!("p{i}"));
        object["spec"]["nodeName"] = json!(format!("n{}", i % 1_000));
        handle.create(PODS, "default", &object).unwrap();
    }
    println!("10,000 pods created in {:?}", start.elapsed());
    for watcher in watchers {
        tokio::time::timeout(Duration::from_secs(60), watcher).await.unwrap().unwrap();
    }
    let start = std::time::Instant::now();
    assert_eq!(handle.list::<Value>(PODS, &Select::default()).unwrap().items.len(), 10_000);
    println!("and listed in {:?}", start.elapsed());
}
