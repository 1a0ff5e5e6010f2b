use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Error, merge};

fn deployment(original: &Value, patch: &Value) -> Value {
    merge(original, patch, "Deployment").unwrap()
}

fn with_containers(containers: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

fn containers(merged: &Value) -> &Value {
    merged.pointer("/spec/template/spec/containers").unwrap()
}

#[test]
fn containers_are_merged_by_name_and_new_ones_follow_the_patch() {
    let original = with_containers(&json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]));
    let patch = with_containers(&json!([{"name": "b", "image": "2"}, {"name": "c", "image": "1"}]));
    let merged = deployment(&original, &patch);
    let expected =
        json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "1"}]);
    assert_eq!(*containers(&merged), expected);
}

#[test]
fn environment_and_ports_are_merged_inside_their_container() {
    let original = with_containers(&json!([{
        "name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "command": ["x", "y"],
    }]));
    let patch = with_containers(&json!([{
        "name": "a", "env": [{"name": "Y", "value": "2"}, {"$patch": "delete", "name": "X"}],
        "ports": [{"containerPort": 81}], "command": ["z"],
    }]));
    let expected = json!([{
        "name": "a", "env": [{"name": "Y", "value": "2"}],
        "ports": [{"containerPort": 81}, {"containerPort": 80, "protocol": "TCP"}], "command": ["z"],
    }]);
    let mut merged = containers(&deployment(&original, &patch)).clone();
    // The order of ports that nobody ordered does not matter.
    let ports = merged.pointer_mut("/0/ports").and_then(Value::as_array_mut).unwrap();
    ports.sort_by_key(|p| std::cmp::Reverse(p.get("containerPort").and_then(Value::as_i64)));
    assert_eq!(merged, expected);
}

#[test]
fn replace_directives_replace_lists_and_maps() {
    let original = with_containers(&json!([{"name": "a"}, {"name": "b"}]));
    let patch = with_containers(&json!([{"$patch": "replace"}, {"name": "c"}]));
    assert_eq!(*containers(&deployment(&original, &patch)), json!([{"name": "c"}]));
    let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
    let replace = json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}});
    assert_eq!(deployment(&original, &replace), json!({"metadata": {"labels": {"c": "3"}}}));
    let delete = json!({"metadata": {"labels": {"$patch": "delete"}}});
    assert_eq!(deployment(&original, &delete), json!({"metadata": {"labels": {}}}));
}

#[test]
fn set_element_order_orders_what_it_names_and_leaves_the_rest_in_place() {
    let original = with_containers(&json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
    let mut patch = with_containers(&json!([{"name": "d"}]));
    patch["spec"]["template"]["spec"]["$setElementOrder/containers"] =
        json!([{"name": "c"}, {"name": "d"}, {"name": "a"}]);
    let merged = deployment(&original, &patch);
    let names: Vec<&str> =
        containers(&merged).as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["b", "c", "d", "a"]);
}

#[test]
fn sets_are_united_and_elements_deleted_from_them() {
    let original = json!({"metadata": {"finalizers": ["a", "b"]}});
    let add = json!({"metadata": {"finalizers": ["c", "a"]}});
    let mut merged = deployment(&original, &add);
    merged["metadata"]["finalizers"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(merged, json!({"metadata": {"finalizers": ["a", "b", "c"]}}));
    let delete = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}});
    assert_eq!(deployment(&original, &delete), json!({"metadata": {"finalizers": ["b"]}}));
}

#[test]
fn retain_keys_clears_the_other_members_of_a_union() {
    let original = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(deployment(&original, &patch), json!({"spec": {"strategy": {"type": "Recreate"}}}));
    let wrong = json!({"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}});
    assert_eq!(merge(&original, &wrong, "Deployment"), Err(Error::NotRetained("spec.strategy".to_owned())));
}

#[test]
fn conditions_are_merged_by_type_and_service_ports_by_port() {
    let original =
        json!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}]}});
    let patch = json!({"status": {"conditions": [{"type": "A", "status": "False"}]}});
    let expected = json!([{"type": "A", "status": "False"}, {"type": "B", "status": "True"}]);
    assert_eq!(merge(&original, &patch, "Node").unwrap()["status"]["conditions"], expected);
    let original = json!({"spec": {"ports": [{"port": 80, "nodePort": 30000}]}});
    let patch = json!({"spec": {"ports": [{"port": 80, "name": "web"}]}});
    let merged = merge(&original, &patch, "Service").unwrap();
    assert_eq!(merged, json!({"spec": {"ports": [{"port": 80, "nodePort": 30000, "name": "web"}]}}));
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    let original = json!({"spec": {"ingress": [{"from": []}], "policyTypes": ["Ingress"]}});
    let patch = json!({"spec": {"ingress": [{"ports": [{"port": 80}]}]}});
    let expected = json!({"spec": {"ingress": [{"ports": [{"port": 80}]}], "policyTypes": ["Ingress"]}});
    assert_eq!(merge(&original, &patch, "NetworkPolicy").unwrap(), expected);
}

