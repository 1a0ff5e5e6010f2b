use serde_json::{Value, json};

use super::{EndpointSlices, NetworkPolicies, Nodes, Pods, Services, Strategy, Workloads, names};
use crate::status::Errors;

fn problems(strategy: &dyn Strategy, object: &Value) -> Vec<String> {
    let mut object = object.clone();
    strategy.default(&mut object);
    let mut errors = Errors::default();
    strategy.validate(&object, &mut errors);
    errors.0.iter().map(ToString::to_string).collect()
}

fn defaulted(strategy: &dyn Strategy, mut object: Value) -> Value {
    strategy.default(&mut object);
    object
}

#[test]
fn names_follow_the_rfcs() {
    for good in ["a", "a-b", "0a", &"x".repeat(63)] {
        assert_eq!(names::label(good), None, "{good}");
    }
    for bad in ["", "A", "-a", "a-", "a.b", "a_b", &"x".repeat(64)] {
        assert!(names::label(bad).is_some(), "{bad}");
    }
    assert_eq!(names::subdomain("a.b-c.d"), None);
    assert!(names::subdomain("a..b").is_some());
    assert!(names::label_1035("0a").is_some());
    assert_eq!(names::qualified_name("example.io/Some_name.x"), None);
    assert!(names::qualified_name("/x").is_some() && names::qualified_name("a b/x").is_some());
    assert_eq!(names::label_value(""), None);
    assert!(names::label_value("a/b").is_some());
}

#[test]
fn policy_types_follow_from_the_rules() {
    let types =
        |spec: Value| defaulted(&NetworkPolicies, json!({"spec": spec}))["spec"]["policyTypes"].clone();
    assert_eq!(types(json!({})), json!(["Ingress"]));
    assert_eq!(types(json!({"egress": [{}]})), json!(["Ingress", "Egress"]));
    assert_eq!(types(json!({"egress": []})), json!(["Ingress"]));
    assert_eq!(types(json!({"policyTypes": ["Egress"]})), json!(["Egress"]));
    let ports = json!({"spec": {"ingress": [{"ports": [{"port": 80}]}]}});
    assert_eq!(defaulted(&NetworkPolicies, ports)["spec"]["ingress"][0]["ports"][0]["protocol"], "TCP");
}

#[test]
fn wrong_policies_are_refused_where_they_are_wrong() {
    let ingress = |rule: Value| problems(&NetworkPolicies, &json!({"spec": {"ingress": [rule]}}));
    let port = |port: Value| ingress(json!({"ports": [port]}));
    let peer = |peer: Value| ingress(json!({"from": [peer]}));
    assert!(port(json!({"port": "web"})).is_empty());
    assert!(port(json!({"port": 80, "endPort": 90})).is_empty());
    assert_eq!(port(json!({"port": 90, "endPort": 80})).len(), 1);
    assert_eq!(port(json!({"port": "web", "endPort": 80})).len(), 1);
    assert_eq!(
        port(json!({"endPort": 80})),
        ["spec.ingress[0].ports[0].port: Required value: must be specified"]
    );
    assert_eq!(port(json!({"port": 0})).len(), 1);
    assert_eq!(port(json!({"protocol": "ICMP"})).len(), 1);
    assert!(peer(json!({"podSelector": {}, "namespaceSelector": {}})).is_empty());
    assert_eq!(peer(json!({})), ["spec.ingress[0].from[0]: Required value: must specify a peer"]);
    let block = |cidr: &str, except: &str| peer(json!({"ipBlock": {"cidr": cidr, "except": [except]}}));
    assert!(block("10.0.0.0/8", "10.1.0.0/16").is_empty());
    assert!(block("fd00::/8", "fd01::/16").is_empty());
    assert!(block("0.0.0.0/0", "10.0.0.0/8").is_empty());
    assert_eq!(block("10.0.0.0/8", "11.0.0.0/16").len(), 1);
    assert_eq!(block("10.0.0.0/8", "10.0.0.0/8").len(), 1);
    assert_eq!(block("10.0.0.0/8", "fd00::/16").len(), 1);
    assert_eq!(peer(json!({"ipBlock": {"cidr": "10.0.0.0"}})).len(), 1);
    assert_eq!(peer(json!({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}})).len(), 1);
    let selector = json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}});
    assert_eq!(peer(selector).len(), 1);
}

#[test]
fn services_are_completed_and_keep_what_was_allocated() {
    let service =
        json!({"spec": {"ports": [{"port": 80}], "type": "NodePort", "clusterIPs": ["10.0.0.1", "fd00::1"]}});
    let mut old = defaulted(&Services, service.clone());
    assert_eq!(old["spec"]["ports"][0]["targetPort"], 80);
    assert_eq!(old["spec"]["clusterIP"], "10.0.0.1");
    assert_eq!(old["spec"]["externalTrafficPolicy"], "Cluster");
    old["spec"]["ports"][0]["nodePort"] = json!(30080);
    let mut new =
        defaulted(&Services, json!({"spec": {"ports": [{"port": 80, "name": "web"}], "type": "NodePort"}}));
    Services.on_update(&mut new, &old);
    assert_eq!(new["spec"]["clusterIPs"], old["spec"]["clusterIPs"]);
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30080);
    let mut errors = Errors::default();
    new["spec"]["clusterIP"] = json!("10.0.0.9");
    Services.validate_update(&new, &old, &mut errors);
    assert_eq!(errors.0.len(), 1);
}

