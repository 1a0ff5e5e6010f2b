//! What becomes of nodes: k-vswitch is taken off them, they reboot, Open vSwitch comes to them in pods.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};
use system_tests::kube::{Kube, http, possible_for_real, service_of, web};
use system_tests::{Ping, bin_dir};

use crate::{cluster_ips, distinct};

/// What k-vswitch has on a node, apart from files.
fn on_node(kube: &Kube, node: u16) -> Vec<String> {
    let node = kube.lab.node(node);
    let bridges = node.exec(&["ovs-vsctl", "list-br"]);
    let rules =
        ["-4", "-6"].map(|family| node.exec(&["ip", family, "rule", "list", "priority", "27510"])).concat();
    let tables = node.exec(&["nft", "list", "tables"]);
    let mut found: Vec<String> =
        [bridges, rules, tables].iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    found.retain(|line| line.contains("k-vswitch") || line.contains("27510"));
    found.extend(node.links());
    found
}

/// A daemon speaks for its own node only, with the token that its pod has.
fn each_daemon_speaks_for_itself(kube: &Kube) {
    let at = ["-n", "kube-system", "-l", "app.kubernetes.io/component=agent"];
    let daemons = kube.get(&[&["pods"], at.as_slice()].concat());
    let first = daemons["items"].as_array().unwrap().iter().find(|pod| pod["spec"]["nodeName"] == "node-1");
    let pod = first.unwrap()["metadata"]["name"].as_str().unwrap();
    let account = ["create", "token", "k-vswitchd", "-n", "kube-system"];
    let bound = kube
        .kubectl(&[account.as_slice(), &["--bound-object-kind=Pod", "--bound-object-name", pod]].concat());
    let unbound = kube.kubectl(&account);
    let config: Value =
        serde_json::from_str(&kube.kubectl(&["config", "view", "--raw", "-o", "json"])).unwrap();
    let say = |token: &str, node: &str| {
        let mut config = config.clone();
        config["users"][0]["user"] = json!({"token": token.trim()});
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(file.path(), config.to_string()).unwrap();
        let status = json!({"apiVersion": "kvswitch.io/v1alpha1", "kind": "VSwitchConfig", "metadata": {"name": node}});
        let object = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        std::fs::write(object.path(), status.to_string()).unwrap();
        let [config, object] = [&file, &object].map(|file| file.path().to_str().unwrap());
        // `kubectl patch` would read the status first.
        let apply =
            ["apply", "--server-side", "--subresource=status", "--validate=false", "--dry-run=server"];
        let output = kube.run(&[&["--kubeconfig", config], apply.as_slice(), &["-f", object]].concat());
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(say(&bound, "node-1"), (true, String::new()));
    for (token, of) in [(&bound, r#"of node "node-1""#), (&unbound, r#"of node """#)] {
        let (allowed, said) = say(token, "node-2");
        assert!(!allowed && said.contains(of) && said.contains("cannot say how node-2 is"), "{said}");
    }
}

#[test]
fn what_is_uninstalled_leaves_nodes_clean() {
    if !possible_for_real() {
        return;
    }
    let kube = Kube::up(&["--nodes", "1"]);
    kube.apply(&[web("web", 2)]);
    kube.rollout("default", "deployment/web");
    assert!(on_node(&kube, 1).len() > 4, "{:?}", on_node(&kube, 1));

    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/k-vswitch.yaml");
    kube.kubectl(&["delete", "-f", manifest]);
    // Pods that are there go on until the node is cleaned.
    assert_eq!(kube.ready("app=web").len(), 2);
    kube.kubectl(&["scale", "deployment/web", "--replicas=0"]);
    kube.until("the pods to be gone", || kube.lab.node(1).links().len() <= 2);
    let files = kube.lab.folder().join("nodes/node-1");
    let cleanup = || {
        let daemon = bin_dir().join("k-vswitchd");
        let path = |name: &str| files.join(name).to_str().unwrap().to_owned();
        let (bin, conf) = (path("cni/bin"), path("cni/net.d"));
        let database = format!("unix:{}", path("ovs/db.sock"));
        let flags = ["--cleanup", "--ovsdb", &database, "--cni-bin-dir", &bin, "--cni-conf-dir", &conf];
        kube.lab.node(1).exec(&[&[daemon.to_str().unwrap()], flags.as_slice()].concat())
    };
    let said = cleanup();
    assert!(!said.contains("not there") && said.contains("removed: bridge k-vswitch0"), "{said}");
    kube.until("nothing to be left", || on_node(&kube, 1).is_empty());
    for name in ["cni/bin/k-vswitch-cni", "cni/net.d/10-k-vswitch.conflist"] {
        assert!(!files.join(name).exists(), "{name}");
    }
    let again = cleanup();
    assert!(again.lines().all(|line| line.starts_with("not there")), "{again}");
}

#[test]
fn a_node_that_reboots_has_all_its_pods_again() {
    if !possible_for_real() {
        return;
    }
    let kube = Kube::up(&["--nodes", "2"]);
    each_daemon_speaks_for_itself(&kube);
    let on_first = json!({"nodeName": "node-1", "tolerations": [{"operator": "Exists"}]});
    let mut many = web("web", 50);
    many["spec"]["template"]["spec"].as_object_mut().unwrap().extend(on_first.as_object().unwrap().clone());
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "from-client"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]},
    });
    let mut client = web("client", 1);
    client["spec"]["template"]["spec"]["nodeName"] = "node-2".into();
    let mut other = web("other", 1);
    other["spec"]["template"]["spec"]["nodeName"] = "node-2".into();
    kube.apply(&[many, client, other, policy, service_of("web", "web", &json!({}))]);
    for name in ["web", "client", "other"] {
        kube.rollout("default", &format!("deployment/{name}"));
    }
    let (client, other) = (kube.ready("app=client").remove(0), kube.ready("app=other").remove(0));
    let [from, elsewhere] = [&client, &other].map(|pod| kube.netns(pod));
    let before = kube.lab.node(1).ports();
    assert!(before.len() >= 50);

    let begin = Instant::now();
    kube.lab.ok(&["restart", "node-1", "machine"]);
    kube.until("50 pods of a node that has rebooted", || {
        let containers: BTreeSet<String> = before.iter().map(|port| port.container.clone()).collect();
        let now = kube.lab.node(1).ports();
        let anew = now.iter().filter(|port| port.programmed && !containers.contains(&port.container));
        anew.count() >= before.len()
    });
    println!(
        "{} pods have a network again {:.1} s after the reboot",
        before.len(),
        begin.elapsed().as_secs_f64()
    );
    kube.until("them to be ready", || {
        let pods = kube.ready("app=web");
        pods.len() == 50
            && pods.iter().all(|pod| {
                let to = SocketAddr::new(pod.addresses[0], 80);
                http(&from, to, "/hostname").is_ok_and(|name| name == pod.name)
            })
    });
    println!("and answer {:.1} s after it", begin.elapsed().as_secs_f64());
    let pods = kube.ready("app=web");
    distinct(&pods);
    for pod in pods.iter().take(5) {
        assert!(
            http(&elsewhere, SocketAddr::new(pod.addresses[0], 80), "/").is_err(),
            "the policy holds for {pod:?}"
        );
    }
    // Nothing of the life before is left.
    let node = kube.lab.node(1);
    kube.until("ports of the life before to go", || {
        let ports: BTreeSet<String> = node.ports().into_iter().map(|port| port.name).collect();
        ports == node.links()
    });
    let ready = SocketAddr::new(cluster_ips(&kube, "web")[0], 80);
    assert!(http(&from, ready, "/hostname").is_ok());
}

