//! A real Kubernetes on k-vswitch: what its users do every day, and what happens to its nodes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
// How long things took is for people to read.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use system_tests::kube::{Browsing, Kube, RealPod, http, possible_for_real, service_of, web};
use system_tests::{Ping, bin_dir};

/// Addresses of all Services' pods are distinct, and in both families.
fn distinct(pods: &[RealPod]) {
    let addresses: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.clone()).collect();
    assert_eq!(addresses.len(), 2 * pods.len(), "{pods:?}");
}

/// The first address of a Service.
fn cluster_ips(kube: &Kube, service: &str) -> Vec<IpAddr> {
    let service = kube.get(&["service", service]);
    let ips = service["spec"]["clusterIPs"].as_array().unwrap().iter();
    ips.map(|ip| ip.as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn workloads_find_and_reach_each_other() {
    if !possible_for_real() {
        return;
    }
    let kube = Kube::up(&["--nodes", "2"]);
    kube.apply(&[web("web", 6), web("client", 2), service_of("web", "web", &json!({"type": "NodePort"}))]);
    kube.apply(&[
        service_of("web", "headless", &json!({"clusterIP": "None"})),
        service_of("web", "external", &json!({"externalIPs": ["198.51.100.7"]})),
        service_of("nobody", "nobody", &json!({})),
    ]);
    for name in ["web", "client"] {
        kube.rollout("default", &format!("deployment/{name}"));
    }
    let (pods, clients) = (kube.ready("app=web"), kube.ready("app=client"));
    distinct(&[pods.clone(), clients.clone()].concat());
    let names: BTreeSet<String> = pods.iter().map(|pod| pod.name.clone()).collect();

    // By address, from a pod, a node and the outside, in both families.
    let from = kube.netns(&clients[0]);
    let node = kube.lab.node(1);
    for to in pods.iter().flat_map(|pod| &pod.addresses) {
        assert_eq!(http(&from, SocketAddr::new(*to, 80), "/echo?msg=hello").unwrap(), "hello");
    }
    let everybody = |what: &str, from: &host::Netns, to: SocketAddr| {
        let mut seen = BTreeSet::new();
        kube.until(&format!("all pods to answer {what} at {to}"), || {
            seen.extend(http(from, to, "/hostname"));
            seen == names
        });
    };
    for ip in cluster_ips(&kube, "web") {
        everybody("a pod", &from, SocketAddr::new(ip, 80));
        everybody("a node", &node.netns, SocketAddr::new(ip, 80));
    }
    let port = kube.get(&["service", "web"])["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    for node in [kube.lab.node(1), kube.lab.node(2)] {
        for address in node.addresses() {
            everybody("the outside", &kube.lab.outside(), SocketAddr::new(address, port.try_into().unwrap()));
        }
    }
    everybody("a pod", &from, "198.51.100.7:80".parse().unwrap());
    let nobody = cluster_ips(&kube, "nobody")[0];
    let refused = http(&from, SocketAddr::new(nobody, 80), "/").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{refused}");

    // By name.
    let exec =
        |arguments: &[&str]| kube.run(&[&["exec", &clients[0].name, "--", "/agnhost"], arguments].concat());
    for name in ["web:80", "web.default.svc.cluster.local:80", "headless:80", "kubernetes:443"] {
        kube.until(name, || exec(&["connect", "--timeout=2s", name]).status.success());
    }
    let unknown = exec(&["connect", "--timeout=2s", "unknown:80"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("DNS") && !said.contains("refused"), "{said}");

    // By way of the API.
    assert!(kube.kubectl(&["logs", &pods[0].name]).contains("Started HTTP server"));
    let mut forward = kube.command(&["port-forward", &pods[0].name, ":80"]);
    let mut forward = forward.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It goes on speaking: whoever listens must stay.
    let mut said = BufReader::new(forward.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let here = host::Netns::current().unwrap();
    let to = SocketAddr::new([127, 0, 0, 1].into(), port.parse().unwrap());
    assert_eq!(http(&here, to, "/hostname").unwrap(), pods[0].name);
    forward.kill().unwrap();
    forward.wait().unwrap();

    // Policies, with the pods' labels.
    let select = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let policy = |name: &str, ingress: serde_json::Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": ingress},
        })
    };
    let web = SocketAddr::new(cluster_ips(&kube, "web")[0], 80);
    // Not by the Service, behind which it would find itself, too.
    let (other, first) = (kube.netns(&pods[1]), SocketAddr::new(pods[0].addresses[0], 80));
    kube.apply(&[policy("deny", json!([]))]);
    kube.until("the policy to deny", || http(&from, web, "/").is_err() && http(&other, first, "/").is_err());
    kube.apply(&[policy("allow", json!([{"from": [select("client")], "ports": [{"port": 80}]}]))]);
    kube.until("the policy to allow", || http(&from, web, "/hostname").is_ok());
    assert!(http(&other, first, "/").is_err());
    // The kubelet's probes go on: nobody has become unready.
    assert_eq!(kube.ready("app=web").len(), 6);
    kube.kubectl(&["delete", "networkpolicy", "deny", "allow"]);
    kube.until("all to be allowed", || http(&other, first, "/hostname").is_ok());
    pods_check_each_other(&kube);
}

/// `kvsctl check --pods`, with the overlay as it is and cut.
fn pods_check_each_other(kube: &Kube) {
    let check = || {
        let mut command = Command::new(bin_dir().join("kvsctl"));
        command
            .args(["check", "--pods", "-o", "json", "--kubeconfig"])
            .arg(kube.lab.folder().join("kubeconfig"));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    let (well, said) = check();
    assert!(well && said.contains("pods on 2 nodes reach those on all of them and a Service"), "{said}");

    let wire = kube.lab.wire();
    let nft = |rules: &str| {
        assert!(wire.run(|| Command::new("nft").arg(rules).status()).unwrap().unwrap().success());
    };
    nft(
        "add table bridge cut; add chain bridge cut f { type filter hook forward priority 0; policy accept; }; \
         add rule bridge cut f udp dport 4789 drop",
    );
    let (well, said) = check();
    for words in
        ["pods on node-1 do not reach those on node-2", "pods on node-2 do not reach those on node-1"]
    {
        assert!(!well && said.contains(words), "{said}");
    }
    nft("delete table bridge cut");
    kube.until("what was deployed to be gone", || {
        !kube.kubectl(&["get", "namespaces"]).lines().any(|line| line.starts_with("k-vswitch-check-"))
    });
}

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
            assert_eq!(lost, 0, "{what}: of {sent} packets");
            sent
        });
        println!("{what}: {took:.1} s, {asked} pages and {} packets, none lost", lost.unwrap_or(0));
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
        assert_eq!(lost, 0, "of {of} packets");
        sent += of;
    }
    println!("upgrade: {took:.1} s, {asked} pages and {sent} packets, none lost");
    assert!(http(&other, denied, "/").is_err(), "the policy holds");
    kube.kubectl(&["scale", "deployment/web", "--replicas=8"]);
    kube.rollout("default", "deployment/web");
    distinct(&kube.ready("app=web"));
}

#[test]
fn a_node_that_reboots_has_all_its_pods_again() {
    if !possible_for_real() {
        return;
    }
    let kube = Kube::up(&["--nodes", "2"]);
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
