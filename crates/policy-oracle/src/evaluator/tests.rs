//! The evaluator against what a person reads in the documentation of the API.

use policy::spec::NamedPort;
use serde_json::{Value, json};

use super::*;

const TCP_80: Traffic = Traffic::Port(Protocol::Tcp, 80);

fn name(text: &str) -> Name {
    let (namespace, name) = text.split_once('/').unwrap();
    Name { namespace: namespace.into(), name: name.into() }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// `shop/web`, `shop/db`, `blog/web` with `web` on another port, and `lost/web` in a namespace that is not known.
fn cluster(policy: Value) -> Cluster {
    let mut cluster = Cluster::default();
    for (namespace, team) in [("shop", "red"), ("blog", "blue")] {
        cluster.namespaces.insert(namespace.into(), labels(&[("team", team)]));
    }
    for (index, (pod, app, port)) in
        [("shop/web", "web", 80), ("shop/db", "db", 5432), ("blog/web", "web", 81), ("lost/web", "web", 80)]
            .into_iter()
            .enumerate()
    {
        let name = name(pod);
        let named = |name: &str, protocol| NamedPort { name: name.into(), protocol, port };
        let pod = Pod {
            namespace: name.namespace.clone(),
            labels: labels(&[("app", app)]),
            ports: vec![named(app, Protocol::Tcp)],
            addresses: vec![
                format!("10.0.0.{}", index + 1).parse().unwrap(),
                format!("fd00::{}", index + 1).parse().unwrap(),
            ],
        };
        cluster.pods.insert(name, pod);
    }
    cluster.policies.insert(name("shop/p"), serde_json::from_value(policy).unwrap());
    cluster
}

/// Whether each of the pods, and the outside, may send to the pod.
fn ingress(cluster: &Cluster, to: &str, traffic: Traffic) -> [bool; 5] {
    let to = name(to);
    let to = End::Pod(&to, cluster.pods[&to].addresses[0]);
    ["shop/web", "shop/db", "blog/web", "lost/web", "outside"].map(|from| {
        if from == "outside" {
            return cluster.allowed(End::Outside("192.0.2.1".parse().unwrap()), to, traffic);
        }
        let from = name(from);
        cluster.allowed(End::Pod(&from, cluster.pods[&from].addresses[0]), to, traffic)
    })
}

fn web_ingress(policy: Value, traffic: Traffic) -> [bool; 5] {
    ingress(&cluster(policy), "shop/db", traffic)
}

fn from(peers: &Value) -> [bool; 5] {
    web_ingress(json!({"podSelector": {}, "ingress": [{"from": peers}]}), TCP_80)
}

/// The pod itself always reaches itself.
const NOBODY: [bool; 5] = [false, true, false, false, false];
const EVERYBODY: [bool; 5] = [true; 5];

#[test]
fn empty_is_everything_and_absent_is_nothing() {
    let policy = |ingress: Value| web_ingress(json!({"podSelector": {}, "ingress": ingress}), TCP_80);
    assert_eq!(policy(json!([])), NOBODY);
    assert_eq!(policy(json!(null)), NOBODY);
    assert_eq!(policy(json!([{}])), EVERYBODY);
    assert_eq!(policy(json!([{"from": [], "ports": []}])), EVERYBODY);
    let other = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    assert_eq!(web_ingress(other, TCP_80), EVERYBODY, "selects another pod");
}

#[test]
fn peers_are_ored_and_their_fields_anded() {
    assert_eq!(from(&json!([{"podSelector": {}}])), [true, true, false, false, false]);
    assert_eq!(from(&json!([{"namespaceSelector": {}}])), [true, true, true, true, false]);
    let web = json!({"matchLabels": {"app": "web"}});
    let blue = json!({"matchLabels": {"team": "blue"}});
    assert_eq!(
        from(&json!([{"namespaceSelector": blue, "podSelector": web}])),
        [false, true, true, false, false]
    );
    assert_eq!(
        from(&json!([{"namespaceSelector": blue}, {"podSelector": web}])),
        [true, true, true, false, false]
    );
    let not_red = json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["red"]}]});
    assert_eq!(from(&json!([{"namespaceSelector": not_red}])), [false, true, true, false, false]);
    assert_eq!(from(&json!([{}])), NOBODY);
}

