//! A server on the loopback interface, and clients for it.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::print_stdout)]

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    time::Duration,
};

use apiserver::{Builder, Handle, Server};
use serde_json::{Value, json};

pub struct Cluster {
    pub server: Server,
    pub handle: Handle,
    pub address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with(Server::builder().bookmark_interval(Duration::from_millis(200))).await
    }

    pub async fn with(builder: Builder) -> Self {
        let server = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await.unwrap() });
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {}}],
        });
        std::fs::write(directory.path().join("config"), kubeconfig.to_string()).unwrap();
        Self { handle: server.handle(), server, address, directory }
    }

    pub fn client(&self) -> kube::Client {
        let config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        kube::Client::try_from(config).unwrap()
    }

    /// Runs kubectl; `stdin` is what `-f -` reads.
    pub async fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = self.command(args);
        let stdin = stdin.to_owned();
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        })
        .await
        .unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.directory.path().join("config"))
            .args(args)
            .env("HOME", self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// What a successful kubectl prints.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_with(args, "").await
    }

    pub async fn kubectl_with(&self, args: &[&str], stdin: &str) -> String {
        let output = self.run(args, stdin).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {args:?} failed: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a failing kubectl says.
    pub async fn kubectl_fails(&self, args: &[&str], stdin: &str) -> String {
        let output = self.run(args, stdin).await;
        assert!(!output.status.success(), "kubectl {args:?} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    pub async fn apply(&self, manifest: &Value) -> String {
        self.kubectl_with(&["apply", "-f", "-"], &manifest.to_string()).await
    }

    pub async fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.extend(["-o", "json"]);
        serde_json::from_str(&self.kubectl(&args).await).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server.shutdown();
    }
}

/// Whether there is a kubectl to test with; says so if not.
pub fn has_kubectl() -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: there is no kubectl on this machine");
    }
    found
}

pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "example/c:1", "ports": [{"containerPort": 80}]}]},
    })
}

pub fn deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [
                    {"name": "a", "image": image, "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
                    {"name": "b", "image": "example/b:1"},
                ]},
            },
        },
    })
}

/// A definition with everything a CRD of this project uses.
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "links.example.io"},
        "spec": {
            "group": "example.io", "scope": "Cluster",
            "names": {
                "kind": "Link", "plural": "links", "singular": "link", "shortNames": ["ln"], "categories": ["nets"],
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": columns(),
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {"spec": spec_schema(), "status": status_schema()},
                }},
            }],
        },
    })
}

fn columns() -> Value {
    let ready = ".status.conditions[?(@.type==\"Ready\")].status";
    json!([
        {"name": "CIDR", "type": "string", "jsonPath": ".spec.cidrs[0]"},
        {"name": "Ready", "type": "string", "jsonPath": ready},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ])
}

fn spec_schema() -> Value {
    let cidr = json!({
        "type": "string",
        "x-kubernetes-validations": [{"rule": "isCIDR(self)", "message": "must be a CIDR"}],
    });
    let port = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "port": {"x-kubernetes-int-or-string": true},
    }});
    let families =
        "self.cidrs.size() < 2 || cidr(self.cidrs[0]).ip().family() != cidr(self.cidrs[1]).ip().family()";
    json!({
        "type": "object", "required": ["cidrs", "overlay"],
        "properties": {
            "cidrs": {
                "type": "array", "items": cidr, "minItems": 1, "maxItems": 2, "x-kubernetes-list-type": "set",
            },
            "overlay": {"type": "string", "enum": ["vxlan", "gre"]},
            "mtu": {"type": "integer", "format": "int32", "minimum": 576, "default": 1450},
            "replicas": {"type": "integer", "minimum": 0},
            "host": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
            "peer": {"type": "string", "nullable": true},
            "ports": {
                "type": "array", "items": port,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
        "x-kubernetes-validations": [
            {"rule": "self.overlay == oldSelf.overlay", "message": "overlay is immutable"},
            {
                "rule": families,
                "messageExpression":
                    "'both CIDRs are of family ' + string(cidr(self.cidrs[0]).ip().family())",
            },
        ],
    })
}

fn status_schema() -> Value {
    let condition = json!({"type": "object", "required": ["type", "status"], "properties": {
        "type": {"type": "string"}, "status": {"type": "string"},
    }});
    json!({"type": "object", "properties": {
        "replicas": {"type": "integer"},
        "observedGeneration": {"type": "integer"},
        "conditions": {
            "type": "array", "items": condition,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        },
    }})
}

pub fn link(name: &str, cidrs: &[&str]) -> Value {
    json!({
        "apiVersion": "example.io/v1alpha1", "kind": "Link", "metadata": {"name": name},
        "spec": {"cidrs": cidrs, "overlay": "vxlan"},
    })
}
