//! Updates and restarts under traffic, of users' workloads and of k-vswitch.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use system_tests::kube::{Browsing, Kube, http, possible_for_real, service_of, web};
use system_tests::{Ping, bin_dir};

use crate::{cluster_ips, distinct};

#[test]
fn updates_and_restarts_go_unnoticed() {
    if !possible_for_real() {
        return;
    }
    let kube = Kube::up(&["--nodes", "2"]);
    kube.apply(&[web("web", 4), web("client", 2), service_of("web", "web", &json!({}))]);
    for name in ["web", "client"] {
        kube.rollout("default", &format!("deployment/{name}"));
    }
    let client = kube.ready("app=client").into_iter().next().unwrap();
    let from = kube.netns(&client);
    let to = SocketAddr::new(cluster_ips(&kube, "web")[0], 80);
    type Step<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let mut steps: Vec<Step<'_>> = Vec::new();
    steps.push((
        "a rolling update of the endpoints",
        Box::new(|| {
            kube.kubectl(&["set", "env", "deployment/web", "TURN=2"]);
            kube.rollout("default", "deployment/web");
            // The next steps are about k-vswitch alone.
            kube.until_gone();
        }),
    ));
    steps.push((
        "a rolling update of k-vswitchd",
        Box::new(|| {
            kube.kubectl(&["-n", "kube-system", "rollout", "restart", "daemonset/k-vswitchd"]);
            kube.rollout("kube-system", "daemonset/k-vswitchd");
        }),
    ));
    steps.push(("a restart of the controller", Box::new(|| drop(kube.lab.ok(&["restart", "controller"])))));
    for program in ["kubelet", "containerd"] {
        let kube = &kube;
        steps.push((
            program,
            Box::new(move || {
                for node in ["node-1", "node-2"] {
                    kube.lab.ok(&["restart", node, program]);
                }
            }),
        ));
    }
    for (what, step) in steps {
        let pods = kube.ready("app=web");
        let far = pods.iter().find(|pod| pod.node != client.node).unwrap_or(&pods[0]);
        let since = kube.lab.overflows();
        // Endpoints that are updated go away themselves.
        let ping = (!what.contains("endpoints")).then(|| Ping::start(&from, far.addresses[0], 1_000_000));
        let browsing = Browsing::start(&from, to);
        let begin = Instant::now();
        step();
        let took = begin.elapsed().as_secs_f64();
        // What comes late counts too.
        std::thread::sleep(Duration::from_secs(2));
        let (asked, _, failures) = browsing.finish();
        assert!(
            failures.is_empty(),
            "{what}: of {asked} pages {} did not come: {failures:?}",
            failures.len()
        );
        let lost = ping.map(|ping| {
            let (sent, lost) = ping.interrupt();
            kube.lab.none_lost(what, &since, (sent, lost));
            sent
        });
        println!("{what}: {took:.1} s, {asked} pages and {} packets", lost.unwrap_or(0));
    }

    // What is new after all that finds its place.
    kube.kubectl(&["scale", "deployment/web", "--replicas=50"]);
    kube.rollout("default", "deployment/web");
    let pods = kube.ready("app=web");
    assert_eq!(pods.len(), 50);
    distinct(&pods);
    for pod in &pods {
        assert_eq!(http(&from, SocketAddr::new(pod.addresses[0], 80), "/hostname").unwrap(), pod.name);
    }

    kube.kubectl(&[
        "drain",
        "node-2",
        "--ignore-daemonsets",
        "--force",
        "--delete-emptydir-data",
        "--timeout=120s",
    ]);
    kube.rollout("default", "deployment/web");
    kube.until("all pods to be on the other node", || {
        let pods = kube.ready("app=web");
        pods.len() == 50 && pods.iter().all(|pod| pod.node == "node-1")
    });
    assert!(kube.lab.node(2).ports().is_empty(), "{:?}", kube.lab.node(2).ports());
    kube.kubectl(&["uncordon", "node-2"]);
}

/// The objects of a manifest but the settings, which an operator keeps.
fn without_settings(path: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let parts = text.split("\n---\n").skip(1).map(|part| serde_saphyr::from_str(part).unwrap());
    parts.filter(|object: &serde_json::Value| object["kind"] != "ConfigMap").collect()
}

#[test]
fn an_upgrade_goes_unnoticed() {
    let previous = bin_dir().join("../image/previous.yaml");
    if !possible_for_real() {
        return;
    }
    if !previous.exists() {
        println!("SKIPPED: an upgrade: there is no earlier k-vswitch: scripts/previous builds one");
        return;
    }
    let kube = Kube::up(&["--nodes", "2"]);
    let change = |path: &str| {
        kube.apply(&without_settings(path));
        for workload in ["daemonset/k-vswitchd", "deployment/k-vswitch-controller"] {
            kube.rollout("kube-system", workload);
        }
    };
    let images = || {
        let pods = kube.get(&["-n", "kube-system", "pods", "-l", "app.kubernetes.io/name=k-vswitch"]);
        let of = |pod: &serde_json::Value| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
        pods["items"].as_array().unwrap().iter().map(of).collect::<BTreeSet<String>>()
    };
    let now = images();
    change(previous.to_str().unwrap());
    let before = images();
    assert!(before.iter().all(|image| image.ends_with(":previous")), "{before:?}");

    kube.apply(&[web("web", 4), web("client", 2), service_of("web", "web", &json!({}))]);
    for name in ["web", "client"] {
        kube.rollout("default", &format!("deployment/{name}"));
    }
    let (clients, pods) = (kube.ready("app=client"), kube.ready("app=web"));
    let from = kube.netns(&clients[0]);
    let far = pods.iter().find(|pod| pod.node != clients[0].node).unwrap();
    let near = pods.iter().find(|pod| pod.node == clients[0].node).unwrap();
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Ingress"]},
    });
    kube.apply(&[policy]);
    let denied = SocketAddr::new(clients[0].addresses[0], 80);
    let other = kube.netns(far);
    kube.until("the policy", || http(&other, denied, "/").is_err());

    let since = kube.lab.overflows();
    let pings = [far, near].map(|pod| Ping::start(&from, pod.addresses[0], 1_000_000));
    let browsing = Browsing::start(&from, SocketAddr::new(cluster_ips(&kube, "web")[0], 80));
    let begin = Instant::now();
    change(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/k-vswitch.yaml"));
    let took = begin.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(images(), now);
    let (asked, _, failures) = browsing.finish();
    assert!(failures.is_empty(), "of {asked} pages {} did not come: {failures:?}", failures.len());
    let mut sent = 0;
    for ping in pings {
        let (of, lost) = ping.interrupt();
        kube.lab.none_lost("upgrade", &since, (of, lost));
        sent += of;
    }
    println!("upgrade: {took:.1} s, {asked} pages and {sent} packets");
    assert!(http(&other, denied, "/").is_err(), "the policy holds");
    kube.kubectl(&["scale", "deployment/web", "--replicas=8"]);
    kube.rollout("default", "deployment/web");
    distinct(&kube.ready("app=web"));
}