#[test]
fn expressions_match_what_has_no_such_key_where_they_should() {
    let select = |operator: &str, values: Value, labels: &[(&str, &str)]| {
        let selector = json!({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]});
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        selector::select(&serde_json::from_value(selector).unwrap(), &labels)
    };
    use Selected::{Invalid, No, Yes};
    let cases: [(&str, Value, [Selected; 3]); 8] = [
        ("In", json!(["a", "b"]), [No, Yes, No]),
        ("NotIn", json!(["a", "b"]), [Yes, No, Yes]),
        ("Exists", json!(null), [No, Yes, Yes]),
        ("DoesNotExist", json!([]), [Yes, No, No]),
        ("In", json!([]), [Invalid; 3]),
        ("NotIn", json!(null), [Invalid; 3]),
        ("Exists", json!(["a"]), [Invalid; 3]),
        ("in", json!(["a"]), [Invalid; 3]),
    ];
    for (operator, values, expected) in cases {
        let found = [&[][..], &[("k", "a")], &[("k", "c")]].map(|l| select(operator, values.clone(), l));
        assert_eq!(found, expected, "{operator} {values}");
    }
}

#[test]
fn blocks_contain_what_is_not_excepted() {
    let block = |cidr: &str, except: Value, address: &str| {
        let block = serde_json::from_value(json!({"cidr": cidr, "except": except})).unwrap();
        block::contains(&block, address.parse().unwrap())
    };
    assert!(block("10.0.0.0/8", json!(null), "10.255.0.1"));
    assert!(!block("10.0.0.0/8", json!(null), "11.0.0.1"));
    assert!(block("10.9.9.9/8", json!([]), "10.0.0.1"), "host bits do not count");
    assert!(!block("10.0.0.0/8", json!(["10.1.0.0/16"]), "10.1.2.3"));
    assert!(block("10.0.0.0/8", json!(["10.1.0.0/16"]), "10.2.2.3"));
    assert!(block("0.0.0.0/0", json!(null), "1.2.3.4") && !block("0.0.0.0/0", json!(null), "::1"));
    assert!(block("::/0", json!(["fd00::/8"]), "2001:db8::1"));
    assert!(!block("::/0", json!(["fd00::/8"]), "fdff::1"));
    for bad in [json!(["11.0.0.0/16"]), json!(["fd00::/16"]), json!(["x"]), json!(["10.0.0.0/7"])] {
        assert!(!block("10.0.0.0/8", bad.clone(), "10.2.3.4"), "{bad}");
    }
    for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "10.0.0.0/+8", "fd00::/129"] {
        assert!(!block(bad, json!(null), "10.0.0.1"), "{bad}");
    }
}

#[test]
fn ports_are_numbers_ranges_and_names_of_the_receiver() {
    let tcp = |number| Traffic::Port(Protocol::Tcp, number);
    let open = |ports: Value, traffic| {
        web_ingress(json!({"podSelector": {}, "ingress": [{"ports": ports}]}), traffic)[2]
    };
    assert!(open(json!([{"port": 80}]), TCP_80) && !open(json!([{"port": 80}]), tcp(81)));
    assert!(!open(json!([{"port": 80}]), Traffic::Port(Protocol::Udp, 80)));
    assert!(!open(json!([{"port": 80}]), Traffic::Other));
    assert!(open(json!([{"protocol": "SCTP"}]), Traffic::Port(Protocol::Sctp, 9)));
    assert!(!open(json!([{"protocol": "SCTP"}]), TCP_80));
    let range = json!([{"port": 80, "endPort": 82}]);
    assert_eq!([79, 80, 82, 83].map(|port| open(range.clone(), tcp(port))), [false, true, true, false]);
    let named = json!([{"port": "db"}]);
    assert!(open(named.clone(), tcp(5432)) && !open(named.clone(), TCP_80));
    assert!(!open(json!([{"port": "db", "protocol": "UDP"}]), Traffic::Port(Protocol::Udp, 5432)));
    for bad in [
        json!({"port": 80, "endPort": 79}),
        json!({"port": 80, "endPort": 65536}),
        json!({"port": "db", "endPort": 6000}),
        json!({"endPort": 6000}),
        json!({"port": 0, "endPort": 6000}),
        json!({"protocol": "tcp"}),
        json!({"port": "other"}),
    ] {
        assert!(!open(json!([bad]), tcp(5432)) && !open(json!([bad]), TCP_80), "{bad}");
        assert!(open(json!([bad, {"port": 80}]), TCP_80), "beside {bad}");
    }
}