#[test]
fn wrong_services_are_refused() {
    let spec = |spec: Value| problems(&Services, &json!({"spec": spec}));
    assert_eq!(spec(json!({})), ["spec.ports: Required value"]);
    assert!(spec(json!({"clusterIP": "None"})).is_empty());
    assert!(spec(json!({"type": "ExternalName", "externalName": "x.org"})).is_empty());
    assert_eq!(spec(json!({"ports": [{"port": 1}, {"port": 2}]})).len(), 2, "several ports have names");
    assert_eq!(spec(json!({"ports": [{"port": 70000, "targetPort": 1}]})).len(), 1);
    assert_eq!(spec(json!({"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]})).len(), 1);
    assert_eq!(spec(json!({"ports": [{"port": 1}], "clusterIP": "nonsense"})).len(), 1);
    assert_eq!(spec(json!({"ports": [{"port": 1}], "type": "Odd"})).len(), 1);
}

#[test]
fn pods_on_nodes_have_grace_and_others_none() {
    let mut pod = json!({"spec": {"terminationGracePeriodSeconds": 7}, "status": {"phase": "Running"}});
    assert_eq!(Pods.grace(&pod, None), 0);
    pod["spec"]["nodeName"] = json!("n");
    assert_eq!(Pods.grace(&pod, None), 7);
    assert_eq!(Pods.grace(&pod, Some(2)), 2);
    pod["status"]["phase"] = json!("Succeeded");
    assert_eq!(Pods.grace(&pod, Some(2)), 0);
}

#[test]
fn pods_change_only_where_they_may() {
    let old = defaulted(&Pods, json!({"spec": {"containers": [{"name": "c", "image": "a:1"}]}}));
    let refused = |path: &[&str], value: Value| {
        let mut new = old.clone();
        crate::object::set(&mut new, path, value);
        let mut errors = Errors::default();
        Pods.validate_update(&new, &old, &mut errors);
        !errors.0.is_empty()
    };
    assert!(refused(&["spec", "nodeName"], json!("n")));
    assert!(refused(&["spec", "hostNetwork"], json!(true)));
    assert!(!refused(&["spec", "activeDeadlineSeconds"], json!(5)));
    let mut containers = old["spec"]["containers"].clone();
    containers[0]["image"] = json!("b:2");
    assert!(!refused(&["spec", "containers"], containers.clone()));
    containers[0]["name"] = json!("d");
    assert!(refused(&["spec", "containers"], containers));
}

#[test]
fn pods_are_validated_and_defaulted() {
    let with = |container: Value| problems(&Pods, &json!({"spec": {"containers": [container]}}));
    assert!(with(json!({"name": "c", "image": "i"})).is_empty());
    assert_eq!(with(json!({"name": "C", "image": "i"})).len(), 1);
    assert_eq!(with(json!({"name": "c"})), ["spec.containers[0].image: Required value"]);
    assert_eq!(with(json!({"name": "c", "image": "i", "ports": [{"containerPort": 0}]})).len(), 1);
    assert_eq!(
        with(json!({"name": "c", "image": "i", "ports": [{"containerPort": 1, "name": "-"}]})).len(),
        1
    );
    let host = defaulted(
        &Pods,
        json!({"spec": {"hostNetwork": true, "containers": [
            {"name": "c", "image": "r:5000/i", "ports": [{"containerPort": 80}]},
        ]}}),
    );
    let container = &host["spec"]["containers"][0];
    assert_eq!(container["ports"][0], json!({"containerPort": 80, "protocol": "TCP", "hostPort": 80}));
    assert_eq!(container["imagePullPolicy"], "Always");
}

#[test]
fn workloads_must_select_their_own_pods() {
    let deployment = |labels: Value| {
        json!({"kind": "Deployment", "spec": {
            "selector": {"matchLabels": {"a": "1"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }})
    };
    assert!(problems(&Workloads, &deployment(json!({"a": "1", "b": "2"}))).is_empty());
    let said = problems(&Workloads, &deployment(json!({"a": "2"})));
    assert_eq!(
        said,
        [
            "spec.template.metadata.labels: Invalid value: {\"a\":\"2\"}: `selector` does not match template `labels`"
        ]
    );
}

#[test]
fn node_cidrs_agree_and_stay() {
    let old = defaulted(&Nodes, json!({"spec": {"podCIDR": "10.0.0.0/24"}}));
    assert_eq!(old["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
    let new = json!({"spec": {"podCIDRs": ["10.0.1.0/24"]}});
    let mut errors = Errors::default();
    Nodes.validate_update(&new, &old, &mut errors);
    assert_eq!(errors.0.len(), 1);
}

#[test]
fn endpoint_slices_hold_addresses_of_their_type() {
    let slice = |ty: &str, address: &str| {
        problems(&EndpointSlices, &json!({"addressType": ty, "endpoints": [{"addresses": [address]}]})).len()
    };
    assert_eq!(slice("IPv4", "10.0.0.1"), 0);
    assert_eq!(slice("IPv6", "10.0.0.1"), 1);
    assert_eq!(slice("Odd", "x"), 1);
}