#[test]
fn open_vswitch_can_come_in_pods() {
    if !possible_for_real() {
        return;
    }
    // Without the kernel's datapath, such nodes have no tunnels.
    let nodes = if host::kernel::has_openvswitch().unwrap() { "2" } else { "1" };
    let kube = Kube::up(&["--nodes", nodes, "--ovs", "pods"]);
    kube.apply(&[web("web", 2), web("client", 1), service_of("web", "web", &json!({}))]);
    for name in ["web", "client"] {
        kube.rollout("default", &format!("deployment/{name}"));
    }
    let programs = kube.lab.json(&["status"])["nodes"][0]["programs"].to_string();
    assert!(!programs.contains("ovs"), "the node runs none itself: {programs}");
    let client = kube.ready("app=client").remove(0);
    let from = kube.netns(&client);
    let web = SocketAddr::new(cluster_ips(&kube, "web")[0], 80);
    http(&from, web, "/hostname").unwrap();
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "one"},
        "spec": {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Ingress"]},
    });
    kube.apply(&[policy]);
    let other = kube.netns(&kube.ready("app=web")[0]);
    let denied = SocketAddr::new(client.addresses[0], 80);
    kube.until("the policy", || http(&other, denied, "/").is_err());

    let agents =
        || kube.kubectl(&["-n", "kube-system", "get", "pods", "-l", "app.kubernetes.io/component=agent"]);
    let before = agents();
    let ping = Ping::start(&from, kube.ready("app=web")[0].addresses[0], 1_000_000);
    let begin = Instant::now();
    kube.lab.ok(&["restart", &client.node, "ovs"]);
    kube.until("the Service to answer again", || http(&from, web, "/hostname").is_ok());
    let took = begin.elapsed().as_secs_f64();
    let (sent, lost) = ping.interrupt();
    println!("Open vSwitch's pods replaced: {took:.1} s, {lost} of {sent} packets lost");
    assert!(http(&other, denied, "/").is_err(), "the policy holds");
    assert_eq!(ready_column(&before), ready_column(&agents()), "the daemons went on");
    kube.kubectl(&["scale", "deployment/web", "--replicas=4"]);
    kube.rollout("default", "deployment/web");
    distinct(&kube.ready("app=web"));
}

/// Names, readiness and restarts in a table of `kubectl get pods`.
fn ready_column(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).map(|line| line.split_whitespace().take(4).collect()).collect()
}