#[test]
fn on_egress_names_are_those_of_the_destination() {
    let cluster = cluster(json!({"podSelector": {}, "egress": [{"ports": [{"port": "web"}]}],
        "policyTypes": ["Egress"]}));
    let db = name("shop/db");
    let to = |pod: &str, port| {
        let to = name(pod);
        let to = End::Pod(&to, cluster.pods[&to].addresses[1]);
        cluster.allowed(End::Pod(&db, "fd00::2".parse().unwrap()), to, Traffic::Port(Protocol::Tcp, port))
    };
    assert!(to("shop/web", 80) && !to("shop/web", 81));
    assert!(!to("blog/web", 80) && to("blog/web", 81));
    let outside = End::Outside("192.0.2.1".parse().unwrap());
    assert!(!cluster.allowed(End::Pod(&db, "10.0.0.2".parse().unwrap()), outside, TCP_80));
}

#[test]
fn policy_types_say_what_is_isolated() {
    let isolated = |policy: Value| {
        let cluster = cluster(policy);
        let (db, web) = (name("shop/db"), name("blog/web"));
        let (db, web) =
            (End::Pod(&db, cluster.pods[&db].addresses[0]), End::Pod(&web, cluster.pods[&web].addresses[0]));
        (!cluster.allowed(web, db, TCP_80), !cluster.allowed(db, web, TCP_80))
    };
    assert_eq!(isolated(json!({})), (true, false));
    assert_eq!(isolated(json!({"egress": []})), (true, false));
    assert_eq!(isolated(json!({"egress": [{"ports": [{"port": 1}]}]})), (true, true));
    assert_eq!(isolated(json!({"policyTypes": []})), (true, false));
    assert_eq!(isolated(json!({"policyTypes": ["Egress"]})), (false, true));
    assert_eq!(isolated(json!({"policyTypes": ["Egress"], "egress": [{}], "ingress": []})), (false, false));
    assert_eq!(isolated(json!({"policyTypes": ["Ingress", "Outgress"]})), (true, true));
    let wrong =
        json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "?"}]}, "ingress": [{}]});
    assert_eq!(isolated(wrong), (true, false), "a wrong selector selects all and allows nothing");
}

#[test]
fn policies_add_up() {
    let mut cluster = cluster(json!({"podSelector": {}, "ingress": []}));
    let other = json!({"podSelector": {}, "ingress": [{"from": [
        {"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.3/32"]}}]}]});
    cluster.policies.insert(name("shop/q"), serde_json::from_value(other.clone()).unwrap());
    assert_eq!(ingress(&cluster, "shop/db", TCP_80), [true, true, false, true, false]);
    let third = json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.3/32"}}]}]});
    cluster.policies.insert(name("shop/r"), serde_json::from_value(third).unwrap());
    assert_eq!(ingress(&cluster, "shop/db", TCP_80), [true, true, true, true, false]);
    cluster.policies.insert(name("blog/r"), serde_json::from_value(other).unwrap());
    assert_eq!(ingress(&cluster, "blog/web", TCP_80), [true, true, true, true, false], "itself by loopback");
}
