//! The real `kubectl` against the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use apiserver::{DeleteOptions, Gvr, Patch};
use common::{Cluster, definition, deployment, has_kubectl, link, pod};
use serde_json::{Value, json};

macro_rules! cluster {
    () => {{
        if !has_kubectl() {
            return;
        }
        Cluster::start().await
    }};
}

type Test = tokio::task::JoinHandle<String>;

/// Starts kubectl and gives it time to get going.
async fn background(cluster: &Cluster, args: &[&str]) -> Test {
    let mut command = cluster.command(args);
    let running = tokio::task::spawn_blocking(move || {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_names_every_resource_and_explain_shows_its_schema() {
    let c = cluster!();
    let resources = c.kubectl(&["api-resources", "--no-headers"]).await;
    for kind in ["Pod", "NetworkPolicy", "EndpointSlice", "Lease", "Deployment", "CustomResourceDefinition"] {
        assert!(resources.lines().any(|l| l.ends_with(&format!(" {kind}"))), "{kind}\n{resources}");
    }
    assert!(c.kubectl(&["api-versions"]).await.contains("discovery.k8s.io/v1\n"));
    assert!(
        c.kubectl(&["explain", "pod.spec.containers.ports"])
            .await
            .contains("containerPort\t<integer> -required-")
    );
    assert!(c.kubectl(&["explain", "networkpolicy.spec"]).await.contains("podSelector"));
    // The older form, for clients that do not ask for the aggregated one.
    let apps: Value = serde_json::from_str(&c.kubectl(&["get", "--raw", "/apis/apps/v1"]).await).unwrap();
    let names: Vec<&str> =
        apps["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"deployments") && names.contains(&"deployments/scale"), "{names:?}");
    assert!(c.kubectl(&["version"]).await.contains("Server Version: v1.34"));
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_creates_then_merges_three_ways() {
    let c = cluster!();
    assert_eq!(c.apply(&deployment("web", 2, "example/a:1")).await, "deployment.apps/web created\n");
    assert_eq!(c.apply(&deployment("web", 2, "example/a:1")).await, "deployment.apps/web unchanged\n");
    // Somebody else's change stays when the manifest does not speak of it.
    c.kubectl(&["set", "env", "deploy/web", "-c", "b", "OTHER=1"]).await;
    let mut changed = deployment("web", 3, "example/a:2");
    changed["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "Y", "value": "3"}]);
    assert_eq!(c.apply(&changed).await, "deployment.apps/web configured\n");
    let now = c.json(&["get", "deploy", "web"]).await;
    let containers = &now["spec"]["template"]["spec"]["containers"];
    assert_eq!(now["spec"]["replicas"], 3);
    assert_eq!(now["metadata"]["generation"], 3);
    assert_eq!(containers[0]["image"], "example/a:2");
    assert_eq!(containers[0]["env"], json!([{"name": "Y", "value": "3"}]), "X was applied and is gone");
    assert_eq!(containers[1]["env"], json!([{"name": "OTHER", "value": "1"}]));
    // A container that is taken out of the manifest goes, in one order and the other.
    let containers = changed["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers.remove(0);
    containers.insert(0, json!({"name": "z", "image": "example/z:1"}));
    c.apply(&changed).await;
    let names = c.kubectl(&["get", "deploy", "web", "-o", "jsonpath={..containers[*].name}"]).await;
    assert_eq!(names, "z b");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_refuses_what_the_schema_does_not_know() {
    let c = cluster!();
    let mut wrong = pod("p");
    wrong["spec"]["containers"][0]["imagee"] = json!("x");
    let error = c.kubectl_fails(&["apply", "-f", "-"], &wrong.to_string()).await;
    assert!(error.contains("unknown field \"spec.containers[0].imagee\""), "{error}");
    let warned = c.run(&["apply", "--validate=warn", "-f", "-"], &wrong.to_string()).await;
    assert!(warned.status.success());
    assert!(String::from_utf8_lossy(&warned.stderr).contains("Warning: unknown field"));
    let mut empty = pod("q");
    empty["spec"]["containers"] = json!([]);
    let error = c.kubectl_fails(&["create", "-f", "-"], &empty.to_string()).await;
    assert!(error.contains("The Pod \"q\" is invalid: spec.containers: Required value"), "{error}");
    let mut typed = pod("r");
    typed["spec"]["containers"][0]["ports"][0]["containerPort"] = json!("eighty");
    let error = c.kubectl_fails(&["create", "-f", "-"], &typed.to_string()).await;
    assert!(error.contains("cannot be handled as a Pod"), "{error}");
    let error = c.kubectl_fails(&["create", "namespace", "Not_A_Name"], "").await;
    assert!(error.contains("a lowercase RFC 1123 label must consist of"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_tracks_owners_and_reports_conflicts() {
    let c = cluster!();
    let apply = |manager: &'static str, force: bool| {
        let mut args = vec!["apply", "--server-side", "--field-manager", manager, "-f", "-"];
        if force {
            args.push("--force-conflicts");
        }
        args
    };
    let map = |data: Value| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": data})
            .to_string()
    };
    let said = c.kubectl_with(&apply("one", false), &map(json!({"a": "1", "b": "1"}))).await;
    assert_eq!(said, "configmap/m serverside-applied\n");
    c.kubectl_with(&apply("two", false), &map(json!({"c": "2"}))).await;
    let error = c.kubectl_fails(&apply("two", false), &map(json!({"a": "2", "c": "2"}))).await;
    assert!(error.contains("conflict with \"one\": .data.a"), "{error}");
    c.kubectl_with(&apply("two", true), &map(json!({"a": "2", "c": "2"}))).await;
    // One no longer owns `a`, and gives up `b`.
    c.kubectl_with(&apply("one", false), &map(json!({"d": "1"}))).await;
    let data = c.json(&["get", "cm", "m"]).await["data"].clone();
    assert_eq!(data, json!({"a": "2", "c": "2", "d": "1"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_tables_wide_ones_and_objects() {
    let c = cluster!();
    let nodes = Gvr::core("nodes");
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        },
    });
    c.handle.create(nodes, "", &node).unwrap();
    let wide = c.kubectl(&["get", "nodes", "-o", "wide"]).await;
    let header: Vec<&str> =
        wide.lines().next().unwrap().split("  ").map(str::trim).filter(|s| !s.is_empty()).collect();
    assert_eq!(
        header,
        [
            "NAME",
            "STATUS",
            "ROLES",
            "AGE",
            "VERSION",
            "INTERNAL-IP",
            "EXTERNAL-IP",
            "OS-IMAGE",
            "KERNEL-VERSION",
            "CONTAINER-RUNTIME"
        ]
    );
    assert!(wide.contains("n1     Ready    worker"), "{wide}");
    assert!(wide.contains("192.0.2.1"));
    c.apply(&pod("p")).await;
    c.handle.bind("default", "p", "n1").unwrap();
    let status = json!({"status": {
        "phase": "Running", "podIPs": [{"ip": "10.1.0.2"}, {"ip": "fd00:1::2"}], "podIP": "10.1.0.2",
        "containerStatuses": [{"name": "c", "ready": true, "restartCount": 1, "image": "example/c:1", "imageID": "",
            "state": {"running": {}}}],
    }});
    let _: Value = c.handle.patch_status(Gvr::core("pods"), "default", "p", &Patch::Merge(status)).unwrap();
    let wide = c.kubectl(&["get", "pods", "-o", "wide", "--no-headers"]).await;
    let cells: Vec<&str> = wide.split_whitespace().collect();
    assert_eq!(cells[..4], ["p", "1/1", "Running", "1"]);
    assert_eq!(cells[5..], ["10.1.0.2", "n1", "<none>", "<none>"]);
    assert_eq!(c.kubectl(&["get", "pod", "p", "-o", "name"]).await, "pod/p\n");
    assert!(c.kubectl(&["get", "pods", "-A", "-o", "yaml"]).await.contains("kind: List"));
    let by_node = c.kubectl(&["get", "pods", "--field-selector", "spec.nodeName=n1", "-o", "name"]).await;
    assert_eq!(by_node, "pod/p\n");
    assert!(c.kubectl(&["get", "pods", "--show-labels"]).await.contains("app=p"));
    assert!(c.kubectl(&["get", "pods", "--sort-by", ".metadata.name"]).await.contains("p "));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_watch_prints_a_row_for_every_change() {
    let c = cluster!();
    c.apply(&pod("p")).await;
    let watch = background(&c, &["get", "pods", "-w", "--no-headers", "--request-timeout=3s"]).await;
    c.kubectl(&["delete", "pod", "p"]).await;
    c.apply(&pod("q")).await;
    let rows = watch.await.unwrap();
    let names: Vec<&str> = rows.lines().map(|l| l.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["p", "p", "q"], "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_waits_for_grace_finalizers_and_force() {
    let c = cluster!();
    let pods = Gvr::core("pods");
    c.apply(&pod("p")).await;
    c.handle.bind("default", "p", "n1").unwrap();
    // A pod on a node waits for its kubelet …
    c.kubectl(&["delete", "pod", "p", "--wait=false"]).await;
    let marked: Value = c.handle.get(pods, "default", "p").unwrap();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(c.kubectl(&["get", "pods"]).await.contains("Terminating"));
    let waiting = background(&c, &["delete", "pod", "p"]).await;
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    c.handle.delete(pods, "default", "p", &now).unwrap();
    assert!(waiting.await.unwrap().starts_with("pod \"p\" deleted"));
    // … unless forced.
    c.apply(&pod("q")).await;
    c.handle.bind("default", "q", "n1").unwrap();
    c.kubectl(&["delete", "pod", "q", "--force"]).await;
    assert!(c.handle.get::<Value>(pods, "default", "q").unwrap_err().is_not_found());
    // Finalizers hold anything.
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": "default", "finalizers": ["example.io/hold"]},
    });
    c.apply(&held).await;
    c.kubectl(&["delete", "cm", "held", "--wait=false"]).await;
    c.kubectl(&["get", "cm", "held"]).await;
    c.kubectl(&[
        "patch",
        "cm",
        "held",
        "-p",
        r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.io/hold"]}}"#,
    ])
    .await;
    assert!(c.kubectl_fails(&["get", "cm", "held"], "").await.contains("(NotFound)"));
    // All of a kind, and what a selector names.
    for name in ["a", "b", "d"] {
        c.apply(&pod(name)).await;
    }
    c.kubectl(&["delete", "pods", "-l", "app in (a,b)"]).await;
    assert_eq!(c.kubectl(&["get", "pods", "-o", "name"]).await, "pod/d\n");
    c.kubectl(&["delete", "pods", "--all"]).await;
    assert_eq!(c.kubectl(&["get", "pods", "-o", "name"]).await, "");
    assert!(c.kubectl_fails(&["delete", "pod", "none"], "").await.contains("pods \"none\" not found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_annotations_and_patches_of_three_kinds_change_objects() {
    let c = cluster!();
    c.apply(&deployment("web", 1, "example/a:1")).await;
    c.kubectl(&["label", "deploy", "web", "tier=front"]).await;
    let refused = c.kubectl_fails(&["label", "deploy", "web", "tier=back"], "").await;
    assert!(refused.contains("--overwrite"));
    c.kubectl(&["label", "deploy", "web", "tier=back", "--overwrite"]).await;
    c.kubectl(&["annotate", "deploy", "web", "example.io/note=hello"]).await;
    c.kubectl(&[
        "patch",
        "deploy",
        "web",
        "-p",
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"b","image":"example/b:2"}]}}}}"#,
    ])
    .await;
    c.kubectl(&[
        "patch",
        "deploy",
        "web",
        "--type",
        "merge",
        "-p",
        r#"{"spec":{"replicas":4},"metadata":{"labels":{"tier":null}}}"#,
    ])
    .await;
    c.kubectl(&[
        "patch", "deploy", "web", "--type", "json", "-p",
        r#"[{"op":"test","path":"/spec/replicas","value":4},{"op":"replace","path":"/spec/replicas","value":5}]"#,
    ])
    .await;
    let now = c.json(&["get", "deploy", "web"]).await;
    let images: Vec<&str> = now["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["image"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["example/a:1", "example/b:2"]);
    assert_eq!(now["spec"]["replicas"], 5);
    assert_eq!(now["metadata"]["labels"], Value::Null);
    assert_eq!(now["metadata"]["annotations"]["example.io/note"], "hello");
    let failed = c
        .kubectl_fails(
            &["patch", "deploy", "web", "--type", "json", "-p", r#"[{"op":"remove","path":"/spec/none"}]"#],
            "",
        )
        .await;
    assert!(failed.contains("rejected our request"), "{failed}");
    c.kubectl(&["scale", "deploy", "web", "--replicas", "7"]).await;
    c.kubectl(&["scale", "deploy", "web", "--current-replicas", "7", "--replicas", "8"]).await;
    assert_eq!(c.kubectl(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]).await, "8");
    let error = c
        .kubectl_fails(
            &["patch", "deploy", "web", "-p", r#"{"spec":{"selector":{"matchLabels":{"app":"x"}}}}"#],
            "",
        )
        .await;
    assert!(error.contains("field is immutable"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_sees_conditions_deletion_and_json_paths() {
    let c = cluster!();
    let pods = Gvr::core("pods");
    c.apply(&pod("p")).await;
    let ready = background(&c, &["wait", "--for=condition=Ready", "pod/p", "--timeout=10s"]).await;
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let _: Value = c.handle.patch_status(pods, "default", "p", &Patch::Strategic(status)).unwrap();
    assert_eq!(ready.await.unwrap(), "pod/p condition met\n");
    c.kubectl(&["wait", "--for=jsonpath={.status.phase}=Running", "pod/p", "--timeout=10s"]).await;
    let gone = background(&c, &["wait", "--for=delete", "pod/p", "--timeout=10s"]).await;
    c.handle.delete(pods, "default", "p", &DeleteOptions::default()).unwrap();
    gone.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_and_events_tell_what_is_known() {
    let c = cluster!();
    c.apply(&pod("p")).await;
    let uid = c.kubectl(&["get", "pod", "p", "-o", "jsonpath={.metadata.uid}"]).await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "p.1", "namespace": "default"},
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p", "uid": uid, "apiVersion": "v1"},
        "reason": "Wired", "note": "the pod has a port", "type": "Normal", "action": "Wire",
        "reportingController": "example.io/agent", "reportingInstance": "n1",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    });
    c.handle.create(Gvr::new("events.k8s.io", "v1", "events"), "default", &event).unwrap();
    let described = c.kubectl(&["describe", "pod", "p"]).await;
    assert!(described.contains("Wired") && described.contains("the pod has a port"), "{described}");
    assert!(described.contains("Port:         80/TCP"), "{described}");
    let events = c.kubectl(&["get", "events"]).await;
    assert!(events.contains("Normal   Wired    pod/p    the pod has a port"), "{events}");
    assert!(c.kubectl(&["get", "events.v1.events.k8s.io"]).await.contains("pod/p"));
    assert!(c.kubectl(&["events", "--for", "pod/p"]).await.contains("Wired"));
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"},
        "spec": {"selector": {"app": "p"}, "ports": [{"port": 80, "name": "web"}], "clusterIP": "10.96.0.1"},
    });
    c.apply(&service).await;
    assert!(c.kubectl(&["describe", "svc", "s"]).await.contains("TargetPort:               80/TCP"));
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "np", "namespace": "default"},
        "spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}]},
    });
    c.apply(&policy).await;
    let described = c.kubectl(&["describe", "netpol", "np"]).await;
    assert!(described.contains("Policy Types: Ingress, Egress"), "{described}");
    c.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})).await;
    assert!(c.kubectl(&["describe", "node", "n1"]).await.contains("Non-terminated Pods:"));
    assert!(c.kubectl(&["describe", "ns", "default"]).await.contains("Active"));
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_take_their_contents_with_them() {
    let c = cluster!();
    c.kubectl(&["create", "namespace", "shop"]).await;
    let mut inside = pod("p");
    inside["metadata"]["namespace"] = json!("shop");
    c.apply(&inside).await;
    c.kubectl(&["create", "cm", "m", "-n", "shop", "--from-literal=a=b"]).await;
    c.handle.bind("shop", "p", "n1").unwrap();
    c.kubectl(&["delete", "ns", "shop", "--wait=false"]).await;
    assert!(c.kubectl(&["get", "ns", "shop"]).await.contains("Terminating"));
    assert!(c.kubectl(&["get", "cm", "-n", "shop", "-o", "name"]).await.is_empty());
    let error = c.kubectl_fails(&["create", "cm", "n", "-n", "shop"], "").await;
    assert!(error.contains("because it is being terminated"), "{error}");
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    c.handle.delete(Gvr::core("pods"), "shop", "p", &now).unwrap();
    assert!(c.kubectl_fails(&["get", "ns", "shop"], "").await.contains("NotFound"));
    let error = c.kubectl_fails(&["create", "cm", "n", "-n", "shop"], "").await;
    assert!(error.contains("namespaces \"shop\" not found"), "{error}");
    assert!(c.kubectl_fails(&["delete", "ns", "default"], "").await.contains("may not be deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_are_validated_defaulted_pruned_and_printed() {
    let c = cluster!();
    c.apply(&definition()).await;
    c.kubectl(&["wait", "--for=condition=Established", "crd/links.example.io", "--timeout=5s"]).await;
    assert_eq!(c.apply(&link("a", &["10.0.0.0/24", "fd00::/64"])).await, "link.example.io/a created\n");
    assert_eq!(c.apply(&link("a", &["10.0.0.0/24", "fd00::/64"])).await, "link.example.io/a unchanged\n");
    assert_eq!(c.kubectl(&["get", "ln", "a", "-o", "jsonpath={.spec.mtu}"]).await, "1450");
    let table = c.kubectl(&["get", "links"]).await;
    assert!(table.starts_with("NAME   CIDR          READY   AGE\na      10.0.0.0/24 "), "{table}");
    assert!(c.kubectl(&["get", "links", "-o", "wide"]).await.contains("REPLICAS"));
    assert!(c.kubectl(&["get", "nets"]).await.contains("10.0.0.0/24"));
    assert!(c.kubectl(&["explain", "link.spec.mtu"]).await.contains("FIELD: mtu <integer>"));

    let refused = |change: Value| {
        let mut object = link("b", &["10.0.0.0/24"]);
        for (key, value) in change.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        let c = &c;
        async move { c.kubectl_fails(&["apply", "-f", "-"], &object.to_string()).await }
    };
    let cases = [
        (
            json!({"overlay": "ipip"}),
            "spec.overlay: Unsupported value: \"ipip\": supported values: \"vxlan\", \"gre\"",
        ),
        (
            json!({"mtu": 100}),
            "spec.mtu: Invalid value: 100: spec.mtu in body should be greater than or equal to 576",
        ),
        (
            json!({"mtu": "big"}),
            "spec.mtu: Invalid value: \"string\": spec.mtu in body must be of type integer: \"string\"",
        ),
        (
            json!({"host": "UP"}),
            "spec.host: Invalid value: \"UP\": spec.host in body should match '^[a-z]+$'",
        ),
        (json!({"host": "abcdef"}), "spec.host: Too long: may not be more than 5 bytes"),
        (
            json!({"cidrs": []}),
            "spec.cidrs: Invalid value: 0: spec.cidrs in body should have at least 1 items",
        ),
        (json!({"cidrs": ["a", "b", "c"]}), "spec.cidrs: Too many: 3: must have at most 2 items"),
        (json!({"cidrs": ["10.0.0.0/33"]}), "spec.cidrs[0]: Invalid value: \"10.0.0.0/33\": must be a CIDR"),
        (json!({"cidrs": ["10.0.0.0/8", "10.0.0.0/8"]}), "spec.cidrs[1]: Duplicate value: \"10.0.0.0/8\""),
        (
            json!({"cidrs": ["10.0.0.0/8", "11.0.0.0/8"]}),
            "spec: Invalid value: \"object\": both CIDRs are of family 4",
        ),
        (json!({"cidrs": null}), "spec.cidrs: Required value"),
        (
            json!({"ports": [{"name": "x"}, {"name": "x"}]}),
            "spec.ports[1]: Duplicate value: {\"name\":\"x\"}",
        ),
        (json!({"ports": [{"name": "x", "port": true}]}), "must be of type integer,string: \"boolean\""),
        (json!({"unheard": 1}), "unknown field \"spec.unheard\""),
    ];
    for (change, message) in cases {
        let error = refused(change).await;
        assert!(error.contains(message), "expected {message}\ngot {error}");
    }
    let error = c
        .kubectl_fails(&["patch", "link", "a", "--type=merge", "-p", r#"{"spec":{"overlay":"gre"}}"#], "")
        .await;
    assert!(
        error.contains("The Link \"a\" is invalid: spec: Invalid value: \"object\": overlay is immutable"),
        "{error}"
    );
    let error = c.kubectl_fails(&["patch", "link", "a", "--type=strategic", "-p", "{}"], "").await;
    assert!(error.contains("application/json-patch+json"), "{error}");
    c.kubectl(&[
        "patch",
        "link",
        "a",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]},"spec":{"mtu":600}}"#,
    ])
    .await;
    let object = c.json(&["get", "link", "a"]).await;
    assert_eq!((&object["spec"]["mtu"], &object["metadata"]["generation"]), (&json!(1450), &json!(1)));
    assert!(c.kubectl(&["get", "links"]).await.contains("True"));
    c.kubectl(&["scale", "link", "a", "--replicas=3"]).await;
    assert_eq!(
        c.kubectl(&["get", "link", "a", "-o", "jsonpath={.spec.replicas}/{.metadata.generation}"]).await,
        "3/2"
    );
    c.kubectl(&["delete", "crd", "links.example.io"]).await;

    let error = c.kubectl_fails(&["get", "links"], "").await;
    assert!(error.contains("could not find the requested resource"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_edit_like_updates_and_dry_runs_follow_the_version() {
    let c = cluster!();
    c.apply(&pod("p")).await;
    assert!(c.kubectl_with(&["diff", "-f", "-"], &pod("p").to_string()).await.is_empty());
    let mut stale = c.json(&["get", "pod", "p"]).await;
    c.kubectl(&["label", "pod", "p", "x=1"]).await;
    stale["metadata"]["labels"]["y"] = json!("2");
    let error = c.kubectl_fails(&["replace", "-f", "-"], &stale.to_string()).await;
    assert!(
        error.contains("the object has been modified; please apply your changes to the latest version"),
        "{error}"
    );
    stale["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    c.kubectl_with(&["replace", "-f", "-"], &stale.to_string()).await;
    assert_eq!(c.json(&["get", "pod", "p"]).await["metadata"]["labels"], json!({"app": "p", "y": "2"}));
    let before = c.kubectl(&["get", "pod", "p", "-o", "jsonpath={.metadata.resourceVersion}"]).await;
    c.kubectl(&["label", "pod", "p", "z=1", "--dry-run=server"]).await;
    c.kubectl(&["delete", "pod", "p", "--dry-run=server"]).await;
    let after = c.kubectl(&["get", "pod", "p", "-o", "jsonpath={.metadata.resourceVersion}"]).await;
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_cordoned_and_drained() {
    let c = cluster!();
    c.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})).await;
    c.kubectl(&["cordon", "n1"]).await;
    assert!(c.kubectl(&["get", "nodes"]).await.contains("SchedulingDisabled"));
    c.apply(&pod("p")).await;
    c.handle.bind("default", "p", "n1").unwrap();
    let drain = background(&c, &["drain", "n1", "--force", "--grace-period=1"]).await;
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    assert!(c.kubectl(&["get", "pod", "p"]).await.contains("Terminating"));
    c.handle.delete(Gvr::core("pods"), "default", "p", &now).unwrap();
    assert!(drain.await.unwrap().contains("node/n1 drained"));
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_take_their_dependents_along_unless_told_not_to() {
    let c = cluster!();
    let uid = |name: &'static str| {
        let c = &c;
        async move { c.kubectl(&["get", "deploy", name, "-o", "jsonpath={.metadata.uid}"]).await }
    };
    for (name, cascade) in [("bg", "background"), ("fg", "foreground"), ("or", "orphan")] {
        c.apply(&deployment(name, 1, "example/a:1")).await;
        let mut child = pod(&format!("{name}-child"));
        child["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid(name).await,
            "controller": true, "blockOwnerDeletion": true,
        }]);
        c.apply(&child).await;
        c.kubectl(&["delete", "deploy", name, &format!("--cascade={cascade}")]).await;
    }
    assert_eq!(c.kubectl(&["get", "deploy,pods", "-o", "name"]).await, "pod/or-child\n");
    let orphan = c.json(&["get", "pod", "or-child"]).await;
    assert_eq!(orphan["metadata"]["ownerReferences"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_come_in_chunks() {
    let c = cluster!();
    for i in 0..23 {
        c.handle.create(Gvr::core("pods"), "default", &pod(&format!("p{i:02}"))).unwrap();
    }
    let all = c.kubectl(&["get", "pods", "--chunk-size=5", "-o", "name"]).await;
    assert_eq!(all.lines().count(), 23);
}

#[tokio::test(flavor = "multi_thread")]
async fn create_makes_every_kind_it_sends_as_protobuf() {
    let c = cluster!();
    for command in [
        "create namespace shop",
        "create configmap m --from-literal=a=b",
        "create secret generic s --from-literal=p=q",
        "create deployment d --image=x:1 --replicas=0 --port=80",
        "create service clusterip cip --tcp=80:8080",
        "create service nodeport np --tcp=80",
        "create serviceaccount acc",
        "create role r --verb=get --resource=pods",
        "create rolebinding rb --role=r --serviceaccount=default:acc",
        "create clusterrole cr --verb=get --resource=nodes",
        "create clusterrolebinding crb --clusterrole=cr --user=me",
        "create priorityclass pc --value=5",
        "create poddisruptionbudget pdb --selector=a=b --min-available=1",
        "run p --image=x:1 --port=80",
        "expose pod p --port=80 --name=exposed",
        "set image deployment/d x=x:2",
        "rollout restart deployment/d",
    ] {
        let args: Vec<&str> = command.split(' ').collect();
        c.kubectl(&args).await;
    }
    let path = |path: &'static str| {
        let c = &c;
        async move {
            let (object, path) = path.split_once(' ').unwrap();
            c.kubectl(&["get", object, "-o", &format!("jsonpath={path}")]).await
        }
    };
    assert_eq!(path("cm/m {.data.a}").await, "b");
    assert_eq!(path("secret/s {.data.p}").await, "cQ==");
    assert_eq!(path("deploy/d {.spec.replicas}{..containers[0].ports[0].containerPort}").await, "080");
    assert_eq!(path("svc/cip {.spec.ports[0].targetPort}{.spec.selector.app}").await, "8080cip");
    assert_eq!(path("svc/np {.spec.type}").await, "NodePort");
    assert_eq!(path("pdb/pdb {.spec.minAvailable}{.spec.selector.matchLabels.a}").await, "1b");
    assert_eq!(path("pc/pc {.value}").await, "5");
    assert_eq!(path("rolebinding/rb {.roleRef.name}{.subjects[0].name}").await, "racc");
    let error = c.kubectl_fails(&["logs", "p"], "").await;
    assert!(error.contains("this server runs no containers"), "{error}");
}
