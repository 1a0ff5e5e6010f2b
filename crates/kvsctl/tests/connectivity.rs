//! Everything reaches everything in a lab, over both overlays and in every choice of address families.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout, unreachable_pub)]

mod support;

use serde_json::json;
use support::Lab;

/// As many pods as asked for, through a Deployment, each with a port in each protocol.
fn pods(count: usize) -> String {
    format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "web"}}, "spec": {{
            "replicas": {count}, "selector": {{"matchLabels": {{"app": "web"}}}},
            "template": {{"metadata": {{"labels": {{"app": "web"}}}}, "spec": {{"containers": [
                {{"name": "c", "image": "i", "ports": [
                    {{"name": "http", "containerPort": 80}},
                    {{"containerPort": 81, "protocol": "UDP"}},
                    {{"containerPort": 82, "protocol": "SCTP"}}]}}]}}}}}}}}"#
    )
}

const PROBES: [&str; 6] = ["--probe", "TCP/80", "--probe", "UDP/81", "--probe", "SCTP/82"];

fn matrix(more: &[&'static str]) -> Vec<&'static str> {
    [&["matrix"], &PROBES[..], more].concat()
}

/// Four pods on two nodes: pods and nodes to pods, pods to nodes, pods to the outside.
fn everything_connects(overlay: &str, families: &str, count: usize) {
    let lab = Lab::up(&["--nodes", "2", "--overlay", overlay, "--families", families]);
    lab.apply(&pods(4));
    lab.wait_for_pods(4);
    lab.all_connected(&matrix(&["--from-nodes"]), 6 * 4 * 3 * count);
    lab.all_connected(&["matrix", "--probe", "TCP/7", "--probe", "ICMP", "--to", "nodes"], 4 * 2 * 2 * count);
    lab.all_connected(
        &["matrix", "--probe", "TCP/80", "--probe", "UDP/81", "--to", "outside"],
        4 * 2 * count,
    );
    let interfaces =
        lab.ok(&["node-exec", "node-1", "--", "ovs-vsctl", "--columns=type", "list", "Interface"]);
    for (kind, there) in [("vxlan", overlay == "vxlan"), ("gre", overlay == "gre")] {
        let found = interfaces.lines().any(|line| line.ends_with(&format!(": {kind}")));
        assert_eq!(found, there, "{kind}: {interfaces}");
    }
}

#[test]
fn everything_reaches_everything_over_vxlan() {
    if support::possible() {
        everything_connects("vxlan", "ipv4,ipv6", 2);
    }
}

#[test]
fn everything_reaches_everything_over_gre() {
    if support::possible() {
        everything_connects("gre", "ipv4,ipv6", 2);
    }
}

#[test]
fn everything_reaches_everything_with_ipv4_alone() {
    if support::possible() {
        everything_connects("vxlan", "ipv4", 1);
    }
}

#[test]
fn everything_reaches_everything_with_ipv6_alone() {
    if support::possible() {
        everything_connects("gre", "ipv6", 1);
    }
}

#[test]
fn probes_tell_who_answered_and_what_did_not() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(
        r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": "node-1",
                "containers": [{"name": "c", "image": "i"}]}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}, "spec": {"nodeName": "node-2",
                "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "h"}, "spec": {"nodeName": "node-2",
                "hostNetwork": true,
                "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 9000}]}]}}]}"#,
    );
    lab.wait_for_pods(3);
    let probe = |from: &str, to: &str, more: &[&str]| {
        let fixed = ["probe", "--from", from, "--to", to, "--family", "ipv4", "--answers"];
        lab.results(&[&fixed[..], more].concat())
    };
    let result = &probe("default/a", "default/b", &["--probe", "TCP/80"])[0];
    assert_eq!(result["result"], "connected");
    let greeting: serde_json::Value = serde_json::from_str(result["answer"].as_str().unwrap()).unwrap();
    assert_eq!((&greeting["namespace"], &greeting["name"]), (&json!("default"), &json!("b")));
    assert!(greeting["client"].as_str().unwrap().starts_with("10.244.1."), "not masqueraded: {greeting}");

    let outside = &probe("default/a", "outside", &["--probe", "TCP/80"])[0];
    assert!(outside["answer"].as_str().unwrap().contains("172.30.0.11:"), "masqueraded: {outside}");
    let host = &probe("default/a", "default/h", &["--probe", "TCP/9000"])[0];
    assert!(host["answer"].as_str().unwrap().contains(r#""name":"h""#), "{host}");

    for refused in ["TCP/81", "UDP/81", "SCTP/81"] {
        assert_eq!(
            probe("default/a", "default/b", &["--probe", refused])[0]["result"],
            "refused",
            "{refused}"
        );
    }
    // An address on the wire that nobody has.
    let dropped = &probe("node:node-1", "172.30.0.77", &["--probe", "TCP/80", "--timeout", "300ms"])[0];
    assert_eq!(dropped["result"], "dropped");

    let plain = lab.json(&["probe", "--from", "default/a", "--to", "default/b", "--probe", "TCP/80"]);
    let keys: Vec<&String> = plain[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["family", "from", "latency_ms", "port", "protocol", "result", "to"]);
    assert_eq!(plain.as_array().unwrap().len(), 2, "one per family");

    for (arguments, reason) in [
        (["probe", "--from", "default/x", "--to", "default/b", "--probe", "TCP/80"], "no pod default/x"),
        (["probe", "--from", "default/a", "--to", "nonsense", "--probe", "TCP/80"], "SERVICE.NAMESPACE"),
        (["probe", "--from", "default/a", "--to", "s.default", "--probe", "TCP/80"], "no Service s"),
        (["probe", "--from", "default/a", "--to", "default/b", "--probe", "TCP/0"], "TCP/80"),
    ] {
        let said = lab.fails(&arguments);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_lab_uses_an_api_that_is_not_its_own() {
    if !support::possible() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let server = apiserver::Server::builder().build();
    runtime.spawn(async move { server.serve(listener).await });
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "mine",
        "clusters": [
            {"name": "other", "cluster": {"server": "http://127.0.0.1:1"}},
            {"name": "mine", "cluster": {"server": format!("http://{address}")}},
        ],
        "contexts": [{"name": "mine", "context": {"cluster": "mine", "user": "me"}}],
        "users": [{"name": "me", "user": {}}],
    });
    std::fs::write(config.path(), text.to_string()).unwrap();

    let lab = Lab::up(&["--nodes", "2", "--api", config.path().to_str().unwrap()]);
    lab.apply(&pods(4));
    lab.wait_for_pods(4);
    lab.all_connected(&["matrix", "--probe", "TCP/80"], 4 * 4 * 2);
    let written = std::fs::read_to_string(lab.ok(&["kubeconfig"]).trim()).unwrap();
    assert!(written.contains(&address.to_string()) && !written.contains("other"), "{written}");
    lab.ok(&["down"]);
    lab.assert_gone();
}

#[test]
fn sixteen_pods_are_probed_in_little_more_than_one_timeout() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods(16));
    lab.wait_for_pods(16);
    let begin = std::time::Instant::now();
    // Nobody serves port 83: refusals, and 16 * 16 * 2 * 2 probes in all.
    let results = lab.results(&["matrix", "--probe", "TCP/80", "--probe", "UDP/83", "--timeout", "5s"]);
    let elapsed = begin.elapsed();
    assert_eq!(results.len(), 1024);
    // Generous for a machine that does much else; one after the other they could take an hour.
    assert!(elapsed < std::time::Duration::from_secs(15), "{elapsed:?}");
    for result in &results {
        let expected = if result["protocol"] == "TCP" { "connected" } else { "refused" };
        assert_eq!(result["result"], expected, "{result}");
    }
}

