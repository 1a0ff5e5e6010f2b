//! What users do every day.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use serde_json::json;
use system_tests::bin_dir;
use system_tests::kube::{Kube, http, possible_for_real, service_of, web};

use crate::{cluster_ips, distinct};

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

#[test]
fn ipv6_is_enough() {
    if !possible_for_real() {
        return;
    }
    let kube = Kube::up(&["--nodes", "1", "--families", "ipv6"]);
    kube.apply(&[
        web("web", 2),
        web("client", 1),
        service_of("web", "web", &json!({"ipFamilyPolicy": "SingleStack"})),
    ]);
    for name in ["web", "client"] {
        kube.rollout("default", &format!("deployment/{name}"));
    }
    let client = kube.ready("app=client").remove(0);
    assert!(client.addresses.iter().all(IpAddr::is_ipv6) && client.addresses.len() == 1, "{client:?}");
    for name in ["web:80", "web.default.svc.cluster.local:80", "kubernetes:443"] {
        let connect = ["exec", &client.name, "--", "/agnhost", "connect", "--timeout=2s", name];
        kube.until(name, || kube.run(&connect).status.success());
    }
    let deny = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    });
    kube.apply(&[deny]);
    let connect = ["exec", &client.name, "--", "/agnhost", "connect", "--timeout=2s", "web:80"];
    kube.until("the policy to deny", || {
        String::from_utf8_lossy(&kube.run(&connect).stderr).contains("TIMEOUT")
    });
    assert_eq!(kube.ready("app=web").len(), 2, "the kubelet's probes go on");
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
