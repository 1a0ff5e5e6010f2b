//! One cluster, told and written out.

use serde_json::json;

use super::cluster::{Cluster, labels, name, pod, with_port};
use crate::rules::{Protocol, SubjectId};

#[test]
fn a_shop() {
    let mut cluster = Cluster::default();
    for (namespace, text) in [("shop", "team=shop"), ("bank", "team=bank env=prod"), ("kube-system", "")] {
        cluster.engine.namespace(namespace, &labels(text));
    }
    let web = with_port(
        pod("shop/web", "app=web pod-template-hash=1", &["10.0.0.1", "fd00::1"]),
        "http",
        Protocol::Tcp,
        8080,
    );
    let dns = with_port(pod("kube-system/dns", "k8s-app=dns", &["10.0.9.1"]), "dns", Protocol::Udp, 5353);
    cluster.engine.pod(&name("shop/web"), &web);
    cluster.engine.pod(&name("kube-system/dns"), &dns);
    cluster.pod("shop/db", "app=db", &["10.0.0.2"]);
    cluster.pod("bank/audit", "app=audit", &["10.0.1.1"]);
    cluster.engine.subject(SubjectId(1), &web);
    cluster.engine.subject(SubjectId(2), &pod("shop/db", "app=db", &[]));
    cluster.policy("shop/default-deny", json!({"podSelector": {}}));
    cluster.policy("shop/web", json!({
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.0.0/16"]}}],
            "ports": [{"port": "http"}, {"port": 8443, "endPort": 8450}]}],
        "egress": [
            {"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 5432}]},
            {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "dns"}}}],
                "ports": [{"protocol": "UDP", "port": "dns"}]},
        ],
    }));
    cluster.policy("shop/db", json!({
        "podSelector": {"matchLabels": {"app": "db"}},
        "ingress": [{"from": [
            {"podSelector": {"matchLabels": {"app": "web"}}},
            {"namespaceSelector": {"matchLabels": {"team": "bank"}}, "podSelector": {"matchLabels": {"app": "audit"}}},
        ], "ports": [{"port": 5432}]}],
    }));
    insta::assert_snapshot!(cluster.tables.text());
}
