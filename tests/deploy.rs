//! What is deployed is what the programs are: the manifest made from the chart has the order, the CRD, the rights and the
//! environment that it should. That it is up to date with the chart, only helm can say: `scripts/manifest --check`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use system_tests::bin_dir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documents() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("deploy/k-vswitch.yaml")).unwrap();
    let parts = text.split("\n---\n").skip(1);
    parts.map(|part| serde_saphyr::from_str(part).unwrap()).collect()
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|object| object["kind"] == kind).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_others_need_comes_first_and_the_settings_before_everything() {
    let kinds: Vec<String> = documents().iter().map(|object| text(&object["kind"])).collect();
    let order = [
        "ConfigMap",
        "ServiceAccount",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "DaemonSet",
        "Deployment",
        "PodDisruptionBudget",
    ];
    let places: Vec<usize> = kinds.iter().map(|k| order.iter().position(|o| o == k).expect(k)).collect();
    assert!(places.is_sorted() && places[0] == 0, "{kinds:?}");
    let all = documents();
    assert_eq!(all[0]["metadata"]["name"], "k-vswitch");
    for key in ["clusterCIDR", "serviceCIDR", "overlayType"] {
        assert!(!text(&all[0]["data"][key]).is_empty(), "{key}");
    }
}

#[test]
fn the_definition_is_the_one_in_deploy() {
    let stored = std::fs::read_to_string(root().join("deploy/crds/kvswitch.io_vswitchconfigs.yaml")).unwrap();
    let stored: Value = serde_saphyr::from_str(&stored).unwrap();
    assert_eq!(of_kind(&documents(), "CustomResourceDefinition"), [&stored]);
}

/// (verb, resource) for each program.
type Rights = BTreeMap<String, BTreeSet<(String, String)>>;

#[test]
fn the_programs_have_the_rights_that_the_documents_list() {
    let all = documents();
    let mut granted = Rights::new();
    for role in all.iter().filter(|o| ["ClusterRole", "Role"].contains(&&*text(&o["kind"]))) {
        for rule in list(&role["rules"]) {
            for (group, resource) in
                list(&rule["apiGroups"]).flat_map(|g| list(&rule["resources"]).map(move |r| (g, r)))
            {
                let name = match (&*text(group), text(resource)) {
                    ("", resource) => resource,
                    (group, resource) => match resource.split_once('/') {
                        Some((kind, sub)) => format!("{kind}.{group}/{sub}"),
                        None => format!("{resource}.{group}"),
                    },
                };
                let of = granted.entry(text(&role["metadata"]["name"])).or_default();
                of.extend(list(&rule["verbs"]).map(|verb| (text(verb), name.clone())));
            }
        }
    }
    assert_eq!(granted, documented());
    // Every role is bound to the program of its name.
    let bindings = all.iter().filter(|o| text(&o["kind"]).ends_with("RoleBinding"));
    for binding in bindings {
        let name = &binding["metadata"]["name"];
        assert_eq!((name, name), (&binding["roleRef"]["name"], &binding["subjects"][0]["name"]));
        assert!(of_kind(&all, "ServiceAccount").iter().any(|account| account["metadata"]["name"] == *name));
    }
}

/// The table in docs/operations.md. Remarks are in brackets there.
fn documented() -> Rights {
    let text = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, section) = text.split_once("## What the programs may do in the API").unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).skip(2);
    let mut rights = Rights::new();
    let mut who = String::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if !cells[1].is_empty() {
            who = cells[1].trim_matches('`').to_owned();
        }
        for resource in cells[3].split(", ").map(|r| r.split(" (").next().unwrap_or(r).to_owned()) {
            let verbs = cells[2].split(", ").map(|verb| (verb.to_owned(), resource.clone()));
            rights.entry(who.clone()).or_default().extend(verbs);
        }
    }
    rights
}

/// Programs and the environment they get, with the settings in it.
fn environments() -> Vec<(String, BTreeMap<String, String>)> {
    let all = documents();
    let workloads = all.iter().filter(|o| ["DaemonSet", "Deployment"].contains(&&*text(&o["kind"])));
    workloads
        .flat_map(|workload| list(&workload["spec"]["template"]["spec"]["containers"]))
        .map(|container| {
            let environment = list(&container["env"]).map(|variable| {
                let from = &variable["valueFrom"];
                let value = match (&variable["value"], &from["configMapKeyRef"]) {
                    (Value::String(value), _) => value.clone(),
                    (_, Value::Object(key)) => {
                        text(all[0]["data"].get(text(&key["key"])).expect("a key of the ConfigMap"))
                    }
                    _ => {
                        assert!(from["fieldRef"].is_object(), "{variable}");
                        "from-the-pod".to_owned()
                    }
                };
                (text(&variable["name"]), value)
            });
            (text(&container["command"][0]), environment.collect())
        })
        .collect()
}

#[test]
fn the_programs_take_the_environment_with_what_is_empty_in_it() {
    let folder = bin_dir();
    if !folder.join("k-vswitchd").exists() {
        println!("SKIPPED: k-vswitchd is not built: run scripts/build, or set KVS_BIN_DIR");
        return;
    }
    let environments = environments();
    assert_eq!(environments.len(), 2);
    for (path, environment) in environments {
        assert!(environment.values().any(String::is_empty), "{path} is tried with empty variables");
        let program = folder.join(Path::new(&path).file_name().unwrap());
        let help = Command::new(&program).env_clear().arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for name in environment.keys() {
            assert!(help.contains(&format!("[env: {name}=")), "{path} knows no {name}: {help}");
        }
        // There is no service account here: that is what it gets as far as.
        let port = ["--health-addr", "127.0.0.1:0"];
        let mut command = Command::new(&program);
        command.env_clear().envs(&environment).args(port).stdin(Stdio::null());
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(said.contains("not inside a pod with a service account"), "{path}: {said}");
    }
}

/// Each path is of the container, on the host or not.
#[test]
fn containers_mount_what_there_is_and_may_write_nothing_else() {
    for workload in documents().iter().filter(|o| ["DaemonSet", "Deployment"].contains(&&*text(&o["kind"]))) {
        let pod = &workload["spec"]["template"]["spec"];
        let volumes: BTreeSet<String> = list(&pod["volumes"]).map(|volume| text(&volume["name"])).collect();
        for container in list(&pod["containers"]) {
            let mounted: BTreeSet<String> =
                list(&container["volumeMounts"]).map(|mount| text(&mount["name"])).collect();
            assert_eq!(mounted, volumes);
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"]["drop"][0], "ALL");
            assert!(security["privileged"].is_null());
        }
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    }
}

#[test]
fn there_is_one_version_and_one_name_of_the_image() {
    let chart = std::fs::read_to_string(root().join("deploy/helm/k-vswitch/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&version.into(), &version.into()));
    let script = std::fs::read_to_string(root().join("scripts/image")).unwrap();
    let name = "ghcr.io/k-vswitch/k-vswitch";
    assert!(script.contains(&format!("{name}:$version")));
    let manifest = std::fs::read_to_string(root().join("deploy/k-vswitch.yaml")).unwrap();
    assert_eq!(manifest.matches(&format!("image: {name}:{version}\n")).count(), 2);
}