#[test]
fn malformed_patches_are_refused() {
    let original = with_containers(&json!([{"name": "a"}]));
    let nameless = with_containers(&json!([{"image": "x"}]));
    assert!(matches!(merge(&original, &nameless, "Deployment"), Err(Error::NoMergeKey(_, "name"))));
    let unknown = json!({"spec": {"$patch": "explode"}});
    assert!(matches!(merge(&original, &unknown, "Deployment"), Err(Error::UnknownDirective(..))));
    assert_eq!(merge(&original, &json!([]), "Deployment"), Err(Error::NotAnObject));
}

/// Objects without lists and directives.
fn plain() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3_i64).prop_map(Value::from)];
    leaf.prop_recursive(3, 20, 4, |inner| {
        proptest::collection::btree_map("[a-d]", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))
    })
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        other => other.clone(),
    }
}

fn object() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-d]", plain(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn pod(names: &[String], image: &str) -> Value {
    let containers: Vec<Value> = names.iter().map(|n| json!({"name": n, "image": image})).collect();
    json!({"spec": {"containers": containers}})
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[a-f]", 0..6)
        .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    /// Without lists and directives, the strategic merge is the JSON merge of RFC 7386.
    #[test]
    fn on_plain_objects_it_is_a_json_merge(original in object(), patch in object()) {
        let original = without_nulls(&original);
        let mut expected = original.clone();
        json_patch::merge(&mut expected, &patch);
        prop_assert_eq!(merge(&original, &patch, "Pod").unwrap(), expected);
    }

    /// RFC 7386: a patch applied twice is a patch applied once, and what it sets is there.
    #[test]
    fn a_json_merge_is_idempotent_and_has_no_nulls(original in object(), patch in object()) {
        let mut once = without_nulls(&original);
        json_patch::merge(&mut once, &patch);
        let mut twice = once.clone();
        json_patch::merge(&mut twice, &patch);
        prop_assert_eq!(&once, &twice);
        prop_assert_eq!(without_nulls(&once), once);
    }

    /// Every container of either side is there once; the patched ones are patched, in the patch's order.
    #[test]
    fn merged_lists_hold_both_sides_once(old in names(), new in names()) {
        let merged = merge(&pod(&old, "old"), &pod(&new, "new"), "Pod").unwrap();
        let list = merged["spec"]["containers"].as_array().unwrap().clone();
        let have: Vec<&str> = list.iter().map(|c| c["name"].as_str().unwrap()).collect();
        let mut all: Vec<&str> = old.iter().chain(&new).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        let mut sorted = have.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, all);
        for container in &list {
            let patched = new.iter().any(|n| container["name"] == **n);
            prop_assert_eq!(container["image"] == "new", patched);
        }
        let order = |wanted: &[String]| -> Vec<String> {
            have.iter().filter(|n| wanted.iter().any(|w| w == *n)).map(|n| (*n).to_owned()).collect()
        };
        prop_assert_eq!(order(&new), new.clone());
        let untouched: Vec<String> = old.iter().filter(|o| !new.contains(o)).cloned().collect();
        prop_assert_eq!(order(&untouched), untouched);
    }

    #[test]
    fn deleting_what_was_added_leaves_the_rest(old in names(), gone in names()) {
        let deletions: Vec<Value> = gone.iter().map(|n| json!({"$patch": "delete", "name": n})).collect();
        let merged = merge(&pod(&old, "old"), &json!({"spec": {"containers": deletions}}), "Pod").unwrap();
        let left: Vec<String> = old.iter().filter(|o| !gone.contains(o)).cloned().collect();
        prop_assert_eq!(merged, pod(&left, "old"));
    }
}