#[test]
fn kubectl_sees_what_a_cluster_would_show() {
    if !support::possible() {
        return;
    }
    let lab = Lab::up(&["--nodes", "2"]);
    lab.apply(&pods(3));
    lab.apply(
        r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"type": "NodePort",
            "ipFamilyPolicy": "PreferDualStack", "selector": {"app": "web"},
            "ports": [{"port": 8080, "targetPort": "http"}]}}"#,
    );
    let Some(_) = lab.kubectl(&["rollout", "status", "deployment/web", "--timeout=30s"]) else {
        println!("SKIPPED: kubectl is not installed");
        return;
    };
    let get = |arguments: &[&str]| lab.kubectl(arguments).unwrap();
    let service =
        get(&["get", "service", "web", "-o", "jsonpath={.spec.clusterIPs} {.spec.ports[0].nodePort}"]);
    assert_eq!(service, r#"["10.96.0.17","fd00:10:96::10"] 30000"#);
    let slices = ["get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o"];
    let addresses = [&slices[..], &["jsonpath={.items[*].endpoints[*].addresses[0]}"]].concat();
    lab.wait("six endpoints", || get(&addresses).split_whitespace().count() == 6);
    let ports = get(&[&slices[..], &["jsonpath={.items[*].ports[*].port}"]].concat());
    assert_eq!(ports, "80 80", "the named port's number");

    get(&["scale", "deployment/web", "--replicas=5"]);
    get(&["rollout", "status", "deployment/web", "--timeout=30s"]);
    lab.wait_for_pods(5);
    get(&["set", "image", "deployment/web", "c=new"]);
    get(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    lab.wait("only new pods", || {
        get(&["get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}"]) == "new new new new new"
    });
    get(&["delete", "deployment", "web"]);
    lab.wait_for_pods(0);
    lab.wait("no endpoint", || get(&addresses).is_empty());
}
